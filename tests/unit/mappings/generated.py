"""Records made up for a mapping, from its own rules: whatever a shipped file says, this can fill it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from mappings import codecs, engine, errors, expression, kinds, paths, spec
from mappings.kinds import Shape

_TEXT = st.text("abcXYZ019一二三张李-_", min_size=1, max_size=8)
_JSON = st.dictionaries(
    st.text("abk", min_size=1, max_size=3), st.integers(-9, 9) | _TEXT | st.booleans(), min_size=1, max_size=3
)


@dataclass(frozen=True)
class Field:
    """An invertible rule: how to read it on both sides, and how to compare what is read."""

    rule: spec.Rule
    kind: kinds.Kind
    codec: codecs.Codec

    def canonical(self, record: Any) -> Any:
        return paths.getter(paths.parse(self.rule.canonical or "."))(record)

    def native(self, record: Any) -> Any:
        return paths.getter(paths.parse(self.rule.native or "."))(record)

    def decoded(self, record: Any) -> Any:
        """The native value by what it means, so that 1, "1" and "1.00" are the same amount."""
        value = self.native(record)
        if value is None or (
            not isinstance(value, dict | list) and codecs.flat(value) in map(codecs.flat, self.rule.absent)
        ):
            return None
        return plain(self.codec.decode(value))


def plain(value: Any) -> Any:
    """Canonical values in a form that compares by meaning."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def owner(mapping: engine.Mapping) -> kinds.Kind:
    return kinds.root(mapping.spec.entity)


def kind_of(rule: spec.Rule, above: kinds.Kind) -> kinds.Kind:
    return kinds.at(above, paths.parse(rule.canonical)) if rule.canonical else above


def _overlap(one: str, other: str) -> bool:
    a, b = paths.parse(one), paths.parse(other)
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def invertible(given: list[spec.Rule], mapping: engine.Mapping, above: kinds.Kind) -> Iterator[Field]:
    """The field rules that work both ways and are alone on both of their sides."""
    fields = [rule for rule in given if rule.each is None and rule.inside is None]
    for rule in fields:
        if rule.way is not spec.Way.BOTH or rule.native is None or rule.canonical is None:
            continue
        others = [other for other in fields if other is not rule]
        rivals = [o for o in others if o.reads and o.canonical and _overlap(o.canonical, rule.canonical)]
        writers = [o for o in others if o.writes and o.native and _overlap(o.native, rule.native)]
        if (rivals and rule.when_absent) or any(not other.when_absent for other in rivals) or writers:
            continue
        kind = kind_of(rule, above)
        yield Field(rule, kind, codecs.build(rule, kind, mapping.spec.tables))


def nested(given: list[spec.Rule], above: kinds.Kind) -> Iterator[tuple[spec.Rule, list[spec.Rule], kinds.Kind]]:
    """Lists and objects that work both ways: the rule, its inner rules and their owner."""
    for rule in given:
        if rule.way is not spec.Way.BOTH or rule.fixed:
            continue
        kind = kind_of(rule, above)
        if rule.each is not None:
            yield rule, rule.each, kind.item or kinds.ANYTHING
        elif rule.inside is not None:
            yield rule, rule.inside, kind


