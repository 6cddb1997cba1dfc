"""Inbound proof: the stock schemes by name. Everything here fails closed.

A hook whose secret is empty, missing or unreadable is refused, as is anything absent, garbled or outside the window.
Comparison takes the same time whatever differs. Options (may hold placeholders over ``config`` and ``secret``):

``token``              ``token``; ``header`` or ``query``: where the sender puts it; ``prefix`` (``Bearer ``)
``hmac_header``        ``secret`` or ``secrets`` (rotation); ``header``; ``algorithm`` sha256 | sha1 | sha512 | md5;
                       ``encoding`` hex | base64; ``prefix``; ``timestamp_header`` with ``window`` (300 s): then
                       ``timestamp.body`` is signed
``template``           any other text, spelt out: connectors/core/signtext.py
``standard_webhooks``  ``secret`` or ``secrets`` (whsec_...); ``window`` (300 s)
``sha1_aes``           ``token``; ``key`` (43 characters); ``receive_ids``: whose messages we accept; ``window`` seconds
                       or null; ``timestamp`` s | ms: its unit; ``signature``: names of the query parameter, the
                       first present wins; ``envelope`` xml | json; ``encrypted``: name of the ciphertext in it;
                       ``echo``: query parameter of the handshake (a GET)
``none``               accepts everything; must be written out
``custom``             signer.py: ``def verify(hook, connection, options, now) -> VerifiedHook``
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from connectors.core import (
    cipher,
    declaration,
    errors,
    jsontext,
    model,
    registry,
    scope,
    signing,
    signtext,
    template,
    xmltext,
)

_OFFER = re.compile(r"v\w+,[A-Za-z0-9+/_=-]+", re.ASCII)

Scheme = Callable[[model.RawHook, Mapping[str, Any], float], model.VerifiedHook]


def verify(
    hook: model.RawHook, connection: model.Connection, verify_spec: declaration.Verify, now: float
) -> model.VerifiedHook:
    """The verified (and decrypted) call, with ``query`` and ``headers`` in its context for the reply.

    Raises errors.HookRefused with one of the reasons ``misconfigured`` (no usable secret), ``unsigned`` (proof
    missing), ``garbled``, ``stale`` (outside the window), ``forged``.
    """
    options = options_of(connection, verify_spec)
    if verify_spec.scheme == "custom":
        signer = registry.signer(connection.declaration.id)
        if signer is None or not hasattr(signer, "verify"):
            raise errors.HookRefused("misconfigured", "verify: custom needs verify() in signer.py")
        verified = signer.verify(hook, connection, options, now)
        if not isinstance(verified, model.VerifiedHook):
            raise errors.HookRefused("misconfigured", "signer.verify() returned no VerifiedHook")
    else:
        stock = SCHEMES.get(verify_spec.scheme)
        if stock is None:
            raise errors.HookRefused("misconfigured", f"no scheme '{verify_spec.scheme}'")
        verified = stock(hook, options, now)
    return replace(verified, context={"query": dict(hook.query), "headers": dict(hook.headers), **verified.context})


def options_of(connection: model.Connection, verify_spec: declaration.Verify) -> dict[str, Any]:
    """The scheme's options with placeholders filled; what names something absent is left out."""
    kept: dict[str, Any] | None = connection.memo.get(("options", id(verify_spec)))
    if kept is None:
        try:
            rendered = template.render(verify_spec.options, scope.of(connection))
        except template.TemplateError as error:
            raise errors.HookRefused("misconfigured", str(error)) from None
        # The spec is kept beside, so that its id cannot come to mean another one.
        kept = dict(rendered) if rendered else {}
        connection.memo[("options", id(verify_spec))] = kept
        connection.memo[("spec", id(verify_spec))] = verify_spec
    return dict(kept)


def secrets_of(options: Mapping[str, Any], name: str = "secret") -> list[str]:
    """Every usable secret (``secret`` and ``secrets``, for rotation); refuses when there is none."""
    given = [options.get(name), *_listed(options.get(f"{name}s"))]
    found = [secret for secret in given if isinstance(secret, str) and secret.strip()]
    if not found:
        raise errors.HookRefused("misconfigured", f"no {name}: fill it in on the connection before opening this door")
    return found


