"""Who may call the pretend shop: apps of its own organisation, and apps that its owner let in.

Tokens of a consent live 60 minutes; their refresh tokens 90 days, each good for one use.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.simulator import consent

HOUR, QUARTER, CODE = 3600, 90 * 86400, 600.0


class Refused(Exception):
    """A token request refused: HTTP status, OAuth's word for it, and an explanation."""

    def __init__(self, status: int, error: str, words: str) -> None:
        super().__init__(words)
        self.status, self.body = status, {"error": error, "error_description": words}


class Tokens:
    """State of one app at one shop. ``settings`` are the simulator's, ``now`` gives Unix time."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        self._settings, self._now = settings, now
        self.access: dict[str, float] = {}
        self.refresh: dict[str, float] = {}
        self.codes = consent.Codes(now, CODE)

    def good(self, access: str) -> bool:
        """Whether calls with this token are answered."""
        return self.access.get(access, 0.0) > self._now()

    def give(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The answer to a token request. Raises Refused."""
        known = (self._settings["client_id"], self._settings["client_secret"])
        if (form.get("client_id"), form.get("client_secret")) != known:
            raise Refused(401, "invalid_client", "Client authentication failed")
        style = form.get("grant_type", "")
        if style == "client_credentials":
            return self._made(int(self._settings["token_lifetime"]))
        if style == "refresh_token":
            if self.refresh.pop(form.get("refresh_token", ""), 0.0) <= self._now():
                raise Refused(400, "invalid_request", "This request requires an active refresh_token")
            return self._paired()
        if style or "code" not in form:
            raise Refused(400, "unsupported_grant_type", "The grant type is not supported")
        if not self.codes.take(form["code"]):
            raise Refused(400, "invalid_request", "The authorization code was not found or was already used")
        return self._paired() if form.get("expiring") == "1" else self._made(None)

    def _paired(self) -> dict[str, Any]:
        following = f"shprt_{secrets.token_hex(16)}"
        self.refresh[following] = self._now() + QUARTER
        return {**self._made(HOUR), "refresh_token": following, "refresh_token_expires_in": QUARTER}

    def _made(self, seconds: int | None) -> dict[str, Any]:
        token = f"shpat_{secrets.token_hex(16)}"
        self.access[token] = float("inf") if seconds is None else self._now() + seconds
        told = {"access_token": token, "scope": "read_orders"}
        return told if seconds is None else {**told, "expires_in": seconds}
