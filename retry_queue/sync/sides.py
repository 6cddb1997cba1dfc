"""One side of a comparison: how its records are listed, read one by one, and brought to canonical.

Everything comes from the connector's own declaration: the list operation of the entity (that of a poll where
there is one, because its messages say what a row means), and for a single record the detail call of a hint, or
the one ``get`` operation that asks for nothing but an id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.core import client, declaration, decode, jsontext, model, paths, plan, scope, template
from mappings import errors as mapping_errors
from retry_queue.sync import meaning, schedule
from retry_queue.sync import site as sites

DAY = 86400.0
NARROW = 5.0
"""Seconds around a record's time within which it is looked for in the list again."""
READS = 16
"""Detail calls under way at once, at most."""


class Unreadable(Exception):
    """This side cannot be compared at all; words say why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.words = {"zh": zh, "en": en}


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was read. ``canonical`` None: it could not be mapped. ``at``: its own time, Unix seconds."""

    record: str
    canonical: dict[str, Any] | None
    at: float | None


@dataclass(frozen=True, slots=True)
class Message:
    """The kind of message that one record of this side is."""

    name: str
    spec: declaration.MessageSpec
    source: str


@dataclass(frozen=True, slots=True)
class Side:
    """A side that can be read."""

    opened: model.Connection
    connector: str
    entity: str
    lists: str
    inputs: tuple[Mapping[str, Any], ...]
    """What the list is asked with, each in turn."""
    meaning: meaning.Meaning
    message: Message | None
    """None: no poll lists these, a row is the record as the mapping reads it."""
    gets: tuple[str, str] | None
    """(operation, the path of the id in its input) for reading one record."""
    windowed: bool
    step: float
    """Seconds that one reading of the list spans."""

    async def pages(self, calls: client.Client, window: tuple[float, float] | None) -> AsyncIterator[list[Seen]]:
        """The records that changed within ``window``, page by page. Raises errors.ConnectorError."""
        span = (datetime.fromtimestamp(window[0], UTC), datetime.fromtimestamp(window[1], UTC)) if window else None
        slots = asyncio.Semaphore(min(READS, self.opened.declaration.pacing.concurrency))
        for given in self.inputs:
            async for rows in calls.pages(self.opened, self.lists, given, window=span):
                found = await asyncio.gather(*(self._row(calls, row, slots) for row in rows))
                yield [one for one in found if one is not None]

    async def _row(self, calls: client.Client, row: Any, slots: asyncio.Semaphore) -> Seen | None:
        """One row as a record; None when it is of another entity or gone."""
        if self.message is None:
            return self._mapped(row, plan.of(self.opened.declaration, self.lists).record_id(row), None)
        event = decode.event(self.opened.declaration, self.message.source, row, self.opened)
        if event.entity != self.entity:
            return None
        at = _time(event)
        spec = decode.named(self.opened.declaration, self.opened.declaration.messages[event.message], self.opened)
        if spec.hydrate is None:
            return self._told(event, spec)
        async with slots:
            found = await self._hydrated(calls, spec.hydrate, jsontext.loads(event.payload))
        return None if found is None else self._mapped(found, event.record, at)

    def _told(self, event: model.SourceEvent, spec: declaration.MessageSpec) -> Seen | None:
        """What a message that carries its record says."""
        return self._mapped(decode.native(event.payload, spec), event.record, _time(event))

    async def _hydrated(self, calls: client.Client, spec: declaration.Hydrate, payload: Any) -> Any:
        wanted = template.render(spec.input, {"payload": payload, "config": self.opened.config})
        return (await calls.call(self.opened, spec.operation, wanted)).data

    def _mapped(self, native: Any, record: str | None, at: float | None) -> Seen | None:
        try:
            context = {"config": self.opened.config, "event": {"record": record, "message": ""}}
            canonical = self.meaning.mapping.from_native(native, context)
        except mapping_errors.MappingError:
            return None if record is None else Seen(record, None, at)
        changed = canonical.get("updated_at")
        when = changed.timestamp() if isinstance(changed, datetime) else at
        return Seen(str(canonical["id"]), canonical, when)

    async def one(self, calls: client.Client, record: str) -> Seen | None:
        """One record read again by its id; None when it is gone. Only where ``gets`` is known."""
        if self.gets is None:
            raise Unreadable("没有按编号读取的接口", "there is no operation that reads one record")
        operation, path = self.gets
        found = await calls.call(self.opened, operation, _at(path, record))
        return None if found.data in (None, {}, []) else self._mapped(found.data, record, None)

    async def row(self, calls: client.Client, record: str, at: float | None) -> Any:
        """What a message about this record would carry: the hint, the record, or its row of the list; None if gone."""
        hint = self.message.spec if self.message else None
        if hint is not None and hint.hydrate is not None:
            return _at(hint.record or "", record) if self._hinted(hint) else await self._listed(calls, record, at)
        if self.gets is not None:
            operation, path = self.gets
            return (await calls.call(self.opened, operation, _at(path, record))).data
        return await self._listed(calls, record, at)

    def _hinted(self, spec: declaration.MessageSpec) -> bool:
        return spec.hydrate is not None and _by_id(spec) is not None

    async def _listed(self, calls: client.Client, record: str, at: float | None) -> Any:
        if self.windowed and at is None:
            return None
        span = None
        if self.windowed and at is not None:
            span = (datetime.fromtimestamp(at - NARROW, UTC), datetime.fromtimestamp(at + NARROW, UTC))
        for given in self.inputs:
            async for rows in calls.pages(self.opened, self.lists, given, window=span):
                for row in rows:
                    if self._named(row) == record:
                        return row
        return None

    def _named(self, row: Any) -> str | None:
        """The record that a row is of. Its own id may be half of the name: a level is of a SKU in a warehouse."""
        listed = plan.of(self.opened.declaration, self.lists).record_id(row)
        if self.message is None:
            seen = self._mapped(row, listed, None)
        else:
            event = decode.event(self.opened.declaration, self.message.source, row, self.opened)
            known = self.opened.declaration.messages.get(event.message)
            spec = decode.named(self.opened.declaration, known, self.opened) if known is not None else None
            if spec is None or event.entity != self.entity:
                return None
            seen = self._told(event, spec) if spec.hydrate is None else Seen(listed or "", None, None)
        return seen.record if seen is not None else None

    def event(self, native: Any) -> model.SourceEvent:
        """The record as a message of this side, as a poll would have made it. Raises Unreadable."""
        if self.message is None:
            raise _no_message(self.opened.key, self.entity)
        spec = self.message.spec
        if spec.hydrate is not None:
            payload = jsontext.dumps(native)
            record = paths.get(native, spec.record) if spec.record else None
            name = None if record is None else template.text(record)
            return model.SourceEvent(self.message.name, self.entity, name, "", payload)
        found = decode.event(self.opened.declaration, self.message.source, native, self.opened)
        if found.entity != self.entity:
            raise _no_message(self.opened.key, self.entity)
        return found


