"""Carried fields: which canonical paths a mapping reads, and which it both reads and writes as they are.

A field that one direction works out by an expression is carried one way only: what comes back need not be what
went out, so it is compared only where somebody asks for it by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mappings import engine, spec
from retry_queue.sync import meaning


@dataclass(frozen=True, slots=True)
class Carried:
    """Leaf paths of the canonical model."""

    reads: frozenset[str]
    both: frozenset[str]


def of(mapping: engine.Mapping) -> Carried:
    """Reads a mapping's rules once."""
    rules = mapping.spec.rules
    plain = frozenset(_paths(rules, to=False, plain=True))
    return Carried(frozenset(_paths(rules, to=False)), plain & frozenset(_paths(rules, to=True, plain=True)))


def _paths(rules: Iterable[spec.Rule], *, to: bool, plain: bool = False) -> Iterator[str]:
    for rule, _, path in meaning.walk(rules, to=to):
        if path and rule.canonical and "[" not in path and rule.value is None and not (plain and rule.expr):
            yield path
