"""A hook door on a real ledger, called as an ASGI server calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from connectors.core import model, registry
from retry_queue import append
from retry_queue.ledger import session, upkeep
from retry_queue.ledger.states import ConnectionState
from tests import hooks
from webhooks import receive, router

SECRET = "hook secret"
HMAC = {"verify_style": "hmac", "verify_header": "X-Signature", "entity": "order"}


@dataclass(frozen=True)
class Door:
    """What ingress asks of a connection."""

    key: str
    connector: str
    state: ConnectionState
    opened: model.Connection | None


def door(
    key: str = "shop", config: dict[str, Any] | None = None, secrets: dict[str, str] | None = None,
    state: ConnectionState = ConnectionState.ENABLED, connector: str = "http",
) -> Door:  # fmt: skip
    given = {"hook_secret": SECRET} if secrets is None else secrets
    opened = model.Connection(key, registry.get(connector), HMAC if config is None else config, given)
    return Door(key, connector, state, opened)


def signed(body: bytes, secret: str = SECRET) -> tuple[str, str]:
    return ("x-signature", hooks.proof(body, secret))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    started: int = 1

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Front:
    """The hook app over a ledger; ``doors`` may be changed while it runs."""

    ledger: session.Ledger
    appender: append.Appender
    app: router.Hooks
    receiver: receive.Receiver
    doors: dict[str, Door] = field(default_factory=dict)

    async def call(
        self,
        body: bytes | Iterable[bytes] = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        key: str = "shop",
        method: str = "POST",
        query: str = "",
        path: str | None = None,
        receive_: Callable[[], Any] | None = None,
    ) -> Answer | None:
        """One request; None when the app sent nothing."""
        parts = [body] if isinstance(body, bytes) else list(body)
        sent: list[dict[str, Any]] = []
        queue = [
            {"type": "http.request", "body": part, "more_body": place < len(parts) - 1}
            for place, part in enumerate(parts)
        ]

        async def source() -> dict[str, Any]:
            return queue.pop(0) if queue else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": f"/hooks/{key}" if path is None else path,
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        }
        await self.app(scope, receive_ or source, send)
        if not sent:
            return None
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        given = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        assert given["content-length"] == str(len(sent[1]["body"]))
        return Answer(sent[0]["status"], given, sent[1]["body"])

    async def stored(self) -> list[Any]:
        async with self.ledger.read() as connection:
            query = "SELECT e.*, i.dedupe, i.state FROM events e JOIN inbox i ON i.id = e.id ORDER BY e.id"
            return list(await connection.execute(text(query)))

    async def refused(self) -> list[tuple[str, str]]:
        """(reason, excerpt) of the quarantine, oldest first; waits until the appender has written them."""
        await self.appender.append([])
        while self.appender._refused or self.appender._committing:
            await asyncio.sleep(0.005)
        async with self.ledger.read() as connection:
            rows = await connection.execute(text("SELECT reason, excerpt FROM quarantine ORDER BY id"))
            return [(row.reason, row.excerpt) for row in rows]


@asynccontextmanager
async def front(
    folder: Path, *doors: Door, max_body: int = 4096, now: Callable[[], float] | None = None
) -> AsyncIterator[Front]:
    """The app with these doors open."""
    ledger = session.open_ledger(f"sqlite+aiosqlite:///{folder / 'hooks.sqlite3'}", owner="api")
    async with ledger.write() as connection:
        await connection.run_sync(upkeep.metadata.create_all)
    known = {one.key: one for one in doors or (door(),)}
    appender = append.Appender(ledger, lambda: None)
    receiver = receive.Receiver(known.get, appender, *([now] if now else []))
    made = Front(ledger, appender, router.Hooks(receiver, max_body), receiver, known)
    try:
        yield made
    finally:
        await appender.close()
        await ledger.close()