def _time(event: model.SourceEvent) -> float | None:
    return event.occurred_at.timestamp() if event.occurred_at else None


def _no_message(key: str, entity: str) -> Unreadable:
    return Unreadable(
        f"连接 {key} 没有可以承载 {entity} 的消息，无法自动修复",
        f"connection {key} has no message that carries a {entity}; it cannot be repaired by itself",
    )


def _at(path: str, value: Any) -> dict[str, Any]:
    """``value`` at a dotted path of nested objects."""
    made: Any = value
    for name in reversed(path.split(".")):
        made = {name: made}
    return dict(made)


def find(site: sites.Site, given: schedule.Side, entity: str) -> Side:
    """How a connection's records of an entity are read. Raises Unreadable."""
    key, lists, gets = given.connection, given.list, given.get
    live = site.live.get(key)
    if live is None or not live.used:
        raise Unreadable(f"没有连接 {key}，或它已停用", f"no connection '{key}', or it is not in use")
    if live.opened is None or not live.delivers:
        raise Unreadable(f"连接 {key} 当前不可用", f"the connection '{key}' cannot be used now")
    spec = live.opened.declaration
    name = lists or list_operation(spec, entity, live.opened, given.input)
    if name is None or name not in spec.operations:
        said = f" {lists}" if lists else ""
        raise Unreadable(
            f"连接器 {spec.id} 没有列出 {entity} 的接口操作{said}",
            f"{spec.id} has no operation{said} that lists {entity}",
        )
    message = _message(spec, entity, name, live.opened)
    named = message.spec.mapping if message and message.spec.mapping else spec.operations[name].mapping or entity
    made = site.meaning(live.connector, named)
    if made is None or not made.mapping.reads or made.mapping.spec.entity != entity:
        raise Unreadable(
            f"没有能读取 {entity} 的字段映射 {live.connector}/{named}",
            f"no mapping {live.connector}/{named} that reads {entity}",
        )
    asked = given.input or (spec.events[message.source].input if message else {},)
    try:
        inputs = tuple(template.render(one, scope.of(live.opened)) or {} for one in asked)
    except template.TemplateError as error:
        raise Unreadable(f"列表接口 {name} 的参数无法填写：{error}", f"the input of {name}: {error}") from None
    step = next((one.window - one.overlap for one in spec.events.values() if one.operation == name), DAY)
    return Side(
        live.opened, live.connector, entity, name, inputs, made, message, _getter(spec, entity, message, gets),
        windowed(spec, name),
        max(step, 60.0),
    )  # fmt: skip


