"""Every error the API can answer with: RFC 9457 problem+json, one table of codes, words in zh and en.

Nothing else ever is an error body. What a caller sent is never repeated in one: it may hold a secret. ``type``
is an address where the code is explained, ``errors`` lists each wrong field by JSON pointer (of the body) or
by parameter name, ``trace_id`` is in the log too.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import schema, shield
from retry_queue.ledger import session

MEDIA = "application/problem+json"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table."""

    status: int
    zh: str
    en: str


KINDS: dict[str, Kind] = {
    "malformed_json": Kind(400, "请求正文不是有效的 JSON", "The body is not valid JSON"),
    "bad_cursor": Kind(400, "分页游标无效", "The page cursor is not valid"),
    "bad_request": Kind(400, "请求无法理解", "The request cannot be understood"),
    "unauthenticated": Kind(401, "请先登录", "Sign in first"),
    "wrong_credentials": Kind(401, "用户名或密码不正确", "Wrong name or password"),
    "sign_in_refused": Kind(401, "单点登录未完成", "The sign-in came to nothing"),
    "csrf": Kind(403, "缺少或错误的 X-CSRF-Token 请求头", "The X-CSRF-Token header is missing or wrong"),
    "forbidden": Kind(403, "您的角色没有此权限", "Your role does not allow this"),
    "not_found": Kind(404, "没有找到", "Not found"),
    "method_not_allowed": Kind(405, "此地址不支持该请求方法", "This address does not take this method"),
    "too_slow": Kind(408, "请求正文传输过慢", "The body came too slowly"),
    "conflict": Kind(409, "与现有状态冲突", "In conflict with what is there"),
    "exists": Kind(409, "已存在同名对象", "There is one of this name already"),
    "incomplete": Kind(409, "设置不完整，不能启用", "Not complete, so it cannot be enabled"),
    "in_use": Kind(409, "仍在使用，不能删除", "Still in use, so it cannot be removed"),
    "mixed_routes": Kind(409, "有路由连着另一类系统", "Routes join it with the other kind of system"),
    "stale": Kind(412, "内容已被他人修改，请刷新后重试", "Somebody changed it meanwhile; reload and try again"),
    "too_large": Kind(413, "请求正文过大", "The body is too large"),
    "unsupported_media_type": Kind(415, "请求正文应为 application/json", "The body must be application/json"),
    "invalid": Kind(422, "请求内容不符合要求", "The request is not valid"),
    "precondition_required": Kind(
        428, "请带上 If-Match 请求头（读取时的 ETag）", "Send If-Match with the ETag you read"
    ),
    "too_many_requests": Kind(429, "请求过多，请稍后再试", "Too many requests; try again later"),
    "internal": Kind(500, "内部错误，已记录", "Internal error; it was logged"),
    "unavailable": Kind(503, "台账暂时不可用，请稍后重试", "The ledger is not available; try again soon"),
}
"""code -> status and title. Codes are stable: programs rely on them."""

_BY_STATUS = {400: "bad_request", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
              408: "too_slow", 409: "conflict", 412: "stale", 413: "too_large", 415: "unsupported_media_type",
              422: "invalid", 428: "precondition_required", 429: "too_many_requests", 503: "unavailable"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in what was sent. ``path`` leads to it in the body; ``parameter`` names one outside of it."""

    code: str
    zh: str
    en: str
    path: tuple[str | int, ...] = ()
    parameter: str | None = None

    def under(self, *above: str | int) -> Fault:
        """The same fault seen from further out."""
        return Fault(self.code, self.zh, self.en, (*above, *self.path), self.parameter)

    @property
    def pointer(self) -> str:
        """JSON pointer (RFC 6901)."""
        return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in self.path)


class Problem(Exception):
    """An answer that is an error; ``code`` is a key of KINDS, ``zh``/``en`` say more about this very case."""

    def __init__(
        self,
        code: str,
        zh: str = "",
        en: str = "",
        *,
        faults: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
        why: str = "",
    ) -> None:
        """``why``: what the sign-in page says to a browser that comes back; one of ``refused`` in its words."""
        super().__init__(f"{code}: {en or KINDS[code].en}")
        self.code = code
        self.zh = zh
        self.en = en
        self.faults = tuple(faults)
        self.headers = dict(headers or {})
        self.why = why


def language(accept: str) -> str:
    """``zh`` or ``en`` by an Accept-Language header; ``zh`` when it names neither."""
    best, quality = "zh", 0.0
    for part in accept.split(",")[:20]:
        name, *options = part.strip().lower().split(";")
        weight = 1.0
        for option in options:
            found = re.fullmatch(r"\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", option)
            weight = float(found[1]) if found else weight
        tongue = name.split("-")[0]
        if tongue in ("zh", "en") and weight > quality:
            best, quality = tongue, weight
    return best


_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def trace(request: Request) -> str:
    """The caller's trace id (W3C traceparent), or a new one; the same for the whole request."""
    known = getattr(request.state, "trace", None)
    if known is None:
        found = _TRACE.fullmatch(request.headers.get("traceparent", ""))
        known = found[1] if found and set(found[1]) != {"0"} else secrets.token_hex(16)
        request.state.trace = known
    return str(known)


def body(problem: Problem, tongue: str, trace_id: str, instance: str = "") -> dict[str, Any]:
    """The members of a problem document."""
    kind = KINDS[problem.code]
    chinese = tongue == "zh"
    made: dict[str, Any] = {
        "type": f"/api/v1/problems/{problem.code}",
        "title": kind.zh if chinese else kind.en,
        "status": kind.status,
        "code": problem.code,
        "trace_id": trace_id,
    }
    if said := (problem.zh if chinese else problem.en):
        made["detail"] = said
    if instance:
        made["instance"] = instance
    if problem.faults:
        made["errors"] = [
            {
                **({"parameter": one.parameter} if one.parameter is not None else {"pointer": one.pointer}),
                "code": one.code,
                "detail": one.zh if chinese else one.en,
            }
            for one in problem.faults
        ]
    return made


def answer(request: Request, problem: Problem) -> Response:
    """The HTTP answer of a problem."""
    tongue = language(request.headers.get("accept-language", ""))
    made = body(problem, tongue, trace(request), request.url.path)
    headers = {"Content-Language": tongue, "Cache-Control": "no-store", **problem.headers}
    if KINDS[problem.code].status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="shuniu"')
    return Response(orjson.dumps(made), KINDS[problem.code].status, headers, MEDIA)


# --- what frameworks raise ----------------------------------------------------------------------

_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("必填", "required"),
    "extra_forbidden": ("没有这个字段，请检查拼写", "no such field; check the spelling"),
    "string_too_short": ("内容过短", "too short"),
    "string_too_long": ("内容过长", "too long"),
    "too_short": ("数量过少", "too few"),
    "too_long": ("数量过多", "too many"),
    "string_pattern_mismatch": ("格式不正确", "not in the right format"),
    "string_type": ("应为文本", "must be text"),
    "int_parsing": ("应为整数", "must be a whole number"),
    "int_type": ("应为整数", "must be a whole number"),
    "float_parsing": ("应为数字", "must be a number"),
    "bool_parsing": ("应为 true 或 false", "must be true or false"),
    "bool_type": ("应为 true 或 false", "must be true or false"),
    "dict_type": ("应为对象", "must be an object"),
    "model_attributes_type": ("应为对象", "must be an object"),
    "list_type": ("应为数组", "must be an array"),
    "datetime_from_date_parsing": ("应为 ISO 8601 时间", "must be an ISO 8601 time"),
    "datetime_parsing": ("应为 ISO 8601 时间", "must be an ISO 8601 time"),
    "timezone_aware": ("时间须带时区", "the time needs a zone"),
    "literal_error": ("不在允许的取值之内", "not one of the values there are"),
    "enum": ("不在允许的取值之内", "not one of the values there are"),
    "greater_than_equal": ("数值过小", "too small"),
    "less_than_equal": ("数值过大", "too large"),
}