@st.composite
def values(draw: st.DrawFn, rule: spec.Rule, kind: kinds.Kind, tables: dict[str, spec.Table]) -> Any:
    """A canonical value that the rule's codec can write."""
    codec = rule.codec
    if codec == "enum":
        table = tables[rule.table or ""]
        forward = {codecs.flat(key): codecs.flat(value) for key, value in table.to_canonical.items()}
        back, _ = codecs.inverse(table)
        both = [value for value, native in back.items() if forward.get(codecs.flat(native)) == value]
        return draw(st.sampled_from(sorted(both or back or [codecs.flat(table.default_from)])))
    if codec == "address":
        return draw(_address(rule))
    if codec in ("money", "number") or kind.shape is Shape.DECIMAL:
        whole = rule.native_type == "integer" and not (codec == "money" and rule.unit == "fen")
        places = 0 if whole else min(2, 2 if rule.places is None else rule.places)
        least = 1 if (rule.canonical or "").endswith("quantity") else 0  # unit prices are divided out of it
        return Decimal(draw(st.integers(least, 10**9))).scaleb(-places)
    if codec == "datetime" or kind.shape is Shape.MOMENT:
        minutes = draw(st.integers(1, 18_000_000))
        return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    if codec == "boolean" or kind.shape is Shape.BOOLEAN:
        return draw(st.booleans())
    if kind.shape is Shape.ENUM:
        return draw(st.sampled_from(sorted(kind.values)))
    if codec in ("split", "join") or kind.shape is Shape.LIST:
        separator = rule.by or ","
        pieces = draw(st.lists(_TEXT.filter(lambda text: separator not in text), min_size=1, max_size=3))
        return separator.join(pieces) if kind.shape is Shape.TEXT else pieces
    if kind.shape is Shape.ANY and (codec == "json" or rule.canonical in ("extra", "data")):
        return draw(_JSON)
    if rule.native_type in ("integer", "number"):
        return str(draw(st.integers(1, 2**63)))
    absent = {codecs.flat(value) for value in rule.absent}
    return draw(_TEXT.filter(lambda text: text not in absent and text == text.strip()))


@st.composite
def _address(draw: st.DrawFn, rule: spec.Rule) -> dict[str, str]:
    """Structured: any parts. Joined: leading parts and the last, which is what can be split again."""
    if rule.style == "joined":
        parts: list[Any] = list(rule.parts or ["province", "city", "district", "town", "street"])
        leading = parts[: draw(st.integers(0, len(parts) - 1))]
        chosen = [*leading, parts[-1]]
    else:
        names = list(rule.parts or ["province", "city", "street"])
        chosen = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    return {part: draw(st.text("浙江杭州西湖文三路1", min_size=1, max_size=5)) for part in chosen}


@st.composite
def records(draw: st.DrawFn, mapping: engine.Mapping, full: bool = False) -> dict[str, Any]:
    """A canonical record with what the mapping reads from it towards the native side; ``full``: with all of it."""
    made: dict[str, Any] = draw(_record(mapping, mapping.spec.rules, owner(mapping), full))
    return made


@st.composite
def _record(
    draw: st.DrawFn, mapping: engine.Mapping, given: list[spec.Rule], above: kinds.Kind, full: bool = False
) -> Any:
    out: dict[str, Any] = {}
    for rule in given:
        if not rule.writes or rule.fixed or (rule.canonical is None and rule.inside is None):
            continue
        kind = kind_of(rule, above)
        target = paths.parse(rule.canonical or ".")
        if rule.inside is not None:
            inner = draw(_record(mapping, rule.inside, kind, full))
            if not target:
                out |= inner
            elif inner:
                paths.setter(target)(out, {**(paths.getter(target)(out) or {}), **inner})
        elif rule.each is not None:
            inner_kind = kind.item or kinds.ANYTHING
            elements = st.lists(_record(mapping, rule.each, inner_kind, full), min_size=1, max_size=3)
            paths.setter(target)(out, [one for one in draw(elements) if one])
        elif not target:
            return draw(values(rule, kind, mapping.spec.tables))
        elif paths.getter(target)(out) is None and (full or _needed(rule, kind) or draw(st.integers(0, 5))):
            paths.setter(target)(out, draw(values(rule, kind, mapping.spec.tables)))
    for rule in given:
        if rule.writes and rule.expr is not None:
            draw(_mentioned(mapping, rule, above, out, full))
    return out


