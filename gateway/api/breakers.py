"""Breakers: what keeps calls to a system in trouble back; people may open and close them by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue import gates
from retry_queue.ledger import audit, breakers, connections, revival
from retry_queue.sync import breaker

routes = APIRouter(prefix="/connections", tags=["connections"])


class Breaker(paging.Part):
    """What keeps calls to a system that is in trouble back. While it is open deliveries wait and burn no try."""

    state: Annotated[
        Literal["closed", "open", "half_open", "ramping"],
        Field(description="open; half_open while a probe is under way; ramping while calls widen again"),
    ] = "closed"
    operation: Annotated[str | None, Field(description="Only this operation; null: the whole connection")] = None
    since: datetime | None = None
    reason: paging.Words | None = None
    code: Annotated[str | None, Field(examples=["unavailable"])] = None
    next_probe_at: Annotated[datetime | None, Field(description="null: none by itself, a person closes it")] = None
    by: Annotated[str | None, Field(description="The person who opened it")] = None


Shut = Mapping[breakers.Place, breakers.Row]


def shown(row: breakers.Row | None) -> Breaker:
    """A breaker as the API shows it."""
    if row is None or row.state == breakers.CLOSED:
        return Breaker()
    probe = row.next_probe_at if row.shut and row.next_probe_at < breakers.NEVER else None
    return Breaker.model_validate(
        {
            "state": row.state, "operation": row.operation or None, "since": paging.instant(row.since),
            "reason": row.reason, "code": (row.reason or {}).get("code"), "next_probe_at": paging.moment(probe),
            "by": row.by,
        }
    )  # fmt: skip


@routes.post("/{key}/breaker/open", operation_id="breaker_open", summary="断开 Open the breaker",
             responses=schema.responses(404))  # fmt: skip
async def open_(request: Request, key: str) -> Breaker:
    """Nothing is sent to it, not even a probe, until a person closes it; deliveries wait and burn no try."""
    return await _turn(request, key, "open")


@routes.post("/{key}/breaker/close", operation_id="breaker_close", summary="恢复 Close the breaker",
             responses=schema.responses(404))  # fmt: skip
async def close(request: Request, key: str) -> Breaker:
    """Calls begin again at once, few at first; it opens again by itself if the system is still in trouble.

    The breakers of its operations are closed with it.
    """
    return await _turn(request, key, "close")


async def _turn(request: Request, key: str, what: Literal["open", "close"]) -> Breaker:
    hub, who = services.of(request), security.principal(request)
    changes: list[gates.Change] = []
    async with hub.ledger.write() as db:
        if await connections.get(db, key) is None:
            raise problems.Problem("not_found", f"没有连接 {key[:60]}", f"no connection {key[:60]}")
        known, _now = await breakers.every(db)
        shut = {place for place, row in known.items() if place[0] == key and row.shut}
        held, now = await breakers.hold(db, {(key, "")} if what == "open" else shut)
        for row in held.values():
            after = breaker.opened_by(row, now, who.name) if what == "open" else breaker.closed_by(row, now)
            changes.append(gates.Change(row, after))
        await breakers.write(db, [one.after for one in changes if one.after is not None], [])
        if what == "close":
            await revival.hurry(db, key)
        await audit.append(db, hub.sealer, hub.clock(), who.name, f"breaker.{what}", f"connection/{key}")
        known, _now = await breakers.every(db)
    for one in changes:
        gates.told(one)
    hub.ring()
    return shown(known.get((key, "")))
