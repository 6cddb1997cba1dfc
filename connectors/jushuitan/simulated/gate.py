"""The way into the pretend platform: form, signature, clock, token; and the envelope of every answer."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from connectors.jushuitan.simulated import erp
from connectors.simulator import consent, control

OK = "执行成功"
SKEW = CODE = 900
WEEK = 7 * 86400
MOMENT = "%Y-%m-%d %H:%M:%S"


def proof(secret: str, form: Mapping[str, str]) -> str:
    """The platform's own computation of ``sign``."""
    text = "".join(name + form[name] for name in sorted(form) if name != "sign")
    return hashlib.md5((secret + text).encode(), usedforsecurity=False).hexdigest()


def envelope(code: int, words: str, data: Any = None) -> Response:
    """HTTP 200 whatever happened; the code is in the body."""
    return control.answer({"code": code, "msg": words, "data": data})


class Gate:
    """Apps, tokens and limits. ``settings`` are the simulator's, ``now`` its clock in Unix seconds."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        self.settings, self.now = settings, now
        self.tokens: dict[str, float] = {}
        self.renewing: dict[str, str] = {}
        self.used_codes: set[str] = set()
        self.codes = consent.Codes(now, CODE, "isv-code-")
        self.recent: dict[str, deque[float]] = {}
        self.logins = 0

    def form(self, body: bytes) -> dict[str, str]:
        """The signed form of a call. Raises Refused."""
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            raise erp.Refused(130, "请求内容不是UTF-8") from None
        self.signed(form)
        return form

    def signed(self, form: Mapping[str, str]) -> None:
        """Raises Refused unless the app's own proof fits, and its clock."""
        if form.get("app_key") != self.settings["app_key"]:
            raise erp.Refused(10, "无效签名")
        stamp = form.get("timestamp", "")
        if not stamp.isdigit() or len(stamp) != 10 or abs(self.now() - int(stamp)) > SKEW:
            raise erp.Refused(140, "时间戳无效")
        if form.get("sign") != proof(str(self.settings["app_secret"]), form):
            raise erp.Refused(10, "无效签名")

    def admitted(self, path: str, form: Mapping[str, str]) -> Any:
        """The parsed biz of a business call. Raises Refused."""
        if self.tokens.get(form.get("access_token", ""), 0) <= self.now():
            raise erp.Refused(100, "access_token已失效或不存在")
        if path in self.settings["forbidden"]:
            raise erp.Refused(190, "没有接口权限")
        if form.get("version") != "2" or form.get("charset") != "utf-8":
            raise erp.Refused(140, "公共参数不正确")
        if self.settings["enforce_limits"]:
            self.counted(path)
        try:
            return json.loads(form["biz"])
        except (KeyError, ValueError):
            raise erp.Refused(130, "biz参数为空或格式不正确") from None

    def counted(self, path: str) -> None:
        """5 calls a second and 100 a minute per API. Raises Refused."""
        now, seen = self.now(), self.recent.setdefault(path, deque())
        while seen and seen[0] <= now - 60:
            seen.popleft()
        if len(seen) >= 100:
            raise erp.Refused(200, "每分钟调用次数超过限制，请稍后再试！")
        if sum(at > now - 1 for at in seen) >= 5:
            raise erp.Refused(199, "调用太频繁，请稍后再试！")
        seen.append(now)

    def token(self, form: Mapping[str, str], *, own: bool) -> dict[str, Any]:
        """A token for a merchant's own app, or for the single-use code of an ISV's merchant. Raises Refused."""
        self.logins += 1
        code = form.get("code", "")
        if form.get("grant_type") != "authorization_code" or not code:
            raise erp.Refused(140, "grant_type或code不正确")
        if own is not (self.settings["app_type"] == "own"):
            raise erp.Refused(190, "应用类型不支持此接口")
        if not own:
            entered = code == self.settings["auth_code"] and code not in self.used_codes
            if not entered and not self.codes.take(code):
                raise erp.Refused(150, "授权码无效或已使用")
            self.used_codes.add(code)
        made, renewing = secrets.token_hex(16), secrets.token_hex(16)
        self.renewing[renewing] = made
        return self._lasting(made, renewing)

    def renewed(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The same token for longer; not for ISVs, and not once it is over. Raises Refused."""
        self.logins += 1
        kept = self.renewing.get(form.get("refresh_token", ""), "")
        if self.settings["app_type"] == "isv" or self.tokens.get(kept, 0) <= self.now():
            raise erp.Refused(150, "不允许刷新")
        if form.get("grant_type") != "refresh_token" or form.get("scope") != "all":
            raise erp.Refused(140, "grant_type或scope不正确")
        return self._lasting(kept, form["refresh_token"])

    def _lasting(self, token: str, renewing: str) -> dict[str, Any]:
        lifetime = float(self.settings["token_lifetime"])
        self.tokens[token] = self.now() + lifetime
        return {"access_token": token, "refresh_token": renewing, "expires_in": int(lifetime), "scope": "all"}


def window(biz: Mapping[str, Any], words: str) -> tuple[str, str]:
    """The asked span of modification times, both ends included. Raises Refused."""
    begin, end = str(biz.get("modified_begin") or ""), str(biz.get("modified_end") or "")
    try:
        span = datetime.strptime(end, MOMENT) - datetime.strptime(begin, MOMENT)  # noqa: DTZ007 - local texts, compared
    except ValueError:
        raise erp.Refused(130, words) from None
    if not 0 <= span.total_seconds() <= WEEK:
        raise erp.Refused(140, "时间间隔不能超过七天")
    return begin, end


def paged(biz: Mapping[str, Any], rows: list[Any], name: str, limit: int) -> dict[str, Any]:
    """One page under the API's own name of the array. Raises Refused."""
    index, size = int(biz.get("page_index") or 1), int(biz.get("page_size") or 30)
    if not 1 <= size <= limit or index < 1:
        raise erp.Refused(140, f"page_size不能大于{limit}")
    pages = -(-len(rows) // size)
    return {
        "page_index": index,
        "page_size": size,
        "page_count": pages,
        "data_count": len(rows),
        "has_next": index < pages,
        name: rows[(index - 1) * size : index * size],
    }
