"""An OpenAPI 3.0 or 3.1 document becomes a draft in the short form. Nothing is fetched; nothing is stored.

What a document does not say (which answer is a success, what a record is called here) is guessed where the names
speak for themselves, and said in the remarks.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from connectors.core.own import answers, draft, references, source
from connectors.core.own.draft import Draft, Offer

LONGEST = 2 * 1024 * 1024
DEEPEST = 64
MOST = 120
"""Operations that are taken when none are picked."""
METHODS = ("get", "post", "put", "patch", "delete")
_SPOKEN_FOR = ("authorization", "accept", "content-type")
_ROLES: dict[str, tuple[str, ...]] = {
    "${page.no}": ("page", "page_no", "page_num", "page_number", "page_index", "current", "p"),
    "${page.size}": ("size", "limit", "page_size", "per_page", "count", "max_results"),
    "${page.offset}": ("offset", "skip"),
    "${page.cursor}": ("cursor", "page_token", "next_token", "after", "starting_after", "next_cursor"),
    "${window.start|iso}": (
        "since", "updated_since", "updated_after", "modified_after", "modified_since", "updated_at_min", "start_time",
        "update_time_start", "modified_start", "start_modified", "updated_from",
    ),
    "${window.end|iso}": (
        "until", "updated_until", "updated_before", "modified_before", "updated_at_max", "end_time", "update_time_end",
        "modified_end", "end_modified", "updated_to",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Found:
    key: str
    method: str
    path: str
    spec: dict[str, Any]
    parameters: list[dict[str, Any]]


def drafted(text: str, identifier: str | None = None, wanted: list[str] | None = None) -> Draft:
    """The draft. ``wanted``: keys, operationIds or ``METHOD /path``; empty takes all. Raises source.Broken."""
    document = source.parsed(text, longest=LONGEST, deepest=DEEPEST)
    try:
        return _drafted(document, identifier, wanted or [])
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, source.Broken):
            raise
        # A list where an object belongs, a number for a name: said as a whole, for nobody could list every way.
        zh = "文档的结构不符合 OpenAPI 规范，请先用校验工具检查"
        raise _wrong(zh, "the document is not shaped as OpenAPI says; have it validated first") from None


def _drafted(document: dict[str, Any], identifier: str | None, wanted: list[str]) -> Draft:
    version = str(document.get("openapi") or "")
    if not version.startswith(("3.0", "3.1")):
        said = version or str(document.get("swagger") or "?")
        zh = f"需要 OpenAPI 3.0 或 3.1 文档（这里是 {said}）；Swagger 2 请先转换"
        raise _wrong(zh, f"an OpenAPI 3.0 or 3.1 document is needed (this says {said}); convert Swagger 2 first")
    refs = references.References(document)
    info = document.get("info") if isinstance(document.get("info"), dict) else {}
    server = _server(document)
    absolute = server.startswith(("http://", "https://"))
    base, prefix = (server, "") if absolute else ("", "/" + server.strip("/") if server.strip("/") else "")
    title = str((info or {}).get("title") or "")
    key = draft.named(identifier, title, urlsplit(base).hostname or "")
    made = Draft({**draft.top(key, title, base), "version": _version(info)})
    if not base:
        made.remarks.append(
            ("文档没有写服务器地址，请在连接里填写", "No server address is given; enter it on the connection")
        )
    found = list(_operations(document, refs))
    if not found:
        raise _wrong("文档里没有接口（paths）", "the document has no operations (paths)")
    taken = _picked(found, wanted)
    if not wanted and len(found) > MOST:
        made.remarks.append(
            (f"共 {len(found)} 个接口，只取了前 {MOST} 个", f"{len(found)} operations; the first {MOST} are taken")
        )
    keys = {one.key for one in taken}
    made.offers = [
        Offer(one.key, one.method.upper(), one.path, _summary(one), one.key in keys) for one in found
    ]  # fmt: skip
    auth = list(_auth(document, refs, taken, made, base))
    if auth:
        made.spec["auth"] = auth
    operations = {one.key: _operation(one, refs) for one in taken}
    for each in operations.values():
        each["path"] = prefix + each["path"]
    made.spec["operations"] = operations
    polls = {name.replace(".", "_"): poll for name, one in operations.items() if (poll := _poll(name, one))}
    for one in operations.values():
        one.pop("time", None)
    if polls:
        made.spec["polls"] = polls
    zh = "请核对每个接口的 kind（读取、写入、动作）、entity、result 和 id，以及 success（有的系统用 200 返回错误）"
    en = "Check kind, entity, result and id of each operation, and success (some systems answer errors with 200)"
    made.remarks.append((zh, en))
    return made


def _wrong(zh: str, en: str) -> source.Broken:
    return source.Broken([source.Wrong((), zh, en)])


def _version(info: Any) -> str:
    return str((info or {}).get("version") or "1.0.0")[:40]


def _server(document: dict[str, Any]) -> str:
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], dict) else {}
    variables = first.get("variables") if isinstance(first.get("variables"), dict) else {}

    def fill(match: re.Match[str]) -> str:
        one = (variables or {}).get(match[1])
        return str(one.get("default", "")) if isinstance(one, dict) else ""

    return re.sub(r"\{([^{}]+)\}", fill, str(first.get("url") or "")).rstrip("/")


def _operations(document: dict[str, Any], refs: references.References) -> Iterator[_Found]:
    paths = document.get("paths")
    used: set[str] = set()
    for path, told in (paths if isinstance(paths, dict) else {}).items():
        item = refs.of(told)
        shared = item.get("parameters") if isinstance(item.get("parameters"), list) else []
        for method in METHODS:
            spec = item.get(method)
            if not isinstance(spec, dict):
                continue
            own = spec.get("parameters") if isinstance(spec.get("parameters"), list) else []
            merged = {(one.get("in"), one.get("name")): one for one in map(refs.of, [*(shared or []), *(own or [])])}
            key = name = draft.slug(str(spec.get("operationId") or f"{method}_{path}"), method)
            number = 2
            while key in used:
                key, number = f"{name[:36]}_{number}", number + 1
            used.add(key)
            yield _Found(key, method, str(path), spec, list(merged.values()))


def _picked(found: list[_Found], wanted: list[str]) -> list[_Found]:
    if not wanted:
        return found[:MOST]
    names: dict[str, _Found] = {}
    for one in found:
        names |= dict.fromkeys((one.key, str(one.spec.get("operationId")), f"{one.method.upper()} {one.path}"), one)
    picked = []
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1, 0.5)
            hint = close[0] if close else ", ".join(one.key for one in found[:20])
            raise _wrong(
                f"文档里没有接口 {name[:80]}；是否想写 {hint}？", f"no operation '{name[:80]}'; did you mean {hint}?"
            )
        if names[name] not in picked:
            picked.append(names[name])
    return picked


def _summary(one: _Found) -> str:
    said = str(one.spec.get("summary") or one.spec.get("description") or "").strip().splitlines()
    return said[0][:120] if said else f"{one.method.upper()} {one.path}"[:120]


# --- one operation --------------------------------------------------------------------------------


def _operation(one: _Found, refs: references.References) -> dict[str, Any]:
    answer = answers.of(one.spec, refs)
    kind = {"get": "list" if answer.items else "get", "put": "write", "patch": "write", "post": "write"}.get(one.method)
    made: dict[str, Any] = {
        "label": {"zh": _summary(one), "en": _summary(one)}, "kind": kind or "call", "method": one.method.upper(),
        "path": _path(one.path),
    }  # fmt: skip
    said = draft.entity([*map(str, one.spec.get("tags") or []), *re.split(r"[/{}]", one.path)])
    if said is not None and kind is not None:
        made["entity"] = said
    shapes = {
        str(each.get("name")): refs.of(each.get("schema")) for each in one.parameters if each.get("in") == "query"
    }
    query = {name: _role(name, made["kind"], shapes.get(name) or {}) for name in _names(one, "query")}
    if query:
        made["query"] = query
    headers = {name: _input(name) for name in _names(one, "header") if name.lower() not in _SPOKEN_FOR}
    if headers:
        made["headers"] = headers
    made |= _body(one, refs)
    if kind == "list":
        roles = {role: shapes.get(name) or {} for name, role in query.items()}
        names = {role: name for name, role in query.items()}
        made |= {"items": answer.items, "paging": answers.paging(answer, roles, names)}
        made["time"] = answer.time
    if answer.result:
        made["result"] = answer.result
    if answer.id:
        made["id"] = answer.id
    return made


def _path(path: str) -> str:
    return re.sub(r"\{([^{}]+)\}", lambda found: _input(found[1]), path)


def _input(name: str) -> str:
    """The placeholder of a parameter: a name that holds a dot or the like is quoted, an unwritable one spelt anew."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return f"${{input.{name}}}"
    if re.search(r'["|{}\\]', name):
        return f"${{input.{draft.slug(name)}}}"
    return f'${{input["{name}"]}}'


