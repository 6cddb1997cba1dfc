"""Where a message to the robot may be answered: sealed before anything keeps it, opened only to answer.

Whoever knows the address can write into that conversation until it ends (about 90 minutes), so the ledger, the pages
and the logs get a ciphertext that only the application's own secret opens. Of the address only its session is kept:
answers go to the connection's own robot host, never to an address that came in.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PATH = "/robot/sendBySession"
PREFIX = "sealed."
ADDRESS = ("sessionWebhook", "sessionWebhookExpiredTime")
"""Members of a robot message that let anybody answer in its conversation: kept sealed, as ``answerKey``."""
_PURPOSE = b"shuniu dingtalk answer"
_NONCE = 12


class Unreadable(ValueError):
    """It was sealed with another secret, or is no such text."""


def _cipher(secret: str) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode()))


def sealed(secret: str, address: str, until: int) -> str | None:
    """The session of an address and when it ends (Unix ms), unreadable; None for an address of another kind."""
    parts = urlsplit(address)
    found = parse_qs(parts.query).get("session", [""])[0]
    if parts.path != PATH or not found or not secret:
        return None
    nonce = secrets.token_bytes(_NONCE)
    text = _cipher(secret).encrypt(nonce, f"{until}.{found}".encode(), None)
    return PREFIX + base64.urlsafe_b64encode(nonce + text).decode()


def opened(secret: str, text: str) -> tuple[str, int]:
    """The session and when it ends (Unix ms; 0 for what was never sealed). Raises Unreadable."""
    if not text.startswith(PREFIX):
        return text, 0
    try:
        raw = base64.urlsafe_b64decode(text.removeprefix(PREFIX))
        until, _, found = _cipher(secret).decrypt(raw[:_NONCE], raw[_NONCE:], None).decode().partition(".")
        return found, int(until)
    except (InvalidTag, ValueError):
        raise Unreadable from None


def kept(message: Mapping[str, Any], secret: str) -> dict[str, Any]:
    """A message to the robot as it may be kept; without a ``secret`` it cannot be answered in its conversation."""
    address, until = (str(message.get(name) or "") for name in ADDRESS)
    answer = sealed(secret, address, int(until) if until.isdecimal() else 0)
    rest = {name: value for name, value in message.items() if name not in ADDRESS}
    return rest | ({"answerKey": answer} if answer else {})
