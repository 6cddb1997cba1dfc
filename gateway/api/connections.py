"""Connections: one authorised account of a connector each. Secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import scope
from gateway import alerting, current, outside, problems, schema, security, soundness
from gateway.api import breakers as breaker_api
from gateway.api import paging, probing, services
from retry_queue.ledger import audit, breakers, configuration, connections, logins
from retry_queue.ledger import secrets as sealing
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites
from retry_queue.sync import symptoms

routes = APIRouter(prefix="/connections", tags=["connections"])
IfMatch = Annotated[str | None, Header(description="The ETag you read")]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60, examples=["tmall-main"])]
Config = Annotated[dict[str, Any], Field(examples=[{"base_url": "https://crm.example.com/api/v1"}])]
Secrets = Annotated[
    dict[str, str],
    Field(
        description="Only what changes; an empty text removes one. In place of a secret, where the operator keeps it: "
        "file:/folder/name, vault:mount/path#field, env:NAME",
        examples=[{"api_key": "…"}],
        repr=False,
    ),
]


class Connection(paging.Part):
    """A connection. ``secrets`` names those that are set; ``hook_url`` is where the system sends its pushes."""

    key: Key
    connector: Annotated[str, Field(examples=["crm"])]
    state: Annotated[str, Field(examples=["enabled"], description="enabled, paused, needs_auth or disabled")]
    reason: paging.Words | None = None
    config: Config
    secrets: list[str]
    references: Annotated[
        dict[str, str],
        Field(description="Of secrets that live elsewhere: where", examples=[{"api_key": "env:CRM_KEY"}]),
    ] = Field(default_factory=dict)
    former_secrets: list[Former] = Field(default_factory=list)
    hook_url: str | None = None
    missing: list[str] = Field(default_factory=list, description="Pointers to what keeps it from being enabled")
    breaker: breaker_api.Breaker = Field(default_factory=breaker_api.Breaker)
    operation_breakers: list[breaker_api.Breaker] = Field(
        default_factory=list, description="Operations that the system limits by themselves and that are not closed"
    )
    authorised_until: Annotated[datetime | None, Field(description="When a person must authorise again, if known")] = (
        None
    )
    sandbox: Annotated[bool, Field(description="A simulator stands in for the real system")] = False
    etag: str
    created_at: datetime
    updated_at: datetime


class Connections(paging.Page):
    items: list[Connection]


class NewConnection(paging.Part):
    """A connection to make; it starts disabled unless it is complete and ``enable`` is true."""

    key: Key
    connector: str
    config: Config = Field(default_factory=dict)
    secrets: Secrets = Field(default_factory=dict)
    enable: bool = False


class ConnectionChange(paging.Part):
    """A change: ``config`` as a whole, ``secrets`` one by one."""

    config: Config
    secrets: Secrets = Field(default_factory=dict)
    overlap_hours: Annotated[
        float, Field(ge=0, le=720, description="For so long pushes proven with the secrets before are taken too")
    ] = 0


class Former(paging.Part):
    """A secret that changed; pushes proven with the one before are taken until then."""

    field: str
    until: datetime


def _shown(
    hub: services.Services, row: connections.Row, shut: breaker_api.Shut, until: float | None = None
) -> Connection:
    live = sites.open_connection(row, hub.sealer, hub.site().connectors)
    hook = None
    missing: list[str] = []
    if live.opened is not None:
        spec = live.opened.declaration
        if any(one.door == "hook" for one in scope.open_sources(live.opened).values()):
            hook = f"{hub.settings.public_url}/hooks/{row.key}"
        missing = [one.pointer for one in soundness.gaps(spec, row.key, row.config, live.opened.secrets)]
    said = row.reason or live.problem
    return Connection(
        key=row.key, connector=row.connector, state=str(row.state),
        reason=paging.Words.model_validate(said) if said else None, config=row.config, secrets=sorted(row.sealed),
        references=dict(live.references), former_secrets=_former(hub, row), sandbox=row.real is not None,
        hook_url=hook, missing=missing, authorised_until=paging.moment(until),
        breaker=breaker_api.shown(shut.get((row.key, ""))),
        operation_breakers=[
            breaker_api.shown(one)
            for (key, operation), one in shut.items()
            if key == row.key and operation and one.state != breakers.CLOSED
        ],
        etag=paging.etag(row.version, row.updated_at),
        created_at=paging.instant(row.created_at), updated_at=paging.instant(row.updated_at),
    )  # fmt: skip


def _former(hub: services.Services, row: connections.Row) -> list[Former]:
    try:
        found = row.formers(hub.sealer, hub.clock())
    except sealing.SecretUnreadable:
        return []
    return [Former(field=name, until=paging.instant(until)) for name, (_, until) in sorted(found.items())]


async def get(connection: AsyncConnection, key: str) -> connections.Row:
    """A stored connection. Raises the problem ``not_found``."""
    row = await connections.get(connection, key)
    if row is None:
        raise problems.Problem("not_found", f"没有连接 {key[:60]}", f"no connection {key[:60]}")
    return row


def outside_sandbox(row: connections.Row) -> None:
    """Raises the problem ``conflict`` while a simulator stands in: its settings are nobody's to edit."""
    if row.real is not None:
        zh, en = "正在用模拟器，请先切回真实系统", "a simulator stands in for it: switch back first"
        raise problems.Problem("conflict", zh, en)


