"""Runs the ``tests:`` of a mapping file, and the linter: ``python -m mappings.check [file.yaml …]``.

Samples come from a loader (connector, file name) -> parsed data; the one here reads JSON from the
installed ``connectors/<connector>/samples/`` by path, without importing any connector's code.
"""

from __future__ import annotations

import importlib.resources
import json
import pathlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from mappings import engine, errors, library, linter, paths, spec

Loader = Callable[[str, str], Any]
_NAME = re.compile(r"[\w.-]+\Z")


@dataclass(frozen=True, slots=True)
class Result:
    """How one test ended; ``problem`` is empty when it passed."""

    name: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem


def packaged(connector: str, sample: str) -> Any:
    """A JSON sample that ships with a connector, numbers exact. Raises LookupError or ValueError."""
    if not (_NAME.match(connector) and _NAME.match(sample)):
        raise LookupError(f"'{sample}' is not a sample's name")
    file = importlib.resources.files("connectors") / connector / "samples" / sample
    if not file.is_file():
        raise LookupError(f"there is no connectors/{connector}/samples/{sample}")
    return json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)


def run(mapping: engine.Mapping, loader: Loader = packaged) -> list[Result]:
    """Every test of a mapping, in order. Never raises for what a test finds."""
    return [Result(example.name, _problem(mapping, example, loader)) for example in mapping.spec.tests]


def _problem(mapping: engine.Mapping, example: spec.Example, loader: Loader) -> str:
    try:
        given = example.given
        if example.sample is not None:
            given = located(loader(mapping.spec.connector, example.sample), example.at)
    except (LookupError, ValueError, errors.BadValue) as error:
        return f"sample: {error}"
    apply = mapping.from_native if example.way == "from" else mapping.to_native
    try:
        out = apply(given, example.context)
    except errors.MappingError as error:
        if example.error is not None:
            return "" if example.error in str(error) else f"expected an error with '{example.error}', got: {error}"
        return str(error)
    if example.error is not None:
        return f"expected an error with '{example.error}', but it was mapped"
    wrong = differences(example.out, out, exact=example.way == "to")
    wrong += [f"{path}: should not be there" for path in example.without if _present(out, path)]
    return "; ".join(wrong[:5])


def located(data: Any, path: str) -> Any:
    """The record in a sample; JSON texts on the way are opened. Raises LookupError when it is not there."""
    node = data
    for segment in paths.parse(path):
        node = paths.getter((segment,))(_opened(node))
        if node is None:
            raise LookupError(f"there is nothing at '{path}'")
    return _opened(node)


def _opened(node: Any) -> Any:
    return json.loads(node, parse_float=Decimal) if isinstance(node, str) and node[:1] in ("{", "[") else node


def _present(out: Any, path: str) -> bool:
    try:
        return paths.getter(paths.parse(path))(out) is not None
    except errors.BadValue:
        return False


def differences(expected: Any, actual: Any, *, exact: bool, place: str = "") -> list[str]:
    """Where ``actual`` lacks something of ``expected``. ``exact`` keeps text and numbers apart (native side)."""
    where = place or "(whole)"
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{where}: expected an object, got {errors.shown(actual)}"]
        found: list[str] = []
        for key, value in expected.items():
            inner = errors.joined(place, str(key))
            if key not in actual and value is not None:
                found.append(f"{inner}: missing")
            else:
                found += differences(value, actual.get(key), exact=exact, place=inner)
        return found
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            size = f"{len(actual)} elements" if isinstance(actual, list) else errors.shown(actual)
            return [f"{where}: expected {len(expected)} elements, got {size}"]
        return [
            line
            for index, (one, other) in enumerate(zip(expected, actual, strict=True))
            for line in differences(one, other, exact=exact, place=f"{place}[{index}]")
        ]
    if same(expected, actual, exact=exact):
        return []
    return [f"{where}: expected {expected!r}, got {_display(actual)}"]


def _display(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def same(expected: Any, actual: Any, *, exact: bool) -> bool:
    """Whether two scalars say the same; canonical amounts and times may be given as text."""
    if isinstance(expected, bool) or isinstance(actual, bool) or expected is None or actual is None:
        return expected is actual
    if isinstance(actual, datetime):
        return _time(expected) == actual
    numbers = (int, float, Decimal)
    if isinstance(actual, numbers) and (isinstance(expected, numbers) or not exact):
        return _number(expected) == _number(actual)
    return type(expected) is type(actual) and bool(expected == actual)


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def report(text: str, file: str, loader: Loader = packaged) -> tuple[list[str], bool]:
    """Lint and test results of a file as lines for people, and whether it may be used."""
    findings = linter.lint(text, file)
    lines = [str(finding) for finding in findings]
    if any(finding.level == "error" for finding in findings):
        return lines, False
    results = run(library.parse(text, file), loader)
    lines += [f"{file}: test '{one.name}': {one.problem or 'passed'}" for one in results]
    return lines, all(one.passed for one in results)


def main(arguments: list[str]) -> int:
    """Check the given files, or every shipped one. Exit code 1 when anything is wrong."""
    texts = [(pathlib.Path(name).read_text(encoding="utf-8"), name) for name in arguments] or [
        (library.text(connector, name), f"{connector}/{name}.yaml") for connector, name in library.names()
    ]
    good = True
    for text, file in texts:
        lines, fine = report(text, file)
        good = good and fine
        sys.stdout.write("".join(f"{line}\n" for line in lines) + f"{'ok  ' if fine else 'BAD '} {file}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
