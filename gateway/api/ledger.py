"""The ledger's balance, in public: what came in is what was delivered, filtered, given up or is under way."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from gateway.api import paging, services
from retry_queue.ledger import tallies

routes = APIRouter(prefix="/ledger", tags=["ledger"])


class Balance(paging.Part):
    """received = delivered + duplicate + filtered + dead + in_flight; ``difference`` is 0 unless something was lost."""

    received: Annotated[int, Field(examples=[200])]
    delivered: int
    duplicate: int
    filtered: int
    dead: int
    in_flight: int
    parked: Annotated[int, Field(description="Of in_flight: waits for a person")]
    rejected: Annotated[int, Field(description="Calls refused at the door; not part of the balance")]
    difference: int


class ConnectionTallies(paging.Part):
    """What was counted for one connection, by kind."""

    connection: str
    counts: Annotated[dict[str, int], Field(examples=[{"received": 10, "planned": 8, "filtered": 2}])]


class Tallies(paging.Page):
    items: list[ConnectionTallies]


class Audit(paging.Part):
    """The tallies compared with every row of the inbox."""

    ok: bool
    balance: Balance
    differences: list[str]


@routes.get("", operation_id="ledger_balance", summary="台账 Balance")
async def balance(request: Request) -> Balance:
    """The balance over all time."""
    async with services.of(request).ledger.read() as db:
        found = await tallies.balance(db)
    return Balance(**asdict(found))


@routes.get("/connections", operation_id="ledger_connections", summary="按连接统计 By connection")
async def by_connection(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Tallies:
    """Counts per connection."""
    async with services.of(request).ledger.read() as db:
        found = await tallies.by_connection(db)
    page, more = paging.sliced(sorted(found), limit, cursor, str)
    return Tallies(items=[ConnectionTallies(connection=key, counts=found[key]) for key in page], next_cursor=more)


@routes.post("/audit", operation_id="ledger_audit", summary="台账核对 Full check")
async def audit(request: Request) -> Audit:
    """Reads the whole inbox and compares; takes a while on a large ledger."""
    async with services.of(request).ledger.read() as db:
        found = await tallies.balance(db)
        wrong = await tallies.audit(db)
    return Audit(ok=not wrong and not found.difference, balance=Balance(**asdict(found)), differences=wrong)
