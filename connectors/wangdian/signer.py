"""The two proofs of Wangdiantong: over query and JSON body, or over a form with lengths.

The flagship (``qjb``) signs the body; enterprise and web (``qyb``, ``y``) sign a form with the length of every name
and value. An operation is written for one family. Only the connection test is for both: beside the flagship's method
it names the other family's ``file``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from connectors.core import errors, jsontext, model, scope

EPOCH = 1325347200
"""The flagship edition counts seconds from 2012-01-01 00:00 +08:00."""
FILE = "file"
"""Query parameter that never leaves: the file that the other editions have instead of the method."""

_STRANGE = re.compile("[\x00-\x08\x0b-\x1f\x7f\U00010000-\U0010ffff]")
_WIDE = re.compile(r"[^\x00-\x7f]")


def form_signature(params: Mapping[str, str], appsecret: str) -> str:
    """The signature of the form family: lengths count characters, not bytes; ``sign`` itself does not count."""
    pairs = [
        f"{len(name):02d}-{name}:{len(params[name]):04d}-{params[name]}" for name in sorted(params) if name != "sign"
    ]
    return hashlib.md5((";".join(pairs) + appsecret).encode(), usedforsecurity=False).hexdigest()


def body_signature(query: Mapping[str, str], body: str, appsecret: str) -> str:
    """The signature of the flagship edition; ``appsecret`` is ``secret:salt``, of which only the secret signs."""
    secret = appsecret.partition(":")[0]
    signed = {**{name: value for name, value in query.items() if name != "sign"}, "body": body}
    text = "".join(f"{name}{signed[name]}" for name in sorted(signed))
    return hashlib.md5(f"{secret}{text}{secret}".encode(), usedforsecurity=False).hexdigest()


def stamp(unix: float) -> int:
    """The flagship's timestamp for a Unix time."""
    return int(unix) - EPOCH


def plain(text: str) -> str:
    """``text`` without what the vendor refuses a whole order for: emoji and control characters."""
    return _STRANGE.sub("", text)


def plain_json(text: str) -> str:
    """JSON text with every text in it made ``plain``. Raises jsontext.JsonError."""
    return jsontext.dumps(_plain(jsontext.loads(text))).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value


def ascii_json(text: str) -> str:
    """As ``plain_json``, with everything beyond ASCII escaped: no two readers count its characters differently."""
    return _WIDE.sub(lambda found: f"\\u{ord(found[0]):04x}", plain_json(text))


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Put identity, time and proof on ``request``. Raises Misdeclared for an operation of another edition."""
    config = scope.settings(connection)
    flagship = config.get("edition") == "qjb"
    file = request.query.pop(FILE, None)
    if file is not None and not flagship:
        _turn(request, file)
    if (request.form is None) is not flagship:
        raise _other_edition(str(config.get("edition")))
    appsecret = connection.secrets.get("appsecret", "")
    if flagship:
        _sign_body(request, str(config.get("sid", "")), str(config.get("appkey", "")), appsecret, now)
    else:
        _sign_form(request, str(config.get("sid", "")), str(config.get("appkey", "")), appsecret, now)


def _turn(request: model.Request, file: str) -> None:
    """A request that both families know, from the flagship's shape to a form."""
    request.url = f"{request.url.rstrip('/')}/{file}"
    request.form = {name: request.query[name] for name in ("page_no", "page_size") if name in request.query}
    request.query, request.headers, request.body = {}, {}, b""


def _sign_body(request: model.Request, sid: str, appkey: str, appsecret: str, now: float) -> None:
    secret, colon, salt = appsecret.partition(":")
    if not (secret and colon and salt):
        raise errors.Misdeclared(
            "appsecret must be secret:salt",
            hint={
                "zh": "旗舰版的 appsecret 由冒号分成两段（secret:salt），请把整串填进去",
                "en": "The appsecret of the flagship edition has two parts joined by a colon; enter both",
            },
        )
    if request.query.get("page_no", "0") != "0" and "calc_total" in request.query:
        # Counting is dear over there, and only the first page's count is ever read.
        request.query["calc_total"] = "0"
    body = plain_json(request.body.decode())
    request.body = body.encode()
    request.query |= {"sid": sid, "key": appkey, "salt": salt, "timestamp": str(stamp(now)), "v": "1.0"}
    request.query["sign"] = body_signature(request.query, body, appsecret)


def _sign_form(request: model.Request, sid: str, appkey: str, appsecret: str, now: float) -> None:
    if not appsecret:
        raise errors.Misdeclared("no appsecret", hint={"zh": "缺少 appsecret", "en": "The appsecret is missing"})
    form = {name: _value(value) for name, value in (request.form or {}).items()}
    form |= {"sid": sid, "appkey": appkey, "timestamp": str(int(now))}
    form["sign"] = form_signature(form, appsecret)
    request.form = form


def _value(text: str) -> str:
    if text[:1] in ("[", "{"):
        try:
            return ascii_json(text)
        except jsontext.JsonError:
            return plain(text)
    return plain(text)


def _other_edition(edition: str) -> errors.Misdeclared:
    return errors.Misdeclared(
        f"this operation belongs to another edition than '{edition}'",
        hint={
            "zh": "这个接口操作属于旺店通的另一个版本：qjb.* 只用于旗舰版，qyb.* 用于企业版和网页版",
            "en": "This operation belongs to another edition: qjb.* is for the flagship, qyb.* for enterprise and web",
        },
    )
