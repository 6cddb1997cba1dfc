"""The sandbox switch of a connection: a simulator stands in for the real system, clearly marked, and goes again.

Whatever is under way belongs to the system that the connection speaks to now, and a route never joins invented data
with a real system; so both are looked at before the switch, in either direction.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import current, problems, sandbox, schema, security, soundness
from gateway.api import connections as connection_api
from gateway.api import paging, services
from retry_queue.ledger import audit, breakers, configuration, connections, deliveries
from retry_queue.ledger import sandbox as stored
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import route as sync_route

routes = APIRouter(prefix="/connections", tags=["connections"])
PATIENCE, LOOK = 3.0, 0.1
"""Seconds until what has just come in is planned, which is not a reason to refuse; and between two looks."""
OVER = {"zh": "模拟器结束，不再投递", "en": "the simulator is gone; not delivered"}


class SandboxTurn(paging.Part):
    """Into the sandbox or out of it. ``stop_routes``: disable the routes that would join it with the other kind."""

    on: bool
    stop_routes: Annotated[bool, Field(description="Otherwise such routes are a reason to refuse")] = False


@routes.post("/{key}/sandbox", operation_id="connection_sandbox", summary="切换模拟器 Sandbox",
             responses=schema.responses(404, 409))  # fmt: skip
async def turn(request: Request, key: str, body: SandboxTurn) -> connection_api.Connection:
    """Lets the built-in simulator stand in for the real system, or brings the real one back.

    Credentials, login tokens and the places of polls are put aside and come back as they were. Refused while something
    is under way, and while an enabled route joins the connection with one of the other kind.
    """
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.read() as db:
        found = await connection_api.get(db, key)
    spec = soundness.declared(found.connector, hub.site().connectors)
    if isinstance(spec, problems.Fault):
        raise problems.Problem("conflict", spec.zh, spec.en)
    if body.on and not sandbox.offered(hub.settings, hub.site().connectors, found.connector):
        raise problems.Problem("conflict", "这里没有它的模拟器", "there is no simulator for it here")
    hook = f"{hub.settings.public_url}/hooks/{key}"
    config, clear = await sandbox.fitting(hub.settings, spec, hook) if body.on else ({}, {})
    await _planned(hub, key)
    async with hub.change() as db:
        await stored.alone(db)
        row = await connection_api.get(db, key)
        if (row.real is not None) != body.on:
            stopped = await _routes(db, hub, who.name, row, body)
            await _still(db, hub, row)
            if body.on:
                gaps = soundness.gaps(spec, key, config, clear)
                state = ConnectionState.DISABLED if gaps else ConnectionState.ENABLED
                await stored.enter(
                    db, hub.sealer, row, soundness.settled(spec, config), clear, state, await hub.ledger.now()
                )
            else:
                await stored.leave(db, hub.sealer, row, await hub.ledger.now())
            await breakers.forget(db, key)
            detail = {"on": body.on, "routes": stopped}
            await audit.append(db, hub.sealer, hub.clock(), who.name, "connection.sandbox", f"connection/{key}", detail)
    hub.ring()
    return await connection_api.one_shown(hub, key)


class SandboxOrders(paging.Part):
    """How many orders invented buyers place."""

    count: Annotated[int, Field(ge=1, le=50)] = 1


@routes.post("/{key}/sandbox/orders", operation_id="connection_sandbox_order", summary="模拟下单 Invented orders",
             status_code=204, responses=schema.responses(404, 409))  # fmt: skip
async def order(request: Request, key: str, body: SandboxOrders) -> None:
    """Lets buyers order at the simulator that stands in; the orders come in as those of the real system do."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.read() as db:
        found = await connection_api.get(db, key)
    if found.real is None:
        zh = "这个连接用的是真实系统，不能模拟下单"
        raise problems.Problem("conflict", zh, "this connection speaks to the real system: nothing is invented there")
    await sandbox.order(hub.settings, found.connector, body.count)
    async with hub.ledger.write() as db:
        detail = {"count": body.count}
        await audit.append(
            db, hub.sealer, hub.clock(), who.name, "connection.sandbox_order", f"connection/{key}", detail
        )


async def _routes(
    db: AsyncConnection, hub: services.Services, actor: str, row: connections.Row, body: SandboxTurn
) -> list[str]:
    """Disables what would join invented data with a real system; raises the problem ``conflict`` instead, unasked."""
    now = await current.load(db)
    invented = now.sandboxed ^ {row.key}
    mixed = [one.key for one in now.parsed_routes() if one.enabled and _joins(one, row.key, invented)]
    if mixed and not body.stop_routes:
        shown = ", ".join(mixed[:10])
        zh = f"这些启用的路由会把模拟数据和真实系统连在一起，请先停用：{shown}"
        en = f"these enabled routes would join invented data with real systems; disable them first: {shown}"
        raise problems.Problem("mixed_routes", zh, en)
    for key in mixed:
        await configuration.put_route(db, key, now.routes[key].spec, False)
        await audit.append(db, hub.sealer, hub.clock(), actor, "route.disable", f"route/{key}", {"by": "sandbox"})
    return mixed


def _joins(one: sync_route.Route, key: str, invented: frozenset[str]) -> bool:
    named = {one.source.connection, *(placed.target.connection for placed in one.targets)}
    return key in named and bool(named & invented) and not named <= invented


async def _planned(hub: services.Services, key: str) -> None:
    until = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < until:
        async with hub.ledger.read() as db:
            if not await stored.unplanned(db, key):
                return
        await asyncio.sleep(LOOK)


async def _still(db: AsyncConnection, hub: services.Services, row: connections.Row) -> None:
    """Nothing may be under way; what a rehearsal left for a person ends with it. Raises the problem ``conflict``."""
    if row.real is not None:
        await deliveries.skip(db, await stored.given_up(db, row.key, row.real["since"]), OVER)
    if await stored.renewing(db, row.key, hub.clock()):
        raise problems.Problem("conflict", "正在登录对方系统，请几秒后再试", "it is signing in; try again in seconds")
    waiting = await stored.owed(db, row.key)
    if waiting:
        zh = f"还有 {waiting} 条没有办完：请等它们送达，或在「失败处理」里重放、跳过，再切换"
        en = f"{waiting} are not over yet: wait, or replay or skip them under Failures, then switch"
        raise problems.Problem("conflict", zh, en)
