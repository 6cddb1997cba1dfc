"""Small mapping files for tests: the head is always the same, the rules are what the test is about."""

from __future__ import annotations

from mappings import engine, library

HEAD = "apiVersion: shuniu/mapping/v1\nconnector: demo\nentity: {entity}\n"


def text(rules: str, more: str = "", entity: str = "order") -> str:
    """YAML text of a file; each line of ``rules`` becomes an entry of the list (continuation lines are indented)."""
    lines = [line if line.startswith("  ") else f"- {line}" for line in rules.splitlines() if line.strip()]
    return HEAD.format(entity=entity) + "rules:\n" + "".join(f"  {line}\n" for line in lines) + more


def mapping(rules: str, more: str = "", entity: str = "order") -> engine.Mapping:
    return library.parse(text(rules, more, entity), "demo/test.yaml")
