"""Rules that belong together: the top of a file, the inside of a list (``each``) or of an object (``inside``).

A block runs its steps in the order of the file, which is also the order of the keys it writes (some
vendors care). Wherever a step fails, the block says which rule it was and where.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mappings import codecs, errors, expression, frames, kinds, moments, paths, places, rules, spec
from mappings.kinds import Shape
from mappings.yaml_text import Lines, Location

MAX_ELEMENTS = 5_000
_UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands: ``7.2`` and its two paths."""

    number: str
    native: str
    canonical: str


@dataclass(slots=True)
class Block:
    """Compiled rules of one direction over one kind of record."""

    file: str
    steps: tuple[rules.Step, ...] = ()
    places: dict[rules.Step, Place] = field(default_factory=dict)
    scoped: bool = False
    """Whether an expression inside needs to see the record of this block."""
    whole: bool = False
    """Whether a rule writes ``.``, the element itself."""

    def run(self, record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
        """Run every step. Raises MappingError."""
        step: rules.Step | None = None
        try:
            for step in self.steps:
                step(record, out, frame)
        except errors.MappingError:
            raise
        except (errors.BadValue, errors.ExpressionError) as error:
            raise self._located(step, error.zh, error.en) from None
        except _UNFIT as error:
            name = type(error).__name__
            found = "object" if isinstance(record, dict) else type(record).__name__
            raise self._located(
                step,
                f"数据的形状与规则不符（{name}，记录为 {found}）",
                f"the data does not fit the rule ({name} on {found})",
            ) from error

    def _located(self, step: rules.Step | None, zh: str, en: str) -> errors.MappingError:
        place = self.places[step] if step is not None else Place("", "", "")
        return errors.MappingError(
            zh, en, file=self.file, rule=place.number, native=place.native, canonical=place.canonical
        )

    def element(self, record: Any, frame: frames.Frame, only: Any) -> Any:
        """One element of a list through this block; ``_DROPPED`` when ``only`` does not hold."""
        inner = frames.Frame(record, frame.context, frame) if self.scoped else frame
        if only is not None and not only(inner):
            return _DROPPED
        made: dict[str, Any] = {}
        self.run(record, made, inner)
        return made.get(rules.WHOLE) if self.whole else made


_DROPPED = object()


@dataclass(slots=True)
class Builder:
    """Compiles the rules of one direction; gathers every problem instead of stopping at the first."""

    file: str
    reads: bool
    tables: dict[str, spec.Table]
    lines: Lines
    problems: list[errors.Problem] = field(default_factory=list)

    def block(self, given: list[spec.Rule], owner: kinds.Kind, location: Location) -> Block:
        """The block of some rules over a canonical owner."""
        block = Block(self.file)
        steps: list[rules.Step] = []
        for index, rule in enumerate(given):
            if not (rule.reads if self.reads else rule.writes):
                continue
            place = (*location, index)
            step = self._step(rule, owner, place, block)
            if step is not None:
                steps.append(step)
                number = places.rule_number(place)
                block.places[step] = Place(number, rule.native or "", rule.canonical or "")
        block.steps = tuple(steps)
        return block

    def _step(self, rule: spec.Rule, owner: kinds.Kind, place: Location, block: Block) -> rules.Step | None:
        if rule.expr or rule.when or rule.only:
            block.scoped = True
        if (rule.canonical if self.reads else rule.native) == ".":
            block.whole = True
        try:
            if rule.each is not None:
                return self._each(rule, rule.each, owner, place, block)
            if rule.inside is not None:
                return self._inside(rule, rule.inside, owner, place, block)
            return (rules.reading if self.reads else rules.writing)(rule, owner, self.tables)
        except kinds.UnknownField as error:
            known = ", ".join(error.known) or "-"
            zh = f"标准模型中没有字段 '{error.name}'（{rule.canonical}）；此处可用：{known}"
            en = f"no canonical field '{error.name}' ({rule.canonical}); there are: {known}"
        except moments.FormatError as error:
            zh, en = error.zh, error.en
        except (errors.BadValue, errors.ExpressionError) as error:
            zh, en = error.zh, error.en
        except KeyError:
            zh, en = f"没有对照表 '{rule.table}'", f"there is no table '{rule.table}' under tables"
        except paths.PathError as error:
            zh, en = f"路径无法使用：{error}", str(error)
        self.problems.append(errors.Problem(places.line_of(place, self.lines), places.rule_number(place), zh, en))
        return None

    def _kind(self, rule: spec.Rule, owner: kinds.Kind) -> kinds.Kind:
        return owner if rule.canonical is None else kinds.at(owner, paths.parse(rule.canonical))

    def _each(
        self, rule: spec.Rule, given: list[spec.Rule], owner: kinds.Kind, place: Location, outer: Block
    ) -> rules.Step:
        kind = self._kind(rule, owner) if rule.canonical is not None else kinds.ANYTHING
        if rule.canonical is None and isinstance(rule.value, str):
            kind = _context_kind(rule.value)
        if kind.shape not in (Shape.LIST, Shape.ANY):
            raise errors.BadValue(f"'{rule.canonical}' 不是列表", f"'{rule.canonical}' is not a list")
        inner = self.block(given, kind.item or kinds.ANYTHING, (*place, "each"))
        outer.scoped = outer.scoped or inner.scoped
        inner.scoped = inner.scoped or rule.only is not None
        path, target = (rule.native, rule.canonical) if self.reads else (rule.canonical, rule.native)
        source = rules.source_of(rule, path, revived=True)
        put, current = rules.put_at(paths.parse(target or ".")), paths.getter(paths.parse(target or "."))
        when = expression.condition(rule.when) if rule.when is not None else None
        only = expression.condition(rule.only) if rule.only is not None else None
        as_json, reads, required = rule.codec == "json", self.reads, rule.required
        native, canonical = rule.native or "", rule.canonical or ""

        def step(record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
            if when is not None and not when(frame):
                return
            found = source(record, frame)
            if as_json and reads and found is not None:
                found = codecs.read_json(found)
            if found is None or found == "":
                if required:
                    raise errors.BadValue(rules.MISSING_ZH, rules.MISSING_EN)
                return
            made: list[Any] = []
            index = -1
            try:
                for element in _elements(found):
                    index += 1
                    one = inner.element(element, frame, only)
                    if one is not _DROPPED and one is not None:
                        made.append(one)
            except errors.MappingError as error:
                here, there = f"[{index}]", f"[{len(made)}]"  # they differ where ``only`` has dropped some
                if not reads:
                    here, there = there, here
                raise error.within(native and native + here, canonical and canonical + there) from error.__cause__
            if as_json and not reads:
                put(out, codecs.write_json(made))
                return
            before = current(out)
            put(out, before + made if isinstance(before, list) else made)

        return step

    def _inside(
        self, rule: spec.Rule, given: list[spec.Rule], owner: kinds.Kind, place: Location, outer: Block
    ) -> rules.Step:
        kind = self._kind(rule, owner)
        if kind.shape not in (Shape.PART, Shape.ANY):
            raise errors.BadValue(f"'{rule.canonical}' 不是对象", f"'{rule.canonical}' is not an object")
        inner = self.block(given, kind, (*place, "inside"))
        outer.scoped = outer.scoped or inner.scoped
        path, target = (rule.native, rule.canonical) if self.reads else (rule.canonical, rule.native)
        get = paths.getter(paths.parse(path or "."))
        segments = paths.parse(target) if target is not None else None
        put = paths.setter(segments) if segments is not None else None
        current = paths.getter(segments) if segments is not None else None
        when = expression.condition(rule.when) if rule.when is not None else None
        as_json, reads, required = rule.codec == "json", self.reads, rule.required
        native, canonical = rule.native or "", rule.canonical or ""

        def step(record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
            if when is not None and not when(frame):
                return
            found = get(record)
            if as_json and reads and found is not None:
                found = codecs.read_json(found)
            if found is None or found in ("", []):
                if required:
                    raise errors.BadValue(rules.MISSING_ZH, rules.MISSING_EN)
                return
            if not isinstance(found, dict):
                raise errors.BadValue("应为对象", f"expected an object, found {type(found).__name__}")
            before = out if current is None else current(out)
            made: dict[str, Any] = before if isinstance(before, dict) else {}
            scope = frames.Frame(found, frame.context, frame) if inner.scoped else frame
            try:
                inner.run(found, made, scope)
            except errors.MappingError as error:
                raise error.within(native, canonical) from error.__cause__
            if put is not None and made:
                put(out, codecs.write_json(made) if as_json and not reads else made)

        return step


def _elements(found: Any) -> list[Any]:
    if isinstance(found, dict):  # a list of one, as XML readers and some vendors give it
        found = [found]
    if not isinstance(found, list):
        raise errors.BadValue(
            f"应为列表，却是 {type(found).__name__}", f"expected a list, found {type(found).__name__}"
        )
    if len(found) > MAX_ELEMENTS:
        raise errors.BadValue(f"列表超过 {MAX_ELEMENTS} 个元素", f"the list has more than {MAX_ELEMENTS} elements")
    return found


def _context_kind(value: str) -> kinds.Kind:
    """The kind of ``@order.lines``; anything, for what no model describes."""
    segments = paths.parse(value[1:]) if value.startswith("@") and len(value) > 1 else ()
    if not segments or not isinstance(segments[0], str):
        return kinds.ANYTHING
    try:
        return kinds.at(kinds.root(segments[0]), segments[1:])
    except kinds.UnknownField:
        return kinds.ANYTHING


__all__ = ["Block", "Builder", "MAX_ELEMENTS", "Place"]
