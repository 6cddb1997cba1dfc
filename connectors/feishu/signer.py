"""Feishu's proofs: the signature and cipher of pushed events, and the signature of a group's own robot.

An event's ``X-Lark-Signature`` is the hex SHA-256 of timestamp, nonce, Encrypt Key and the raw body. Its body is
``{"encrypt": ...}``: AES-256-CBC, key = SHA-256(Encrypt Key), IV = the first 16 bytes, PKCS#7 with block 16. Without
an Encrypt Key only the Verification Token inside the body tells the sender. Callbacks of old cards are signed by the
hex SHA-1 of timestamp, nonce, Verification Token and the raw body. The robot's key is ``timestamp \\n secret`` and its
message is empty (another platform has it the other way round).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from connectors.core import errors, jsontext, model
from connectors.core import verify as proof

_BLOCK = 128
"""Bits of the padding's block."""


def bot_signature(secret: str, timestamp: str) -> str:
    """base64(HMAC-SHA256(key = timestamp \\n secret, no message)); ``timestamp`` in seconds."""
    return base64.b64encode(hmac.digest(f"{timestamp}\n{secret}".encode(), b"", "sha256")).decode()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Put ``timestamp`` and ``sign`` into the body of a group robot's message; nothing without a secret."""
    secret = connection.secrets.get("bot_secret")
    if not secret:
        return
    timestamp = str(int(now))
    told = {"timestamp": timestamp, "sign": bot_signature(secret, timestamp)}
    request.body = jsontext.dumps({**told, **jsontext.loads(request.body)})


def signature(encrypt_key: str, timestamp: str, nonce: str, body: str) -> str:
    """What ``X-Lark-Signature`` must be; ``body`` is the raw body as text."""
    return hashlib.sha256(f"{timestamp}{nonce}{encrypt_key}{body}".encode()).hexdigest()


def card_signature(token: str, timestamp: str, nonce: str, body: str) -> str:
    """What ``X-Lark-Signature`` of an old card's callback must be; ``body`` is the raw body as text."""
    return hashlib.sha1(f"{timestamp}{nonce}{token}{body}".encode(), usedforsecurity=False).hexdigest()


def _cipher(encrypt_key: str, iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(hashlib.sha256(encrypt_key.encode()).digest()), modes.CBC(iv))


def encrypt(encrypt_key: str, plaintext: str, iv: str | None = None) -> str:
    """The base64 text of an encrypted event; ``iv`` (hex) is only given to reproduce a vector."""
    head = os.urandom(16) if iv is None else bytes.fromhex(iv)
    pad = padding.PKCS7(_BLOCK).padder()
    padded = pad.update(plaintext.encode()) + pad.finalize()
    writer = _cipher(encrypt_key, head).encryptor()
    return base64.b64encode(head + writer.update(padded) + writer.finalize()).decode()


def decrypt(encrypt_key: str, encrypted: str) -> str:
    """The plain text of an encrypted event. Raises ValueError, the same whatever is wrong."""
    try:
        raw = base64.b64decode(encrypted, validate=True)
        if len(raw) < 32 or len(raw) % 16:
            raise ValueError
        reader = _cipher(encrypt_key, raw[:16]).decryptor()
        unpad = padding.PKCS7(_BLOCK).unpadder()
        return (unpad.update(reader.update(raw[16:]) + reader.finalize()) + unpad.finalize()).decode()
    except (ValueError, binascii.Error):
        raise ValueError("cannot be decrypted") from None


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """Judge one pushed event, or (option ``form`` card) one callback of an old card.

    An event must be encrypted and signed where there is an Encrypt Key, its address check encrypted. The Verification
    Token is asked for in every case. Raises errors.HookRefused.
    """
    token = proof.secrets_of(options, "token")[0]
    key = str(options.get("encrypt_key") or "").strip()
    body = _object(hook.body)
    if options.get("form") == "card":
        return _card(hook, token, _unsealed(body, key), options, now)
    if key and "encrypt" not in body:
        raise errors.HookRefused("unsigned", "not encrypted, but this connection has an Encrypt Key")
    event = _unsealed(body, key)
    check = event.get("type") == "url_verification"
    # The address check is not always signed; what is sealed with our key and holds our token is the platform's.
    if key and not (check and "x-lark-signature" not in hook.headers):
        _signed(hook, key, "sha256", options, now)
    header = event.get("header")
    told = header.get("token") if isinstance(header, dict) else event.get("token")
    _known(told, token)
    return _checked(event) if check else model.VerifiedHook(jsontext.dumps(bare(event)))


