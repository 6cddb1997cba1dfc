"""The gate of the simulated gateway: parameters from any transport, their proof, and the answer's form."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import hashlib
import hmac
import html
import json
import time
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from connectors.taobao.simulated import shop

CLOCK = 600
"""Seconds a timestamp may be off."""


async def parameters(request: Request) -> tuple[dict[str, str], dict[str, str]]:
    """All parameters of a call (files as base64 text), and those that are signed: no ``sign``, no files, none empty."""
    given = dict(parse_qsl(request.url.query, keep_blank_values=True))
    files: dict[str, str] = {}
    kind, raw = request.headers.get("content-type", ""), await request.body()
    if kind.startswith("multipart/form-data"):
        plain, files = _parts(kind, raw)
        given |= plain
    elif raw:
        given |= dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
    signed = {name: value for name, value in given.items() if name not in ("", "sign") and value != ""}
    return given | files, signed


def style(given: dict[str, str]) -> str:
    """``json`` or ``xml`` (when nothing is said). Raises Refused 23."""
    wanted = given.get("format") or "xml"
    if wanted not in ("json", "xml"):
        raise shop.Refused(23, "Invalid format")
    return wanted


def check(given: dict[str, str], signed: dict[str, str], app_key: str, secret: str) -> None:
    """Raises Refused in the vendor's order of checks."""
    for name, code in (("method", 21), ("app_key", 28), ("timestamp", 30), ("v", 32), ("sign", 24)):
        if not given.get(name):
            raise shop.Refused(code, f"Missing {name.replace('sign', 'signature')}")
    if given["app_key"] != app_key:
        raise shop.Refused(29, "Invalid app Key", "isv.appkey-not-exists", "无效AppKey")
    if given["v"] != "2.0":
        raise shop.Refused(33, "Invalid version")
    try:
        at = datetime.fromisoformat(given["timestamp"]).replace(tzinfo=shop.ZONE).timestamp()
    except ValueError:
        raise shop.Refused(31, "Invalid timestamp") from None
    if abs(at - time.time()) > CLOCK:
        raise shop.Refused(31, "Invalid timestamp")
    text = "".join(name + signed[name] for name in sorted(signed))
    way = given.get("sign_method", "md5")
    if way == "md5":
        proof = hashlib.md5((secret + text + secret).encode(), usedforsecurity=False).hexdigest()
    elif way in ("hmac", "hmac-sha256"):
        proof = hmac.new(secret.encode(), text.encode(), "md5" if way == "hmac" else "sha256").hexdigest()
    else:
        raise shop.Refused(25, "Invalid signature", "isv.invalid-signature", "sign_method 不正确")
    if given["sign"] != proof.upper():
        raise shop.Refused(25, "Invalid signature", "isv.invalid-signature", "签名无效")


def answer(root: str, body: dict[str, Any], wanted: str) -> Response:
    """The envelope of every answer; ids stay whole numbers."""
    whole = {**body, "request_id": uuid.uuid4().hex[:12]}
    if wanted == "json":
        text = json.dumps({root: whole}, ensure_ascii=False)
        return Response(text, media_type="text/javascript;charset=UTF-8")
    text = '<?xml version="1.0" encoding="utf-8" ?>' + _element(root, whole)
    return Response(text, media_type="text/xml;charset=UTF-8")


def _parts(kind: str, raw: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """The fields of a multipart body, and its files as base64."""
    head = f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw)
    found: dict[str, str] = {}
    files: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        if part.get_filename() is None:
            found[name] = content.decode(errors="replace")
        else:
            files[name] = base64.b64encode(content).decode()
    return found, files


def _element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        listed = ' list="true"' if value and all(isinstance(child, list) for child in value.values()) else ""
        return f"<{name}{listed}>{''.join(_element(key, child) for key, child in value.items())}</{name}>"
    if isinstance(value, list):
        return "".join(_element(name, child) for child in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{html.escape(text, quote=False)}</{name}>"
