"""The mapping engine: a file's rules compiled once to closures, applied many times, in both directions.

``compile(spec, file)`` gives a ``Mapping``. ``from_native`` makes a canonical record (plain data: Decimal,
aware datetime, text), validated against its model. ``to_native`` makes a vendor's record (JSON data) from
a canonical one, whose amounts and times may be text because storage is JSON. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping as Context
from dataclasses import dataclass, field
from typing import Any

import pydantic

from mappings import blocks, canonical, coherence, errors, frames, kinds, places, spec
from mappings.yaml_text import Lines, Location

_EMPTY: Context[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """A compiled mapping file. ``reads`` / ``writes``: whether it has rules for that direction."""

    file: str
    spec: spec.Spec = field(repr=False)
    model: type[canonical.Canonical]
    reader: blocks.Block = field(repr=False)
    writer: blocks.Block = field(repr=False)

    @property
    def reads(self) -> bool:
        return bool(self.reader.steps)

    @property
    def writes(self) -> bool:
        return bool(self.writer.steps)

    def from_native(self, native: Any, context: Context[str, Any] | None = None) -> dict[str, Any]:
        """The canonical record of a vendor's record, holding only what was set. Raises MappingError."""
        if not self.reads:
            raise self._one_way("读取", "from native")
        if not isinstance(native, dict | list):
            found = type(native).__name__
            raise errors.MappingError(
                f"记录应为对象，却是 {found}", f"a record is an object, not {found}", file=self.file
            )
        out: dict[str, Any] = {}
        self.reader.run(native, out, frames.Frame(native, context or _EMPTY))
        try:
            self.model.__pydantic_validator__.validate_python(out)
        except pydantic.ValidationError as error:
            raise self._invalid(error) from None
        return out

    def to_native(self, record: dict[str, Any], context: Context[str, Any] | None = None) -> dict[str, Any]:
        """The vendor's record of a canonical one; keys in the order of the rules. Raises MappingError."""
        if not self.writes:
            raise self._one_way("写出", "to native")
        if not isinstance(record, dict):
            found = type(record).__name__
            raise errors.MappingError(
                f"记录应为对象，却是 {found}", f"a record is an object, not {found}", file=self.file
            )
        if self.writer.scoped:
            record = kinds.revive(self.spec.entity, record)
        out: dict[str, Any] = {}
        self.writer.run(record, out, frames.Frame(record, context or _EMPTY))
        return out

    def _one_way(self, zh: str, en: str) -> errors.MappingError:
        return errors.MappingError(f"此映射没有{zh}方向的规则", f"this mapping has no rules {en}", file=self.file)

    def _invalid(self, error: pydantic.ValidationError) -> errors.MappingError:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ""
        for step in detail["loc"]:
            path = errors.joined(path, f"[{step}]" if isinstance(step, int) else str(step))
        rule, native = self._writer_of([step for step in detail["loc"] if isinstance(step, str)])
        words = detail["msg"]
        missing = detail["type"] == "missing"
        return errors.MappingError(
            "标准模型的必填字段没有值；请加一条规则，或给规则写 default" if missing else f"不符合标准模型：{words}",
            "the canonical model requires this field: add a rule, or a default to the rule"
            if missing
            else f"not what the canonical model takes: {words}",
            file=self.file,
            rule=rule,
            native=native,
            canonical=path,
        )

    def _writer_of(self, names: list[str]) -> tuple[str, str]:
        """Number and native path of the rule that set a canonical field; empty when none did."""

        def search(block_rules: list[spec.Rule], wanted: list[str], location: Location) -> tuple[str, str]:
            for index, rule in enumerate(block_rules):
                if not rule.reads:
                    continue
                own = [part for part in (rule.canonical or "").replace("[", ".[").split(".") if part and part[0] != "["]
                if own != wanted[: len(own)]:
                    continue
                place = (*location, index)
                nested = rule.each or rule.inside
                if nested is not None:
                    found = search(nested, wanted[len(own) :], (*place, "each" if rule.each else "inside"))
                    if found[0]:
                        return found
                elif own:
                    return places.rule_number(place), rule.native or ""
            return "", ""

        return search(self.spec.rules, names, ("rules",))


def compile(given: spec.Spec, file: str, lines: Lines | None = None) -> Mapping:
    """A mapping from a spec. ``lines`` (of ``spec.parse``) makes errors precise. Raises SpecError with all problems."""
    try:
        owner = kinds.root(given.entity)
    except kinds.UnknownField as error:
        known = ", ".join(error.known)
        zh, en = f"没有业务对象 '{given.entity}'；可用：{known}", f"no entity '{given.entity}'; there are: {known}"
        problem = places.problem(("entity",), lines or {}, zh, en)
        raise errors.SpecError(file, [problem]) from None
    problems = list(coherence.examine(given.rules, ("rules",), lines or {}))
    if problems:
        raise errors.SpecError(file, problems)
    built: list[blocks.Block] = []
    for reads in (True, False):
        builder = blocks.Builder(file, reads, given.tables, lines or {})
        built.append(builder.block(given.rules, owner, ("rules",)))
        problems.extend(problem for problem in builder.problems if problem not in problems)
    if problems:
        raise errors.SpecError(file, sorted(problems, key=lambda problem: problem.line))
    return Mapping(file, given, canonical.MODELS[given.entity], built[0], built[1])


__all__ = ["Mapping", "compile"]
