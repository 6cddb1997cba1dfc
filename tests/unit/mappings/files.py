"""Small mapping files for tests: the head is always the same, the rules are what the test is about."""

from __future__ import annotations

from typing import Any

from mappings import engine, library

HEAD = "apiVersion: shuniu/mapping/v1\nconnector: demo\nentity: {entity}\n"
BASE = """
{native: id, canonical: id}
{native: status, canonical: status}
{native: total, canonical: total, codec: money, unit: yuan}
"""
ORDER = {"id": "1", "status": "paid", "total": "1.00"}
LINES = (
    BASE
    + """
native: rows
  canonical: lines
  each:
    - {native: id, canonical: id}
    - {native: q, canonical: quantity, codec: number}
    - {native: deep.p, canonical: unit_price, codec: money, unit: fen}
"""
)


def text(rules: str, more: str = "", entity: str = "order") -> str:
    """YAML text of a file; each line of ``rules`` becomes an entry of the list (continuation lines are indented)."""
    lines = [line if line.startswith("  ") else f"- {line}" for line in rules.splitlines() if line.strip()]
    return HEAD.format(entity=entity) + "rules:\n" + "".join(f"  {line}\n" for line in lines) + more


def mapping(rules: str, more: str = "", entity: str = "order") -> engine.Mapping:
    return library.parse(text(rules, more, entity), "demo/test.yaml")


def reads(rules: str, native: dict[str, Any], context: dict[str, Any] | None = None, more: str = "") -> dict[str, Any]:
    return mapping(BASE + rules, more).from_native({**ORDER, **native}, context)


def writes(rules: str, record: dict[str, Any], context: dict[str, Any] | None = None, more: str = "") -> dict[str, Any]:
    return mapping(rules, more).to_native(record, context)
