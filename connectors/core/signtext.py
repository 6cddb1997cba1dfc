"""A signature over a text that a declaration spells out: scheme ``template``, outgoing and incoming.

Options (placeholders over ``config`` and ``secret`` are filled before they come here):

``text``       what is signed. In it ``{params}`` (names and values in byte order of the names), ``{body}``,
               ``{method}``, ``{path}``, ``{query}`` (as it is sent), ``{timestamp}``, ``{nonce}``, ``{secret}``, and
               ``{value.<name>}`` of one parameter, header or body member
``secret``     for ``hmac_…``; a plain digest must have ``{secret}`` in its text, or anybody could make it
``algorithm``  md5 | sha1 | sha256 | sha512 | hmac_md5 | hmac_sha1 | hmac_sha256 | hmac_sha512
``encoding``   hex | base64; ``case`` lower | upper, of hex; ``prefix`` before it
``params``     all (query and form) | body (members of a JSON body as well); ``except``: names that are not signed;
               ``equals`` (=), ``between`` (&), ``skip_empty`` (true)
``to``, ``timestamp_to``, ``nonce_to``   where each goes: ``query.<name>``, ``form.<name>``, ``header.<name>`` or
               ``body.<name>`` (a member of a JSON body); ``timestamp_unit`` s | ms
``window``     incoming only: seconds that a timestamp may be away (300); ``secrets`` for rotation
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from connectors.core import errors, jsontext, model, template

PLAIN = frozenset({"md5", "sha1", "sha256", "sha512"})
PLACES = ("query", "form", "header", "body")
_NAMED = re.compile(r"\{(params|body|method|path|query|timestamp|nonce|secret|value\.[^{}]+)\}")


class Unfit(ValueError):
    """The options cannot make a signature; the text says why."""


@dataclass(slots=True)
class Parts:
    """What a call consists of, as far as it can be signed. Header names in lower case."""

    method: str
    path: str
    sent: str
    """The query as it stands in the address."""
    query: Mapping[str, str]
    form: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    members: Mapping[str, Any] = field(default_factory=dict)
    """Of a body that is a JSON object."""

    def value(self, place: str) -> str | None:
        """What stands at ``query.<name>`` and the like."""
        kind, _, name = place.partition(".")
        if kind == "header":
            return self.headers.get(name.lower())
        if kind == "body":
            return _member(self.members.get(name))
        return (self.query if kind == "query" else self.form).get(name)

    def named(self, name: str) -> str:
        """A parameter, header or member of this name; empty when there is none."""
        for kind in PLACES:
            found = self.value(f"{kind}.{name}")
            if found is not None:
                return found
        return ""


def signature(options: Mapping[str, Any], secret: str, parts: Parts) -> str:
    """The signature of a call. Raises Unfit."""
    text, algorithm = str(options.get("text") or ""), str(options.get("algorithm", "hmac_sha256"))
    known = _NAMED.findall(text)
    if not known:
        raise Unfit("text names nothing of the call, such as {params} or {body}")
    if algorithm in PLAIN and "secret" not in known:
        raise Unfit(f"{algorithm} is no secret by itself: put {{secret}} into the text, or take hmac_{algorithm}")
    # What is signed may be bytes that are no text. Every other piece is a name.
    pieces = _NAMED.split(text)
    told = [_told(one, options, secret, parts) if at % 2 else _bytes(one) for at, one in enumerate(pieces)]
    made = _digest(algorithm, secret, b"".join(told))
    if options.get("encoding", "hex") == "base64":
        found = base64.b64encode(made).decode()
    else:
        found = made.hex().upper() if options.get("case", "lower") == "upper" else made.hex()
    return f"{options.get('prefix', '')}{found}"


def _told(name: str, options: Mapping[str, Any], secret: str, parts: Parts) -> bytes:
    match name:
        case "params":
            return _bytes(_params(options, parts))
        case "body":
            return parts.body
        case "timestamp" | "nonce":
            return _at(options, f"{name}_to", parts)
    plain = {"method": parts.method, "path": parts.path, "query": parts.sent, "secret": secret}
    return _bytes(plain[name] if name in plain else parts.named(name.partition(".")[2]))


def covers(options: Mapping[str, Any], parts: Parts) -> bool:
    """Whether what is signed says all that the body says."""
    known = _NAMED.findall(str(options.get("text") or ""))
    whole = bool(parts.form) or (options.get("params") == "body" and bool(parts.members))
    return "body" in known or ("params" in known and whole and not options.get("except"))


def sign(request: model.Request, options: Mapping[str, Any], secret: str, now: float) -> None:
    """Signs a request in place. Raises Unfit."""
    if options.get("timestamp_to"):
        unit = 1000 if options.get("timestamp_unit", "s") == "ms" else 1
        _put(request, str(options["timestamp_to"]), str(int(now * unit)))
    if options.get("nonce_to"):
        _put(request, str(options["nonce_to"]), uuid.uuid4().hex)
    _put(request, str(options.get("to") or "header.x-signature"), signature(options, secret, sent(request)))


def sent(request: model.Request) -> Parts:
    """The parts of a request of ours."""
    split = urlsplit(request.url)
    query = dict(parse_qsl(split.query, keep_blank_values=True)) | request.query
    text = "&".join(filter(None, (split.query, urlencode(request.query, quote_via=quote, safe=""))))
    body = request.body if request.form is None else urlencode(request.form).encode()
    headers = {name.lower(): value for name, value in request.headers.items()}
    members = _members(request.body) if request.form is None else {}
    return Parts(request.method, split.path or "/", text, query, request.form or {}, headers, body, members)


def received(hook: model.RawHook) -> Parts:
    """The parts of a call of theirs. Its path is not told: where it came to is the connection's own affair."""
    kind = hook.headers.get("content-type", "").partition(";")[0].strip().lower()
    form: dict[str, str] = {}
    if kind == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(hook.body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=2000))
    text = urlencode(hook.query, quote_via=quote, safe="")
    return Parts(hook.method, "", text, hook.query, form, hook.headers, hook.body, {} if form else _members(hook.body))


