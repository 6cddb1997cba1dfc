"""What a rendered call cannot say by itself: mobiles merged with those there, long texts cut in sight, files as forms.

Everything goes by HTTP. A remark overwrites the whole list of mobiles, and what a colleague typed must not be lost.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from connectors.core import answer, errors, jsontext, line, model

REMARK = "/cgi-bin/externalcontact/remark"
CONTACT = "/cgi-bin/externalcontact/get"
UPLOAD = "/cgi-bin/media/upload"
LIMITS = {
    "/cgi-bin/message/send": {"text": 2048, "markdown": 2048},
    "/cgi-bin/appchat/send": {"text": 2048, "markdown": 2048},
    "/cgi-bin/webhook/send": {"text": 2048, "markdown": 4096, "markdown_v2": 4096},
}
"""Bytes of a content; the platform cuts a longer text without a word and refuses longer Markdown."""
CUT = "…（过长，已截断）"
SMALLEST = 5
"""Bytes of a file."""


async def send(request: model.Request, way: line.Line) -> answer.Answer:
    """One request. Raises as ``line.http``, and Rejected for a file that is none."""
    path = urlsplit(request.url).path
    for end, limits in LIMITS.items():
        if path.endswith(end):
            request = _changed(request, lambda body, limits=limits: fitted(body, limits))  # type: ignore[misc]
    if path.endswith(UPLOAD):
        request = form(request)
    if path.endswith(REMARK):
        body = _body(request)
        if any(body.get("remark_mobiles") or []):
            told = await _contact(request, way, str(body.get("external_userid") or ""))
            found = told.body
            if not isinstance(found, dict) or found.get("errcode") != 0:
                # Nothing was written; what refuses the reading (a token, a relation that ended) refuses this too.
                return told
            request = _changed(request, lambda body: merged(body, found))
    return await way.http(request)


async def _contact(request: model.Request, way: line.Line, external: str) -> answer.Answer:
    url = request.url.replace(REMARK, CONTACT)
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
    query = {**request.query, "external_userid": external}
    try:
        return await way.http(replace(request, method="GET", url=url, query=query, headers=headers, body=b""))
    except line.NoAnswer as error:
        raise line.NotSent(str(error)) from None


def merged(body: dict[str, Any], contact: dict[str, Any]) -> dict[str, Any]:
    """The remark with the mobiles that this member has for the customer behind the new ones."""
    member = str(body.get("userid") or "").lower()
    follows = [one for one in contact.get("follow_user") or [] if str(one.get("userid", "")).lower() == member]
    there = [str(one) for follow in follows for one in follow.get("remark_mobiles") or []]
    return {**body, "remark_mobiles": list(dict.fromkeys([*(one for one in body["remark_mobiles"] if one), *there]))}


def fitted(body: dict[str, Any], limits: dict[str, int]) -> dict[str, Any]:
    """The message with its content within the bytes of its kind; what was cut says so."""
    kind = str(body.get("msgtype"))
    content = (body.get(kind) or {}).get("content")
    if kind not in limits or not isinstance(content, str) or len(raw := content.encode()) <= limits[kind]:
        return body
    kept = raw[: limits[kind] - len(CUT.encode())].decode(errors="ignore")
    return {**body, kind: {**body[kind], "content": kept + CUT}}


def form(request: model.Request) -> model.Request:
    """A file given as base64 in JSON, as the form of one part that the platform wants."""
    given = _body(request)
    name = re.sub(r'[\r\n"\\/]', "_", str(given.get("filename") or "file"))
    try:
        content = base64.b64decode(str(given.get("content") or ""), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) < SMALLEST:
        zh, en = "文件内容要用 base64 给出，不少于 5 字节。", "A file is given as base64, of 5 bytes at least."
        raise errors.Rejected("no file", hint={"zh": zh, "en": en})
    mark = f"shuniu{secrets.token_hex(16)}"
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="media"; filename="{name}"; filelength={len(content)}\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    headers = {key: value for key, value in request.headers.items() if key.lower() != "content-type"}
    headers["content-type"] = f"multipart/form-data; boundary={mark}"
    # A copy: what is kept of this exchange for people stays what was asked for.
    return replace(request, headers=headers, body=head.encode() + content + f"\r\n--{mark}--\r\n".encode())


def _body(request: model.Request) -> dict[str, Any]:
    found = jsontext.loads(request.body) if request.body else {}
    return found if isinstance(found, dict) else {}


def _changed(request: model.Request, how: Callable[[dict[str, Any]], dict[str, Any]]) -> model.Request:
    return replace(request, body=jsontext.dumps(how(_body(request))))
