"""A desk to test the admin API at: a real ledger, a real app, people of every role, and a browser-like client."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
from fastapi import FastAPI, Request
from sqlalchemy import insert
from starlette.routing import BaseRoute

from connectors.core import auth, client, pacing
from gateway import api, problems, security, settings
from gateway.api import services
from retry_queue.ledger import claims, inbox, lane, outbox, records, secrets, session, tables, tallies, upkeep
from retry_queue.ledger.states import DeliveryState, EventState
from retry_queue.sync import site as sites

PASSWORD = "correct horse battery"
ROLES = ("viewer", "operator", "editor", "owner")


MASTER = "a master key of the test that is long enough"
SHOP = {"key": "shop", "connector": "http", "config": {"verify_style": "token", "entity": "order"}, "enable": True,
        "secrets": {"hook_secret": "canary-secret-of-the-shop"}}  # fmt: skip
NOTES = {"key": "notes", "connector": "http", "config": {"base_url": "http://127.0.0.1:9/x"}, "enable": True}
ROUTE = {"key": "order-out", "from": {"connection": "shop", "entity": "order"}, "when": 'order.status == "paid"',
         "to": [{"connection": "notes", "operation": "send"}], "after": "5m"}  # fmt: skip
ORDER = {
    "id": "1001", "number": "SO1001", "status": "paid", "total": "188.00",
    "receiver": {"name": "张三丰", "phone": "13800138000", "address": {"city": "杭州市", "street": "文三路18号502室"}},
}  # fmt: skip


class Clock:
    """Time that a test may push forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Desk:
    """Everything of one hub, without processes."""

    hub: services.Services
    app: FastAPI
    clock: Clock
    rung: list[int] = field(default_factory=list)
    site: sites.Site | None = None
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def ledger(self) -> session.Ledger:
        return self.hub.ledger

    def anonymous(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        made = httpx.AsyncClient(transport=transport, base_url="http://hub.test/api/v1", headers=headers)
        self.clients.append(made)
        return made

    async def as_(self, role: str) -> httpx.AsyncClient:
        """A program with a token of this role."""
        async with self.ledger.write() as connection:
            value, _ = await security.issue_token(
                connection, self.hub.sealer, f"test-{role}", role, self.clock(), None, "test"
            )
        return self.anonymous(authorization=f"Bearer {value}")

    async def person(self, role: str, name: str | None = None) -> str:
        name = name or role
        secret = await security.hashed(PASSWORD)
        async with self.ledger.write() as connection:
            user = await security.add_user(connection, self.hub.sealer, name, secret, role, self.clock(), "test")
        return str(user.id)

    async def browser(self, name: str, password: str = PASSWORD) -> httpx.AsyncClient:
        """A signed-in browser."""
        made = self.anonymous()
        answer = await made.post("/sessions", json={"name": name, "password": password})
        assert answer.status_code == 201, answer.text
        made.headers["x-csrf-token"] = answer.json()["csrf"]
        return made

    async def reload(self) -> None:
        self.site = await sites.load(self.ledger, self.hub.sealer)

    async def receive(self, *events: inbox.NewEvent) -> list[int]:
        """Hands events in, as the ingress does."""
        async with self.ledger.write() as connection:
            ids = [i for i in await inbox.append(connection, events) if i is not None]
            counts = Counter((one.connection_key, "received") for one in events)
            counts.update((one.connection_key, "duplicate") for one in events[len(ids) :])
            await tallies.add(connection, self.ledger.slot, counts)
        return ids

    async def plan(self, event_id: int, canonical: dict[str, Any], *targets: lane.NewDelivery) -> None:
        """Settles a received event: planned with these deliveries, or skipped when there are none."""
        async with self.ledger.write() as connection:
            (claimed,) = await claims.claim(connection, 10, "desk", 60)
            assert claimed.id == event_id
            ref = (claimed.connection_key, claimed.entity or "order", canonical["id"])
            state = records.State(ref, canonical.get("number"), None, "f" * 32, orjson.dumps(canonical).decode(), 0)
            (row, _link) = (await records.keep(connection, [state]))[ref]
            ruled = EventState.PLANNED if targets else EventState.SKIPPED
            reason = None if targets else "filtered"
            await inbox.settle(connection, [inbox.Ruling(event_id, claimed.fence, ruled, reason)])
            if targets:
                body = {
                    "event_id": event_id,
                    "entity": ref[1],
                    "mapping": "http/order@shipped",
                    "body": state.canonical,
                }
                await connection.execute(insert(tables.canonicals).values(**body))
                owed = [replace(one, event_id=event_id, record_id=row) for one in targets]
                await outbox.plan(connection, owed)
            kind = "planned" if targets else "filtered"
            counts = Counter({(claimed.connection_key, kind): 1})
            if not targets:
                counts[(claimed.connection_key, "skipped.filtered")] = 1
            await tallies.add(connection, self.ledger.slot, counts)

    async def attempt(self, target: str, state: DeliveryState, **more: Any) -> list[int]:
        """Claims what is due for a target and settles it so."""
        async with self.ledger.write() as connection:
            claimed = await outbox.claim(connection, target, 10, "desk", 60, {})
            results = [lane.Result(one, state, str(state), 0.25, **more) for one in claimed]
            return sorted(await outbox.settle(connection, results, "desk"))


def owed(target: str, name: str, **more: Any) -> lane.NewDelivery:
    """A delivery to a target in the lane ``name``; event and record are filled in when it is planned."""
    given: dict[str, Any] = {"event_id": 0, "route_key": "order-out", "operation": "send", "position": 0, "kind": "act"}
    given |= {"record_id": 0, "lane": f"{target}/{name}", "version": None, "hop": 0, "priority": 1} | more
    return lane.NewDelivery(connection_key=target, **given)


@functools.cache
def _routes() -> list[BaseRoute]:
    """The API's routes, built once for all desks, which takes half a second; the gate finds the hub at the app."""
    router = api.build(cast(services.Services, None))
    (gate,) = router.dependencies
    frame = FastAPI(openapi_url=None)
    frame.include_router(router)

    async def enter(request: Request) -> None:
        await security.gate(request.app.state.hub)(request)

    frame.dependency_overrides[gate.dependency] = enter
    return frame.routes


@contextlib.asynccontextmanager
async def opened(url: str, tmp_path: Path, public_url: str = "http://hub.test", **more: Any) -> AsyncIterator[Desk]:
    """A desk over a fresh ledger; ``more`` are settings."""
    ledger = session.open_ledger(url, owner="desk", pool=5)
    async with ledger.write() as connection:
        await connection.run_sync(upkeep.metadata.create_all)
    sealer = secrets.Sealer(MASTER)
    clock = Clock()
    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
    config = settings.Settings(
        data_dir=tmp_path / "data", public_url=public_url, database_url=url, secret_key=MASTER, **more
    )
    desk: Desk

    async def reload() -> None:
        await desk.reload()

    def site() -> sites.Site:
        assert desk.site is not None
        return desk.site

    hub = services.Services(ledger, sealer, calls, site, reload, config, lambda: desk.rung.append(1), clock)
    app = FastAPI(openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    app.state.hub = hub
    app.router.routes.extend(_routes())
    desk = Desk(hub, app, clock)
    await desk.reload()
    try:
        yield desk
    finally:
        for one in desk.clients:
            await one.aclose()
        await calls.aclose()
        await ledger.close()


def event(connection_key: str, payload: str, dedupe: str, **more: Any) -> inbox.NewEvent:
    """An event as the ingress makes them."""
    given: dict[str, Any] = {"source": "hook_token", "message": "record", "entity": "order", "record": None}
    given |= {"occurred_at": None, "trace": "0" * 32} | more
    return inbox.NewEvent(connection_key=connection_key, payload=payload, dedupe=dedupe, **given)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    return body


async def configured(desk: Desk) -> httpx.AsyncClient:
    owner = await desk.as_("owner")
    for body in (SHOP, NOTES):
        assert (await owner.post("/connections", json=body)).status_code == 201
    assert (await owner.post("/routes", json=ROUTE)).status_code == 201
    return owner
