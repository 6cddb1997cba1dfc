"""What the tests of the two office messengers share: connections that fit the simulators, and a callback address."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.core import decode, errors, model, registry, reply, verify
from connectors.dingtalk import simulator as dingtalk_simulator
from connectors.simulator import engine, server
from connectors.wecom import simulator as wecom_simulator
from mappings import library

WECOM = wecom_simulator.Simulator.SETTINGS
DINGTALK = dingtalk_simulator.Simulator.SETTINGS


def _made(id: str, config: dict[str, Any], secrets: dict[str, str], changes: dict[str, Any]) -> model.Connection:
    for key, value in changes.items():
        (secrets if key in secrets else config)[key] = value
    return model.Connection(f"{id}-main", registry.get(id), config, secrets)


def wecom(base: str = "http://127.0.0.1:9", **changes: Any) -> model.Connection:
    """A WeCom connection that fits the simulator's default credentials."""
    config = {"base_url": f"{base}/wecom", "corp_id": WECOM["corp_id"], "agent_id": WECOM["agent_id"]}
    secrets = {key: WECOM[key] for key in ("app_secret", "token", "encoding_aes_key", "robot_key")}
    return _made("wecom", config, secrets, changes)


def dingtalk(base: str = "http://127.0.0.1:9", **changes: Any) -> model.Connection:
    """A DingTalk connection that fits the simulator's default credentials."""
    config: dict[str, Any] = {key: DINGTALK[key] for key in ("app_key", "corp_id", "agent_id", "robot_code")}
    config |= dict.fromkeys(("base_url", "legacy_url", "robot_url"), f"{base}/dingtalk")
    names = ("app_secret", "token", "aes_key", "robot_access_token", "robot_secret")
    return _made("dingtalk", config, {key: DINGTALK[key] for key in names}, changes)


def check(hook: model.RawHook, owner: model.Connection, now: float) -> model.VerifiedHook:
    """The door's own judgement, by the shipped declaration."""
    spec = owner.declaration.events["callback"].verify
    assert spec is not None
    return verify.verify(hook, owner, spec, now)


def written(connector: str, mapping: str, record: dict[str, Any], **context: Any) -> dict[str, Any]:
    """A canonical record as a shipped mapping writes it."""
    native: dict[str, Any] = library.shipped(connector, mapping).to_native(record, context)
    return native


def flipped(text: str, at: int) -> str:
    """``text`` with one character changed."""
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


class Hub:
    """A callback address as Shuniu opens one; the answers in ``broken`` are given first."""

    def __init__(self, owner: model.Connection) -> None:
        self.owner = owner
        self.events: list[model.SourceEvent] = []
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.broken: list[Response] = []
        self.address = ""

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        if self.broken and request.method == "POST":
            return self.broken.pop()
        hook = model.RawHook(request.method, dict(request.query_params), dict(request.headers), body)
        now = time.time()
        try:
            verified = check(hook, self.owner, now)
        except errors.HookRefused as refused:
            return Response(refused.reason, 401)
        if verified.handshake is None:
            self.raw.append((dict(request.query_params), body))
            self.events += decode.events(self.owner.declaration, "callback", verified.plaintext)
        answer = reply.reply(self.owner, self.owner.declaration.events["callback"], verified, now)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    def breaks(self, times: int) -> None:
        self.broken = [Response("no", 503) for _ in range(times)]


@contextlib.asynccontextmanager
async def hub(owner: model.Connection) -> AsyncIterator[Hub]:
    one = Hub(owner)
    async with server.running(Starlette(routes=[Route("/hook", one.receive, methods=["GET", "POST"])])) as base:
        one.address = f"{base}/hook"
        yield one


@contextlib.asynccontextmanager
async def control(url: engine.Url, id: str) -> AsyncIterator[httpx.AsyncClient]:
    """The control endpoints of one simulator."""
    async with httpx.AsyncClient(base_url=f"{url}/_sim/{id}", trust_env=False) as http:
        yield http