def _card(
    hook: model.RawHook, token: str, event: dict[str, Any], options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A click on an old card, its ``token`` (good for changing the card) replaced by ``click``, a digest.

    Two clicks differ in it, a repeated call does not; where there is none the signed nonce tells them apart.
    """
    check = event.get("type") == "url_verification"
    if not (check and "x-lark-signature" not in hook.headers):
        _signed(hook, token, "sha1", options, now)
    if check:
        _known(event.get("token"), token)
        return _checked(event)
    new = event.get("token") or "".join(hook.headers[f"x-lark-request-{name}"] for name in ("timestamp", "nonce"))
    click = hashlib.sha256(jsontext.dumps(new)).hexdigest()[:32]
    return model.VerifiedHook(jsontext.dumps({**bare(event), "click": click}))


def _known(told: Any, token: str) -> None:
    if not isinstance(told, str) or not told:
        raise errors.HookRefused("unsigned", "the Verification Token is missing")
    if not proof.equal(told, token):
        raise errors.HookRefused("forged", "wrong Verification Token")


def _checked(event: dict[str, Any]) -> model.VerifiedHook:
    """The answer to an address check."""
    challenge = event.get("challenge")
    if not isinstance(challenge, str):
        raise errors.HookRefused("garbled", "an address check without its challenge")
    return model.VerifiedHook(jsontext.dumps(bare(event)), handshake=jsontext.dumps({"challenge": challenge}))


def bare(event: dict[str, Any]) -> dict[str, Any]:
    """An event without its Verification Token: a proof is not kept with what it proved."""
    rest = {name: value for name, value in event.items() if name != "token"}
    header = rest.get("header")
    if isinstance(header, dict):
        rest["header"] = {name: value for name, value in header.items() if name != "token"}
    return rest


def _signed(hook: model.RawHook, key: str, digest: str, options: Mapping[str, Any], now: float) -> None:
    given = {name: hook.headers.get(f"x-lark-{name}") for name in ("signature", "request-timestamp", "request-nonce")}
    for name, value in given.items():
        if not value:
            raise errors.HookRefused("unsigned", f"x-lark-{name} is missing")
    signed, timestamp, nonce = (str(value) for value in given.values())
    text = f"{timestamp}{nonce}{key}".encode("utf-8", "surrogatepass") + hook.body
    expected = hashlib.new(digest, text, usedforsecurity=False).hexdigest()
    if not proof.equal(signed, expected):
        raise errors.HookRefused("forged", "wrong signature")
    proof.in_window(timestamp, now, options.get("window"))


def _object(raw: bytes | str) -> dict[str, Any]:
    try:
        found = jsontext.loads(raw)
    except (jsontext.JsonError, UnicodeError):
        raise errors.HookRefused("garbled", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise errors.HookRefused("garbled", "the body is no object")
    return found


def _unsealed(body: dict[str, Any], key: str) -> dict[str, Any]:
    """The event in a body, encrypted or not. Raises HookRefused."""
    if "encrypt" not in body:
        return body
    text = body["encrypt"]
    if not key:
        raise errors.HookRefused("misconfigured", "encrypted, but this connection has no Encrypt Key")
    if not isinstance(text, str) or not text:
        raise errors.HookRefused("garbled", "encrypt is no text")
    try:
        return _object(decrypt(key, text))
    except ValueError as error:
        raise errors.HookRefused("forged", str(error)) from None