def words(detail: ErrorDetails | Mapping[str, Any]) -> tuple[str, str]:
    """A pydantic error in (zh, en), without the value that was refused."""
    kind = detail["type"]
    if kind in ("literal_error", "enum"):
        expected = (detail.get("ctx") or {}).get("expected", "")
        return f"应为 {expected} 之一", f"must be one of {expected}"
    if kind in _WORDS:
        return _WORDS[kind]
    said = str(detail["msg"]).removeprefix("Value error, ")
    zh, en = said, said
    if " / " in said:  # our own validators say it in both languages
        en, zh = said.split(" / ", 1)
    return zh, en


def faults(errors: Iterable[ErrorDetails | Mapping[str, Any]]) -> list[Fault]:
    """Pydantic's errors of a request as faults."""
    found = []
    for detail in errors:
        place, *path = detail["loc"] or ("body",)
        zh, en = words(detail)
        if place == "body":
            found.append(Fault(detail["type"], zh, en, tuple(path)))
        else:
            found.append(Fault(detail["type"], zh, en, (), str(path[0]) if path else str(place)))
    return found


async def _raised(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    if any(detail["type"] == "json_invalid" for detail in details):
        return answer(request, Problem("malformed_json"))
    if any(detail["type"] == "model_attributes_type" and detail["loc"] == ("body",) for detail in details):
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            return answer(request, Problem("unsupported_media_type"))
    return answer(request, Problem("invalid", faults=faults(details)))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    return answer(request, Problem(code, headers=error.headers))


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("api.ledger_unavailable", error=str(error), trace_id=trace(request))
    return answer(request, Problem("unavailable", headers={"Retry-After": "2"}))


async def _broken(request: Request, error: Exception) -> Response:
    log.error("api.failed", trace_id=trace(request), path=request.url.path, exc_info=error)
    return answer(request, Problem("internal"))


BODY_SECONDS = 30.0
"""Within which a whole body must have come."""


class BodyLimit:
    """Refuses bodies past ``limit`` bytes, at once when the length is told, and those that come too slowly."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"")
        if told.isdigit() and (len(told) > 18 or int(told) > self._limit):
            await answer(Request(scope), Problem("too_large"))(scope, receive, send)
            return
        taken, whole = 0, False
        loop = asyncio.get_running_loop()
        until = loop.time() + BODY_SECONDS

        async def counted() -> Message:
            nonlocal taken, whole
            if whole:
                return await receive()  # whoever waits for the end of a long answer may wait
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"Connection": "close"}) from None
            whole = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


def install(app: FastAPI, limit: int = 1024**2, *, encrypted: bool = False) -> None:
    """Makes ``app`` answer every error as a problem, and say so in its OpenAPI document.

    ``limit`` is the largest body it takes, in bytes; ``encrypted``: people reach it by https.
    """
    app.add_middleware(BodyLimit, limit=limit)
    app.add_middleware(shield.Shield, encrypted=encrypted)
    app.add_exception_handler(Problem, _raised)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(session.LedgerUnavailable, _unavailable)
    app.add_exception_handler(Exception, _broken)
    schema.install(app, sorted(KINDS))