def in_window(timestamp: str, now: float, window: float | None, unit: str = "s") -> None:
    """Refuse a timestamp that is not digits or is more than ``window`` seconds away; None means no limit."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 16:
        raise errors.HookRefused("garbled", "timestamp is not a number")
    seconds = int(timestamp) / (1000 if unit == "ms" else 1)
    try:
        allowed = None if window is None else float(window)
    except (TypeError, ValueError):
        raise errors.HookRefused("misconfigured", "the window is not a number of seconds") from None
    if allowed is not None and not abs(now - seconds) <= allowed:
        raise errors.HookRefused("stale", "timestamp is outside the window")


def equal(given: str, expected: str) -> bool:
    """Compare two texts in the same time wherever they differ, also when the lengths do."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def _any(answers: Iterable[bool]) -> bool:
    # Every one is asked, so that time does not tell which one fitted.
    return sum(answers) > 0


def unsealed(key: str, text: str, owners: Iterable[str]) -> tuple[bytes, str]:
    """The plaintext of an encrypted message and whose it is; refuses what is for none of ``owners``."""
    try:
        message, owner = cipher.decrypt(key, text)
    except cipher.CipherKeyError as error:
        raise errors.HookRefused("misconfigured", str(error)) from None
    except cipher.CipherError as error:
        raise errors.HookRefused("forged", str(error)) from None
    if not _any(equal(owner, one) for one in owners):
        # The same words as a failed decryption: a sender must not learn which of the two it was.
        raise errors.HookRefused("forged", str(cipher.CipherError()))
    return message, owner


def _need(value: str | None, what: str) -> str:
    if not value:
        raise errors.HookRefused("unsigned", f"{what} is missing")
    return value


def _token(hook: model.RawHook, options: Mapping[str, Any], now: float) -> model.VerifiedHook:
    accepted = secrets_of(options, "token")
    if options.get("query"):
        given = _need(hook.query.get(options["query"]), "the token")
    else:
        given = _need(hook.headers.get(options.get("header", "authorization").lower()), "the token")
    prefix = options.get("prefix", "")
    if not _any(equal(given, prefix + token) for token in accepted):
        raise errors.HookRefused("forged", "wrong token")
    return model.VerifiedHook(hook.body)


def _decoded(value: str, encoding: str) -> bytes:
    try:
        found = base64.b64decode(value, validate=True) if encoding == "base64" else bytes.fromhex(value)
    except (binascii.Error, ValueError):
        raise errors.HookRefused("garbled", "the signature is not readable") from None
    # The last character of base64 has unused bits: one signature must not have several spellings.
    if encoding == "base64" and base64.b64encode(found).decode() != value:
        raise errors.HookRefused("garbled", "the signature is not readable")
    return found


def _hmac_header(hook: model.RawHook, options: Mapping[str, Any], now: float) -> model.VerifiedHook:
    secrets = secrets_of(options)
    given = _need(hook.headers.get(options.get("header", "x-signature").lower()), "the signature")
    prefix = options.get("prefix", "")
    if not given.startswith(prefix):
        raise errors.HookRefused("garbled", "the signature has another prefix")
    encoding = options.get("encoding", "hex")
    found = _decoded(given[len(prefix) :], encoding)
    timestamp = None
    if options.get("timestamp_header"):
        timestamp = _need(hook.headers.get(options["timestamp_header"].lower()), "the timestamp")
        in_window(timestamp, now, options.get("window", 300))
    try:
        expected = [
            _decoded(signing.header_signature({**options, "prefix": ""}, secret, hook.body, timestamp), encoding)
            for secret in secrets
        ]
    except errors.Misdeclared as error:
        raise errors.HookRefused("misconfigured", error.message) from None
    if not _any(hmac.compare_digest(found, one) for one in expected):
        raise errors.HookRefused("forged", "wrong signature")
    return model.VerifiedHook(hook.body)


