"""Signing in on the page of a connected system, such as by scanning a code with the office's app.

Which systems offer it and how the code becomes a member is declared (``sign_in``); which connections are trusted with
it and who becomes what is the operator's word, by environment. State and page travel in a sealed cookie, as for OpenID.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from connectors.core import client, errors, model, paths, scope, template, terms
from gateway import oidc, problems, settings
from retry_queue.ledger import secrets as sealing
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites

PLACE = "scan/sign-in"
SECONDS = 20.0
LONGEST_CODE = 2000
LONGEST_NAME = 80
_NAME = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Who came back. ``subject`` is a digest of system, tenant and member id; names may be given anew, this may not."""

    name: str
    subject: str
    member: str


def offered(config: settings.Settings, site: sites.Site) -> dict[str, tuple[model.Connection, terms.SignIn]]:
    """Connection key -> the open connection and how people sign in by it; only shipped declarations are trusted."""
    found: dict[str, tuple[model.Connection, terms.SignIn]] = {}
    for key in config.scan_login:
        live = site.live.get(key)
        if live is None or live.opened is None or live.state is ConnectionState.DISABLED:
            continue
        spec = live.opened.declaration.sign_in
        if spec is not None and not site.connectors.own(live.connector):
            found[key] = (live.opened, spec)
    return found


def one(config: settings.Settings, site: sites.Site, key: str) -> tuple[model.Connection, terms.SignIn]:
    """The way in by one connection; raises Problem where there is none."""
    found = offered(config, site).get(key)
    if found is None:
        raise problems.Problem("not_found", "没有这种扫码登录", "there is no such way to sign in", why="gone")
    return found


def back(config: settings.Settings, key: str) -> str:
    """Where the system sends people back to; its host is to be entered there."""
    return f"{config.public_url}/api/v1/sessions/scan/{key}/callback"


def begin(config: settings.Settings, site: sites.Site, sealer: sealing.Sealer, key: str, page: str) -> tuple[str, str]:
    """The address to go to, and the cookie to come back with."""
    connection, spec = one(config, site, key)
    state = secrets.token_urlsafe(32)
    filled = scope.of(connection, redirect=back(config, key), state=state)
    query = {name: template.text(value) for name, value in (template.render(spec.query, filled) or {}).items()}
    kept = {"state": state, "key": key, "page": oidc.inner(page), "at": time.time()}
    return f"{template.render(spec.url, filled)}?{urlencode(query)}", sealer.seal(json.dumps(kept), PLACE)


async def end(
    hub_calls: client.Client, config: settings.Settings, site: sites.Site, sealer: sealing.Sealer,
    key: str, cookie: str, given: Mapping[str, str],
) -> tuple[Person, str]:  # fmt: skip
    """Who the code is of, and the page they wanted. Raises Problem."""
    connection, spec = one(config, site, key)
    kept = oidc.remembered(sealer, cookie, given.get("state", ""), PLACE)
    code = given.get(spec.code, "")
    if kept.get("key") != key or not code or len(code) > LONGEST_CODE:
        raise oidc.refused("there is no code in the way back", "nothing", "对方没有给出登录码")
    told: Any = {}
    try:
        async with asyncio.timeout(SECONDS):
            for step in spec.steps:
                asked = template.render(step.input, {"code": code, "told": told})
                told = (await hub_calls.call(connection, step.operation, asked)).data
    except (errors.ConnectorError, TimeoutError) as error:
        raise _untold(error) from None
    found = paths.get(told, spec.subject) if told is not None else None
    if not isinstance(found, str | int) or isinstance(found, bool) or not str(found).strip():
        en = "who scanned is no member of the organisation"
        raise oidc.refused(en, "stranger", "扫码的人不是本企业成员")
    tenant = template.text(template.render(spec.tenant, scope.of(connection)))
    return _person(connection.declaration.id, tenant, key, str(found).strip()), str(kept["page"])


def _untold(error: Exception) -> problems.Problem:
    """Why a code told nobody: who scanned, the system, or what the hub is over there."""
    kind = type(error).__name__
    if isinstance(error, TimeoutError | errors.Unavailable | errors.OutcomeUnknown | errors.Throttled):
        return oidc.refused(f"the system cannot be asked now ({kind})", "away", "对方系统暂时无法访问，请稍后再试")
    if isinstance(error, errors.CredentialRefused | errors.Misdeclared):
        zh = "对方拒绝了枢纽的应用凭证，请管理员检查这个连接"
        return oidc.refused(f"the system refused the hub's own credentials ({kind})", "broken", zh)
    return oidc.refused(f"the system did not accept the code ({kind})", "code", "对方不认可这次扫码，请重新扫码")


def _person(connector: str, tenant: str, key: str, member: str) -> Person:
    digest = hashlib.sha256(json.dumps(["scan", connector, tenant, member]).encode()).hexdigest()
    name = _NAME.sub("-", member.lower())[: LONGEST_NAME - len(key) - 1].strip("-")
    return Person(f"{name}@{key}" if name else "", digest, member)


def role(config: settings.Settings, key: str, member: str) -> str | None:
    """What the operator gave this member, else every member of the connection; None: they may not come in."""
    given = config.scan_roles
    return given.get(f"{key}/{member}", given.get(f"{key}/*"))
