"""A desk to test the admin API at: a real ledger, a real app, people of every role, and a browser-like client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from connectors.core import auth, client, pacing
from gateway import api, problems, security, settings
from gateway.api import services
from retry_queue.ledger import inbox, secrets, session, tables, tallies
from retry_queue.sync import intake
from retry_queue.sync import site as sites

PASSWORD = "correct horse battery"
ROLES = ("viewer", "operator", "editor", "owner")
TMALL_MAPPED = {"id": "1001", "number": "SO1001", "status": "paid", "total": "188.00"}


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
        """Hands events in and plans them."""
        async with self.ledger.write() as connection:
            ids = await inbox.append(connection, events)
            from collections import Counter

            counts = Counter({(e.connection_key, "received"): 0 for e in events})
            for e in events:
                counts[(e.connection_key, "received")] += 1
            await tallies.add(connection, self.ledger.slot, counts)
        taker = intake.Intake(self.ledger, self.hub.site, self.hub.calls, self.hub.sealer)
        while (await taker.step(100))[0]:
            pass
        return [i for i in ids if i is not None]


@contextlib.asynccontextmanager
async def opened(url: str, tmp_path: Path, public_url: str = "http://hub.test") -> AsyncIterator[Desk]:
    """A desk over a fresh ledger."""
    ledger = session.open_ledger(url, owner="desk", pool=5)
    async with ledger.write() as connection:
        await connection.run_sync(tables.metadata.create_all)
    sealer = secrets.Sealer("a master key of the test that is long enough")
    clock = Clock()
    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
    config = settings.Settings(data_dir=tmp_path / "data", public_url=public_url)
    desk: Desk

    async def reload() -> None:
        await desk.reload()

    def site() -> sites.Site:
        assert desk.site is not None
        return desk.site

    hub = services.Services(ledger, sealer, calls, site, reload, config, lambda: desk.rung.append(1), clock)
    app = FastAPI(openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    app.include_router(api.build(hub))
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
