"""Events as the pretend platform sends them: sealed, and proven in the way of the one or the other generation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

from connectors.core import cipher


def key(settings: Mapping[str, Any]) -> str:
    """43 characters: an ISV's own, else the secret without dashes, filled up with zeros."""
    if settings["app_type"] == "isv":
        return str(settings["aes_key"])
    return (str(settings["app_secret"]).replace("-", "") + "0" * 43)[:43]


def sealed(settings: Mapping[str, Any], event: Mapping[str, Any], now: float) -> bytes:
    """The body of one POST."""
    secret, nonce, stamp = str(settings["app_secret"]), secrets.token_urlsafe(6), str(int(now * 1000))
    text = cipher.encrypt(key(settings), json.dumps(event, ensure_ascii=False).encode(), str(settings["app_key"]))
    if settings["generation"] == "old":
        joined = "".join(sorted([secret, stamp, nonce, text]))
        proof = {"msgSignature": hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()}
    else:
        joined = "".join(sorted([stamp, nonce, text]))
        digest = hmac.new(secret.encode(), joined.encode(), hashlib.sha256).digest()
        proof = {"signature": base64.b64encode(digest).decode()}
    return json.dumps({**proof, "timestamp": int(stamp), "nonce": nonce, "encrypt": text}).encode()


def taken(settings: Mapping[str, Any], text: str) -> bool:
    """Whether an answer tells that the event was taken: the word, plain or sealed."""
    if text.strip() == "success":
        return True
    try:
        outer = json.loads(text)
        message, owner = cipher.decrypt(key(settings), outer["encrypt"])
    except (ValueError, KeyError, TypeError):
        return False
    return message == b"success" and owner == settings["app_key"]
