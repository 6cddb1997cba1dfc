"""The gate of the simulated gateway: parameters from any transport, their proof, and the answer's form."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from connectors.pdd.simulated import shop

CLOCK = 600
"""Seconds a timestamp may be off."""
OPEN_TO_ALL = {"pdd.pop.auth.token.create", "pdd.pop.auth.token.refresh", "pdd.time.get", "pdd.logistics.companies.get"}
"""Calls that need no access token."""


async def parameters(request: Request) -> dict[str, str]:
    """All parameters of a call: query and body together. Raises Refused."""
    if request.method != "POST":
        raise shop.Refused(10002, "请使用POST方法")
    given = dict(parse_qsl(request.url.query, keep_blank_values=True))
    raw = await request.body()
    if "json" in request.headers.get("content-type", ""):
        try:
            body = json.loads(raw)
        except ValueError:
            raise shop.Refused(10000, "参数错误", sub_msg="body不是JSON") from None
        return given | {name: _text(value) for name, value in dict(body).items() if value is not None}
    return given | dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))


def _text(value: Any) -> str:
    """How a JSON value is signed: trees as compact JSON, booleans in lower case."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value).lower() if isinstance(value, bool) else str(value)


def check(given: dict[str, str], client_id: str, secret: str) -> None:
    """Raises Refused in the vendor's order of checks."""
    for name in ("type", "client_id", "timestamp", "sign"):
        if not given.get(name):
            raise shop.Refused(10001, "公共参数错误", sub_msg=f"缺少{name}")
    if given["client_id"] != client_id:
        raise shop.Refused(10016, "client_id无效")
    stamp = given["timestamp"]
    if not re.fullmatch(r"\d{10}", stamp) or abs(int(stamp) - time.time()) > CLOCK:
        raise shop.Refused(10001, "公共参数错误", sub_msg="timestamp为秒级时间戳，与服务器时间相差不能超过10分钟")
    text = "".join(name + given[name] for name in sorted(given) if name != "sign")
    proof = hashlib.md5(f"{secret}{text}{secret}".encode(), usedforsecurity=False).hexdigest().upper()
    if given["sign"] != proof:
        raise shop.Refused(20004, "签名sign校验失败")


def answer(key: str | None, body: dict[str, Any]) -> Response:
    """The envelope of every answer; ``key`` None for the one that has none. Errors are HTTP 200 as well."""
    whole = {**body, "request_id": str(uuid.uuid4().int % 10**17)}
    text = json.dumps(whole if key is None else {key: whole}, ensure_ascii=False)
    return Response(text, media_type="application/json;charset=UTF-8")


def need(given: dict[str, str], name: str) -> str:
    """A required parameter. Raises Refused."""
    if not given.get(name):
        raise shop.Refused(10000, "参数错误", sub_msg=f"{name}不能为空")
    return given[name]


def whole(given: dict[str, str], name: str, default: int | None = None) -> int:
    """A whole number. Raises Refused."""
    if not given.get(name) and default is not None:
        return default
    value = need(given, name)
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise shop.Refused(10000, "参数错误", sub_msg=f"{name}不是整数")
    return int(value)


def tree(given: dict[str, str], name: str, kind: type[Any]) -> Any:
    """A parameter that is JSON text of this kind. Raises Refused."""
    try:
        value = json.loads(need(given, name))
    except ValueError:
        raise shop.Refused(10000, "参数错误", sub_msg=f"{name}不是JSON") from None
    if not isinstance(value, kind):
        raise shop.Refused(10000, "参数错误", sub_msg=f"{name}类型错误")
    return value
