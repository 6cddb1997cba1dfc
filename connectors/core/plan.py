"""One operation made ready: every template, path and table compiled once, kept with its declaration."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from connectors.core import (
    answer,
    declaration,
    errors,
    failure,
    jsontext,
    model,
    paths,
    predicate,
    scope,
    template,
    xmltext,
)

LATER = 60.0
"""Seconds until those are asked again who could not be reached for now."""
BASIC = "Basic "
"""How the header of HTTP basic authentication begins."""
_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")


@dataclass(slots=True)
class Auth:
    """One compiled auth block; ``key`` is appended to the key of its token."""

    spec: declaration.Auth
    key: str
    query: Callable[[Mapping[str, Any]], dict[str, str]]
    headers: Callable[[Mapping[str, Any]], dict[str, str]]
    cookies: Callable[[Mapping[str, Any]], dict[str, str]]


class RequestPlan:
    """A compiled RequestSpec."""

    def __init__(self, spec: declaration.RequestSpec, where: str) -> None:
        self._where = where
        self._method, self._timeout = spec.method, spec.timeout
        self._base = _required(spec.base, where)
        self._path = _required(_encoding(spec.path), where, whole=True)
        self._query, self._headers = flat(spec.query), flat(spec.headers)
        self._json, self._has_json = renderer(spec.json_body), spec.json_body is not None
        self._form = flat(spec.form) if spec.form is not None else None
        self._text = _required(spec.text, where) if spec.text is not None else None
        self._basic = basic(spec.basic)
        self._xml = renderer(spec.xml_body) if spec.xml_body is not None else None
        parts = (spec.base, spec.path, spec.query, spec.headers, spec.json_body, spec.form, spec.text, spec.xml_body)
        self.names = frozenset().union(*(template.names(part) for part in parts))

    def request(self, values: Mapping[str, Any]) -> model.Request:
        """The request for these values. Raises errors.Misdeclared naming what is missing."""
        base = self._base(values)
        path = self._path(values)
        url = base.rstrip("/") + path if path.startswith("/") else base + path
        made = model.Request(self._method, url, self._query(values), self._headers(values), timeout=self._timeout)
        made.headers.update(self._basic(values))
        if self._has_json:
            body = self._json(values)
            if body is not template.ABSENT:
                made.body = jsontext.dumps(body)
                made.headers.setdefault("content-type", "application/json")
        elif self._form is not None:
            made.form = self._form(values)
        elif self._text is not None:
            made.body = self._text(values).encode()
            made.headers.setdefault("content-type", "text/plain; charset=utf-8")
        elif self._xml is not None:
            made.body = _document(self._xml(values), self._where)
            made.headers.setdefault("content-type", "text/xml; charset=utf-8")
        return made


class Plan(RequestPlan):
    """A compiled Operation."""

    def __init__(self, spec: declaration.Declaration, name: str) -> None:
        operation = spec.operations[name]
        super().__init__(operation, f"operations.{name}")
        self.declaration, self.name, self.operation = spec, name, operation
        self.safe = operation.kind in ("list", "get") or (operation.kind == "call" and operation.method == "GET")
        self.reader = failure.Reader(spec, operation)
        self.auths = auths(spec, name) if operation.auth else []
        self.sign_options = renderer(spec.signing.options)
        self.signs = operation.sign and spec.signing.scheme != "none"
        self._result = _first(operation.result)
        self._items = paths.getter(operation.items) if operation.items else None
        self._id = paths.getter(operation.id) if operation.id else None
        self._id_input = paths.getter(operation.id_input) if operation.id_input else None
        self._found = predicate.compiled(operation.found) if operation.found else None
        self._partial = [(part, reader(part.path)) for part in operation.partial]
        self._asked = [reader(path) for path in operation.asked]
        self._rest = reader(operation.rest) if operation.rest else None
        used = self.names.union(*(template.names(auth.spec.model_dump()) for auth in self.auths))
        used |= template.names(spec.signing.options)
        self.wants_uuid = "uuid" in used

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The input over the declared defaults."""
        return {**self.operation.defaults, **given}

    def outcome(self, got: answer.Answer, given: Mapping[str, Any]) -> tuple[Any, str | None, tuple[str, ...]]:
        """Useful data, the record's id, warnings. Data is None for a record that is not there."""
        if self._found is not None and not self._found(got.data):
            return None, None, ()
        data = self._result(got.body)
        if data is paths.ABSENT:
            data = None
        refused = [
            (part, found) for part, read in self._partial if (found := read(got.body)) and found is not paths.ABSENT
        ]
        warnings = tuple(f"{part.label.zh} ({part.label.en}): {template.text(found)[:500]}" for part, found in refused)
        self._somebody(refused, given)
        if self._items is not None:
            return self.rows(data), None, warnings
        record = self.sent_id(given) if self._id_input else _named(self._id(data) if self._id else None)
        return data, record, warnings

    def _somebody(self, refused: Sequence[tuple[declaration.Partial, Any]], given: Mapping[str, Any]) -> None:
        """Raises errors.Rejected or Throttled when everybody who was asked for is refused: such a success is none."""
        asked = {name for read in self._asked for name in template.names_in(read(given))}
        missed = {name: part for part, found in refused for name in template.names_in(found)}
        if not asked or asked - missed.keys():
            return
        said = "; ".join(f"{part.label.en}: {template.text(found)[:200]}" for part, found in refused)
        if any(missed[name].later for name in asked):
            raise errors.Throttled(f"nobody was reached: {said}", retry_after=LATER)
        zh = "没有送到任何人：" + "；".join(part.label.zh for part, _ in refused)
        raise errors.Rejected(f"nobody was reached: {said}", hint={"zh": zh, "en": f"Nobody was reached: {said}"})

    def rest(self, got: answer.Answer) -> Any:
        """What is given back when the part that is still owed is sent; None when nothing is."""
        found = self._rest(got.body) if self._rest else None
        return None if found is paths.ABSENT else found

    def sent_id(self, given: Mapping[str, Any]) -> str | None:
        """The record's id where it is part of what we send (``id_input``)."""
        return _named(self._id_input(given)) if self._id_input else None

    def rows(self, data: Any) -> list[Any]:
        """The rows of a list answer; one bare object counts as one row, nothing as none."""
        assert self._items is not None
        found = self._items(data)
        if found is paths.ABSENT or found is None or found == "":
            return []
        return found if isinstance(found, list) else [found]

    def record_id(self, row: Any) -> str | None:
        """The id of one row of a list."""
        return _named(self._id(row)) if self._id else None


