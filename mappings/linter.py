"""Reads a mapping file like a careful colleague: what is wrong, what is doubtful, what is one-way and why.

``error``  the file must not be used · ``warning``  look at it · ``info``  a rule that works in one
direction only, or loses something, with the reason. Findings carry file, line and rule number, in zh and en.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mappings import document, engine, errors, expression, frames, inversion, kinds, paths, places, spec
from mappings.kinds import Shape
from mappings.yaml_text import Lines, Location

_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark about a file. ``line`` counts from 1, 0 where unknown; ``rule`` reads ``7.2``."""

    file: str
    line: int
    rule: str
    level: inversion.Level
    zh: str
    en: str

    def __str__(self) -> str:
        rule = f" rule {self.rule}" if self.rule else ""
        return f"{self.file}:{self.line}:{rule} {self.level}: {self.en} / {self.zh}"


def lint(text: str, file: str) -> list[Finding]:
    """All findings of a file's text, the gravest first, then by line."""
    try:
        given, lines = document.parse(text, file)
    except errors.SpecError as error:
        return [Finding(file, p.line, p.rule, "error", p.zh, p.en) for p in error.problems]
    return examine(given, file, lines)


def examine(given: spec.Spec, file: str, lines: Lines | None = None) -> list[Finding]:
    """All findings of a spec."""
    try:
        engine.compile(given, file, lines)
    except errors.SpecError as error:
        return [Finding(file, p.line, p.rule, "error", p.zh, p.en) for p in error.problems]
    found = _Examination(given, file, lines or {}).whole()
    return sorted(found, key=lambda finding: (_ORDER[finding.level], finding.line, finding.rule))


@dataclass(slots=True)
class _Target:
    """What the rules of one direction write, as a tree."""

    rule: spec.Rule | None = None
    number: str = ""
    complete: bool = False
    """Written as a whole, so its members are not our business."""
    scalar: bool = False
    members: dict[str, _Target] = field(default_factory=dict)


