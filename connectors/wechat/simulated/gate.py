"""Who may call: tokens of both kinds, the IP white list, and how a refusal is said."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

OVERLAP = 300.0
"""Seconds that an old token lives on beside its successor."""


class Refusal(Exception):
    """A call the platform refuses. ``code`` is its errcode."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words

    @property
    def body(self) -> dict[str, Any]:
        """The envelope of every failure; ``rid`` is the trace id that support asks for."""
        trace = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
        return {"errcode": self.code, "errmsg": f"{self.words} rid: {trace}"}


class Gate:
    """The tokens of one AppID. The two kinds do not know of each other."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        self.settings, self.now = settings, now
        self.ends: dict[str, float] = {}
        self.stable = ""
        self.plain = ""
        self.stable_until = 0.0
        self.forced_at = 0.0

    def address(self, host: str) -> None:
        """Raises Refusal 40164 for an address that is not on the list (an empty list lets everybody in)."""
        allowed = self.settings["ip_whitelist"]
        if allowed and host not in allowed:
            raise Refusal(40164, f"invalid ip {host} ipv6 ::ffff:{host}, not in whitelist")

    def account(self, app_id: Any, secret: Any) -> None:
        if app_id != self.settings["app_id"]:
            raise Refusal(40013, "invalid appid")
        if secret != self.settings["app_secret"]:
            raise Refusal(40125, "invalid appsecret")

    def stable_token(self, force: bool) -> dict[str, Any]:
        """The same token to everybody until its last five minutes; forced: a new one, the old is dead at once."""
        now = self.now()
        if force:
            if now - self.forced_at < 30:
                raise Refusal(45011, "api minute-quota reach limit")
            self.forced_at = now
            self.ends.pop(self.stable, None)
            self.stable_until = 0.0
        if self.stable_until - now <= OVERLAP or self.stable not in self.ends:
            self.stable_until = now + float(self.settings["token_lifetime"])
            self.stable = self._made(self.stable_until)
        return {"access_token": self.stable, "expires_in": int(self.stable_until - now)}

    def plain_token(self) -> dict[str, Any]:
        """A new token at every call; the one before it lives five minutes more."""
        now, life = self.now(), float(self.settings["token_lifetime"])
        if self.plain in self.ends:
            self.ends[self.plain] = min(self.ends[self.plain], now + OVERLAP)
        self.plain = self._made(now + life)
        return {"access_token": self.plain, "expires_in": int(life)}

    def _made(self, until: float) -> str:
        token = f"74_{secrets.token_urlsafe(64)}"
        self.ends[token] = until
        return token

    def authorised(self, token: str) -> None:
        if not token:
            raise Refusal(41001, "access_token missing")
        until = self.ends.get(token)
        if until is None:
            raise Refusal(40001, "invalid credential, access_token is invalid or not latest")
        if until <= self.now():
            raise Refusal(42001, "access_token expired")

    def expire(self) -> int:
        """End every token before its time."""
        ended = len(self.ends)
        self.ends.clear()
        return ended
