"""Routes: which events go where."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field

from gateway import current, problems, route_soundness, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit, configuration
from retry_queue.sync import route as sync_route

routes = APIRouter(prefix="/routes", tags=["routes"])
IfMatch = Annotated[str | None, Header(description="The ETag you read")]
EXAMPLE: dict[str, Any] = {
    "key": "order-to-erp",
    "from": {"connection": "tmall-main", "entity": "order"},
    "when": 'order.status == "paid"',
    "to": [{"connection": "k3", "operation": "sales_order.save"}],
}


class RouteWarning(paging.Part):
    """Not wrong, but worth a look."""

    pointer: str
    code: str
    zh: str
    en: str


class RouteDetail(sync_route.Route):
    """A stored route. ``after`` is seconds; a text such as ``5m`` is taken too."""

    etag: str
    updated_at: datetime
    warnings: list[RouteWarning] = Field(default_factory=list)


class Routes(paging.Page):
    items: list[RouteDetail]


def _shown(row: configuration.RouteRow, states: dict[str, str]) -> RouteDetail:
    given = sync_route.Route.model_validate({**row.spec, "key": row.key, "enabled": row.enabled})
    doubts = route_soundness.doubtful(given, states)
    return RouteDetail.model_validate(
        {
            **given.model_dump(by_alias=True),
            "etag": paging.etag(row.version, row.updated_at),
            "updated_at": paging.instant(row.updated_at),
            "warnings": [{"pointer": one.pointer, "code": one.code, "zh": one.zh, "en": one.en} for one in doubts],
        }
    )


def _states(now: current.Current) -> dict[str, str]:
    return {key: str(row.state) for key, row in now.connections.items()}


def _check(given: sync_route.Route, now: current.Current) -> None:
    found = route_soundness.route(given, now.world())
    if found:
        raise problems.Problem("invalid", faults=found)


def _get(now: current.Current, key: str) -> configuration.RouteRow:
    row = now.routes.get(key)
    if row is None:
        raise problems.Problem("not_found", f"没有路由 {key[:60]}", f"no route {key[:60]}")
    return row


@routes.get("", operation_id="route_list", summary="路由列表 Routes")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Routes:
    """Every route, by key."""
    async with services.of(request).ledger.read() as connection:
        now = await current.load(connection)
    page, more = paging.sliced(list(now.routes.values()), limit, cursor, lambda row: row.key)
    return Routes(items=[_shown(row, _states(now)) for row in page], next_cursor=more)


@routes.get("/{key}", operation_id="route_get", summary="路由详情 Route", responses=schema.responses(404))
async def one(request: Request, response: Response, key: str) -> RouteDetail:
    """One route with its ETag."""
    async with services.of(request).ledger.read() as connection:
        now = await current.load(connection)
    found = _shown(_get(now, key), _states(now))
    response.headers["ETag"] = found.etag
    return found


async def _put(
    request: Request, response: Response, given: sync_route.Route, action: str, match: str | None
) -> RouteDetail:
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as connection:
        now = await current.load(connection)
        before = now.routes.get(given.key)
        if action == "route.create" and before is not None:
            raise problems.Problem("exists", f"已有路由 {given.key}", f"there is a route {given.key}")
        if action != "route.create":
            row = _get(now, given.key)
            paging.check_match(match, paging.etag(row.version, row.updated_at))
        _check(given, now)
        await configuration.put_route(connection, given.key, current.route_spec(given), given.enabled)
        detail = {"spec": current.route_spec(given), "enabled": given.enabled}
        await audit.append(connection, hub.sealer, hub.clock(), who.name, action, f"route/{given.key}", detail)
        now = await current.load(connection)
    found = _shown(now.routes[given.key], _states(now))
    response.headers["ETag"] = found.etag
    return found


@routes.post("", operation_id="route_create", summary="新建路由 Create", status_code=201,
             responses=schema.responses(409), openapi_extra={"requestBody": {"content": {"application/json": {
                 "example": EXAMPLE}}}})  # fmt: skip
async def create(request: Request, response: Response, body: sync_route.Route) -> RouteDetail:
    """Makes a route, after everything it names was found."""
    return await _put(request, response, body, "route.create", None)


@routes.put("/{key}", operation_id="route_update", summary="修改路由 Change",
            responses=schema.responses(404, 412, 428))  # fmt: skip
async def update(
    request: Request, response: Response, key: str, body: sync_route.Route, if_match: IfMatch = None
) -> RouteDetail:
    """Replaces a route."""
    if body.key != key:
        wrong = problems.Fault("key", "与地址中的 key 不一致", "not the key of the address", ("key",))
        raise problems.Problem("invalid", faults=[wrong])
    return await _put(request, response, body, "route.update", if_match)


@routes.delete("/{key}", operation_id="route_delete", summary="删除路由 Remove", status_code=204,
               responses=schema.responses(404, 412, 428))  # fmt: skip
async def remove(request: Request, key: str, if_match: IfMatch = None) -> None:
    """Removes a route; what it still owes is skipped."""
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as connection:
        row = _get(await current.load(connection), key)
        paging.check_match(if_match, paging.etag(row.version, row.updated_at))
        await configuration.remove_route(connection, key)
        await audit.append(
            connection, hub.sealer, hub.clock(), who.name, "route.delete", f"route/{key}", {"spec": row.spec}
        )


async def _turn(request: Request, key: str, *, enabled: bool) -> RouteDetail:
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as connection:
        now = await current.load(connection)
        row = _get(now, key)
        if enabled:
            _check(sync_route.Route.model_validate({**row.spec, "key": row.key}), now)
        if row.enabled != enabled:
            await configuration.put_route(connection, key, row.spec, enabled)
            action = "route.enable" if enabled else "route.disable"
            await audit.append(connection, hub.sealer, hub.clock(), who.name, action, f"route/{key}")
        now = await current.load(connection)
    return _shown(now.routes[key], _states(now))


@routes.post("/{key}/enable", operation_id="route_enable", summary="启用路由 Enable",
             responses=schema.responses(404))  # fmt: skip
async def enable(request: Request, key: str) -> RouteDetail:
    """Enables a route after checking it once more."""
    return await _turn(request, key, enabled=True)


@routes.post("/{key}/disable", operation_id="route_disable", summary="停用路由 Disable",
             responses=schema.responses(404))  # fmt: skip
async def disable(request: Request, key: str) -> RouteDetail:
    """Stops a route from taking new events; what it owes already is delivered."""
    return await _turn(request, key, enabled=False)
