"""WeChat's message push: SHA-1 over sorted texts, and AES where the account asks for it.

Calls into the API carry no signature, only a token. A push proves itself in one of two ways, as the account is set up:
in secure and in compatible mode (``aes``) by ``msg_signature`` over the ciphertext; in plain mode by ``signature``,
which covers token, time and nonce **but not the body**. The check of the address (GET with ``echostr``) always uses
the second. Compatible mode sends the fields in clear beside the ciphertext: only the ciphertext is read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from connectors.core import cipher, errors, jsontext, model, xmltext
from connectors.core import verify as checks


def url_signature(token: str, timestamp: str, nonce: str) -> str:
    """``signature`` of a query: what proves the check of the address, and a plain-mode push."""
    parts = sorted(part.encode("utf-8", "surrogatepass") for part in (token, timestamp, nonce))
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest()


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A proven push as its message in plain JSON or XML, or the echo of the address check. Raises HookRefused.

    Options: ``proof`` (``aes`` or ``plain``), ``token``, ``key`` (43 characters), ``app_id``, ``window`` (seconds).
    """
    token = checks.secrets_of(options, "token")[0]
    encrypted = options.get("proof") != "plain"
    key = checks.secrets_of(options, "key")[0] if encrypted else ""
    timestamp, nonce = _need(hook.query, "timestamp"), _need(hook.query, "nonce")
    if hook.method.upper() == "GET":
        echo = _need(hook.query, "echostr")
        _same(_need(hook.query, "signature"), url_signature(token, timestamp, nonce))
        checks.in_window(timestamp, now, options.get("window"))
        return model.VerifiedHook(b"", {}, handshake=echo.encode("utf-8", "surrogatepass"))
    if not encrypted:
        _same(_need(hook.query, "signature"), url_signature(token, timestamp, nonce))
        checks.in_window(timestamp, now, options.get("window"))
        return model.VerifiedHook(hook.body)
    text = _ciphertext(hook.body)
    _same(_need(hook.query, "msg_signature"), cipher.signature(token, timestamp, nonce, text))
    checks.in_window(timestamp, now, options.get("window"))
    message, owner = checks.unsealed(key, text, [str(options.get("app_id") or "")])
    return model.VerifiedHook(message, {"receive_id": owner})


def _need(query: Mapping[str, str], name: str) -> str:
    found = query.get(name)
    if not found:
        raise errors.HookRefused("unsigned", f"{name} is missing")
    return found


def _same(given: str, expected: str) -> None:
    if not checks.equal(given, expected):
        raise errors.HookRefused("forged", "wrong signature")


def _ciphertext(body: bytes) -> str:
    try:
        outer = xmltext.loads(body) if body.lstrip()[:1] == b"<" else jsontext.loads(body)
    except ValueError:
        raise errors.HookRefused("garbled", "the envelope is not readable") from None
    text = outer.get("Encrypt") if isinstance(outer, dict) else None
    if not isinstance(text, str) or not text:
        raise errors.HookRefused("unsigned", "the envelope has no Encrypt: is the account in plain mode?")
    return text


# What the published examples are reproduced with.


def address_check(token: str, timestamp: str, nonce: str, echostr: str) -> dict[str, str]:
    """The proof of an address check and the body that answers it."""
    return {"signature": url_signature(token, timestamp, nonce), "body": echostr}


def plain_proof(token: str, timestamp: str, nonce: str) -> dict[str, str]:
    return {"signature": url_signature(token, timestamp, nonce)}


def sealed(encoding_aes_key: str, receive_id: str, random16: str, msg: str) -> dict[str, str]:
    """The ciphertext of a message, without its proof."""
    return {"encrypt": cipher.encrypt(encoding_aes_key, msg.encode(), receive_id, random=random16.encode())}


def open_data(session_key: str, iv: str, encrypted_data: str) -> dict[str, Any]:
    """What a mini program hands over as ``encryptedData`` (a phone number, a profile), opened with its session key.

    AES-128-CBC with PKCS#7; ``watermark.appid`` in it says whose it is. Raises ValueError for what cannot be opened.
    """
    reader = Cipher(algorithms.AES(base64.b64decode(session_key)), modes.CBC(base64.b64decode(iv))).decryptor()
    padded = reader.update(base64.b64decode(encrypted_data)) + reader.finalize()
    strip = padding.PKCS7(128).unpadder()
    plain = strip.update(padded) + strip.finalize()
    return {"plaintext": plain.decode()}