def _names(one: _Found, place: str) -> list[str]:
    return [str(each["name"]) for each in one.parameters if each.get("in") == place and each.get("name")]


def _role(name: str, kind: str, shape: dict[str, Any]) -> str:
    if kind == "list":
        plain = draft.slug(name)
        for role, known in _ROLES.items():
            if plain in known:
                return role.replace("|iso", _seconds(shape)) if shape.get("type") in ("integer", "number") else role
    return _input(name)


def _seconds(shape: dict[str, Any]) -> str:
    """The filter of a time that is a number: in milliseconds where the document says so or shows one."""
    said = f"{shape.get('description', '')} {shape.get('format', '')} {shape.get('title', '')}".lower()
    shown = next((one for one in (shape.get("example"), shape.get("default")) if type(one) is int), 0)
    return "|ms" if shown > 10**11 or "milli" in said or "毫秒" in said else "|s"


def _body(one: _Found, refs: references.References) -> dict[str, Any]:
    content = refs.of(one.spec.get("requestBody")).get("content")
    if not isinstance(content, dict) or not content:
        return {} if one.method in ("get", "delete") else {"json": {}}
    if any("json" in kind for kind in content):
        return {"json": "${input}"}
    for kind, media in content.items():
        if kind == "application/x-www-form-urlencoded":
            known = answers.members(refs.of(refs.of(media).get("schema")), refs)
            return {"form": {name: _input(name) for name in known} or {"...": "${input}"}}
    return {"json": "${input}"}


