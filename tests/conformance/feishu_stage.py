"""What the tests of Feishu share: a connection that fits the simulator, the vendor's SDK, a callback address."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.core import decode, errors, model, registry, reply, verify
from connectors.feishu import simulator
from connectors.simulator import engine

DEFAULTS = simulator.Simulator.SETTINGS
ROOT = Path(__file__).resolve().parents[2]
NOW = 1_800_000_000.0


def connection(base: str = "http://127.0.0.1:9", **changes: Any) -> model.Connection:
    """A connection that fits the simulator's default credentials."""
    config = {"base_url": f"{base}/feishu", "bot_url": f"{base}/feishu", "app_id": DEFAULTS["app_id"], "push": "http"}
    names = ("app_secret", "verification_token", "encrypt_key", "bot_hook", "bot_secret")
    secrets = {key: DEFAULTS[key] for key in names}
    for key, value in changes.items():
        (secrets if key in secrets else config)[key] = value
    return model.Connection("feishu-main", registry.get("feishu"), config, secrets)


def tenant_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["feishu"]
    assert isinstance(found, simulator.Simulator)
    return found


async def peer(mode: str, **given: Any) -> list[dict[str, Any]]:
    """What the vendor's SDK says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conformance.feishu_peer", mode, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, wrong = await asyncio.wait_for(process.communicate(json.dumps(given).encode() + b"\n"), 60)
    assert process.returncode == 0, wrong.decode()[-2000:]
    return [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]


def judged(
    hook: model.RawHook, owner: model.Connection | None = None, now: float = NOW, door: str = "callback"
) -> model.VerifiedHook:
    owner = owner or connection()
    spec = owner.declaration.events[door].verify
    assert spec is not None
    return verify.verify(hook, owner, spec, now)


class Hub:
    """A callback address as Shuniu opens one; ``broken`` counts the answers that fail first."""

    def __init__(self) -> None:
        self.events: list[model.SourceEvent] = []
        self.owner = connection()
        self.broken, self.address = 0, ""

    async def receive(self, request: Request) -> Response:
        if self.broken:
            self.broken -= 1
            return Response("no", 503)
        raw = model.RawHook(request.method, {}, dict(request.headers), await request.body())
        try:
            verified = judged(raw, self.owner, time.time())
        except errors.HookRefused as refused:
            return Response(refused.reason, 401)
        if verified.handshake is None:
            self.events += decode.events(self.owner.declaration, "callback", verified.plaintext)
        answer = reply.reply(self.owner, self.owner.declaration.events["callback"], verified, 0)
        return Response(answer.body, answer.status, media_type=answer.content_type)