@st.composite
def _mentioned(
    draw: st.DrawFn, mapping: engine.Mapping, rule: spec.Rule, above: kinds.Kind, out: dict[str, Any], full: bool
) -> None:
    """Values for the plain fields that an expression names, so that a required one can be answered."""
    known = kinds.fields(above.model) if above.model else {}
    for name in sorted(expression.names(rule.expr or "") & known.keys() - out.keys()):
        shape = known[name].shape
        if shape in (Shape.PART, Shape.LIST, Shape.ANY) or not (full or rule.required or draw(st.booleans())):
            continue
        like = rule if rule.codec == "enum" else spec.Rule(native="x", canonical=name)
        out[name] = draw(values(like, known[name], mapping.spec.tables))


def _needed(rule: spec.Rule, kind: kinds.Kind) -> bool:
    return rule.required or kind.required or rule.default is not None


def context(given: list[spec.Rule], tables: dict[str, spec.Table]) -> dict[str, Any]:
    """A context that has something at every path the rules read."""
    out: dict[str, Any] = {}
    for rule in given:
        for value in _context_paths([rule.value, rule.default]):
            target = paths.parse(value)
            if paths.getter(target)(out) is None and not (rule.each is not None):
                paths.setter(target)(out, _context_value(rule, tables))
    return out


def _context_paths(found: list[Any]) -> Iterator[str]:
    for value in found:
        if isinstance(value, str) and value.startswith("@") and not value.startswith("@@"):
            yield value[1:]
        elif isinstance(value, dict):
            yield from _context_paths(list(value.values()))


def _context_value(rule: spec.Rule, tables: dict[str, spec.Table]) -> Any:
    if rule.codec == "datetime":
        return "2026-01-02T03:04:05+08:00"
    if rule.codec == "enum":
        return next(iter(codecs.inverse(tables[rule.table or ""])[0]), "7")
    if rule.codec == "address":
        return {"province": "浙江省", "city": "杭州市", "street": "文三路1号"}
    return ["7"] if rule.codec in ("split", "join") else "7"


def filled(record: Any, spare: Any) -> Any:
    """``record`` with what it lacks taken from ``spare``, members of list elements included."""
    if isinstance(record, dict) and isinstance(spare, dict):
        free = ("extra", "data")  # free-form members are compared as a whole
        return {**spare, **{k: v if k in free else filled(v, spare.get(k)) for k, v in record.items()}}
    if isinstance(record, list) and isinstance(spare, list) and spare:
        return [filled(element, spare[0]) if isinstance(element, dict) else element for element in record]
    return record


@st.composite
def completed(draw: st.DrawFn, mapping: engine.Mapping, native: dict[str, Any]) -> dict[str, Any]:
    """A native record with what only the vendor knows: fields that are read but never written."""
    draw(_complete(mapping, mapping.spec.rules, owner(mapping), native))
    return native


@st.composite
def _complete(draw: st.DrawFn, mapping: engine.Mapping, given: list[spec.Rule], above: kinds.Kind, native: Any) -> None:
    for rule in given:
        if not rule.reads or rule.native is None or rule.native == "." or rule.fixed:
            continue
        target = paths.parse(rule.native)
        try:
            found = paths.getter(target)(native)
        except errors.BadValue:
            continue
        if rule.each is not None and isinstance(found, list):
            for element in found:
                if isinstance(element, dict):
                    draw(_complete(mapping, rule.each, kind_of(rule, above).item or kinds.ANYTHING, element))
        elif rule.inside is not None and isinstance(found, dict):
            draw(_complete(mapping, rule.inside, kind_of(rule, above), found))
        elif found is None and rule.each is None and rule.inside is None and rule.way is spec.Way.FROM:
            kind = kind_of(rule, above)
            codec = codecs.build(rule, kind, mapping.spec.tables)
            try:
                value = codec.encode(draw(values(rule, kind, mapping.spec.tables)))
            except errors.BadValue:
                continue
            if all(isinstance(segment, str | int) and segment != -1 for segment in target):
                paths.setter(target)(native, value)