def _document(content: Any, where: str) -> bytes:
    """The XML text of an ``xml`` body. Raises errors.Misdeclared for one that is no document."""
    roots = list(content.items()) if isinstance(content, dict) else []
    if len(roots) != 1 or not isinstance(roots[0][1], dict):
        raise errors.Misdeclared(
            f"{where}: xml needs one root element with members",
            hint={"zh": "XML 正文要有且只有一个根元素", "en": "An XML body has exactly one root element"},
        )
    try:
        return xmltext.dumps(roots[0][0], roots[0][1], declaration=True)
    except xmltext.XmlError as error:
        raise errors.Misdeclared(
            f"{where}: {error}", hint={"zh": f"无法写成 XML：{error}", "en": f"Cannot be written as XML: {error}"}
        ) from None


def _named(value: Any) -> str | None:
    return None if value is paths.ABSENT or value is None or value == "" else template.text(value)


def renderer(node: Any) -> template.Render:
    """A closure also for what holds no placeholder."""
    write = template.compiled(node)
    return write if write is not None else (lambda values: node)


def reader(path: str | None) -> Callable[[Any], Any]:
    """Reads the parsed body; a leading ``body.`` is allowed."""
    if path is None:
        return lambda body: body
    read = paths.getter(path)
    if not path.startswith("body."):
        return read
    short = paths.getter(path[5:])
    return lambda body: value if (value := read(body)) is not paths.ABSENT else short(body)


def _first(places: str | list[str] | None) -> Callable[[Any], Any]:
    """Reads the first of several places that is there."""
    if not isinstance(places, list):
        return reader(places)
    reads = [reader(place) for place in places]
    return lambda body: next((found for read in reads if (found := read(body)) is not paths.ABSENT), paths.ABSENT)


