"""Secrets at rest: AES-256-GCM under a data key, bound to where they stand; data keys under the master key.

The associated data names row and field, so a sealed text copied to another row does not open. Sealed text reads
``s1.<key id>.<base64 of nonce + ciphertext>``. Until keys were rotated for the first time the data key is derived
from the master; from then on the ring (``keyring.py``) holds random ones, wrapped by the master:
``w1.<master id>.<base64>``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DIGESTS = "digests"
"""Where the ring keeps the key of keyed digests; it never changes, or nobody would be recognised any more."""


class SecretUnreadable(Exception):
    """A secret cannot be had: another SECRET_KEY, a sealed text that was moved or altered, nothing where it lives."""

    def __init__(self, en: str, zh: str = "") -> None:
        super().__init__(f"{en} / {zh}" if zh else en)
        self.en, self.zh = en, zh or en


class Outside(Protocol):
    """Secrets that live in files, in Vault or in the environment, as this process knows them."""

    async def look(self, wanted: Iterable[str]) -> None:
        """Reads those that were never read; never within a transaction."""

    async def read(self, wanted: Iterable[str]) -> None:
        """Reads these again; never within a transaction."""

    def value(self, reference: str) -> str:
        """What was read last. Raises SecretUnreadable, which names the reference."""


class _Nothing:
    async def look(self, wanted: Iterable[str]) -> None:
        return

    async def read(self, wanted: Iterable[str]) -> None:
        return

    def value(self, reference: str) -> str:
        raise SecretUnreadable(f"{reference} is not looked up here", f"此处不读取 {reference}")


def _derive(master: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master.encode())


def _shut(key: bytes, plain: bytes, place: str) -> str:
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, place.encode())).decode()


def _opened(key: bytes, text: str, place: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    return AESGCM(key).decrypt(data[:12], data[12:], place.encode())


class Sealer:
    """Seals and opens secrets, and makes keyed digests of personal identifiers.

    ``masters`` are secret keys, the current one first; older ones only open. ``take`` adopts the ring of a ledger.
    """

    def __init__(self, *masters: str) -> None:
        if not masters or any(len(master) < 16 for master in masters):
            raise ValueError("SHUNIU_SECRET_KEY must have at least 16 characters / 主密钥至少 16 个字符")
        self._wrapping = {_name(m, b"shuniu master id"): _derive(m, b"shuniu wrapping") for m in masters}
        self.master = next(iter(self._wrapping))
        """The id of the master that wraps."""
        self._own = {_name(m, b"shuniu key id"): _derive(m, b"shuniu secrets") for m in masters}
        self._ring: dict[str, bytes] = {}
        # The oldest: what the ledger holds before a rotation was made with it, and digests must stay the same.
        self.current = list(self._own)[-1]
        """The id of the data key that seals."""
        self.outside: Outside = _Nothing()
        """Looks up what a sealed reference names."""
        self._digest_key = _derive(masters[-1], b"shuniu digests")

    @property
    def masters(self) -> list[str]:
        """The ids of the master keys given, the current one first."""
        return list(self._wrapping)

    # --- the ring ---------------------------------------------------------------------------------

    def wrap(self, kid: str, key: bytes | None = None) -> str:
        """A data key for the ring, under the current master; without ``key`` the one that is known by this id.

        Raises SecretUnreadable.
        """
        if key is None:
            key = self._digest_key if kid == DIGESTS else self._key(kid, "keyring")
        return f"w1.{self.master}.{_shut(self._wrapping[self.master], key, f'keyring/{kid}')}"

    def unwrap(self, kid: str, wrapped: str) -> bytes:
        """A data key of the ring; raises SecretUnreadable."""
        try:
            form, mid, text = wrapped.split(".", 2)
            if form != "w1":
                raise ValueError(form)
            return _opened(self._wrapping[mid], text, f"keyring/{kid}")
        except (ValueError, KeyError, InvalidTag) as error:
            raise SecretUnreadable(
                f"keyring/{kid}: cannot be opened with this SHUNIU_SECRET_KEY; is an older one still needed in "
                "SHUNIU_OLD_SECRET_KEYS? / 无法用当前主密钥解开，是否还需要在 SHUNIU_OLD_SECRET_KEYS 中保留旧密钥？"
            ) from error

    def take(self, keys: Mapping[str, Mapping[str, Any]]) -> None:
        """Adopts the ring of a ledger: key id -> {wrapped, state}; raises SecretUnreadable."""
        if not keys:
            return
        found = {kid: self.unwrap(kid, str(one["wrapped"])) for kid, one in keys.items()}
        self._digest_key = found.pop(DIGESTS)
        self._ring = found
        self.current = next(kid for kid, one in keys.items() if one.get("state") == "current")

    def _key(self, kid: str, place: str) -> bytes:
        try:
            return self._ring[kid] if kid in self._ring else self._own[kid]
        except KeyError as error:
            raise SecretUnreadable(f"{place}: no key {kid} / 没有密钥 {kid}") from error

    # --- what is sealed ---------------------------------------------------------------------------

    def seal(self, plain: str, place: str) -> str:
        """Seals ``plain`` for ``place``, e.g. ``connections/k3/app_secret``."""
        return f"s1.{self.current}.{_shut(self._key(self.current, place), plain.encode(), place)}"

    def open(self, sealed: str, place: str) -> str:
        """Opens what was sealed for ``place``; raises SecretUnreadable."""
        try:
            form, kid, text = sealed.split(".", 2)
            if form != "s1":
                raise ValueError(form)
            return _opened(self._key(kid, place), text, place).decode()
        except (ValueError, InvalidTag) as error:
            raise SecretUnreadable(
                f"{place}: cannot be opened with this SHUNIU_SECRET_KEY / 无法用当前主密钥解开"
            ) from error

    def digest(self, kind: str, value: str) -> str:
        """A keyed digest of an identifier: equal for equal values, useless to anybody without the key."""
        return hmac.new(self._digest_key, f"{kind}\x00{value.strip().lower()}".encode(), hashlib.sha256).hexdigest()


def _name(master: str, purpose: bytes) -> str:
    return hashlib.sha256(_derive(master, purpose)).hexdigest()[:8]


def key_of(sealed: str) -> str:
    """The id of the data key of a sealed text."""
    return sealed.split(".", 2)[1] if sealed.count(".") >= 2 else ""
