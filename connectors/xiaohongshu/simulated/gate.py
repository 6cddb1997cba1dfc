"""The gate of the simulated gateway: signature and clock of a call, tokens, envelopes.

The numbers of its refusals are the simulator's own (the vendor's table is not public): only the words count.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

CLOCK = 600
"""Seconds a timestamp may be off."""
PARAMETER, SIGN, TOKEN, STATE, LIMIT, DOWN = 1001, 9001, 9002, 9003, 9004, 9005


class Refused(Exception):
    """A call refused in the vendor's words; ``inner``: the gateway says yes and the call behind it says no."""

    def __init__(self, code: int, words: str, *, inner: bool = False) -> None:
        super().__init__(f"{code} {words}")
        self.code, self.words, self.inner = code, words, inner


def envelope(data: Any = None, refused: Refused | None = None) -> Response:
    """Every answer is HTTP 200."""
    body: dict[str, Any] = {"error_code": 0, "error_msg": "", "success": True, "data": data}
    if refused is not None and refused.inner:
        body["data"] = {"success": False, "code": refused.code, "msg": refused.words, "data": None}
    elif refused is not None:
        body = {"error_code": refused.code, "error_msg": refused.words, "success": False, "data": None}
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json;charset=UTF-8")


def check(given: Any, app_id: str, secret: str) -> str:
    """The method of a call. Raises Refused. Neither business parameters nor the token are signed."""
    if not isinstance(given, dict):
        raise Refused(PARAMETER, "body is not a JSON object")
    for name in ("appId", "method", "timestamp", "version", "sign"):
        if not given.get(name):
            raise Refused(PARAMETER, f"missing parameter: {name}" if name != "appId" else "missing parameter: app")
    if given["appId"] != app_id:
        raise Refused(SIGN, "appId not found")
    if not str(given["timestamp"]).isdigit() or abs(int(given["timestamp"]) - time.time()) > CLOCK:
        raise Refused(SIGN, "签名时间戳超出范围")
    text = f"{given['method']}?appId={app_id}&timestamp={given['timestamp']}&version={given['version']}{secret}"
    proof = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(proof.encode(), str(given["sign"]).encode()):
        raise Refused(SIGN, "签名错误 sign error")
    return str(given["method"])


class Tokens:
    """One pair at a time; a new one only within the last half hour, the older access token living five minutes on."""

    def __init__(self, now: Callable[[], float], settings: Mapping[str, Any]) -> None:
        self._now, self._settings = now, settings
        self.access, self.refresh = "", ""
        self.ends = self.refresh_ends = 0.0
        self.older: dict[str, float] = {}
        self.used_codes: set[str] = set()

    def knows(self, name: str) -> bool:
        """Whether a code or token is of this grant."""
        return name in {self._settings["code"], self.access, self.refresh, *self.older} - {""}

    def by_code(self, given: dict[str, Any]) -> dict[str, Any]:
        """``oauth.getAccessToken``: a code works once."""
        code = str(given.get("code") or "")
        if code != self._settings["code"] or code in self.used_codes:
            raise Refused(PARAMETER, "code 无效或已使用，未授权")
        self.used_codes.add(code)
        self._renew()
        return self._shown()

    def by_refresh(self, given: dict[str, Any]) -> dict[str, Any]:
        """``oauth.refreshToken``: the same pair while more than half an hour is left, else a new one."""
        if not self.refresh or given.get("refreshToken") != self.refresh or self.refresh_ends <= self._now():
            raise Refused(TOKEN, "refreshToken 已失效，请重新授权")
        if self.ends - self._now() < 1800:
            self._renew()
        return self._shown()

    def check(self, access: Any) -> None:
        """Raises Refused unless this access token is good now."""
        if self.older.get(str(access), 0.0) > self._now():
            return
        if not access or access != self.access or self.ends <= self._now():
            raise Refused(TOKEN, "accessToken 已过期")

    def expire(self) -> None:
        """The access token ends now."""
        self.older.clear()
        self.ends = min(self.ends, self._now() - 1)

    def _renew(self) -> None:
        now, life = self._now(), float(self._settings["token_lifetime"])
        if self.access and self.ends > now:
            self.older[self.access] = now + 300
        self.access, self.refresh = f"token-{uuid.uuid4().hex}", f"refresh-{uuid.uuid4().hex}"
        self.ends, self.refresh_ends = now + life, now + 2 * life

    def _shown(self) -> dict[str, Any]:
        return {
            "accessToken": self.access,
            "accessTokenExpiresAt": int(self.ends * 1000),
            "refreshToken": self.refresh,
            "refreshTokenExpiresAt": int(self.refresh_ends * 1000),
            "sellerId": str(self._settings["seller_id"]),
            "sellerName": "枢纽演示小店",
        }
