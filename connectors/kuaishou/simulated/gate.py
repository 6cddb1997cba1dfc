"""The gate of the simulated gateway: signature and clock of a call, OAuth with single-use refresh tokens, envelopes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

CLOCK = 600_000
"""Milliseconds a timestamp may be off."""


class Refused(Exception):
    """A call refused in the vendor's words; ``error`` is OAuth's own word for it."""

    def __init__(self, result: int, words: str, error: str = "") -> None:
        super().__init__(f"{result} {words}")
        self.result, self.words, self.error = result, words, error


def envelope(data: Any = None, refused: Refused | None = None) -> Response:
    """Every answer of the gateway is HTTP 200."""
    head = {"request_id": time.strftime("%Y%m%d%H%M%S") + uuid.uuid4().hex[:8]}
    if refused is not None:
        return _json({"result": refused.result, "error_msg": refused.words, "code": str(refused.result), **head})
    good = {"result": 1, "code": "1", "msg": "SUCCESS", "error_msg": "SUCCESS", "sub_code": "", "sub_msg": "", **head}
    return _json(good if data is None else {**good, "data": data})


def oauth(body: dict[str, Any] | None, refused: Refused | None = None) -> Response:
    """The authorisation server's answers have no envelope."""
    if refused is not None:
        return _json({"result": refused.result, "error": refused.error, "error_msg": refused.words})
    return _json({"result": 1, **(body or {})})


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json;charset=UTF-8")


def check(given: dict[str, str], app_key: str, sign_secret: str) -> tuple[str, dict[str, Any]]:
    """The method and its business parameters. Raises Refused in the vendor's order of checks."""
    for name in ("appkey", "method", "timestamp", "sign", "param"):
        if not given.get(name):
            raise Refused(804000, f"缺少参数 {name}")
    if given["appkey"] != app_key:
        raise Refused(28, "appkey不存在")
    if not given["timestamp"].isdigit() or abs(int(given["timestamp"]) - time.time() * 1000) > CLOCK:
        raise Refused(804000, "timestamp 超出范围")
    text = "&".join(f"{name}={given[name]}" for name in sorted(given) if name != "sign") + f"&signSecret={sign_secret}"
    if given.get("signMethod") == "HMAC_SHA256":
        proof = base64.b64encode(hmac.new(sign_secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
    else:
        proof = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(proof.encode(), given["sign"].encode()):
        raise Refused(28, "签名校验失败")
    try:
        param = json.loads(given["param"])
    except ValueError:
        param = None
    if not isinstance(param, dict):
        raise Refused(804000, "param 不是 JSON 对象")
    return given["method"], param


class Tokens:
    """Access tokens, each good until its own end, and one living refresh token whose end never moves."""

    def __init__(self, now: Callable[[], float], settings: Mapping[str, Any]) -> None:
        self._now, self._settings = now, settings
        self.access: dict[str, float] = {}
        self.refresh = ""
        self.refresh_ends = 0.0
        self.used: set[str] = set()
        self.used_codes: set[str] = set()
        self.revoked = False

    def knows(self, name: str) -> bool:
        """Whether a code or token is of this grant."""
        return name in {self._settings["code"], self.refresh, *self.access, *self.used} - {""}

    def by_code(self, given: dict[str, str]) -> dict[str, Any]:
        """A code works once."""
        self._client(given)
        if given.get("grant_type") != "code":
            raise Refused(100200104, "grant_type is invalid", "unsupported_grant_type")
        code = given.get("code", "")
        if code != self._settings["code"] or code in self.used_codes:
            raise Refused(100200105, "code is invalid", "invalid_grant")
        self.used_codes.add(code)
        self.revoked = False
        self.refresh_ends = self._now() + float(self._settings["grant_lifetime"])
        return self._given()

    def by_refresh(self, given: dict[str, str]) -> dict[str, Any]:
        """Each refresh token works once; the next one ends when the first would have."""
        self._client(given)
        if given.get("grant_type") != "refresh_token":
            raise Refused(100200104, "grant_type is invalid", "unsupported_grant_type")
        token = given.get("refresh_token", "")
        if token in self.used:
            raise Refused(100200102, "refreshToken.discarded", "access_denied")
        if self.revoked:
            raise Refused(100200102, "refreshToken.revoked", "access_denied")
        if not token or token != self.refresh or self.refresh_ends <= self._now():
            raise Refused(100200102, "invalid refresh_token", "access_denied")
        return self._given()

    def check(self, access: str) -> None:
        """Raises Refused unless this access token is good now."""
        if self.revoked:
            raise Refused(24, "AUTHORIZATION_REVOKED")
        if self.access.get(access, 0.0) <= self._now():
            raise Refused(24, "access token invalid or expired")

    def expire(self) -> None:
        """Every access token ends now."""
        self.access = dict.fromkeys(self.access, 0.0)

    def seed(self, refresh: str) -> None:
        """A refresh token that was got elsewhere."""
        self.refresh, self.revoked = refresh, False
        self.refresh_ends = self._now() + float(self._settings["grant_lifetime"])

    def _client(self, given: dict[str, str]) -> None:
        wanted = (self._settings["app_key"], self._settings["app_secret"])
        if (given.get("app_id"), given.get("app_secret")) != wanted:
            raise Refused(100200101, "unauthorized client", "unauthorized_client")

    def _given(self) -> dict[str, Any]:
        if self.refresh:
            self.used.add(self.refresh)
        access = "ChFvYXV0aC5hY2Nlc3NUb2tlbh" + uuid.uuid4().hex
        self.refresh = "ChJvYXV0aC5yZWZyZXNoVG9rZW4" + uuid.uuid4().hex
        life = float(self._settings["token_lifetime"])
        self.access[access] = self._now() + life
        return {
            "access_token": access,
            "refresh_token": self.refresh,
            "open_id": "f1b60000000000000000000000000001",
            "expires_in": int(life),
            "refresh_token_expires_in": int(self.refresh_ends - self._now()),
            "token_type": "bearer",
            "scopes": ["merchant_order", "merchant_refund", "merchant_item", "merchant_logistics", "user_info"],
        }
