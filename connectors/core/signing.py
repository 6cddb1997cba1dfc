"""Outgoing proof: the stock schemes by name. A scheme changes the rendered request in place, last before sending.

Schemes and their options (values may hold placeholders; they arrive here already rendered):

``none``                  nothing
``sorted_params``         all query and form parameters, sorted by name in byte order, written ``name value name value``
                          without separators. ``secret``; ``algorithm`` md5 | hmac_md5 | hmac_sha256; ``wrap`` both |
                          none (the secret around the text; only for md5 it is usual); ``case`` upper | lower;
                          ``param`` (sign) where it goes; ``skip_empty`` (true); ``body`` append | ignore;
                          ``equals``, ``between`` when there are separators (``name=value&name=value``), and
                          ``secret_param``: the secret is the last pair under this name, and not around the text
``query_timestamp_hmac``  ``secret``; HMAC-SHA256, base64, over ``timestamp \\n secret``; goes into the query as
                          ``timestamp_param`` and ``param``; ``unit`` ms | s; ``optional``: no secret, no signature
``hmac_header``           ``secret``; ``header``; ``algorithm`` sha256 | sha1 | sha512 | md5; ``encoding`` hex | base64;
                          ``prefix``; ``timestamp_header``: when given, ``timestamp.body`` is signed; ``optional``
``template``              any other text, spelt out: connectors/core/signtext.py
``standard_webhooks``     ``secret`` (whsec_...); ``id``: the message id (a fresh one when absent); ``optional``
``custom``                ``connectors/<id>/signer.py``: ``def sign(request, connection, now) -> None``
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from connectors.core import errors, model, registry, signtext

Scheme = Callable[[model.Request, Mapping[str, Any], float], None]


def sign(
    scheme: str, options: Mapping[str, Any], request: model.Request, connection: model.Connection, now: float
) -> None:
    """Sign ``request`` in place; ``now`` is Unix seconds. Raises Misdeclared when it cannot be signed."""
    if scheme == "custom":
        signer = registry.signer(connection.declaration.id)
        if signer is None or not hasattr(signer, "sign"):
            raise _misdeclared("signing: custom needs sign() in signer.py", "缺少自定义签名模块")
        signer.sign(request, connection, now)
        return
    stock = SCHEMES.get(scheme)
    if stock is None:
        raise _misdeclared(f"signing: no scheme '{scheme}'; there are: {', '.join(SCHEMES)}, custom", "签名方式不存在")
    stock(request, options, now)


def _misdeclared(message: str, zh: str) -> errors.Misdeclared:
    return errors.Misdeclared(message, hint={"zh": zh, "en": message})


def _secret(options: Mapping[str, Any], scheme: str) -> str | None:
    secret = options.get("secret")
    if secret:
        return str(secret)
    if options.get("optional"):
        return None
    raise _misdeclared(f"signing: {scheme} has no secret; fill it in on the connection", "缺少签名密钥，请在连接中填写")


def digest(algorithm: str, secret: str, text: bytes) -> bytes:
    """``md5`` is the plain digest; ``hmac_<name>`` and bare names are HMAC with ``secret``."""
    if algorithm == "md5":
        return hashlib.md5(text, usedforsecurity=False).digest()
    name = algorithm.removeprefix("hmac_")
    if name not in ("md5", "sha1", "sha256", "sha512"):
        raise _misdeclared(f"signing: no algorithm '{algorithm}'", "签名算法不存在")
    return hmac.digest(secret.encode(), text, name)


def param_text(params: Mapping[str, str], *, skip_empty: bool = True, equals: str = "", between: str = "") -> str:
    """``name value name value`` in byte order of the names: what sorted-parameter schemes sign."""
    names = (key for key in sorted(params, key=str.encode) if params[key] or not skip_empty)
    return between.join(f"{key}{equals}{params[key]}" for key in names)


def sorted_params_signature(params: Mapping[str, str], options: Mapping[str, Any], body: bytes = b"") -> str:
    """The signature of the ``sorted_params`` scheme; also what the receiving side compares with."""
    secret = _secret(options, "sorted_params") or ""
    algorithm = options.get("algorithm", "md5")
    equals, between = str(options.get("equals", "")), str(options.get("between", ""))
    text = (
        param_text(params, skip_empty=options.get("skip_empty", True), equals=equals, between=between).encode() + body
    )
    last = options.get("secret_param")
    if last:
        text += (between.encode() if text else b"") + f"{last}{equals}{secret}".encode()
    elif options.get("wrap", "both" if algorithm == "md5" else "none") == "both":
        text = secret.encode() + text + secret.encode()
    found = digest(algorithm, secret, text).hex()
    return found.upper() if options.get("case", "upper") == "upper" else found


def _sorted_params(request: model.Request, options: Mapping[str, Any], now: float) -> None:
    name = options.get("param", "sign")
    place = request.form if request.form is not None else request.query
    params = {key: value for key, value in {**request.query, **(request.form or {})}.items() if key != name}
    body = request.body if options.get("body") == "append" and request.form is None else b""
    place[name] = sorted_params_signature(params, options, body)


def timestamp_signature(secret: str, timestamp: str) -> str:
    """base64(HMAC-SHA256(secret, timestamp \\n secret))."""
    return base64.b64encode(hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), "sha256")).decode()


def _query_timestamp_hmac(request: model.Request, options: Mapping[str, Any], now: float) -> None:
    secret = _secret(options, "query_timestamp_hmac")
    if secret is None:
        return
    timestamp = str(int(now * 1000) if options.get("unit", "ms") == "ms" else int(now))
    request.query[options.get("timestamp_param", "timestamp")] = timestamp
    request.query[options.get("param", "sign")] = timestamp_signature(secret, timestamp)


def header_signature(options: Mapping[str, Any], secret: str, body: bytes, timestamp: str | None) -> str:
    """The value of an HMAC header, prefix and all."""
    text = body if timestamp is None else timestamp.encode() + b"." + body
    found = digest(f"hmac_{options.get('algorithm', 'sha256')}", secret, text)
    encoded = base64.b64encode(found).decode() if options.get("encoding", "hex") == "base64" else found.hex()
    return f"{options.get('prefix', '')}{encoded}"


def _hmac_header(request: model.Request, options: Mapping[str, Any], now: float) -> None:
    secret = _secret(options, "hmac_header")
    if secret is None:
        return
    timestamp = None
    if options.get("timestamp_header"):
        timestamp = str(int(now))
        request.headers[options["timestamp_header"]] = timestamp
    header = options.get("header", "x-signature")
    request.headers[header] = header_signature(options, secret, payload(request), timestamp)


def webhook_key(secret: str) -> bytes:
    """The key bytes of a Standard Webhooks secret (``whsec_`` + base64). Raises ValueError; never empty."""
    raw = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(raw + "=" * (-len(raw) % 4), validate=True)
    except binascii.Error:
        raise ValueError("the secret is not base64") from None
    if not key:
        raise ValueError("the secret is empty")
    return key


def webhook_signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """``v1,<base64>`` over ``id.timestamp.body`` (Standard Webhooks)."""
    text = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(webhook_key(secret), text, "sha256")).decode()


def _standard_webhooks(request: model.Request, options: Mapping[str, Any], now: float) -> None:
    secret = _secret(options, "standard_webhooks")
    if secret is None:
        return
    message_id = str(options.get("id") or f"msg_{uuid.uuid4().hex}")
    timestamp = str(int(now))
    try:
        signature = webhook_signature(secret, message_id, timestamp, payload(request))
    except ValueError as error:
        raise _misdeclared(f"signing: {error}", "签名密钥格式不正确") from None
    request.headers.update({"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature})


def payload(request: model.Request) -> bytes:
    """The body bytes of a request as they will be sent."""
    return request.body if request.form is None else urlencode(request.form).encode()


def _template(request: model.Request, options: Mapping[str, Any], now: float) -> None:
    secret = _secret(options, "template")
    if secret is not None:
        try:
            signtext.sign(request, options, secret, now)
        except signtext.Unfit as error:
            raise signtext.refused(error) from None


def _none(request: model.Request, options: Mapping[str, Any], now: float) -> None:
    return None


SCHEMES: dict[str, Scheme] = {
    "none": _none,
    "sorted_params": _sorted_params,
    "query_timestamp_hmac": _query_timestamp_hmac,
    "hmac_header": _hmac_header,
    "template": _template,
    "standard_webhooks": _standard_webhooks,
}
