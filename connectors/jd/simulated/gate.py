"""The gates of the simulated JD: parameters and proof of a gateway call, and the shop's tokens.

The signature is checked over everything received, wherever it stood. A token is renewed only in its last day; both
tokens change then, and the older pair is dead.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from connectors.jd.simulated import shop

CLOCK = 360
"""Seconds a timestamp may be off."""
LAST_DAY = 86400
YEAR = 31535999
BUSINESS = "360buy_param_json"
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d{3})?([+-]\d{4})?")


async def parameters(request: Request) -> dict[str, str]:
    """All parameters: query and form together."""
    given = dict(parse_qsl(request.url.query, keep_blank_values=True))
    raw = await request.body()
    return given | dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))


def check(given: dict[str, str], app_key: str, secret: str) -> dict[str, Any]:
    """The business parameters. Raises Refused in the vendor's order of checks."""
    missing = {"method": ("14", "缺少方法名", "Missing method"), "app_key": ("20", "缺少app_key", "Missing app_key")}
    missing |= {"timestamp": ("7", "缺少时间戳", "Missing timestamp"), "v": ("4", "缺少版本", "Missing version")}
    missing |= {"sign": ("11", "缺少签名", "Missing signature")}
    for name, (code, zh, en) in missing.items():
        if not given.get(name):
            raise shop.Refused(code, zh, en)
    if given["app_key"] != app_key:
        raise shop.Refused("21", "无效app_key", "Invalid app_key")
    if given["v"] != "2.0":
        raise shop.Refused("5", "无效版本", "Invalid version")
    found = _STAMP.fullmatch(given["timestamp"])
    if found is None:
        raise shop.Refused("8", "无效时间戳", "Invalid timestamp")
    at = datetime.strptime(f"{found[1]} {found[2] or '+0800'}", "%Y-%m-%d %H:%M:%S %z")
    if abs(at.timestamp() - time.time()) > CLOCK:
        raise shop.Refused("8", "无效时间戳", "Invalid timestamp")
    text = "".join(name + given[name] for name in sorted(given) if name != "sign")
    proof = hashlib.md5(f"{secret}{text}{secret}".encode(), usedforsecurity=False).hexdigest().upper()
    if given["sign"] != proof:
        raise shop.Refused("12", "无效签名", "Invalid signature")
    try:
        business = json.loads(given.get(BUSINESS) or "{}")
    except ValueError:
        business = None
    if not isinstance(business, dict):
        raise shop.Refused("62", f"{BUSINESS}不是JSON", f"{BUSINESS} is not JSON")
    return business


def answer(root: str, body: dict[str, Any]) -> Response:
    """Every answer is HTTP 200; the code is text."""
    whole = body if root == "error_response" else {"code": "0", **body}
    return Response(json.dumps({root: whole}, ensure_ascii=False), media_type="application/json;charset=utf-8")


class Grant:
    """The tokens of one shop. ``ends`` is a Unix time of the simulator's clock."""

    def __init__(self, access: str, refresh: str, ends: float) -> None:
        self.access, self.refresh, self.ends = access, refresh, ends
        self.dead = False

    def valid(self, token: str, now: float) -> bool:
        return token == self.access and not self.dead and now < self.ends

    def renewed(self, refresh: str, now: float) -> dict[str, Any] | None:
        """The answer with the next pair; None when this one cannot be renewed now."""
        if refresh != self.refresh or not self.ends - LAST_DAY <= now < self.ends:
            return None
        self.access, self.refresh, self.ends = uuid.uuid4().hex, uuid.uuid4().hex, now + YEAR
        self.dead = False
        return self.told(now)

    def told(self, now: float) -> dict[str, Any]:
        return {
            "access_token": self.access,
            "expires_in": int(self.ends - now),
            "refresh_token": self.refresh,
            "scope": "snsapi_base",
            "open_id": "oSimulatedSeller",
            "uid": "10000001",
            "time": int(now * 1000),
            "token_type": "bearer",
            "code": 0,
            "xid": "xSimulatedSeller",
        }
