"""Shopify's webhooks: HMAC-SHA256 of the raw body with the client secret, in base64.

The topic, the delivery id and the shop stand in headers, which are not signed; what leaves here is one JSON object
``{topic, webhook_id, shop, payload}``. Both header families are read: ``X-Shopify-*`` and the newer ``Shopify-*``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from connectors.core import errors, jsontext, model
from connectors.core import verify as checks


def webhook_signature(client_secret: str, raw_body: str) -> dict[str, str]:
    """The header that proves ``raw_body``."""
    return {"X-Shopify-Hmac-Sha256": _signed(client_secret, raw_body.encode())}


def _signed(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A proven webhook with its headers inside. Raises HookRefused.

    Options: ``secrets`` (the client secret, and the one before it during a rotation), ``shop`` (whose they are).
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