def windowed(spec: declaration.Declaration, operation: str) -> bool:
    """Whether a list operation can be asked for what changed within a window."""
    return any(one.startswith("window.") for one in plan.of(spec, operation).names)


def wanted(spec: declaration.Declaration, operation: str) -> list[str]:
    """The members of its input that an operation reads."""
    return sorted({path.split(".")[1] for path in plan.of(spec, operation).names if path.startswith("input.")})


def list_operation(
    spec: declaration.Declaration,
    entity: str,
    opened: model.Connection | None = None,
    inputs: Sequence[Mapping[str, Any]] = (),
) -> str | None:
    """The operation that lists an entity: a poll's, else one that needs no other input than is given; or None."""
    told = {path for given in inputs for path in given}
    config = scope.settings(opened) if opened is not None else {}
    # Of several editions the one that the connection has: whatever else keeps a poll closed is no reason not to ask.
    nearest = sorted(spec.events.items(), key=lambda one: _shut(one[1], config))
    polled = [
        one.operation
        for key, one in nearest
        if one.door == "poll" and one.operation and any(m.entity == entity for _, m in _messages(spec, key, opened))
    ]
    plain = [
        name
        for name, one in spec.operations.items()
        if one.kind == "list" and one.entity == entity
        and set(wanted(spec, name)) <= told
    ]  # fmt: skip
    return next(iter([*polled, *plain]), None)


def _shut(source: declaration.EventSource, config: Mapping[str, Any]) -> int:
    """How many settings keep a source closed."""
    return sum(not scope.applies({name: wanted}, config) for name, wanted in source.when.items())


def _messages(
    spec: declaration.Declaration, source: str, opened: model.Connection | None
) -> list[tuple[str, declaration.MessageSpec]]:
    names = spec.events[source].messages or list(spec.messages)
    return [(name, decode.named(spec, spec.messages[name], opened)) for name in names]


def _message(spec: declaration.Declaration, entity: str, lists: str, opened: model.Connection | None) -> Message | None:
    """The first message of this entity that a poll by this operation makes."""
    for key, source in spec.events.items():
        if source.door == "poll" and source.operation == lists:
            for name, one in _messages(spec, key, opened):
                if one.entity == entity:
                    return Message(name, one, key)
    return None


def _by_id(spec: declaration.MessageSpec) -> str | None:
    """The input member of a detail call that takes nothing but the record's id, if it is such a call."""
    if spec.hydrate is None or spec.record is None:
        return None
    needed = template.names(spec.hydrate.input)
    if {one for one in needed if one.startswith("payload.")} != {f"payload.{spec.record}"}:
        return None
    wanted = f"${{payload.{spec.record}}}"
    return next((name for name, value in spec.hydrate.input.items() if value == wanted), None)


def _getter(
    spec: declaration.Declaration, entity: str, message: Message | None, named: str | None
) -> tuple[str, str] | None:
    if named is None and message is not None and message.spec.hydrate is not None:
        member = _by_id(message.spec)
        return (message.spec.hydrate.operation, member) if member else None
    for name, one in spec.operations.items():
        if name == named or (named is None and one.kind == "get" and one.entity == entity and not one.mapping):
            inputs = {path for path in plan.of(spec, name).names if path.startswith("input.")}
            if len(inputs) == 1:
                return name, inputs.pop().removeprefix("input.")
    return None