def _template(hook: model.RawHook, options: Mapping[str, Any], now: float) -> model.VerifiedHook:
    secrets = secrets_of(options)
    parts = signtext.received(hook)
    given = _need(parts.value(str(options.get("to") or "header.x-signature")), "the signature")
    if hook.body and not signtext.covers(options, parts):
        raise errors.HookRefused("misconfigured", "the signed text leaves the body out, so anybody could change it")
    if options.get("timestamp_to"):
        stamp = _need(parts.value(str(options["timestamp_to"])), "the timestamp")
        in_window(stamp, now, options.get("window", 300), str(options.get("timestamp_unit", "s")))
    try:
        expected = [signtext.signature(options, secret, parts) for secret in secrets]
    except signtext.Unfit as error:
        raise errors.HookRefused("misconfigured", str(error)) from None
    if options.get("encoding", "hex") != "base64" and not options.get("prefix"):
        given, expected = given.lower(), [one.lower() for one in expected]  # the same bytes in either case
    if not _any(equal(given, one) for one in expected):
        raise errors.HookRefused("forged", "wrong signature")
    return model.VerifiedHook(hook.body)


def _standard_webhooks(hook: model.RawHook, options: Mapping[str, Any], now: float) -> model.VerifiedHook:
    secrets = secrets_of(options)
    message_id = _need(hook.headers.get("webhook-id"), "webhook-id")
    timestamp = _need(hook.headers.get("webhook-timestamp"), "webhook-timestamp")
    given = _need(hook.headers.get("webhook-signature"), "webhook-signature")
    in_window(timestamp, now, options.get("window", 300))
    try:
        expected = [signing.webhook_signature(secret, message_id, timestamp, hook.body) for secret in secrets]
    except ValueError as error:
        raise errors.HookRefused("misconfigured", str(error)) from None
    offered = given.split(" ")[:32]
    # A header that came twice is joined by a comma and a space: whose word would it be?
    if not all(_OFFER.fullmatch(one) for one in offered):
        raise errors.HookRefused("garbled", "the signature is not readable")
    if not _any(equal(one, right) for one in offered for right in expected):
        raise errors.HookRefused("forged", "wrong signature")
    return model.VerifiedHook(hook.body, {"id": message_id})


def _envelope(hook: model.RawHook, options: Mapping[str, Any]) -> str:
    form = options.get("envelope", "xml")
    field = options.get("encrypted") or ("Encrypt" if form == "xml" else "encrypt")
    try:
        outer = xmltext.loads(hook.body) if form == "xml" else jsontext.loads(hook.body)
    except ValueError:
        raise errors.HookRefused("garbled", "the envelope is not readable") from None
    text = outer.get(field) if isinstance(outer, dict) else None
    if not isinstance(text, str) or not text:
        raise errors.HookRefused("unsigned", f"the envelope has no {field}")
    return text


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else ([] if value is None else [value])


def _sha1_aes(hook: model.RawHook, options: Mapping[str, Any], now: float) -> model.VerifiedHook:
    token, key = secrets_of(options, "token")[0], secrets_of(options, "key")[0]
    owners = [owner for owner in _listed(options.get("receive_ids")) if isinstance(owner, str) and owner]
    if not owners:
        raise errors.HookRefused("misconfigured", "no receive_ids: whose messages are these?")
    names = _listed(options.get("signature")) or ["msg_signature", "signature"]
    given = _need(next((hook.query[name] for name in names if hook.query.get(name)), None), "the signature")
    timestamp, nonce = _need(hook.query.get("timestamp"), "the timestamp"), _need(hook.query.get("nonce"), "the nonce")
    handshake = bool(options.get("echo")) and hook.method.upper() == "GET"
    text = _need(hook.query.get(options["echo"]), "the echo") if handshake else _envelope(hook, options)
    if not equal(given, cipher.signature(token, timestamp, nonce, text)):
        raise errors.HookRefused("forged", "wrong signature")
    in_window(timestamp, now, options.get("window"), options.get("timestamp", "s"))
    message, owner = unsealed(key, text, owners)
    context = {"receive_id": owner, "nonce": nonce, "timestamp": timestamp}
    return model.VerifiedHook(message, context, handshake=message if handshake else None)


def _none(hook: model.RawHook, options: Mapping[str, Any], now: float) -> model.VerifiedHook:
    return model.VerifiedHook(hook.body)


SCHEMES: dict[str, Scheme] = {
    "token": _token,
    "hmac_header": _hmac_header,
    "template": _template,
    "standard_webhooks": _standard_webhooks,
    "sha1_aes": _sha1_aes,
    "none": _none,
}
