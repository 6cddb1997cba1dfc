"""What a mapping needs and touches, read from its rules: so that only that is fetched and compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mappings import engine, spec
from retry_queue.sync import echo

_ROOT = re.compile(r"@([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A compiled mapping with what follows from its rules."""

    mapping: engine.Mapping
    name: str
    """connector/name@version, for the ledger."""
    reads: frozenset[str]
    """Top-level canonical fields that reach the native side."""
    roots: frozenset[str]
    """Context roots used towards the native side: order, customer, link, config, ..."""
    shared: tuple[str, ...]
    """Canonical leaf paths that travel both ways: what an echo is recognised by."""
    needs: frozenset[str] = frozenset()
    """Top-level canonical fields without which the native side cannot be written."""


def of(mapping: engine.Mapping, name: str) -> Meaning:
    """Reads a mapping's rules once."""
    rules = mapping.spec.rules
    written = set(_leaves(rules, "", to=True))
    taken = set(_leaves(rules, "", to=False))
    roots = set(_roots(rules))
    return Meaning(
        mapping=mapping,
        name=name,
        reads=frozenset(path.partition(".")[0].partition("[")[0] for path in written),
        roots=frozenset(roots),
        needs=frozenset(_needs(rules)),
        shared=tuple(sorted(p for p in written & taken if p.partition(".")[0] not in echo.UNCOMPARED and "[" not in p)),
    )


def _needs(rules: Iterable[spec.Rule]) -> Iterator[str]:
    """Fields that are written as they are, always. What only stands in for something else is not among them."""
    for rule in rules:
        if rule.writes and rule.required and rule.canonical and not (rule.when_absent or rule.when):
            yield rule.canonical.partition(".")[0].partition("[")[0]


def _leaves(rules: Iterable[spec.Rule], above: str, *, to: bool) -> Iterator[str]:
    for rule in rules:
        if not (rule.writes if to else rule.reads):
            continue
        here = rule.canonical or ""
        path = f"{above}.{here}" if above and here not in ("", ".") else (above if here in ("", ".") else here)
        inner = rule.each or rule.inside
        if inner:
            yield from _leaves(inner, path, to=to)
        elif path and not rule.fixed:
            yield path
        elif to and rule.expr:
            yield from _names(rule.expr, above)


def _names(text: str, above: str) -> Iterator[str]:
    """Names an expression may read; a superset is harmless, it only fetches more."""
    for name in re.findall(r"(?<![\w.@\"'])([a-z_][\w.]*)", text):
        yield f"{above}.{name}" if above else name


def _roots(rules: Iterable[spec.Rule]) -> Iterator[str]:
    for rule in rules:
        if not rule.writes:
            continue
        for text in (rule.value, rule.expr, rule.when, rule.default, rule.canonical):
            if isinstance(text, str):
                yield from _ROOT.findall(text)
        yield from _roots(rule.each or rule.inside or ())
