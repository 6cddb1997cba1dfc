"""Setting parameters: what an admin typed becomes a value, or words that say what is wrong with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway import soundness
from gateway.problems import Fault
from gateway.recipes import recipe
from retry_queue.sync import route

LONGEST = 4000
MOST = 10**9
_TIME = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")


class Wrong(ValueError):
    """A value that will not do, in (zh, en)."""


def values(wanted: recipe.Recipe, given: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Every parameter of a recipe; None where there is none."""
    known = {one.key: one for one in wanted.parameters}
    strangers(given, known, ("parameters",), faults)
    return {name: value(one, given.get(name, one.default), ("parameters", name), faults) for name, one in known.items()}


def own(
    wanted: recipe.Recipe, part: str, given: Mapping[str, Any], plain: Mapping[str, Any],
    here: tuple[str | int, ...], faults: list[Fault],
) -> dict[str, Any]:  # fmt: skip
    """The parameters that one connection of a part has for itself; what it does not say is as for all."""
    mine = {one.key: one for one in wanted.parameters if one.per == part}
    above = (*here, "parameters")
    strangers(given, mine, above, faults)
    return {
        name: plain.get(name) if given.get(name) is None else value(one, given[name], (*above, name), faults)
        for name, one in mine.items()
    }


def strangers(
    given: Mapping[str, Any], known: Mapping[str, Any], above: tuple[str | int, ...], faults: list[Fault]
) -> None:
    """Says which of the names given are no parameters."""
    for name in given.keys() - known.keys():
        faults.append(soundness.unknown("unknown_parameter", ("参数", "parameter"), name, known, *above, name))


def value(one: recipe.Parameter, given: Any, path: tuple[str | int, ...], faults: list[Fault]) -> Any:
    """A parameter's value as it is written; None when there is none, or it is wrong, which is said."""
    try:
        if given is None or given in ("", []):
            if one.required:
                raise Wrong("必填", "required")
            return None
        return _READ[one.type](one, given)
    except Wrong as error:
        zh, en = error.args
        faults.append(Fault("parameter", f"{one.label.zh}：{zh}", f"{one.label.en}: {en}", path))
        return None


def _number(one: recipe.Parameter, given: Any) -> int | float:
    try:
        number = Decimal(str(given))
    except InvalidOperation:
        number = Decimal("NaN")
    whole = one.type == "integer"
    if not number.is_finite() or abs(number) > MOST or (whole and number != number.to_integral_value()):
        raise Wrong("应为整数", "must be a whole number") if whole else Wrong("应为数字", "must be a number")
    if (one.min is not None and number < one.min) or (one.max is not None and number > one.max):
        low, high = (f"{bound:g}" if bound is not None else "…" for bound in (one.min, one.max))
        raise Wrong(f"应在 {low} 到 {high} 之间", f"must be between {low} and {high}")
    return int(number) if number == number.to_integral_value() else float(round(number, 6))


def _boolean(_one: recipe.Parameter, given: Any) -> str | None:
    if given not in (True, False, "true", "false"):
        raise Wrong("应为 true 或 false", "must be true or false")
    return "yes" if given in (True, "true") else None


def _text(_one: recipe.Parameter, given: Any) -> str:
    if not isinstance(given, str | int | float) or len(str(given)) > LONGEST:
        raise Wrong(f"应为不超过 {LONGEST} 字的文本", f"must be text of at most {LONGEST} characters")
    return str(given)


def _lines(one: recipe.Parameter, given: Any) -> list[str]:
    listed = given if isinstance(given, list) else re.split(r"[\n,，]", _text(one, given))
    return [text for each in listed[:100] if (text := _text(one, each).strip())]


def _duration(one: recipe.Parameter, given: Any) -> str:
    try:
        route.seconds(_text(one, given))
    except ValueError as error:
        if isinstance(error, Wrong):
            raise
        raise Wrong("应为时长，如 30m、2h、3d", "must be a duration such as 30m, 2h, 3d") from None
    return str(given)


def _time(one: recipe.Parameter, given: Any) -> str:
    if not _TIME.match(_text(one, given)):
        raise Wrong("应为时刻，如 02:30", "must be a time of day such as 02:30")
    return str(given)


def _choice(one: recipe.Parameter, given: Any) -> str:
    options = [each.value for each in one.choices]
    if given not in options:
        shown = ", ".join(options)
        raise Wrong(f"应为 {shown} 之一", f"must be one of {shown}")
    return str(given)


_READ: dict[str, Callable[[recipe.Parameter, Any], Any]] = {
    "integer": _number, "number": _number, "boolean": _boolean, "text": _text, "lines": _lines,
    "duration": _duration, "time": _time, "choice": _choice,
}  # fmt: skip
