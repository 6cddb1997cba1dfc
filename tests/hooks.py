"""What a sender does before it calls one of our hooks."""

from __future__ import annotations

import hashlib
import hmac


def proof(body: bytes, secret: str) -> str:
    """``X-Signature`` of a call, as the generic connector's ``verify_style: hmac`` wants it."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
