"""Carries a message as the admin's template says, and tells what the gateway meant in the declaration's own terms."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from connectors.core import answer, jsontext, line, model, scope, template
from connectors.sms import dialect


async def send(request: model.Request, way: line.Line) -> answer.Answer:
    """One message, or the connection test. Raises as ``line.http``, and Misdeclared for a template that is wrong."""
    if request.url.startswith("sms://probe"):
        return await _probe(request, way)
    given = jsontext.loads(request.body)
    sign = _filled(request, way, given)
    try:
        got = await way.http(request)
    finally:
        _hide(request, sign)
    return _told(dialect.judge(got, scope.settings(way.connection)))


async def _probe(request: model.Request, way: line.Line) -> answer.Answer:
    """Whether the template can be filled; with a ``probe_url`` also whether that answers. Nothing is ever sent."""
    config = scope.settings(way.connection)
    trial = model.Request("POST", "")
    _filled(trial, way, {"phones": ["13800000000"], "text": "连接测试|不会发送", "id": "probe"})
    if not config.get("probe_url"):
        return _told({"ok": True, "class": "ok", "message": "template is sound, nothing was sent"})
    known = dialect.names(way.connection, {}, time.time())
    try:
        request.method, request.url = "GET", str(template.render(config["probe_url"], known) or "")
    except template.TemplateError as error:
        raise dialect.refused(dialect.Unfilled(f"测试地址写错了：{error}", f"probe_url: {error}")) from None
    request.headers, request.query = dict(trial.headers), {}
    got = await way.http(request)
    return _told(
        dialect.judge(got, {**config, "success_style": "status"} if config.get("probe_style") == "status" else config)
    )


def _filled(request: model.Request, way: line.Line, given: dict[str, Any]) -> str | None:
    try:
        return dialect.fill(request, way.connection, dialect.names(way.connection, given, time.time()))
    except dialect.Unfilled as error:
        raise dialect.refused(error) from None


def _hide(request: model.Request, sign: str | None) -> None:
    """What is kept for people must not hold the signature: many a gateway's is nothing but the password's digest."""
    if not sign:
        return
    spellings = {sign, quote(sign), quote(sign, safe="")}
    for spelling in spellings:
        request.url = request.url.replace(spelling, "***")
        request.body = request.body.replace(spelling.encode(), b"***")
        request.headers = {name: value.replace(spelling, "***") for name, value in request.headers.items()}


def _told(found: dict[str, Any]) -> answer.Answer:
    return answer.Answer(200, {"content-type": "application/json"}, jsontext.dumps(found))
