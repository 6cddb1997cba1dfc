"""Carried fields: which canonical paths a mapping reads, and which it both reads and writes as they are.

A field that one direction works out by an expression is carried one way only: what comes back need not be what
went out, so it is compared only where somebody asks for it by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mappings import engine, spec


@dataclass(frozen=True, slots=True)
class Carried:
    """Leaf paths of the canonical model."""

    reads: frozenset[str]
    both: frozenset[str]


def of(mapping: engine.Mapping) -> Carried:
    """Reads a mapping's rules once."""
    reads = frozenset(_paths(mapping.spec.rules, "", to=False))
    plain = frozenset(_paths(mapping.spec.rules, "", to=False, plain=True))
    return Carried(reads, plain & frozenset(_paths(mapping.spec.rules, "", to=True, plain=True)))


def _paths(rules: Iterable[spec.Rule], above: str, *, to: bool, plain: bool = False) -> Iterator[str]:
    for rule in rules:
        if not (rule.writes if to else rule.reads):
            continue
        here = rule.canonical or ""
        path = f"{above}.{here}" if above and here not in ("", ".") else (above if here in ("", ".") else here)
        inner = rule.each or rule.inside
        if inner:
            yield from _paths(inner, path, to=to, plain=plain)
        elif path and here and "[" not in path and rule.value is None and not (plain and rule.expr):
            yield path
