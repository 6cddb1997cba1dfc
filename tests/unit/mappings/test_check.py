"""The ``tests:`` of mapping files, the library, and the command for people who write them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import check, errors, library
from tests.unit.mappings import files

RULES = """
{native: id, canonical: id}
{native: status, canonical: status}
{native: total, canonical: total, codec: money, unit: yuan, places: 2}
{native: at, canonical: paid_at, codec: datetime, format: unix_s}
{canonical: currency, value: CNY}
"""


def results(tests: str, loader: Any = None) -> list[check.Result]:
    mapping = files.mapping(RULES, "tests:\n" + "".join(f"  - {line}\n" for line in tests.strip().splitlines()))
    return check.run(mapping, loader or check.packaged)


def test_tests_that_pass() -> None:
    found = results("""
{name: a, way: from, in: {id: 1, status: paid, total: 1.5}, out: {id: "1", total: "1.50"}, without: [shop, paid_at]}
{name: t, way: to, in: {id: "1", paid_at: "2026-03-01T09:00:00+08:00"}, out: {at: 1772326800}}
{name: b, way: to, in: {id: "1", total: 1.5}, out: {id: "1", total: "1.50"}, without: [at, status]}
{name: c, way: from, in: {id: 1, status: paid, total: x}, error: not a number}
{name: d, way: from, in: {id: 1, status: paid, total: x}, error: 不是数字}
""")
    assert [(one.name, one.problem) for one in found] == [("a", ""), ("t", ""), ("b", ""), ("c", ""), ("d", "")]


@pytest.mark.parametrize(
    ("test", "word"),
    [
        ("{name: a, way: from, in: {id: 1, status: paid, total: 1}, out: {total: '2'}}", "total: expected '2'"),
        ("{name: a, way: from, in: {id: 1, status: paid, total: 1}, out: {number: '2'}}", "number: missing"),
        ("{name: a, way: from, in: {id: 1, status: paid, total: 1}, out: {}, without: [id]}", "should not be there"),
        ("{name: a, way: from, in: {id: 1, status: paid, total: 1}, error: boom}", "but it was mapped"),
        ("{name: a, way: from, in: {id: 1, status: paid}, error: boom}", "expected an error with 'boom'"),
        ("{name: a, way: from, in: {id: 1, status: paid}, out: {}}", "requires this field"),
        (
            "{name: a, way: from, in: {id: 1, status: paid, total: 1, at: 5}, out: {paid_at: '1970-01-01T00:00:05'}}",
            "paid_at",
        ),
        ("{name: a, way: to, in: {id: '1'}, out: {id: 1}}", "id: expected 1, got '1'"),
        ("{name: a, way: to, in: {id: '1'}, out: {id: {x: 1}}}", "expected an object"),
        ("{name: a, way: to, in: {id: '1'}, out: {id: [1]}}", "expected 1 elements"),
        ("{name: a, way: from, sample: nothing.json, out: {}}", "sample: "),
        ("{name: a, way: from, sample: ../../x, out: {}}", "not a sample's name"),
    ],
)
def test_tests_that_fail_say_where(test: str, word: str) -> None:
    (found,) = results(test)
    assert not found.passed
    assert word in found.problem


def test_samples_come_from_the_loader() -> None:
    def loader(connector: str, sample: str) -> Any:
        assert (connector, sample) == ("demo", "push.json")
        return {"content": '{"rows": [{"id": 1, "status": "paid", "total": 2.50}]}'}

    test = "{name: a, way: from, sample: push.json, at: 'content.rows[0]', out: {id: '1', total: '2.5'}}"
    assert results(test, loader)[0].problem == ""
    missing = "{name: a, way: from, sample: push.json, at: content.nothing, out: {id: '1'}}"
    assert "nothing at" in results(missing, loader)[0].problem


def test_scalars_compare_by_meaning_on_our_side_and_exactly_on_theirs() -> None:
    assert check.same("1.50", Decimal("1.5"), exact=False)
    assert not check.same("1.50", Decimal("1.5"), exact=True)
    assert check.same(1, Decimal("1.0"), exact=True)
    assert not check.same(1, True, exact=True)
    assert not check.same(True, 1, exact=False)
    assert not check.same("x", Decimal(1), exact=False)
    assert not check.same("1", 1, exact=True)


def test_the_library_knows_what_is_there() -> None:
    names = library.names()
    assert names == tuple(sorted(names))
    connector, name = names[0]
    assert library.shipped(connector, name) is library.shipped(connector, name)
    with pytest.raises(errors.MappingError, match="no mapping"):
        library.shipped(connector, "../../etc/passwd")
    with pytest.raises(errors.MappingError, match="no mapping"):
        library.shipped("nobody", "order")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    tests = "tests: [{name: one, way: to, in: {id: '1'}, out: {id: '%s'}}]\n"
    good.write_text(files.text(RULES, tests % 1), encoding="utf-8")
    assert check.main([str(good)]) == 0
    assert f"ok   {good}" in capsys.readouterr().out
    bad.write_text(files.text(RULES, tests % 2), encoding="utf-8")
    assert check.main([str(good), str(bad)]) == 1
    shown = capsys.readouterr().out
    assert "test 'one': id: expected '2', got '1'" in shown
    assert f"BAD  {bad}" in shown
    bad.write_text(files.text("{native: a, canonical: nope}"), encoding="utf-8")
    assert check.main([str(bad)]) == 1
    assert "no canonical field 'nope'" in capsys.readouterr().out
