"""The sandbox: simulators of the vendors' systems, run beside the hub and reached as any vendor is, over HTTP.

Where they are is a setting of the operator (``SHUNIU_SANDBOX_URL``, or ``serve --sandbox``); without it there is none.
"""

from __future__ import annotations

from typing import Any

import httpx

from connectors.core import catalogue, declaration, registry
from gateway import problems, settings

SECONDS = 10.0


def offered(config: settings.Settings, connectors: catalogue.Catalogue, connector: str) -> bool:
    """Whether there is a simulator for this connector; presence in its folder is registration."""
    if not config.sandbox_url or connectors.own(connector):
        return False
    return registry.folder(connector).joinpath("simulator.py").is_file()


async def order(config: settings.Settings, connector: str, count: int) -> None:
    """Lets invented buyers place and pay so many orders at the simulator; it tells of them as the real system would.

    Raises the problem ``conflict`` when the sandbox does not answer or nobody orders at such a system.
    """
    if await _told(config, f"{connector}/orders", {"count": count}) is None:
        zh = "没有下成：模拟器没有应答，或这种系统里没有人下单"
        raise problems.Problem("conflict", zh, "no order: the simulator does not answer, or nobody orders there")


async def fitting(
    config: settings.Settings, spec: declaration.Declaration, hook: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Config and secrets with which a connection reaches its simulator, which learns where pushes go.

    Raises the problem ``conflict`` when the sandbox does not answer or has no such system.
    """
    values = (await _told(config, f"{spec.id}/connection", {"hook": hook}) or {}).get("values")
    if not isinstance(values, dict):
        zh, en = "模拟器没有应答，请联系管理员确认它在运行", "the simulator does not answer; ask whether it runs"
        raise problems.Problem("conflict", zh, en)
    given = {one.key: values[one.key] for one in spec.fields if values.get(one.key) not in (None, "")}
    secret = {one.key for one in spec.fields if one.secret}
    plain = {name: value for name, value in given.items() if name not in secret}
    return plain, {name: str(value) for name, value in given.items() if name in secret}


async def _told(config: settings.Settings, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What the simulators' control panel answers; None when it refuses, or is not there."""
    try:
        async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as client:
            got = await client.post(f"{config.sandbox_url}/_sim/{path}", json=body)
        found = got.json() if got.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) else None
