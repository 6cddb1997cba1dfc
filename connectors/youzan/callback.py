"""The vendor's two ways of proving what it sends: a digest over a push, and an encrypted message in a URL.

The digest has no time in it, so an old push is recognised by its ``msg_id`` alone. The cipher has no signature; a
message counts only when it opens to one JSON object, which nobody can make without the secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any
from urllib.parse import unquote, unquote_plus

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from connectors.core import jsontext

_IV = b"0102030405060708"


class Unopened(ValueError):
    """Not a message made with this secret. Says nothing more on purpose."""


def event_sign(client_id: str, client_secret: str, raw_body: str) -> dict[str, str]:
    """The header of a push over its raw body (lower-case hex)."""
    return {"Event-Sign": digest(client_id, client_secret, raw_body.encode())}


def digest(client_id: str, client_secret: str, body: bytes) -> str:
    """MD5 over client_id, body and client_secret, without anything between them."""
    text = client_id.encode() + body + client_secret.encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def opened(client_secret: str, message: str) -> dict[str, str]:
    """The plaintext of an encrypted message, percent-encoded or not. Raises Unopened."""
    return {"plaintext": decrypt(client_secret, message).decode()}


def decrypt(client_secret: str, message: str) -> bytes:
    """AES-128-CBC, PKCS#7, key = the first 16 bytes of the secret. Raises Unopened."""
    key, text = client_secret.encode()[:16], unquote(message)
    try:
        raw = base64.b64decode(text, validate=True)
        if len(key) != 16 or not raw or len(raw) % 16 or base64.b64encode(raw).decode() != text:
            raise Unopened
        opener = Cipher(algorithms.AES(key), modes.CBC(_IV)).decryptor()
        unpadder = padding.PKCS7(128).unpadder()
        plain: bytes = unpadder.update(opener.update(raw) + opener.finalize()) + unpadder.finalize()
        if not isinstance(jsontext.loads(plain), dict):
            raise Unopened
    except (ValueError, binascii.Error):
        raise Unopened from None
    return plain


def encrypt(client_secret: str, plain: bytes) -> str:
    """The other direction, as the vendor makes it; not percent-encoded."""
    padder = padding.PKCS7(128).padder()
    sealer = Cipher(algorithms.AES(client_secret.encode()[:16]), modes.CBC(_IV)).encryptor()
    return base64.b64encode(sealer.update(padder.update(plain) + padder.finalize()) + sealer.finalize()).decode()


def content(msg: Any) -> Any:
    """What a push says: its ``msg`` is an object, JSON text, or percent-encoded JSON text, by type and by age."""
    if not isinstance(msg, str):
        return msg
    for text in (msg, unquote_plus(msg)):
        try:
            found = jsontext.loads(text.encode())
        except (jsontext.JsonError, UnicodeError):
            continue
        if isinstance(found, dict | list):
            return found
    return msg
