"""The admin's own template, filled: one HTTP request per message, and what the gateway's answer means.

Names in the template: ``config.*``, ``secret.*``, ``phone`` (all numbers joined), ``phones`` (a list), ``text``,
``title``, ``id``, ``data.*``, ``parts[0]`` … (the text cut at ``|``, for gateways that take parameters of an approved
template), ``now``, ``stamp`` (20260627175811, Beijing), ``uuid``, ``sign``. Filters as everywhere: ``s``, ``ms``,
``local``, ``json``, ``url`` …
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from connectors.core import answer, errors, jsontext, model, paths, predicate, scope, template, xmltext

ZONE = ZoneInfo("Asia/Shanghai")
_WORD = re.compile(r"[A-Za-z0-9_-]+")


class Unfilled(ValueError):
    """The template asks for something that is not there, or is none. The text is for people, in both languages."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


def names(connection: model.Connection, given: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Everything a template can name, except ``sign``."""
    config = scope.settings(connection)
    phones = [str(one) for one in given.get("phones") or []]
    text = str(given.get("text") or "")
    return scope.of(
        connection,
        phones=phones,
        phone=str(config.get("phone_separator", ",")).join(phones),
        text=text,
        title=given.get("title") or "",
        id=given.get("id") or "",
        data=given.get("data") or {},
        parts=text.split("|"),
        now=now,
        stamp=datetime.fromtimestamp(now, ZONE).strftime("%Y%m%d%H%M%S"),
        uuid=str(uuid.uuid4()),
    )


def signature(algorithm: str, encoding: str, key: str, text: str, charset: str = "utf-8") -> str:
    """A digest of ``text``, keyed for ``hmac_…``, as hexadecimal (lower or upper case) or base64."""
    kind, _, name = algorithm.rpartition("_")
    if kind == "hmac":
        found = hmac.digest(key.encode(charset), text.encode(charset), name)
    else:
        found = hashlib.new(algorithm, text.encode(charset), usedforsecurity=False).digest()
    if encoding == "base64":
        return base64.b64encode(found).decode()
    return found.hex().upper() if encoding == "HEX" else found.hex()


def fill(request: model.Request, connection: model.Connection, known: dict[str, Any]) -> str | None:
    """Turn ``request`` into the gateway's; the signature that is in it, if any. Raises Unfilled."""
    config = scope.settings(connection)
    charset = str(config.get("charset", "utf-8"))
    sign = None
    try:
        if config.get("sign_algorithm", "none") != "none":
            text, key = (
                str(_whole("sign_text", config.get("sign_text"), known)),
                config.get("sign_key", "${secret.key}"),
            )
            sign = known["sign"] = signature(
                str(config["sign_algorithm"]),
                str(config.get("sign_encoding", "hex")),
                str(_whole("sign_key", key, known)),
                text,
                charset,
            )
        request.method = str(config.get("method", "POST"))
        request.url = str(_whole("url", config.get("url"), known))
        request.query = {}
        request.headers = {
            str(name): template.text(value) for name, value in _object("headers", config.get("headers"), known).items()
        }
        _body(request, str(config.get("body_style", "json")), config.get("body"), known, charset)
    except template.TemplateError as error:
        raise Unfilled(f"模板写错了：{error}", f"the template is wrong: {error}") from None
    except UnicodeEncodeError:
        raise Unfilled(f"有字符不能用 {charset} 编码", f"a character cannot be written in {charset}") from None
    return sign


def _whole(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    filled = template.render(value, known)
    if filled is None or filled == "":
        raise Unfilled(
            f"模板「{name}」是空的，或引用了没有的值", f"'{name}' is empty or names something that is absent"
        )
    return filled


def _object(name: str, value: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    filled = template.render(value if value is not None else {}, known)
    if not isinstance(filled, dict):
        raise Unfilled(f"「{name}」应为 JSON 对象", f"'{name}' must be a JSON object")
    return filled


def _body(request: model.Request, style: str, body: Any, known: Mapping[str, Any], charset: str) -> None:
    request.form, request.body = None, b""
    kind = ""
    if style == "json":
        request.body, kind = jsontext.dumps(template.render(body, known)), "application/json"
    elif style == "text":
        request.body, kind = str(_whole("body", body, known)).encode(charset), f"text/plain; charset={charset}"
    elif style == "xml":
        roots = list(_object("body", body, known).items())
        if len(roots) != 1 or not isinstance(roots[0][1], dict):
            raise Unfilled("XML 正文应只有一个根元素", "an XML body has exactly one root element")
        request.body = xmltext.dumps(roots[0][0], roots[0][1], declaration=True)
        kind = "text/xml; charset=utf-8"
    else:
        pairs = {key: template.text(value) for key, value in _object("body", body, known).items()}
        written = urlencode(pairs, encoding=charset, quote_via=quote)
        if style == "query":
            # Written here, because the charset may not be UTF-8.
            request.url += ("&" if "?" in request.url else "?") + written
        else:
            request.body, kind = written.encode(), f"application/x-www-form-urlencoded; charset={charset}"
    if kind and "content-type" not in {name.lower() for name in request.headers}:
        request.headers["content-type"] = kind


def _listed(value: Any) -> list[str]:
    return [one.strip() for one in str(value or "").split(",") if one.strip()]


def judge(got: answer.Answer, config: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer means: ``ok``, or a ``class`` that the declaration's table reads, with code, words and id."""
    code = _text(got, config.get("code_path"))
    found: dict[str, Any] = {
        "code": code or (str(got.status) if got.status >= 300 else None),
        "message": _text(got, config.get("message_path")) or (got.text[:300] if not got.parsed else None),
        "id": _text(got, config.get("id_path")),
        "answer": got.text[:2000],
    }
    if 200 <= got.status < 300:
        said = _succeeded(got, config)
        kind = "ok" if said else "unclear" if said is None else _kind(code, config, text="" if got.parsed else got.text)
    else:
        kind = _by_status(got.status) if code is None else _kind(code, config, _by_status(got.status))
    return {"ok": kind == "ok", "class": kind, **{key: value for key, value in found.items() if value is not None}}


def _succeeded(got: answer.Answer, config: Mapping[str, Any]) -> bool | None:
    """Whether the admin's test holds; None when the answer is nothing the test can be put to."""
    style = config.get("success_style", "path")
    if style == "status":
        return True
    if style == "text":
        if got.text.lstrip()[:1] == "<" and not got.parsed:
            return None  # a web page
        return any(got.text.strip().startswith(one) for one in _listed(config.get("success_values")))
    if not got.parsed:
        return None
    value = paths.get(got.data, str(config.get("success_path", "body.code")), paths.ABSENT)
    if value is paths.ABSENT:
        return None
    return any(predicate.same(value, one) for one in _listed(config.get("success_values")))


def _kind(code: str | None, config: Mapping[str, Any], otherwise: str = "rejected", text: str = "") -> str:
    """The class of an error code; in a plain ``text`` answer the code is looked for between its words."""
    words = _WORD.findall(text)
    for kind in ("throttled", "credential", "unavailable"):
        known = _listed(config.get(f"{kind}_codes"))
        if code in known or any(one in words for one in known):
            return kind
    return otherwise


def _by_status(status: int) -> str:
    if status == 429:
        return "throttled"
    if status in (401, 403):
        return "credential"
    if status in (301, 302, 303, 307, 308, 404, 405, 415):
        return "misdeclared"
    return "unclear" if status >= 500 or status == 408 else "rejected"


def _text(got: answer.Answer, path: Any) -> str | None:
    if not path or not got.parsed:
        return None
    value = paths.get(got.data, str(path))
    return None if value is None or value == "" else template.text(value)


def refused(error: Unfilled) -> errors.Misdeclared:
    """A template that cannot be filled, as the error the rest of the hub knows."""
    return errors.Misdeclared(str(error), hint={"zh": error.zh, "en": error.en})
