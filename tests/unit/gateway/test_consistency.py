"""What ``./shuniu check`` refuses of a whole configuration: a field without an owner, and routes that go round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import cli

Check = Callable[[str], tuple[int, str]]
"""A hub.yaml text -> the exit code of ``./shuniu check -f``, and what it said."""

HEAD = """\
apiVersion: shuniu/v1
connections:
"""
CONNECTION = """\
  - key: {0}
    connector: http
    config: {{base_url: "http://127.0.0.1:9/{0}", verify_style: token, entity: customer}}
    state: disabled
"""
ROUTE = "  - {{key: {0}-{1}, from: {{connection: {0}, entity: customer}}, to: [{{connection: {1}, operation: {2}}}]}}\n"


def hub(*ways: tuple[str, str], rules: str = "", operation: str = "record.put") -> str:
    """A hub.yaml with these ways between systems that all keep customers."""
    keys = sorted({key for way in ways for key in way})
    said = HEAD + "".join(CONNECTION.format(key) for key in keys) + (f"{rules}\n" if rules else "") + "routes:\n"
    return said + "".join(ROUTE.format(*way, operation) for way in ways)


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "4000")

    def run(text: str) -> tuple[int, str]:
        (tmp_path / "hub.yaml").write_text(text)
        result = CliRunner().invoke(cli.build("check"), ["check", "-f", str(tmp_path / "hub.yaml")])
        return result.exit_code, result.output

    return run


def test_a_field_written_from_both_sides_needs_an_owner_and_the_line_to_add_mends_it(checked: Check) -> None:
    both = (("crm", "erp"), ("erp", "crm"))
    code, said = checked(hub(*both))
    assert code == 1
    assert "crm, erp all change" in said
    assert "nothing says whose value holds" in said
    line = "entities: {customer: {conflicts: newest}}"
    assert line in said
    assert "entities: {customer: {owners: {" in said
    assert checked(hub(*both, rules=line))[0] == 0
    code, said = checked(hub(*both, rules="entities: {customer: {owners: {name: crm}}}"))
    assert code == 1, "the other fields have none"
    assert "name," not in said.partition("all change")[2].partition(" of 'customer'")[0]


def test_one_way_needs_no_owner(checked: Check) -> None:
    assert checked(hub(("crm", "erp"), ("crm", "log")))[0] == 0


def test_a_ring_of_routes_is_found_and_named(checked: Check) -> None:
    rules = "entities: {customer: {conflicts: newest}}"
    ring = (("a", "b"), ("b", "c"), ("c", "a"))
    code, said = checked(hub(*ring, rules=rules))
    assert code == 1
    assert "a/customer → b/customer → c/customer → a/customer" in said
    assert "a-b, b-c, c-a" in said
    star = [way for one in ("b", "c", "d") for way in (("a", one), (one, "a"))]
    assert checked(hub(*star, rules=rules))[0] == 0, "each pair keeps each other up to date"
