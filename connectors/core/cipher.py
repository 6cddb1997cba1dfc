"""The callback cipher that several office platforms share: SHA-1 signature over AES-256-CBC.

Key: 43 characters, base64 without its padding; the last character carries two unused bits that real keys do set,
so it is read leniently. IV = first 16 bytes of the key. Padding is PKCS#7 with block size 32. Plaintext =
16 random bytes + 4-byte big-endian length (of the message in bytes) + message + the receiver's id.
Every failure is the same CipherError: a sender learns nothing from how a forged message fails.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 32


class CipherError(ValueError):
    """The text cannot be opened with this key. Says nothing more on purpose."""

    def __init__(self) -> None:
        super().__init__("cannot be decrypted")


class CipherKeyError(ValueError):
    """The key is not 43 characters of base64."""

    def __init__(self) -> None:
        super().__init__("the AES key must be exactly 43 letters and digits")


@lru_cache(maxsize=256)
def _cipher(key: str) -> Cipher[modes.CBC]:
    if len(key) != 43 or not key.isascii() or not all(c.isalnum() or c in "+/" for c in key):
        raise CipherKeyError
    raw = base64.b64decode(key + "=")
    return Cipher(algorithms.AES(raw), modes.CBC(raw[:16]))


def encrypt(key: str, message: bytes, receive_id: str, *, random: bytes | None = None) -> str:
    """Base64 ciphertext of ``message``; ``random`` (16 bytes) is only given to reproduce a published vector."""
    head = os.urandom(16) if random is None else random
    if len(head) != 16:
        raise ValueError("random must be 16 bytes")
    return base64.b64encode(seal(key, head + len(message).to_bytes(4, "big") + message + receive_id.encode())).decode()


def decrypt(key: str, text: str) -> tuple[bytes, str]:
    """The message and the receiver's id. Raises CipherError, whatever is wrong with the text."""
    _cipher(key)
    try:
        plain = unseal(key, base64.b64decode(text, validate=True))
        length = int.from_bytes(plain[16:20], "big")
        if len(plain) < 20 or length > len(plain) - 20:
            raise CipherError
        return plain[20 : 20 + length], plain[20 + length :].decode()
    except ValueError:
        raise CipherError from None


def seal(key: str, plain: bytes) -> bytes:
    """The raw layer: pad to 32 and encrypt."""
    pad = _BLOCK - len(plain) % _BLOCK
    writer = _cipher(key).encryptor()
    return writer.update(plain + bytes([pad]) * pad) + writer.finalize()


def unseal(key: str, sealed: bytes) -> bytes:
    """The raw layer: decrypt and take off the padding. Raises CipherError."""
    if not sealed or len(sealed) % 16:
        raise CipherError
    reader = _cipher(key).decryptor()
    padded = reader.update(sealed) + reader.finalize()
    pad = padded[-1]
    if not 1 <= pad <= _BLOCK or len(padded) < pad or not hmac.compare_digest(padded[-pad:], bytes([pad]) * pad):
        raise CipherError
    return padded[:-pad]


def signature(token: str, timestamp: str, nonce: str, text: str) -> str:
    """Lower-case hex SHA-1 over the four strings, sorted by bytes and joined."""
    parts = sorted(part.encode("utf-8", "surrogatepass") for part in (token, timestamp, nonce, text))
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest()
