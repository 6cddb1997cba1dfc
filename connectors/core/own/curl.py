"""A curl command as a browser or a vendor's page gives it becomes a draft with one operation.

Nothing is run. What looks like a credential leaves the command: the draft names a field for it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shlex
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.core.own import draft, source

LONGEST = 64 * 1024
_DATA = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode", "--json")
_VALUES = {"-X", "--request", "-H", "--header", "-u", "--user", "--url", "-A", "--user-agent", "-b", "--cookie", "-e",
           "--referer", "-o", "--output", "-m", "--max-time", "--connect-timeout", "-F", "--form", "-x", "--proxy",
           "--cacert", "--cert", "--key", "-w", "--write-out", "--retry", "-T", "--upload-file", "-K", "--config",
           "--oauth2-bearer", *_DATA}  # fmt: skip
_NOISE = re.compile(r"^(accept|accept-.*|user-agent|content-length|host|connection|origin|referer|cookie|sec-.*|dnt|"
                    r"priority|cache-control|pragma|content-type)$", re.IGNORECASE)  # fmt: skip
_CREDENTIAL = re.compile(r"(api[-_]?key|token|secret|auth|password|session|app[-_]?key|access[-_]?key)", re.IGNORECASE)


_ANSI_C = re.compile(r"(^|\s)\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
"""What browsers write where there is something to escape."""
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


class _Command:
    """The parts of one command."""

    def __init__(self) -> None:
        self.url = ""
        self.method: str | None = None
        self.headers: list[tuple[str, str]] = []
        self.data: list[str] = []
        self.user: str | None = None
        self.as_query = False
        self.as_json = False


def drafted(text: str, identifier: str | None = None) -> draft.Draft:
    """The draft of one command. Raises source.Broken."""
    given = _read(text)
    try:
        parts = urlsplit(given.url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise _wrong("命令里的地址无效", "the address of the command is not valid") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong("命令里没有 http(s) 地址", "there is no http(s) address in the command")
    key = draft.named(identifier, "", parts.hostname.removeprefix("www.").removeprefix("api."))
    made = draft.Draft(draft.top(key, key, f"{parts.scheme}://{parts.hostname}{port}"))
    auth: list[dict[str, Any]] = []
    headers = _headers(given, made, auth)
    query = _query(parts.query, given, made, auth)
    method = given.method or ("POST" if given.data and not given.as_query else "GET")
    segments = [one for one in parts.path.split("/") if one]
    name = draft.slug("_".join(segments[-2:]) or "root", "call")
    path, ids = _path(parts.path or "/")
    one: dict[str, Any] = {"kind": "get" if method == "GET" else "write", "method": method, "path": path}
    said = draft.entity(segments)
    if said is not None:
        one["entity"] = said
    if query:
        one["query"] = query
    if headers:
        one["headers"] = headers
    if given.data and not given.as_query:
        one |= _body(given, made)
    if ids:
        zh, en = (
            "路径里像编号的部分已改为 ${input.id}，请核对",
            "What looked like an id in the path became ${input.id}; check it",
        )
        made.remarks.append((zh, en))
    if auth:
        made.spec["auth"] = auth
    made.spec["operations"] = {name: one}
    made.offers = [draft.Offer(name, method, parts.path or "/", name, True)]
    zh, en = "请核对 kind、entity、result、id 和 success", "Check kind, entity, result, id and success"
    made.remarks.append((zh, en))
    return made


def _wrong(zh: str, en: str) -> source.Broken:
    return source.Broken([source.Wrong((), zh, en)])


def _read(text: str) -> _Command:
    if len(text) > LONGEST:
        raise _wrong("命令太长", "the command is too long")
    joined = re.sub(r"[\\^`]\r?\n", " ", text.strip())
    if '^"' in joined:  # as browsers write it for Windows' cmd
        joined = re.sub(r"\^(.)", r"\1", joined, flags=re.DOTALL)
    joined = _ANSI_C.sub(lambda found: found[1] + shlex.quote(_ESCAPE.sub(_unescaped, found[2])), joined)
    try:
        words = shlex.split(joined)
    except ValueError as error:
        raise _wrong("命令里的引号不成对", f"the quotes of the command do not match ({error})") from None
    if not words or words[0].rsplit("/", 1)[-1] not in ("curl", "curl.exe"):
        raise _wrong("命令应以 curl 开头", "the command must begin with curl")
    found = _Command()
    waiting = words[1:]
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-") or word == "-":
            found.url = found.url or word
            continue
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("--") and len(word) > 2 and word[:2] in _VALUES:
            option, equals, value = word[:2], "=", word[2:]
        if option in _VALUES and not equals:
            if not waiting:
                raise _wrong(f"{option} 后面缺少内容", f"{option} has no value")
            value = waiting.pop(0)
        _take(found, option, value)
    return found


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _LETTERS.get(found[3], found[3])


def _take(found: _Command, option: str, value: str) -> None:
    match option:
        case "-X" | "--request":
            found.method = value.upper()
        case "-H" | "--header":
            name, _, content = value.partition(":")
            found.headers.append((name.strip(), content.strip()))
        case "-u" | "--user":
            found.user = value
        case "--oauth2-bearer":
            found.headers.append(("Authorization", f"Bearer {value}"))
        case "--url":
            found.url = value
        case "-G" | "--get":
            found.as_query = True
        case "-F" | "--form" | "-T" | "--upload-file" | "-K" | "--config":
            raise _wrong(f"不支持 {option}（上传文件或另外的配置）", f"{option} is not taken (files, other settings)")
        case _ if option in _DATA:
            if value.startswith("@"):
                raise _wrong(
                    "正文来自文件，请把内容直接写进命令", "the body comes from a file; write it into the command"
                )
            found.as_json = found.as_json or option == "--json"
            found.data.append(value)


def _headers(given: _Command, made: draft.Draft, auth: list[dict[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if given.user is not None:
        _basic(given.user, made, auth)
    for name, value in given.headers:
        kind, _, rest = value.partition(" ")
        if name.lower() == "authorization" and kind.lower() == "bearer":
            auth.append({"style": "bearer"})
            made.secrets["api_key"] = rest.strip()
        elif name.lower() == "authorization" and kind.lower() == "basic":
            _basic(_decoded(rest), made, auth)
        elif name.lower() == "authorization" or (_CREDENTIAL.search(name) and not _NOISE.match(name)):
            _key("header", name, value, made, auth)
        elif not _NOISE.match(name):
            out[name] = value.replace("${", "$ {")
    return out


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _basic(text: str, made: draft.Draft, auth: list[dict[str, Any]]) -> None:
    _, _, password = text.partition(":")
    auth.append({"style": "basic"})
    made.secrets["password"] = password


def _key(place: str, name: str, value: str, made: draft.Draft, auth: list[dict[str, Any]]) -> None:
    key = draft.slug(name, "api_key")
    auth.append({"style": "api_key", "place": place, "name": name, "secret": key})
    made.secrets[key] = value


def _query(text: str, given: _Command, made: draft.Draft, auth: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = parse_qsl(text, keep_blank_values=True)
    if given.as_query:
        pairs += [pair for one in given.data for pair in parse_qsl(one, keep_blank_values=True)]
    out: dict[str, Any] = {}
    for name, value in pairs:
        if _CREDENTIAL.search(name):
            _key("query", name, value, made, auth)
        else:
            out[name] = f"${{input.{draft.slug(name)}}}"
    return out


def _path(path: str) -> tuple[str, bool]:
    """The path with its last number-like part as an input."""
    path = path.replace("${", "%24%7B")  # what somebody pasted names no field of ours
    segments = path.split("/")
    for place in range(len(segments) - 1, -1, -1):
        if re.fullmatch(r"\d+|[0-9a-fA-F-]{32,36}", segments[place]):
            segments[place] = "${input.id}"
            return "/".join(segments), True
    return path, False


def _body(given: _Command, made: draft.Draft) -> dict[str, Any]:
    text = "&".join(given.data)
    kind = next((value for name, value in given.headers if name.lower() == "content-type"), "")
    if given.as_json or "json" in kind or text.lstrip().startswith(("{", "[")):
        try:
            body = json.loads(text)
        except ValueError as error:
            raise _wrong(f"正文不是 JSON：{error}", f"the body is not JSON: {error}") from None
        if isinstance(body, dict) and body.get("jsonrpc") == "2.0":
            made.spec["protocol"] = "json_rpc"  # whose errors come with HTTP 200
            return {"json": {**body, "id": "${uuid}", "params": "${input}"}, "result": "result"}
        return {"json": "${input}"}
    if kind and "urlencoded" not in kind:
        raise _wrong(f"不支持这种正文：{kind[:60]}", f"a body of this kind is not taken: {kind[:60]}")
    names = [name for name, _ in parse_qsl(text, keep_blank_values=True)]
    for name, value in parse_qsl(text, keep_blank_values=True):
        if _CREDENTIAL.search(name):
            made.secrets[draft.slug(name)] = value
    return {
        "form": {
            name: f"${{secret.{draft.slug(name)}}}" if _CREDENTIAL.search(name) else f"${{input.{draft.slug(name)}}}"
            for name in names
        }
    }