async def resolved(hub: services.Services, secrets: dict[str, str]) -> dict[str, str]:
    """Secrets as they were entered, with references looked up. Raises the problem ``invalid``.

    Whoever may enter a secret may refer to one; where to is the operator's word (``SHUNIU_SECRET_SOURCES``).
    """
    named = {name: text for name, text in secrets.items() if outside.is_one(text)}
    await hub.sealer.outside.read(set(named.values()))
    found, faults = dict(secrets), []
    for name, text in named.items():
        try:
            found[name] = hub.sealer.outside.value(text)
        except sealing.SecretUnreadable as error:
            faults.append(problems.Fault("reference", error.zh, error.en, ("secrets", name)))
    if faults:
        raise problems.Problem("invalid", faults=faults)
    return found


def _referred(secrets: dict[str, str]) -> set[str]:
    return {name for name, text in secrets.items() if outside.is_one(text)}


def _checked(hub: services.Services, connector: str, config: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    """The config to store. Raises the problem ``invalid`` with every fault."""
    spec = soundness.declared(connector, hub.site().connectors)
    if isinstance(spec, problems.Fault):
        raise problems.Problem("invalid", faults=[spec])
    config = soundness.settled(spec, config)
    found = soundness.values(spec, config, secrets)
    if found:
        raise problems.Problem("invalid", faults=found)
    return config


def _trusted(hub: services.Services, who: security.Principal, key: str) -> None:
    """Whoever points a connection by which people sign in elsewhere becomes anybody: that is an owner's right."""
    if key in hub.settings.scan_login and who.role < security.Role.OWNER:
        en = "people sign in by this connection: only an owner may change it"
        raise problems.Problem("forbidden", "这个连接用于登录，只有 owner 可以修改", en)


def _complete(hub: services.Services, row: connections.Row) -> None:
    """Raises the problem ``incomplete`` when the connection must not be enabled."""
    live = sites.open_connection(row, hub.sealer, hub.site().connectors)
    if live.opened is None:
        said = live.problem or {"zh": "", "en": ""}
        raise problems.Problem("incomplete", said["zh"], said["en"])
    found = soundness.gaps(live.opened.declaration, row.key, row.config, live.opened.secrets)
    if found:
        zh, en = "；".join(one.zh for one in found), "; ".join(one.en for one in found)
        raise problems.Problem("incomplete", zh, en, faults=found)


@routes.get("", operation_id="connection_list", summary="连接列表 Connections")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Connections:
    """Every connection, by key."""
    hub = services.of(request)
    async with hub.ledger.read() as connection:
        rows = await connections.all_rows(connection)
        shut, _now = await breakers.every(connection)
    page, more = paging.sliced(rows, limit, cursor, lambda row: row.key)
    ends = await symptoms.grants(hub.ledger, hub.sealer, hub.site())
    return Connections(items=[_shown(hub, row, shut, ends.get(row.key)) for row in page], next_cursor=more)


@routes.get("/{key}", operation_id="connection_get", summary="连接详情 Connection", responses=schema.responses(404))
async def one(request: Request, response: Response, key: str) -> Connection:
    """One connection with its ETag."""
    found = await one_shown(services.of(request), key)
    response.headers["ETag"] = found.etag
    return found


async def one_shown(hub: services.Services, key: str) -> Connection:
    """A connection as people see it now. Raises the problem ``not_found``."""
    async with hub.ledger.read() as connection:
        shut, _now = await breakers.every(connection)
        row = await get(connection, key)
        live = hub.site().live.get(key)
        until = await symptoms.granted(connection, hub.sealer, key, live.opened if live else None)
    return _shown(hub, row, shut, until)


@routes.post("", operation_id="connection_create", summary="新建连接 Create", status_code=201,
             responses=schema.responses(409))  # fmt: skip
async def create(request: Request, response: Response, body: NewConnection) -> Connection:
    """Makes a connection."""
    hub, who = services.of(request), security.principal(request)
    _trusted(hub, who, body.key)
    config = _checked(hub, body.connector, body.config, await resolved(hub, body.secrets))
    async with hub.change() as connection:
        if await connections.get(connection, body.key) is not None:
            raise problems.Problem("exists", f"已有连接 {body.key}", f"there is a connection {body.key}")
        state = ConnectionState.ENABLED if body.enable else ConnectionState.DISABLED
        row = await connections.put(
            connection, hub.sealer, body.key, body.connector, config, body.secrets, state, hub.clock(),
            referred=_referred(body.secrets),
        )  # fmt: skip
        if body.enable:
            _complete(hub, row)
        detail = {"connector": body.connector, "config": sorted(config), "secrets": sorted(body.secrets)}
        await audit.append(
            connection, hub.sealer, hub.clock(), who.name, "connection.create", f"connection/{body.key}", detail
        )
    found = _shown(hub, row, {})
    response.headers["ETag"] = found.etag
    return found


@routes.put("/{key}", operation_id="connection_update", summary="修改连接 Change",
            responses=schema.responses(404, 409, 412, 428))  # fmt: skip
async def update(
    request: Request, response: Response, key: str, body: ConnectionChange, if_match: IfMatch = None
) -> Connection:
    """Changes settings and secrets.

    An enabled connection must stay complete; one that waited for new credentials goes on.
    """
    hub, who = services.of(request), security.principal(request)
    _trusted(hub, who, key)
    secrets = await resolved(hub, body.secrets)
    async with hub.change() as connection:
        before = await get(connection, key)
        outside_sandbox(before)
        paging.check_match(if_match, paging.etag(before.version, before.updated_at))
        config = _checked(hub, before.connector, body.config, secrets)
        state = before.state
        if state is ConnectionState.NEEDS_AUTH:
            state = ConnectionState.ENABLED
        row = await connections.put(
            connection, hub.sealer, key, before.connector, config, body.secrets, state, hub.clock(),
            overlap=body.overlap_hours * 3600, referred=_referred(body.secrets),
        )  # fmt: skip
        if state is ConnectionState.ENABLED:
            _complete(hub, row)
        await logins.end(connection, key)
        changed = [name for name in {*config, *before.config} if config.get(name) != before.config.get(name)]
        detail: dict[str, Any] = {"config": sorted(changed), "secrets": sorted(body.secrets)}
        if body.overlap_hours:
            detail["overlap_hours"] = body.overlap_hours
        await audit.append(
            connection, hub.sealer, hub.clock(), who.name, "connection.update", f"connection/{key}", detail
        )
        shut, _now = await breakers.every(connection)
    found = _shown(hub, row, shut)
    response.headers["ETag"] = found.etag
    return found


@routes.delete("/{key}", operation_id="connection_delete", summary="删除连接 Remove", status_code=204,
               responses=schema.responses(404, 409, 412, 428))  # fmt: skip
async def remove(request: Request, key: str, if_match: IfMatch = None) -> None:
    """Removes a connection that no route uses; its history stays."""
    hub, who = services.of(request), security.principal(request)
    _trusted(hub, who, key)
    async with hub.change() as connection:
        before = await get(connection, key)
        paging.check_match(if_match, paging.etag(before.version, before.updated_at))
        users = [row.key for row in await configuration.routes(connection) if key in current.named(row.spec)]
        if users:
            shown = ", ".join(users[:10])
            raise problems.Problem("in_use", f"这些路由仍在使用它：{shown}", f"these routes use it: {shown}")
        told = alerting.uses(await configuration.setting(connection, current.ALERTS) or [], key)
        if told:
            shown = ", ".join(told[:10])
            raise problems.Problem("in_use", f"这些告警通过它通知：{shown}", f"these alerts tell people by it: {shown}")
        await connections.remove(connection, key)
        await breakers.forget(connection, key)
        await logins.forget(connection, key)
        await audit.append(connection, hub.sealer, hub.clock(), who.name, "connection.delete", f"connection/{key}")


async def _turn(request: Request, key: str, state: ConnectionState) -> Connection:
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as connection:
        row = await get(connection, key)
        if state is ConnectionState.ENABLED:
            _complete(hub, row)
            await logins.end(connection, key)
        if row.state is not state:
            await connections.set_state(connection, key, state, None, hub.clock())
            await audit.append(
                connection, hub.sealer, hub.clock(), who.name, f"connection.{state}", f"connection/{key}"
            )
        row = await get(connection, key)
        shut, _now = await breakers.every(connection)
    hub.ring()
    return _shown(hub, row, shut)


@routes.post("/{key}/enable", operation_id="connection_enable", summary="启用 Enable",
             responses=schema.responses(404, 409))  # fmt: skip
async def enable(request: Request, key: str) -> Connection:
    """Enables a complete connection.

    One with a required field missing, or with an open push door that has no secret to verify with, is refused.
    """
    return await _turn(request, key, ConnectionState.ENABLED)


@routes.post("/{key}/pause", operation_id="connection_pause", summary="暂停 Pause", responses=schema.responses(404))
async def pause(request: Request, key: str) -> Connection:
    """Pauses: events are still taken in, deliveries wait."""
    return await _turn(request, key, ConnectionState.PAUSED)


@routes.post("/{key}/disable", operation_id="connection_disable", summary="停用 Disable",
             responses=schema.responses(404))  # fmt: skip
async def disable(request: Request, key: str) -> Connection:
    """Takes it out of use: its hooks answer 404, nothing is sent to it."""
    return await _turn(request, key, ConnectionState.DISABLED)


@routes.post("/{key}/test", operation_id="connection_test", summary="测试连接 Test", responses=schema.responses(404))
async def test(request: Request, key: str) -> probing.TestResult:
    """Makes the connector's probe call with the stored settings. A failure is an answer, not a problem."""
    hub = services.of(request)
    async with hub.ledger.read() as connection:
        row = await get(connection, key)
    live = sites.open_connection(row, hub.sealer, hub.site().connectors)
    if live.opened is None:
        said = live.problem or {}
        return probing.TestResult(
            ok=False, kind="misdeclared", message=said.get("en", ""), hint=paging.Words.model_validate(said), duration=0
        )
    return await probing.probed(hub.calls, live.opened)
