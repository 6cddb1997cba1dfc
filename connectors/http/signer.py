"""Outgoing proof by the connection's own choice: fixed headers, credentials, an idempotency key, a signature.

The stock schemes of core/signing.py do the work; which one, and under which names, is a matter of settings here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from connectors.core import errors, model, scope, signing

KEY_HEADER = "Idempotency-Key"


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Put headers, credentials and signature on ``request``. Raises Misdeclared when a setting is missing."""
    config = scope.settings(connection)
    for name, value in _fixed_headers(config).items():
        _default(request, name, value)
    if request.method != "GET":
        _default(request, KEY_HEADER, _key(request))
    _authorise(request, config, connection.secrets.get("auth_secret", ""))
    _prove(request, config, connection.secrets.get("sign_secret", ""), now)


def _fixed_headers(config: Mapping[str, Any]) -> dict[str, str]:
    given = config.get("headers") or {}
    if not isinstance(given, dict):
        raise _misdeclared("headers", "固定请求头应为 JSON 对象", "the fixed headers must be a JSON object")
    return {str(name): str(value) for name, value in given.items()}


def _default(request: model.Request, name: str, value: str) -> None:
    if name.lower() not in {key.lower() for key in request.headers}:
        request.headers[name] = value


def _key(request: model.Request) -> str:
    """Where the mapping gives no key: the same request again has the same key."""
    text = b"\n".join([request.method.encode(), request.url.encode(), request.body])
    return hashlib.sha256(text).hexdigest()


def _authorise(request: model.Request, config: Mapping[str, Any], secret: str) -> None:
    style = config.get("auth_style", "none")
    if style == "none":
        return
    if not secret:
        raise _misdeclared("auth_secret", "缺少鉴权密钥，请在连接中填写", "the credential is missing; fill it in")
    name = str(config.get("auth_name") or "X-API-Key")
    if style == "bearer":
        request.headers["Authorization"] = f"Bearer {secret}"
    elif style == "basic":
        pair = f"{config.get('auth_user', '')}:{secret}"
        request.headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    elif style == "query":
        request.query[name] = secret
    else:
        request.headers[name] = secret


def _prove(request: model.Request, config: Mapping[str, Any], secret: str, now: float) -> None:
    style = config.get("sign_style", "none")
    if style == "none":
        return
    options: dict[str, Any] = {"secret": secret}
    if style == "standard_webhooks":
        options["id"] = next(value for name, value in request.headers.items() if name.lower() == KEY_HEADER.lower())
        signing.SCHEMES[style](request, options, now)
        return
    names = {"header": "sign_header", "algorithm": "sign_algorithm", "encoding": "sign_encoding"}
    names |= {"prefix": "sign_prefix", "timestamp_header": "sign_timestamp_header"}
    options |= {option: config[key] for option, key in names.items() if config.get(key)}
    signing.SCHEMES["hmac_header"](request, options, now)


def _misdeclared(field: str, zh: str, en: str) -> errors.Misdeclared:
    return errors.Misdeclared(f"{field}: {en}", hint={"zh": zh, "en": en})
