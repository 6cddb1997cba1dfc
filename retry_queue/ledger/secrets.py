"""Secrets at rest: AES-256-GCM under a key derived from ``SECRET_KEY``, bound to where they stand.

The associated data names row and field, so a sealed text copied to another row does not open. Sealed
text reads ``s1.<key id>.<base64 of nonce + ciphertext>``; the key id lets several master keys live
side by side while keys rotate.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class SecretUnreadable(Exception):
    """A sealed text does not open: another SECRET_KEY, or it was moved or altered."""


def _derive(master: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master.encode())


class Sealer:
    """Seals and opens secrets, and makes keyed digests of personal identifiers.

    ``masters`` are secret keys, the current one first; older ones only open.
    """

    def __init__(self, *masters: str) -> None:
        if not masters or any(len(master) < 16 for master in masters):
            raise ValueError("SHUNIU_SECRET_KEY must have at least 16 characters / 主密钥至少 16 个字符")
        self._keys = {hashlib.sha256(_derive(m, b"shuniu key id")).hexdigest()[:8]: m for m in masters}
        self._current = next(iter(self._keys))
        self._ciphers = {kid: AESGCM(_derive(m, b"shuniu secrets")) for kid, m in self._keys.items()}
        self._digest_key = _derive(masters[-1], b"shuniu digests")  # the oldest: digests must stay the same

    def seal(self, plain: str, place: str) -> str:
        """Seals ``plain`` for ``place``, e.g. ``connections/k3/app_secret``."""
        nonce = os.urandom(12)
        sealed = self._ciphers[self._current].encrypt(nonce, plain.encode(), place.encode())
        return f"s1.{self._current}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """Opens what was sealed for ``place``; raises SecretUnreadable."""
        try:
            form, kid, text = sealed.split(".", 2)
            data = base64.b64decode(text, validate=True)
            if form != "s1":
                raise ValueError(form)
            return self._ciphers[kid].decrypt(data[:12], data[12:], place.encode()).decode()
        except (ValueError, KeyError, InvalidTag) as error:
            raise SecretUnreadable(
                f"{place}: cannot be opened with this SHUNIU_SECRET_KEY / 无法用当前主密钥解开"
            ) from error

    def digest(self, kind: str, value: str) -> str:
        """A keyed digest of an identifier: equal for equal values, useless to anybody without the key."""
        return hmac.new(self._digest_key, f"{kind}\x00{value.strip().lower()}".encode(), hashlib.sha256).hexdigest()
