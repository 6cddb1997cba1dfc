"""From the plain bytes of a verified call to the facts in it.

One call may hold many events (``split``) and texts inside texts (``unpack``). Nothing is dropped here: what no message
matches is still an event, of kind ``unknown``. Only bytes that cannot be read at all raise Malformed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from connectors.core import declaration, jsontext, model, paths, predicate, scope, template, xmltext

UNKNOWN = "unknown"
_LONG = 160
_CALL = ("${hook.", "${window.")
"""How a ``dedupe`` entry begins that is a value of the call itself and no path into the payload."""
_ISO = declaration.TimeFormat().format


class Malformed(ValueError):
    """The body is not in the declared format. The text says what is wrong with it."""


def events(
    spec: declaration.Declaration,
    source_id: str,
    plaintext: bytes,
    connection: model.Connection | None = None,
    verified: model.VerifiedHook | None = None,
) -> list[model.SourceEvent]:
    """Every event in one call, in the order of the body. Raises Malformed.

    ``connection`` and ``verified`` serve messages whose entity or paths are named by the connection or the call.
    """
    source = spec.events[source_id]
    data = parse(source.format, plaintext)
    pieces: list[Any] = [data]
    if source.split is not None:
        found = paths.get(data, source.split)
        if isinstance(found, str):
            found = _parsed(found)
        if isinstance(found, list):
            pieces = found
    return [event(spec, source_id, piece, connection, verified) for piece in pieces]


def event(
    spec: declaration.Declaration,
    source_id: str,
    piece: Any,
    connection: model.Connection | None = None,
    verified: model.VerifiedHook | None = None,
    window: tuple[datetime, datetime] | None = None,
) -> model.SourceEvent:
    """One event from parsed data: a pushed element, or a row that a poll read (in this ``window``)."""
    names = spec.events[source_id].messages or list(spec.messages)
    try:
        for name in names:
            message = spec.messages[name]
            opened = _unpacked(piece, message.unpack)
            if message.match is None or predicate.holds(message.match, opened):
                return _event(spec, name, named(spec, message, connection, verified, window), opened)
    except jsontext.JsonError as error:  # a value that no JSON text can hold, such as an infinite number
        raise Malformed(str(error)) from None
    payload = _written(piece)
    return model.SourceEvent(UNKNOWN, None, None, _digest(UNKNOWN, payload), payload)


def _event(spec: declaration.Declaration, name: str, message: declaration.MessageSpec, data: Any) -> model.SourceEvent:
    payload = _written(data)
    record = paths.get(data, message.record) if message.record else None
    return model.SourceEvent(
        message=name,
        entity=message.entity,
        record=None if record is None or record == "" else template.text(record),
        dedupe=_dedupe(name, message.dedupe, data, payload),
        payload=payload,
        occurred_at=when(paths.get(data, message.time), spec.time) if message.time else None,
        fast=message.fast,
    )


def named(
    spec: declaration.Declaration,
    message: declaration.MessageSpec,
    connection: model.Connection | None = None,
    verified: model.VerifiedHook | None = None,
    window: tuple[datetime, datetime] | None = None,
) -> declaration.MessageSpec:
    """``message`` with the entity and paths that the connection (or its declared defaults) names filled in.

    A ``dedupe`` entry over the call itself, or over the window of a poll, becomes the text ``=value``.
    """
    if connection is not None and not any(path.startswith(_CALL) for path in message.dedupe):
        kept = connection.memo.get(("named", id(message)))
        if kept is None:
            kept = (_named(spec, message, connection), message)
            connection.memo[("named", id(message))] = kept
        found: declaration.MessageSpec = kept[0]
        return found
    return _named(spec, message, connection, verified, window)


def _named(
    spec: declaration.Declaration,
    message: declaration.MessageSpec,
    connection: model.Connection | None,
    verified: model.VerifiedHook | None = None,
    window: tuple[datetime, datetime] | None = None,
) -> declaration.MessageSpec:
    open_members = {
        key: getattr(message, key) for key in ("entity", "record", "time", "body") if _open(getattr(message, key))
    }
    if not open_members and not any(_open(path) for path in message.dedupe):
        return message
    defaults = {field.key: field.default for field in spec.fields if field.default is not None}
    roots: dict[str, Any] = {"config": scope.settings(connection) if connection else defaults}
    if verified is not None:
        roots["hook"] = {key: verified.context.get(key, {}) for key in ("query", "headers")}
    if window is not None:
        roots["window"] = {"start": window[0], "end": window[1]}
    filled: dict[str, Any] = {key: template.render(value, roots) for key, value in open_members.items()}
    filled["dedupe"] = [path for path in (_filled(path, roots) for path in message.dedupe) if path]
    return message.model_copy(update=filled)


def _open(value: str | None) -> bool:
    return value is not None and "${" in value


def _filled(path: str, roots: dict[str, Any]) -> str | None:
    if not _open(path):
        return path
    value = template.render(path, roots)
    if value is None:
        return None
    return f"={value}" if path.startswith(_CALL) else str(value)


def native(payload: bytes, message_spec: declaration.MessageSpec) -> Any:
    """The object that the mapping reads: the stored payload, or the record inside it (``body``; see ``named``)."""
    data = _unpacked(jsontext.loads(payload), message_spec.unpack)
    if message_spec.body is None:
        return data
    found = paths.get(data, message_spec.body)
    return _parsed(found) if isinstance(found, str) else found


def parse(form: str, body: bytes) -> Any:
    """The parsed body: ``json`` (object or list), ``xml``, ``form``, or ``any`` of them. Raises Malformed."""
    try:
        if form == "json":
            return _tree(jsontext.loads(_utf8(body)))
        if form == "xml":
            return xmltext.loads(body)
        if form == "form":
            return _form(body)
        return _any(_utf8(body))
    except (jsontext.JsonError, xmltext.XmlError) as error:
        raise Malformed(str(error)) from None
    except UnicodeError:
        raise Malformed("the body is neither UTF-8 nor GBK text") from None


def _utf8(body: bytes) -> bytes:
    """The same text as UTF-8: some Chinese systems send GBK, whatever they claim. Raises UnicodeDecodeError."""
    return body if body.isascii() else xmltext.chinese(body).encode()


def _tree(value: Any) -> Any:
    if not isinstance(value, dict | list):
        raise Malformed("the body is JSON, but neither an object nor a list")
    return value


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(xmltext.chinese(body), keep_blank_values=True, max_num_fields=2000, errors="strict")
    except UnicodeDecodeError:  # percent signs may hide GBK, too
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=2000, encoding="gb18030")
    if not pairs:
        raise Malformed("the body is not a form")
    return dict(reversed(pairs))


def _any(body: bytes) -> Any:
    text = body.strip()
    if not text:
        raise Malformed("the body is empty")
    if text[:1] in b"{[":
        return jsontext.loads(text)
    if text[:1] == b"<":
        return xmltext.loads(text)
    decoded = text.decode()
    return _form(text) if "=" in decoded.split("&", 1)[0] and "\n" not in decoded else {"text": decoded}


def _parsed(text: str) -> Any:
    try:
        return jsontext.loads(text)
    except jsontext.JsonError:
        return text


def _unpacked(data: Any, members: Iterable[str]) -> Any:
    """``data`` with JSON texts at ``members`` parsed in place; the original is not changed."""
    for path in members:
        text = paths.get(data, path)
        if isinstance(text, str):
            parsed = _parsed(text)
            if not isinstance(parsed, str):
                data = _replaced(data, paths.split(path), parsed)
    return data


def _replaced(data: Any, steps: tuple[paths.Step, ...], value: Any) -> Any:
    if not steps:
        return value
    fresh = dict(data) if isinstance(data, dict) else list(data)
    fresh[steps[0]] = _replaced(fresh[steps[0]], steps[1:], value)  # type: ignore[index]
    return fresh


def _written(data: Any) -> bytes:
    try:
        return jsontext.dumps(data)
    except jsontext.JsonError as error:
        raise Malformed(str(error)) from None


def _digest(name: str, payload: bytes) -> str:
    return f"{name}:{hashlib.sha256(payload).hexdigest()}"


def _dedupe(name: str, members: list[str], data: Any, payload: bytes) -> str:
    found = [path[1:] if path.startswith("=") else paths.get(data, path) for path in members]
    if all(value is None or value == "" for value in found):
        return _digest(name, payload)
    key = "|".join("" if value is None else template.text(value) for value in found)
    if len(key) > _LONG or not key.isprintable():
        return _digest(name, key.encode())
    return f"{name}:{key}"


def when(value: Any, form: declaration.TimeFormat) -> datetime | None:
    """A vendor's time as an aware datetime: Unix seconds or milliseconds, the declared format, or ISO; else None."""
    try:
        if isinstance(value, str) and value.strip().isdigit() and len(value.strip()) in (10, 13):
            value = int(value)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            seconds = float(value) / 1000 if value > 100_000_000_000 else float(value)
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str) and value:
            return _written_time(value.strip(), form)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _written_time(text: str, form: declaration.TimeFormat) -> datetime:
    try:
        iso = form.format == _ISO  # the quick reader reads it too
        found = datetime.fromisoformat(text) if iso else datetime.strptime(text, form.format)  # noqa: DTZ007 - below
    except ValueError:
        found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(form.zone))