@dataclass(slots=True)
class _Examination:
    given: spec.Spec
    file: str
    lines: Lines
    found: list[Finding] = field(default_factory=list)

    def whole(self) -> list[Finding]:
        root = kinds.root(self.given.entity)
        reading, writing = _Target(), _Target()
        self._rules(self.given.rules, root, ("rules",), reading, writing)
        if any(rule.reads for rule in self.given.rules):
            self._complete(reading, root, "")
            self._currency(reading, root)
        self._tables()
        if not self.given.tests:
            self._say(
                ("apiVersion",), "warning", "文件没有 tests，请至少写一个", "the file has no tests; write at least one"
            )
        return self.found

    def _say(self, location: Location, level: inversion.Level, zh: str, en: str) -> None:
        line, rule = places.line_of(location, self.lines), places.rule_number(location)
        self.found.append(Finding(self.file, line, rule, level, zh, en))

    def _rules(
        self, given: list[spec.Rule], owner: kinds.Kind, base: Location, reading: _Target, writing: _Target
    ) -> None:
        for index, rule in enumerate(given):
            place = (*base, index)
            kind = kinds.at(owner, paths.parse(rule.canonical)) if rule.canonical else owner
            into = self._target(reading, rule, rule.canonical, kind, place) if rule.reads else _Target()
            onto = self._target(writing, rule, rule.native, kind, place) if rule.writes else _Target()
            for text in filter(None, (rule.expr, rule.when)):
                self._names(text, rule, owner, place)
            for root in _roots([rule.value, rule.default]):
                self._root(root, place)
            nested = rule.each if rule.each is not None else rule.inside
            if nested is not None:
                inner = (kind.item or kinds.ANYTHING) if rule.each is not None else kind
                if rule.each is not None and rule.canonical is None:
                    inner = kinds.ANYTHING
                if rule.only is not None:
                    self._names(rule.only, rule, inner, place)
                self._rules(nested, inner, (*place, "each" if rule.each is not None else "inside"), into, onto)
            self._values(rule, kind, place)

    # targets

    def _target(self, tree: _Target, rule: spec.Rule, path: str | None, kind: kinds.Kind, place: Location) -> _Target:
        """The node a rule writes; says so when another rule already writes the same or a part of it."""
        node = tree
        for step in [_step(segment) for segment in paths.parse(path)] if path else []:
            if node.scalar:
                self._clash(place, path or "", node.number)
            node = node.members.setdefault(step, _Target())
        nested = rule.each is not None or rule.inside is not None
        if path is None or (nested and rule.codec is None):
            return node
        before = node.rule
        if before is not None and not (rule.when_absent or rule.when or before.when):
            self._say(
                place, "error",
                f"与规则 {node.number} 重复写入 '{path}'；请删除一条，或加 when / when_absent",
                f"writes '{path}' again after rule {node.number}; remove one, or add when or when_absent",
            )  # fmt: skip
        node.rule, node.number = rule, places.rule_number(place)
        node.scalar = not nested and _scalar(rule, kind)
        if node.scalar and node.members:
            self._clash(place, path, "")
        node.complete = not nested and kind.shape in (Shape.PART, Shape.LIST, Shape.ANY)
        return node

    def _clash(self, place: Location, path: str, number: str) -> None:
        if number:
            zh = f"'{path}' 无法再写下级：规则 {number} 把它写成了单个值"
            en = f"'{path}' cannot be written below: rule {number} writes it as a single value"
        else:
            zh = f"'{path}' 会覆盖上面的规则写入的下级"
            en = f"'{path}' would overwrite what rules above write below it"
        self._say(place, "error", zh, en)

    def _complete(self, tree: _Target, kind: kinds.Kind, path: str) -> None:
        """Every required member of every part that is written must be written."""
        if kind.model is None or tree.complete:
            return
        known = kinds.fields(kind.model)
        missing = [name for name, member in known.items() if member.required and name not in tree.members]
        if missing:
            names = ", ".join(errors.joined(path, name) for name in missing)
            self._say(
                ("rules",),
                "error",
                f"标准模型的必填字段没有规则：{names}",
                f"required canonical fields without a rule: {names}",
            )
        for name, target in tree.members.items():
            member = known.get(name, kinds.ANYTHING)
            inner = errors.joined(path, name)
            if member.shape is Shape.LIST and member.item is not None and not target.complete:
                self._elements(target, member.item, inner)
            else:
                self._complete(target, member, inner)

    def _elements(self, tree: _Target, item: kinds.Kind, path: str) -> None:
        indexed = {step: target for step, target in tree.members.items() if step.startswith("[")}
        direct = {step: target for step, target in tree.members.items() if not step.startswith("[")}
        if direct:
            self._complete(_Target(members=direct), item, path + "[]")
        for step, target in indexed.items():
            given = {step[1:].split("=")[0]: _Target(complete=True)} if "=" in step else {}
            self._complete(_Target(members={**given, **target.members}), item, path + step)

    def _currency(self, tree: _Target, root: kinds.Kind) -> None:
        assert root.model is not None
        if "currency" in kinds.fields(root.model) and "currency" not in tree.members and _any_money(self.given.rules):
            self._say(
                ("rules",), "warning",
                "读取了金额但没有写明 currency；请加规则，例如 {canonical: currency, value: CNY, way: from}",
                "amounts are read but no rule sets currency, e.g. {canonical: currency, value: CNY, way: from}",
            )  # fmt: skip

    # expressions and context

    def _names(self, text: str, rule: spec.Rule, owner: kinds.Kind, place: Location) -> None:
        for name in sorted(expression.names(text)):
            if name.startswith("@"):
                self._root(name[1:], place)
            elif rule.writes and owner.model is not None:
                known = kinds.fields(owner.model)
                if name not in known and name not in frames.ROOTS | frames.SPECIAL:
                    self._say(
                        place, "error",
                        f"表达式中的 '{name}' 不是此处的标准字段；可用：{', '.join(sorted(known))}",
                        f"'{name}' in the expression is no canonical field here; there are: {', '.join(sorted(known))}",
                    )  # fmt: skip

    def _root(self, root: str, place: Location) -> None:
        if root not in frames.ROOTS:
            known = " ".join(f"@{name}" for name in sorted(frames.ROOTS))
            self._say(
                place, "error", f"上下文没有 '@{root}'；可用：{known}", f"no context '@{root}'; there are: {known}"
            )

    def _values(self, rule: spec.Rule, kind: kinds.Kind, place: Location) -> None:
        for level, zh, en in (
            *inversion.losses(rule, kind, self.given.tables),
            *inversion.values(rule, kind, self.given.tables),
        ):
            self._say(place, level, zh, en)

    def _tables(self) -> None:
        used = {rule.table for rule in _every(self.given.rules)}
        for name in self.given.tables:
            if name not in used:
                self._say(("tables", name), "warning", f"对照表 '{name}' 没有用到", f"table '{name}' is not used")


def _every(given: list[spec.Rule]) -> Iterator[spec.Rule]:
    for rule in given:
        yield rule
        yield from _every([*(rule.each or []), *(rule.inside or [])])


def _any_money(given: list[spec.Rule]) -> bool:
    return any(rule.codec == "money" and rule.reads for rule in _every(given))


def _step(segment: paths.Segment) -> str:
    if isinstance(segment, paths.Select):
        return f"[{segment.key}={segment.text}]"
    return f"[{segment}]" if isinstance(segment, int) else segment


_SCALARS = (Shape.TEXT, Shape.DECIMAL, Shape.MOMENT, Shape.BOOLEAN, Shape.ENUM)


def _scalar(rule: spec.Rule, kind: kinds.Kind) -> bool:
    """Whether a rule certainly writes a single value, below which nothing can stand."""
    if rule.codec is not None:
        return rule.codec not in ("address", "json")
    if rule.canonical is not None:
        return kind.shape in _SCALARS
    return rule.value is not None and not isinstance(rule.value, dict | list) and not str(rule.value).startswith("@")


def _roots(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            yield from _roots(list(value.values()))
        elif isinstance(value, list):
            yield from _roots(value)
        elif isinstance(value, str) and value.startswith("@") and not value.startswith("@@"):
            first = paths.parse(value[1:])[:1] if len(value) > 1 else ()
            yield str(first[0]) if first else ""


__all__ = ["Finding", "examine", "lint"]
