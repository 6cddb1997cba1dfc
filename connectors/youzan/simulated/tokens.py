"""The vendor's tokens: one in force per shop; a tool's refresh token is replaced whenever it is used."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.simulator import consent
from connectors.youzan.simulated import shop

WEEK, MONTH = 7 * 86400.0, 28 * 86400.0
CODE = 120.0


@dataclass(slots=True)
class Issued:
    """An access token and its end (Unix seconds)."""

    value: str
    ends: float


class Tokens:
    """State of one application and one shop. ``now`` gives Unix time."""

    def __init__(self, now: Callable[[], float], first_refresh: str) -> None:
        self.now = now
        self.issued: Issued | None = None
        self.refresh, self.refresh_ends = first_refresh, now() + MONTH
        self.seen: set[str] = set()
        self.codes = consent.Codes(now, CODE)

    def problem(self, value: str) -> shop.Refused | None:
        """Why this access token is not accepted now, or None."""
        if not value:
            return shop.Refused(4201, "access_token is missing", gateway=True)
        if self.issued is not None and value == self.issued.value:
            over = self.issued.ends <= self.now()
            return shop.Refused(4202, "access_token expired", gateway=True) if over else None
        words = "expired" if value in self.seen else "not exist"
        return shop.Refused(4202 if value in self.seen else 4203, f"access_token {words}", gateway=True)

    def end(self) -> None:
        """The token in force is over."""
        if self.issued is not None:
            self.issued.ends = 0

    def give(self, asked: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """``data`` of /auth/token. Raises Refused."""
        known = (asked.get("client_id"), asked.get("client_secret"))
        if known != (settings["client_id"], settings["client_secret"]):
            raise shop.Refused(1000, "client_id或client_secret不正确")
        style, refresh = asked.get("authorize_type"), ""
        if style == "silent":
            if str(asked.get("grant_id")) != str(settings["kdt_id"]):
                raise shop.Refused(1103, "店铺与应用没有授权关系")
            if asked.get("refresh") is True or self.issued is None or self.issued.ends <= self.now():
                self._issue()
        elif style == "authorization_code":
            if not self.codes.take(asked.get("code")):
                raise shop.Refused(1005, "code无效或已过期")
            refresh = self._follow()
        elif style == "refresh_token":
            if asked.get("refresh_token") != self.refresh or self.refresh_ends <= self.now():
                raise shop.Refused(1004, "授权已过期")
            refresh = self._follow()
        else:
            raise shop.Refused(1105, "应用类型不支持该授权方式")
        assert self.issued is not None
        return {
            "access_token": self.issued.value,
            "expires": int(self.issued.ends * 1000),
            "scope": "multi_store shop item trade logistics crm",
            "authority_id": str(settings["kdt_id"]),
            "refresh_token": refresh,
        }

    def _follow(self) -> str:
        """A new pair; the refresh token before it is dead."""
        self._issue()
        self.refresh, self.refresh_ends = uuid.uuid4().hex, self.now() + MONTH
        return self.refresh

    def _issue(self) -> None:
        if self.issued is not None:
            self.seen.add(self.issued.value)
        self.issued = Issued(uuid.uuid4().hex, self.now() + WEEK)
