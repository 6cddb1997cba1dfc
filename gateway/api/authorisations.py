"""Authorising in the browser: a person is sent to the platform, agrees, and comes back with a code.

The state that travels with them is sealed and names the connection in the version it had: a second use of it, or one
after any other change, is refused. Codes live minutes and work once, so the code is tried as soon as it is here.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import consent, errors
from gateway import problems, schema, security, soundness
from gateway.api import connections as connection_api
from gateway.api import paging, probing, services
from retry_queue.ledger import audit, connections, logins, secrets
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites

routes = APIRouter(tags=["connections"])
log = structlog.get_logger()
MINUTES = 15
PLACE = "authorise"
"""For what states are sealed."""
Key = Annotated[str, Path(max_length=60)]


class Departure(paging.Part):
    """Where the person goes to agree. ``redirect`` must be entered at the platform as the application's callback."""

    url: Annotated[str, Field(examples=["https://open.example.com/oauth/authorize?state=…"])]
    redirect: str


def callback(hub: services.Services) -> str:
    """The address that platforms send people back to."""
    return f"{hub.settings.public_url}/api/v1/authorisations/callback"


@routes.post("/connections/{key}/authorise", operation_id="authorisation_start", summary="去授权 Authorise",
             responses=schema.responses(404, 409))  # fmt: skip
async def start(request: Request, key: Key) -> Departure:
    """The platform's page on which a person agrees to what this connection may do."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.read() as db:
        row = await connections.get(db, key)
    if row is None:
        raise problems.Problem("not_found", f"没有连接 {key}", f"no connection {key}")
    connection_api.outside_sandbox(row)
    live = sites.open_connection(row, hub.sealer, hub.site().connectors)
    spec = consent.way(live.opened) if live.opened is not None else None
    if live.opened is None or spec is None:
        zh, en = "这个连接不需要网页授权", "this connection is not authorised in the browser"
        raise problems.Problem("conflict", zh, en)
    told = {"k": key, "v": row.version, "u": who.name, "x": int(hub.clock()) + MINUTES * 60}
    state = _packed(hub.sealer.seal(json.dumps(told), PLACE))
    try:
        url = consent.address(live.opened, spec, callback(hub), state, hub.clock())
    except errors.Misdeclared as missing:
        raise problems.Problem("conflict", missing.hint["zh"], missing.hint["en"]) from None
    return Departure(url=url, redirect=callback(hub))


@routes.get("/authorisations/callback", operation_id="authorisation_finish", summary="授权回调 Back from authorising",
            status_code=303, response_class=RedirectResponse, openapi_extra={"x-public": True})  # fmt: skip
async def finish(request: Request) -> RedirectResponse:
    """Takes the code in, tries it, and leads the person to the connection; \"authorised\" says how it went."""
    hub = services.of(request)
    given = {name: value for name, value in request.query_params.items() if len(value) <= 4000}
    told = _state(hub, given)
    if told is None:
        return _lead(hub, "", "expired")
    key, version, by = told
    async with hub.change() as db:
        row = await connections.get(db, key)
        live = sites.open_connection(row, hub.sealer, hub.site().connectors) if row is not None else None
        opened = live.opened if live is not None else None
        spec = consent.way(opened) if opened is not None else None
        if row is None or opened is None or row.version != version or row.real is not None or spec is None:
            return _lead(hub, key if row is not None else "", "expired")
        try:
            found = consent.found(opened, spec, given, callback(hub))
        except errors.HookRefused as refused:
            log.warning("authorisation.refused", connection=key, reason=refused.reason, detail=refused.detail)
            return _lead(hub, key, "refused")
        if len(found) < len(spec.fills):
            return _lead(hub, key, "refused")
        row = await _keep(db, hub, row, found)
        await logins.end(db, key)
        detail = {"secrets": sorted(found), "by": "browser"}
        await audit.append(db, hub.sealer, hub.clock(), by, "connection.authorise", f"connection/{key}", detail)
    fresh = sites.open_connection(row, hub.sealer, hub.site().connectors)
    assert fresh.opened is not None, "it was opened above, and nothing but secrets changed"
    result = await probing.probed(hub.calls, fresh.opened)
    hub.ring()
    return _lead(hub, key, "yes" if result.ok else "failed")


async def _keep(
    db: AsyncConnection, hub: services.Services, row: connections.Row, found: dict[str, str]
) -> connections.Row:
    """Stores what came back; a connection that is complete by that, and not paused by a person, goes on."""
    made = await connections.put(db, hub.sealer, row.key, row.connector, row.config, found, row.state, hub.clock())
    live = sites.open_connection(made, hub.sealer, hub.site().connectors)
    if made.state is ConnectionState.PAUSED or live.opened is None:
        return made
    if soundness.gaps(live.opened.declaration, row.key, row.config, live.opened.secrets):
        return made
    await connections.set_state(db, row.key, ConnectionState.ENABLED, None, hub.clock())
    return await connections.get(db, row.key) or made


def _packed(sealed: str) -> str:
    """Without signs that a platform might change on the way."""
    return base64.urlsafe_b64encode(sealed.encode()).decode().rstrip("=")


def _state(hub: services.Services, given: dict[str, str]) -> tuple[str, int, str] | None:
    """(connection, version, who) of a state that is ours and not too old."""
    text = given.get("state", "")
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        told = json.loads(hub.sealer.open(sealed, PLACE))
    except (binascii.Error, UnicodeError, ValueError, secrets.SecretUnreadable):
        return None
    return (str(told["k"]), int(told["v"]), str(told["u"])) if told["x"] >= hub.clock() else None


def _lead(hub: services.Services, key: str, how: str) -> RedirectResponse:
    place = f"/connections/{key}" if key else "/connections"
    return RedirectResponse(f"{hub.settings.public_url}{place}?authorised={how}", status_code=303)
