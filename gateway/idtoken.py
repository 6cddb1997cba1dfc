"""ID tokens of an OpenID provider: signature, issuer, audience, times and nonce, or nothing at all.

Only the two algorithms that providers use by default (RS256, ES256) are understood; the token's own word on its
algorithm counts only within them, and each goes with its own kind of key, so that no key is ever taken for a shared
secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

LARGEST = 32 * 1024
LEEWAY = 60.0
"""Seconds by which two clocks may differ."""
LEAST_BITS = 2048


class Refused(Exception):
    """The token proves nothing; ``str()`` says why, in English, without its content."""


def _part(text: str) -> Any:
    try:
        return json.loads(_bytes(text))
    except (ValueError, RecursionError):
        raise Refused("not readable") from None


def _bytes(text: str) -> bytes:
    try:
        found = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("not readable") from None
    return found


def _number(key: Mapping[str, Any], name: str) -> int:
    value = key.get(name)
    if not isinstance(value, str):
        raise Refused("the provider's key is not readable")
    return int.from_bytes(_bytes(value), "big")


def _signed(alg: str, key: Mapping[str, Any], text: bytes, proof: bytes) -> None:
    try:
        if alg == "RS256" and key.get("kty") == "RSA":
            public = rsa.RSAPublicNumbers(_number(key, "e"), _number(key, "n")).public_key()
            if public.key_size < LEAST_BITS:
                raise Refused("the provider's key is too short")
            public.verify(proof, text, padding.PKCS1v15(), SHA256())
        elif alg == "ES256" and key.get("kty") == "EC" and key.get("crv") == "P-256":
            if len(proof) != 64:
                raise Refused("the signature does not fit")
            point = ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), ec.SECP256R1()).public_key()
            pair = int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big")
            point.verify(encode_dss_signature(*pair), text, ec.ECDSA(SHA256()))
        else:
            raise Refused("the algorithm and the provider's key do not fit")
    except InvalidSignature:
        raise Refused("the signature does not fit") from None
    except ValueError:
        raise Refused("the provider's key is not readable") from None


def claims(
    token: str, keys: Sequence[Mapping[str, Any]], *, issuer: str, audience: str, nonce: str, now: float
) -> dict[str, Any]:
    """What a token proves. ``keys`` are the provider's JWKs. Raises Refused."""
    if len(token) > LARGEST or token.count(".") != 2:
        raise Refused("not a signed token")
    head, body, proof = token.split(".")
    header = _part(head)
    if not isinstance(header, dict) or header.get("alg") not in ("RS256", "ES256") or "crit" in header:
        raise Refused("signed in a way that is not accepted")
    named = [
        key
        for key in keys
        if (header.get("kid") is None or key.get("kid") == header["kid"])
        and key.get("use") in (None, "sig")
        and key.get("alg") in (None, header["alg"])
        and key.get("kty") == {"RS256": "RSA", "ES256": "EC"}[header["alg"]]
    ]
    if len(named) != 1:
        raise Refused("the provider has no such key")
    _signed(header["alg"], named[0], f"{head}.{body}".encode(), _bytes(proof))
    said = _part(body)
    if not isinstance(said, dict):
        raise Refused("not readable")
    _fits(said, issuer=issuer, audience=audience, nonce=nonce, now=now)
    return said


def _fits(said: Mapping[str, Any], *, issuer: str, audience: str, nonce: str, now: float) -> None:
    if said.get("iss") != issuer:
        raise Refused("from another issuer")
    meant = said.get("aud")
    listed = meant if isinstance(meant, list) else [meant]
    if audience not in listed or (len(listed) > 1 and said.get("azp") != audience):
        raise Refused("meant for somebody else")
    if said.get("azp") not in (None, audience):
        raise Refused("meant for somebody else")
    ends, begins = said.get("exp"), said.get("nbf", 0)
    if not _time(ends) or not _time(begins) or float(ends) + LEEWAY < now or float(begins) - LEEWAY > now:  # type: ignore[arg-type]
        raise Refused("its time is over, or has not come")
    given = said.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise Refused("it answers another sign-in")
    if not isinstance(said.get("sub"), str) or not said["sub"]:
        raise Refused("it names nobody")


def _time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