def _params(options: Mapping[str, Any], parts: Parts) -> str:
    given: dict[str, str] = {**parts.query, **parts.form}
    if options.get("params") == "body":
        given |= {name: text for name, one in parts.members.items() if (text := _member(one)) is not None}
    left_out = {*_listed(options.get("except")), str(options.get("to", "")).partition(".")[2]}
    if not options.get("skip_empty", True):
        kept = [name for name in given if name not in left_out]
    else:
        kept = [name for name in given if name not in left_out and given[name] != ""]
    equals, between = str(options.get("equals", "=")), str(options.get("between", "&"))
    return between.join(f"{name}{equals}{given[name]}" for name in sorted(kept, key=_bytes))


def _at(options: Mapping[str, Any], key: str, parts: Parts) -> bytes:
    place = options.get(key)
    if not place:
        raise Unfit(f"the text names {{{key.removesuffix('_to')}}}, but {key} does not say where it is")
    return _bytes(parts.value(str(place)) or "")


def _digest(algorithm: str, secret: str, text: bytes) -> bytes:
    if algorithm in PLAIN:
        return hashlib.new(algorithm, text, usedforsecurity=False).digest()
    name = algorithm.removeprefix("hmac_")
    if name not in PLAIN:
        raise Unfit(f"no algorithm '{algorithm}'")
    return hmac.digest(secret.encode(), text, name)


def _put(request: model.Request, place: str, value: str) -> None:
    kind, _, name = place.partition(".")
    if kind not in PLACES or not name:
        raise Unfit(f"'{place}' is no place: query.<name>, form.<name>, header.<name> or body.<name>")
    if kind == "query":
        request.query[name] = value
    elif kind == "header":
        request.headers[name] = value
    elif kind == "form" and request.form is not None:
        request.form[name] = value
    elif kind == "body" and (members := _members(request.body)):
        request.body = jsontext.dumps({**members, name: value})
    else:
        raise Unfit(f"'{place}': this call has no {kind}")


def _members(body: bytes) -> dict[str, Any]:
    if body[:1] != b"{":
        return {}
    try:
        found = jsontext.loads(body)
    except jsontext.JsonError:
        return {}
    return found if isinstance(found, dict) else {}


def _member(value: Any) -> str | None:
    """A member as it is signed: text as it is, all else as compact JSON; what is null is not there."""
    if value is None or isinstance(value, str):
        return value
    return jsontext.dumps(value).decode() if isinstance(value, dict | list) else template.text(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # half a character in JSON is no reason to fail


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []


def refused(error: Unfit) -> errors.Misdeclared:
    """The error for people."""
    return errors.Misdeclared(f"signing: {error}", hint={"zh": f"签名声明有误：{error}", "en": f"Signing: {error}"})
