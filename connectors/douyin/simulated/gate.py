"""The gate of the simulated gateway: public parameters, signature, clock and token of a call, and its envelope."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.responses import Response

CLOCK = 600
"""Seconds a timestamp may be off."""
ZONE = timezone(timedelta(hours=8))


class Refused(Exception):
    """A call refused in the vendor's words."""

    def __init__(self, code: int, msg: str, sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(f"{code} {msg} {sub_code} {sub_msg}")
        self.code, self.msg, self.sub_code, self.sub_msg = code, msg, sub_code, sub_msg or msg


def envelope(data: Any = None, refused: Refused | None = None) -> Response:
    """Every answer is HTTP 200; the legacy members ``err_no`` and ``message`` stand beside the newer ones."""
    body: dict[str, Any] = {"code": 10000, "msg": "success", "sub_code": "", "sub_msg": ""}
    if refused is not None:
        body = {"code": refused.code, "msg": refused.msg, "sub_code": refused.sub_code, "sub_msg": refused.sub_msg}
    if data is not None:
        body["data"] = data
    body["log_id"] = time.strftime("%Y%m%d%H%M%S") + uuid.uuid4().hex[:12].upper()
    good = body["code"] in (10000, 10001)
    body |= {"err_no": 0 if good else body["code"], "message": "success" if good else body["sub_msg"]}
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json; charset=utf-8")


def check(query: dict[str, str], body: str, app_key: str, secret: str) -> tuple[str, dict[str, Any]]:
    """The method and its business parameters. Raises Refused in the vendor's order of checks."""
    for name, sub in (
        ("app_key", "isv.app-id-missing"),
        ("method", "isv.method-missing"),
        ("timestamp", "isv.timestamp-missing"),
        ("sign", "isv.signature-missing"),
    ):
        if not query.get(name):
            raise Refused(40001, "缺少参数(平台)", sub, f"缺少 {name}")
    if query["app_key"] != app_key:
        raise Refused(40003, "非法的参数(平台)", "isv.app-id-invalid", "app_key 不存在")
    _clock(query["timestamp"])
    # Older clients send the parameters in the query as well; what is signed is what travels.
    text = body or query.get("param_json", "")
    fields = (
        f"app_key{app_key}method{query['method']}param_json{text}timestamp{query['timestamp']}v{query.get('v', '2')}"
    )
    pattern = f"{secret}{fields}{secret}".encode()
    if query.get("sign_method", "md5") == "md5":
        proof = hashlib.md5(pattern, usedforsecurity=False).hexdigest()
    else:
        proof = hmac.new(secret.encode(), pattern, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(proof, query["sign"]):
        raise Refused(40003, "非法的参数(平台)", "isv.signature-invalid", "签名校验失败")
    try:
        params = json.loads(text)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise Refused(40003, "非法的参数(平台)", "isv.parameter-format-invalid", "param_json 不是 JSON 对象")
    return query["method"], params


def _clock(text: str) -> None:
    try:
        at = float(text) if text.isdigit() else datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()
    except ValueError:
        raise Refused(40003, "非法的参数(平台)", "isv.timestamp-format-error", "timestamp 格式错误") from None
    if abs(at - time.time()) > CLOCK:
        raise Refused(40003, "非法的参数(平台)", "isv.timestamp-invalid", "timestamp 超出范围")


@dataclass(slots=True)
class Grant:
    """A pair of tokens; ``ends`` and ``refresh_ends`` in Unix seconds."""

    access: str
    refresh: str
    ends: float
    refresh_ends: float


class Tokens:
    """Who may call: the current pair, and an older access token for the short while it lives on."""

    def __init__(self, now: Callable[[], float], settings: dict[str, Any]) -> None:
        self._now, self._settings = now, settings
        self.grant: Grant | None = None
        self.older: dict[str, float] = {}
        self.used_codes: set[str] = set()
        self.dead_refresh: set[str] = set()

    def create(self, given: dict[str, Any]) -> dict[str, Any]:
        """``token.create``: the same pair again while it is far from its end, a new one within its last hour."""
        kind = given.get("grant_type")
        if kind == "authorization_self":
            if "code" not in given or str(given.get("shop_id", "")) != str(self._settings["shop_id"]):
                raise _no("no-authorization", "店铺未授权")
            if self.grant is None or self.grant.ends - self._now() <= 3600:
                self._renew()
        elif kind == "authorization_code":
            code = str(given.get("code", ""))
            if code != self._settings["code"] or code in self.used_codes:
                raise _no("code-invalid", "code 无效或已使用")
            self.used_codes.add(code)
            self._renew()
        else:
            raise _no("grant-type-invalid", "grant_type 不正确")
        return self._shown()

    def refresh(self, given: dict[str, Any]) -> dict[str, Any]:
        """``token.refresh``: the pair is replaced; the old refresh token is dead."""
        if given.get("grant_type") != "refresh_token":
            raise _no("grant-type-invalid", "grant_type 不正确")
        token = str(given.get("refresh_token", ""))
        if self.grant is None or token != self.grant.refresh or token in self.dead_refresh:
            raise _no("token-invalid", "refresh_token 无效")
        if self.grant.refresh_ends <= self._now():
            raise _no("token-expired", "refresh_token 已过期")
        self._renew()
        return self._shown()

    def check(self, access: str) -> None:
        """Raises Refused unless this access token is good now."""
        if not access:
            raise Refused(40001, "缺少参数(平台)", "isv.access-token-missing", "缺少 access_token")
        if self.older.get(access, 0.0) > self._now():
            return
        if self.grant is None or access != self.grant.access:
            raise Refused(40003, "非法的参数(平台)", "isv.access-token-no-existed", "access_token不存在")
        if self.grant.ends <= self._now():
            raise Refused(40003, "非法的参数(平台)", "isv.access-token-expired", "access_token已过期")

    def expire(self) -> None:
        """Every access token ends now."""
        self.older.clear()
        if self.grant is not None:
            self.grant.ends = self._now() - 1

    def _renew(self) -> None:
        if self.grant is not None:
            self.dead_refresh.add(self.grant.refresh)
            if self.grant.ends > self._now():
                self.older[self.grant.access] = min(self.grant.ends, self._now() + 300)
        life = float(self._settings["token_lifetime"])
        now = self._now()
        self.grant = Grant(str(uuid.uuid4()), str(uuid.uuid4()), now + life, now + 2 * life)

    def _shown(self) -> dict[str, Any]:
        assert self.grant is not None
        return {
            "access_token": self.grant.access,
            "expires_in": int(self.grant.ends - self._now()),
            "scope": "SCOPE",
            "shop_id": str(self._settings["shop_id"]),
            "shop_name": "枢纽演示旗舰店",
            "refresh_token": self.grant.refresh,
            "authority_id": str(self._settings["shop_id"]),
            "auth_subject_type": "MerchantAuth",
            "encrypt_operator": "",
            "operator_name": "",
            "shop_biz_type": 0,
        }


def _no(reason: str, words: str) -> Refused:
    return Refused(50001, "业务处理失败", f"dop.token-generate-failed:{reason}", words)
