"""Signing in through an OpenID provider: authorization code with PKCE, state and nonce; roles by groups.

What must be remembered between going there and coming back travels in a sealed cookie of ten minutes; nothing is kept
here. The provider's address is the operator's own, so it may be in the private network.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from gateway import idtoken, problems, settings
from retry_queue.ledger import secrets as sealing

PLACE = "oidc/sign-in"
LASTS = 600.0
"""Seconds a person has to sign in over there."""
FRESH = 3600.0
"""Seconds that the provider's description and keys are kept."""
SECONDS = 10.0
LARGEST = 256 * 1024
_INNER = re.compile(r"/(?![/\\])[\x21-\x7e]*")
"""A page of our own: never an address that leads elsewhere."""
_NAME = re.compile(r"[^a-z0-9._@-]+")


@dataclass(slots=True)
class Provider:
    """The provider of one process, its description kept for a while."""

    config: settings.Settings
    _known: dict[str, Any] = field(default_factory=dict)
    _keys: list[dict[str, Any]] = field(default_factory=list)
    _read_at: float = 0.0

    @property
    def on(self) -> bool:
        """Whether one is set up."""
        return bool(self.config.oidc_issuer and self.config.oidc_client_id)

    @property
    def back(self) -> str:
        """Where the provider sends people back to; to be entered there."""
        return f"{self.config.public_url}/api/v1/sessions/oidc/callback"

    async def begin(self, sealer: sealing.Sealer, page: str) -> tuple[str, str]:
        """The address to go to, and the cookie to come back with."""
        known = await self._described()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code", "client_id": self.config.oidc_client_id, "redirect_uri": self.back,
            "scope": self.config.oidc_scope, "state": state, "nonce": nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "page": inner(page), "at": time.time()}
        join = "&" if "?" in known["authorization_endpoint"] else "?"
        return known["authorization_endpoint"] + join + urlencode(asked), sealer.seal(json.dumps(kept), PLACE)

    async def end(
        self, sealer: sealing.Sealer, cookie: str, state: str, code: str, now: float
    ) -> tuple[dict[str, Any], str]:
        """What the provider says of the person, and the page they wanted. Raises Problem."""
        kept = remembered(sealer, cookie, state)
        known = await self._described()
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.back,
            "client_id": self.config.oidc_client_id, "code_verifier": kept["verifier"],
        }  # fmt: skip
        secret = self.config.oidc_client_secret.get_secret_value()
        if secret:
            form["client_secret"] = secret
        told = await self._json("POST", known["token_endpoint"], form)
        token = told.get("id_token")
        if not isinstance(token, str):
            raise refused("the provider gave no id_token")
        for turn in (False, True):
            try:
                said = idtoken.claims(
                    token, await self._jwks(again=turn), issuer=self.config.oidc_issuer,
                    audience=self.config.oidc_client_id, nonce=kept["nonce"], now=now,
                )  # fmt: skip
            except idtoken.Refused as error:
                if "no such key" not in str(error) or turn:  # a key that is new: the provider rotates too
                    raise refused(str(error)) from None
            else:
                return said, str(kept["page"])
        raise AssertionError

    def role(self, said: Mapping[str, Any]) -> str | None:
        """The highest role that the person's groups give, else the one for everybody; None: they may not come in."""
        told = said.get(self.config.oidc_role_claim)
        groups = {str(one) for one in told} if isinstance(told, list) else {str(told)} if told else set()
        given = {role for group, role in self.config.oidc_roles.items() if group in groups}
        order = ("owner", "editor", "operator", "viewer")
        return next((one for one in order if one in given), self.config.oidc_default_role or None)

    async def _described(self) -> dict[str, Any]:
        if not self.on:
            raise problems.Problem("not_found", "没有配置单点登录", "no identity provider is set up")
        if not self._known or time.monotonic() - self._read_at > FRESH:
            found = await self._json("GET", f"{self.config.oidc_issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.config.oidc_issuer:
                raise refused("the provider calls itself differently")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if not all(str(found.get(name, "")).startswith(("https://", "http://")) for name in needed):
                raise refused("the provider's description is not complete")
            self._known, self._keys, self._read_at = found, [], time.monotonic()
        return self._known

    async def _jwks(self, *, again: bool) -> list[dict[str, Any]]:
        if not self._keys or again:
            found = await self._json("GET", self._known["jwks_uri"])
            listed = found.get("keys")
            self._keys = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return self._keys

    async def _json(self, method: str, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=SECONDS, trust_env=False, follow_redirects=False) as client:
                answer = await client.request(method, url, data=form, headers={"accept": "application/json"})
            if answer.status_code != 200 or len(answer.content) > LARGEST:
                raise refused(f"the provider answered {answer.status_code}", "away")
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise refused(f"the provider cannot be asked: {type(error).__name__}", "away") from None
        if not isinstance(found, dict):
            raise refused("the provider's answer is not readable")
        return found


def inner(page: str) -> str:
    """A page of ours to go on to; anything else becomes the first page."""
    return page if _INNER.fullmatch(page) else "/"


def name_of(said: Mapping[str, Any]) -> str:
    """How a person is called here: what the provider calls them, in the letters that names have."""
    told = next((str(said[one]) for one in ("preferred_username", "email", "sub") if said.get(one)), "")
    return _NAME.sub("-", told.strip().lower())[:80].strip("-")


def subject(said: Mapping[str, Any]) -> str:
    """A digest of who the person is to the provider; names may be given to somebody else one day, this may not."""
    return hashlib.sha256(json.dumps([said["iss"], said["sub"]]).encode()).hexdigest()


def refused(en: str, why: str = "", zh: str = "") -> problems.Problem:
    """A sign-in that came to nothing; ``why`` as in ``problems.Problem``."""
    return problems.Problem("sign_in_refused", zh or f"单点登录未完成：{en}", en, why=why)


def _stale() -> problems.Problem:
    zh = "这次登录不是在这个浏览器里开始的，或已过去太久，请重新开始"
    return refused("this browser did not begin the sign-in, or too long ago", "stale", zh)


def remembered(sealer: sealing.Sealer, cookie: str, state: str, place: str = PLACE) -> dict[str, Any]:
    """What was sealed into the cookie when the sign-in began; raises Problem where the state is another or too old."""
    try:
        kept = json.loads(sealer.open(cookie, place))
    except (sealing.SecretUnreadable, ValueError):
        raise _stale() from None
    if time.time() - float(kept["at"]) > LASTS or not hmac.compare_digest(str(kept["state"]).encode(), state.encode()):
        raise _stale()
    return dict(kept)
