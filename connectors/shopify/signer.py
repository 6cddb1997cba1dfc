"""Shopify's proofs, all HMAC-SHA256 with the client secret, and the tokens that a shop's consent gives.

A webhook is proven over its raw body, in base64; the way back from the page of consent over its query, in hex. The
topic, delivery id and shop of a webhook stand in headers, which are not signed; what leaves here is one JSON object
``{topic, webhook_id, shop, payload}``. Both header families are read: ``X-Shopify-*`` and the newer ``Shopify-*``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.core import answer, errors, grant, jsontext, model, scope
from connectors.core import verify as checks

Send = Callable[[model.Request], Awaitable[answer.Answer]]

GRANTED = 90 * 86400.0
"""Seconds a refresh token is good for where the answer says nothing."""
EARLY = 300.0
"""A token (60 minutes) is renewed so many seconds before its end."""

_SHOP = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com", re.ASCII)


def webhook_signature(client_secret: str, raw_body: str) -> dict[str, str]:
    """The header that proves ``raw_body``."""
    return {"X-Shopify-Hmac-Sha256": _signed(client_secret, raw_body.encode())}


def _signed(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A proven webhook with its headers inside. Raises HookRefused.

    Options: ``secrets`` (the client secret, and the one before it during a rotation), ``shop`` (whose they are),
    ``location`` (the one whose stock this connection keeps: levels of the others are marked ``elsewhere``).
    """
    accepted = checks.secrets_of(options)
    given = _header(hook.headers, "hmac-sha256")
    if not given:
        raise errors.HookRefused("unsigned", "the signature is missing")
    if not sum(checks.equal(given, _signed(secret, hook.body)) for secret in accepted):
        raise errors.HookRefused("forged", "wrong signature")
    shop, wanted = _header(hook.headers, "shop-domain"), str(options.get("shop") or "")
    if shop and wanted and not checks.equal(shop.lower(), wanted.lower()):
        raise errors.HookRefused("forged", "another shop's webhook")
    try:
        payload = jsontext.loads(hook.body)
    except jsontext.JsonError:
        raise errors.HookRefused("garbled", "the body is not JSON") from None
    told = {"topic": _header(hook.headers, "topic"), "webhook_id": _header(hook.headers, "webhook-id"), "shop": shop}
    if not all(value.isascii() for value in told.values()):
        raise errors.HookRefused("garbled", "a header holds what no header may hold")
    kept = str(options.get("location") or "")
    if kept and told["topic"].startswith("inventory_levels/") and isinstance(payload, dict):
        # One item has a level per location, and a record of stock here is one item.
        told |= {} if str(payload.get("location_id")) == kept else {"elsewhere": str(payload.get("location_id"))}
    return model.VerifiedHook(jsontext.dumps({**told, "payload": payload}))


def _header(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"x-shopify-{name}") or headers.get(f"shopify-{name}") or ""


def query_signature(client_secret: str, query: Mapping[str, Any]) -> dict[str, str]:
    """The ``hmac`` of an installation or OAuth query: sorted pairs, escaped, hexadecimal."""
    pairs = []
    for key, value in query.items():
        if key in ("hmac", "signature"):
            continue
        name, text = key, str(value)
        if key.endswith("[]"):
            name, text = key[:-2], json.dumps([str(one) for one in value])
        name = name.replace("%", "%25").replace("&", "%26").replace("=", "%3D")
        pairs.append(f"{name}={text.replace('%', '%25').replace('&', '%26')}")
    joined = "&".join(sorted(pairs))
    return {"hmac": hmac.new(client_secret.encode(), joined.encode(), hashlib.sha256).hexdigest()}


# The grant of an app that a shop installs


def returning(given: Mapping[str, str], connection: model.Connection, redirect: str) -> Mapping[str, str]:
    """The way back, proven and from the shop of this connection. Raises HookRefused."""
    accepted = [connection.secrets.get(name, "") for name in ("client_secret", "old_client_secret")]
    proof = given.get("hmac", "")
    if not proof:
        raise errors.HookRefused("unsigned", "hmac is missing")
    if not sum(checks.equal(proof, query_signature(secret, given)["hmac"]) for secret in accepted if secret):
        raise errors.HookRefused("forged", "wrong hmac")
    shop, ours = given.get("shop", "").lower(), _ours(connection)
    if not _SHOP.fullmatch(shop) or (ours and shop != ours):
        raise errors.HookRefused("forged", "another shop's consent")
    return given


def _ours(connection: model.Connection) -> str:
    config = scope.settings(connection)
    host = urlsplit(str(config["base_url"])).hostname or ""
    return str(config.get("shop_domain") or (host if host.endswith(".myshopify.com") else "")).lower()


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The first token, from the code of the last authorisation. Raises CredentialRefused without one."""

    async def exchange(code: str) -> model.Token:
        return await _exchanged(send, connection, {"code": code, "expiring": "1"}, now)

    return await grant.begun(connection.secrets.get("code", ""), "", now, exchange)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next pair of tokens; the same token where it never ends. None when a person gave another consent."""
    following = grant.refresh_token(kept, _given(connection), now)
    if following is None:
        return grant.resumed(kept, _given(connection), now)
    return await _exchanged(send, connection, {"grant_type": "refresh_token", "refresh_token": following}, now)


async def _exchanged(send: Send, connection: model.Connection, wanted: Mapping[str, str], now: float) -> model.Token:
    config, given = scope.settings(connection), _given(connection)
    client = {"client_id": given[0], "client_secret": connection.secrets.get("client_secret", "")}
    url = f"{str(config['base_url']).rstrip('/')}/admin/oauth/access_token"
    got = await send(model.Request("POST", url, form={**client, **wanted}))
    said = got.body if got.status == 200 and isinstance(got.body, dict) else {}
    value, following = str(said.get("access_token") or ""), str(said.get("refresh_token") or "")
    if not value:
        grant.check(connection, got)
        raise errors.CredentialRefused("the authorisation gave no token", hint=grant.AGAIN)
    if not said.get("expires_in"):  # an app for one organisation may get a token that lasts until it is removed
        return model.Token(value, now + grant.ENDLESS, grant.carried("", None, given))
    lifetime = float(said["expires_in"])
    until = now + float(said.get("refresh_token_expires_in") or GRANTED)
    kept = grant.carried(following, until, given)
    return model.Token(value, now + lifetime - min(EARLY, lifetime / 2), kept)


def _given(connection: model.Connection) -> tuple[str, str]:
    return str(scope.settings(connection).get("client_id", "")), connection.secrets.get("code", "")
