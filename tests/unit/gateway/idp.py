"""An OpenID provider on loopback: codes good for once, PKCE, keys that rotate, tokens as wrong as a test wants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests import web

CLIENT, SECRET = "shuniu-hub", "canary-client-secret"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _int(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass
class Key:
    """A signing key with its JWK."""

    kid: str
    alg: str = "RS256"
    private: Any = None

    def __post_init__(self) -> None:
        if self.private is None:
            rsa_key = self.alg == "RS256"
            self.private = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key().public_numbers()
        if self.alg == "RS256":
            return {
                "kty": "RSA",
                "kid": self.kid,
                "use": "sig",
                "alg": "RS256",
                "n": _int(public.n),
                "e": _int(public.e),
            }
        x, y = (b64(part.to_bytes(32, "big")) for part in (public.x, public.y))
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "x": x, "y": y}

    def sign(self, text: bytes) -> bytes:
        if self.alg == "RS256":
            return bytes(self.private.sign(text, padding.PKCS1v15(), SHA256()))
        r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, said: dict[str, Any], **header: Any) -> str:
        head = b64(json.dumps({"alg": self.alg, "kid": self.kid, "typ": "JWT", **header}).encode())
        body = b64(json.dumps(said).encode())
        return f"{head}.{body}.{b64(self.sign(f'{head}.{body}'.encode()))}"


@dataclass
class Idp:
    """The provider. ``person`` is who signs in next; ``spoil`` makes the next tokens wrong."""

    url: str = ""
    keys: list[Key] = field(default_factory=lambda: [Key("k1")])
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "preferred_username": "Wang.Li"})
    spoil: Any = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    moved: bool = False

    def authorize(self, address: str) -> tuple[str, str]:
        """A person signs in over there; returns (code, state) as they come back."""
        asked = {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return code, asked["state"]

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        proof = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or not hmac.compare_digest(proof, asked["code_challenge"]):
            return 400, {"error": "invalid_grant"}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        said = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.person}
        token = self.keys[-1].token(said) if self.spoil is None else self.spoil(said, self.keys[-1])
        return 200, {"id_token": token, "access_token": "at", "token_type": "Bearer"}


@contextmanager
def running() -> Iterator[Idp]:
    idp = Idp()

    class Desk(web.Page):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                self._say(200, {
                    "issuer": idp.url, "authorization_endpoint": f"{idp.url}/authorize",
                    "token_endpoint": f"{idp.url}/token", "jwks_uri": f"{idp.url}/keys",
                })  # fmt: skip
            elif self.path == "/keys":
                self._say(200, {"keys": [one.jwk for one in idp.keys]})
            else:
                self._say(404, {})

        def do_POST(self) -> None:
            form = {name: value[0] for name, value in parse_qs(self.asked().decode()).items()}
            self._say(307, {}) if idp.moved else self._say(*idp.token(form))

        def _say(self, status: int, body: dict[str, Any]) -> None:
            moved = {"location": f"{idp.url}/token"} if status == 307 else {}
            self.say(status, json.dumps(body).encode(), {"content-type": "application/json", **moved})

    with web.serving(Desk) as idp.url:
        yield idp