def _poll(name: str, one: dict[str, Any]) -> dict[str, Any] | None:
    """A list that takes the time of the last change can be polled."""
    windowed = any(str(value).startswith("${window.start|") for value in one.get("query", {}).values())
    if one["kind"] != "list" or not windowed or not one.get("id"):
        return None
    if "entity" not in one or any("${input." in str(one.get(part)) for part in ("path",)):
        return None
    made = {"operation": name, "entity": one["entity"], "record": one["id"], "label": one["label"]}
    return {**made, "time": one["time"]} if one.get("time") else made


# --- who calls ------------------------------------------------------------------------------------


def _auth(
    document: dict[str, Any], refs: references.References, taken: list[_Found], made: Draft, base: str
) -> Iterator[dict[str, Any]]:
    components = document.get("components") if isinstance(document.get("components"), dict) else {}
    schemes = (components or {}).get("securitySchemes")
    needed: Any = document.get("security") or next(
        (one.spec["security"] for one in taken if one.spec.get("security")), []
    )
    first = next((one for one in needed if isinstance(one, dict) and one), None)
    names = list(first) if first else list(schemes or {})[:1]
    keys = 0
    for name in names:
        scheme = refs.of((schemes or {}).get(name))
        found = _credential(scheme, "" if not keys else f"_{keys + 1}", base)
        if found is None:
            zh, en = (
                f"鉴权方式 {name} 无法自动填写，请手工声明",
                f"The credentials '{name}' are not of a stock kind; declare them",
            )
            made.remarks.append((zh, en))
            continue
        keys += 1
        yield found


def _credential(scheme: dict[str, Any], suffix: str, base: str) -> dict[str, Any] | None:
    kind, place = scheme.get("type"), scheme.get("in")
    if kind == "apiKey" and place in ("header", "query"):
        return {"style": "api_key", "place": place, "name": scheme.get("name"), "secret": f"api_key{suffix}"}
    if kind == "http" and str(scheme.get("scheme")).lower() in ("bearer", "basic"):
        return {"style": str(scheme["scheme"]).lower()}
    flows = scheme.get("flows") if kind == "oauth2" and isinstance(scheme.get("flows"), dict) else {}
    for flow, style in (("clientCredentials", "oauth2_client"), ("authorizationCode", "oauth2_code")):
        told = (flows or {}).get(flow)
        token = urljoin(base, str(told.get("tokenUrl", ""))) if isinstance(told, dict) else ""
        if isinstance(told, dict) and token.startswith("http") and told.get("tokenUrl"):
            scopes = " ".join(told.get("scopes") or {})
            found = {"style": style, "token_url": token}
            page = urljoin(base, str(told.get("authorizationUrl") or "")) if told.get("authorizationUrl") else ""
            if style == "oauth2_code" and page.startswith("http"):
                found["authorize_url"] = page
            return {**found, "scope": scopes} if scopes else found
    return None