def flat(fields: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """Renders parameters to text; absent and null ones are left out."""
    fixed = {key: template.text(value) for key, value in fields.items() if template.compiled(value) is None}
    moving = [(key, write) for key, value in fields.items() if (write := template.compiled(value)) is not None]
    if not moving:
        return lambda values: dict(fixed)
    order = list(fields)

    def render(values: Mapping[str, Any]) -> dict[str, str]:
        written = dict(fixed)
        for key, write in moving:
            value = write(values)
            if value is not template.ABSENT and value is not None:
                written[key] = value if isinstance(value, str) else template.text(value)
        return {key: written[key] for key in order if key in written}

    return render


def _required(text: str, where: str, *, whole: bool = False) -> Callable[[Mapping[str, Any]], str]:
    """Text that must be there; ``whole``: and every value in it (``/orders/`` is not ``/orders/${input.id}``)."""
    write = template.compiled(text)
    if write is None:
        return lambda values: text
    names = ", ".join(sorted(template.names(text)))
    pieces = [renderer(f"${{{inner}}}") for inner in _PLACEHOLDER.findall(text)] if whole else []

    def render(values: Mapping[str, Any]) -> str:
        value = write(values)
        if value is template.ABSENT or value is None or value == "" or any(piece(values) == "" for piece in pieces):
            raise errors.Misdeclared(
                f"{where}: '{text}' needs {names}",
                hint={"zh": f"缺少必要的值：{names}", "en": f"A value is missing: {names}"},
            )
        return value if isinstance(value, str) else template.text(value)

    return render


def _encoding(path: str) -> str:
    """Values inside a path are percent-encoded, or an id with a slash would name another resource.

    What the admin configured is part of the address itself and stays as it is.
    """
    if _PLACEHOLDER.fullmatch(path):
        return path
    return _PLACEHOLDER.sub(
        lambda found: (
            found[0]
            if found[1].startswith("config.") or "url" in [part.strip() for part in found[1].split("|")[1:]]
            else f"${{{found[1]}|url}}"
        ),
        path,
    )


def auths(spec: declaration.Declaration, operation: str) -> list[Auth]:
    """What an operation carries, in order; token stores keep the first token under the connection's key."""
    found = []
    for index, auth in enumerate(spec.auth):
        if auth.style != "none" and _covers(auth.operations, operation):
            found.append(Auth(auth, _login(index), flat(auth.query), _headers(auth), flat(auth.cookies)))
    return found


def logins(connection: model.Connection) -> list[str]:
    """What is appended to the key of a connection for each login that it has, as it is set now."""
    config = scope.settings(connection)
    blocks = enumerate(connection.declaration.auth)
    return [_login(index) for index, auth in blocks if auth.token is not None and scope.applies(auth.when, config)]


def _login(index: int) -> str:
    return f"#{index}" if index else ""


def _headers(auth: declaration.Auth) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    plain = flat(auth.headers)
    if auth.basic is None:
        return plain
    proof = basic(auth.basic)
    return lambda values: {**plain(values), **proof(values)}


def basic(spec: declaration.Basic | None) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """The header of HTTP basic authentication; nothing where none is declared."""
    if spec is None:
        return lambda values: {}
    parts = flat({"user": spec.user, "password": spec.password})

    def header(values: Mapping[str, Any]) -> dict[str, str]:
        given = parts(values)
        text = f"{given.get('user', '')}:{given.get('password', '')}"
        return {"Authorization": BASIC + base64.b64encode(text.encode()).decode()}

    return header


def _covers(patterns: list[str], operation: str) -> bool:
    return not patterns or any(fnmatchcase(operation, pattern) for pattern in patterns)


_kept: dict[int, tuple[declaration.Declaration, dict[str, Plan]]] = {}


def of(spec: declaration.Declaration, name: str) -> Plan:
    """The plan of one operation, made on first use. Raises errors.Misdeclared for an unknown name."""
    kept = _kept.get(id(spec))
    if kept is None or kept[0] is not spec:
        if len(_kept) > 1024:
            _kept.clear()
        kept = _kept[id(spec)] = (spec, {})
    plan = kept[1].get(name)
    if plan is None:
        if name not in spec.operations:
            raise errors.Misdeclared(
                f"{spec.id} has no operation '{name}'",
                hint={"zh": f"连接器没有接口操作 {name}", "en": f"The connector has no operation {name}"},
            )
        plan = kept[1][name] = Plan(spec, name)
    return plan


def applicable(made: Plan, connection: model.Connection) -> list[Auth]:
    """What an operation carries on this connection: those whose ``when`` holds."""
    kept: list[Auth] | None = connection.memo.get(("auths", made.name))
    if kept is None:
        config = connection.config
        kept = [auth for auth in made.auths if not auth.spec.when or scope.applies(auth.spec.when, config)]
        connection.memo[("auths", made.name)] = kept
    return kept
