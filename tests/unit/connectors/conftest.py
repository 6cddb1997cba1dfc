"""A real HTTP peer on 127.0.0.1 and small declarations to call it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from connectors.core import client, jsontext, model, registry
from connectors.simulator import server


@dataclass
class Seen:
    """One request as the peer saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    written: str = ""
    """The path as it was written, with its escapes."""

    @property
    def json(self) -> Any:
        return jsontext.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Answer = tuple[int, dict[str, str], bytes]


def answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    """An answer with a JSON body (or bytes as they are)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return status, named, body
    return status, {"content-type": "application/json", **named}, jsontext.dumps(body)


@dataclass
class Peer:
    """A uvicorn server whose answers the test decides; ``seen`` is every request."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    decide: Callable[[Seen], Answer | Awaitable[Answer]] = lambda seen: answer({"errcode": 0})

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        seen = Seen(scope["method"], scope["path"], query, headers, body, scope["raw_path"].decode())
        self.seen.append(seen)
        decided = self.decide(seen)
        status, named, content = decided if isinstance(decided, tuple) else await decided
        wire = [(name.encode(), value.encode()) for name, value in named.items()]
        await send({"type": "http.response.start", "status": status, "headers": wire})
        await send({"type": "http.response.body", "body": content})

    def paths(self) -> list[str]:
        return [one.path for one in self.seen]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    async with server.running(Starlette(routes=[Mount("/", made)])) as made.url:
        yield made


@pytest.fixture
async def calls() -> AsyncIterator[client.Client]:
    async with client.alone() as made:
        yield made


HEAD = """
apiVersion: shuniu/connector/v1
id: sample
version: "1"
label: {zh: 例, en: sample}
category: generic
docs_url: https://example.com
fields:
  - {key: base_url, label: {zh: 地址, en: address}, required: true}
  - {key: shade, label: {zh: 色, en: shade}, default: grey}
  - {key: app_secret, label: {zh: 密钥, en: secret}, secret: true}
time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
failure: {codes: [body.errcode], message: [body.errmsg]}
"""


def declared(rest: str, *, success: str = "{path: body.errcode, equals: 0}") -> Any:
    """A declaration from its interesting part; the first operation is the probe unless said."""
    return registry.parse(f"{HEAD}success: {success}\n{rest}")


def connected(spec: Any, url: str, key: str = "c1", **config: Any) -> model.Connection:
    return model.Connection(key, spec, {"base_url": url, **config}, {"app_secret": "s3cret-of-the-shop"})
