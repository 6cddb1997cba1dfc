"""Mapping files as text: YAML without surprises, and problems told by line and rule."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import document, errors, library, spec, yaml_text
from tests.unit.mappings import files


def problems(text: str) -> list[errors.Problem]:
    with pytest.raises(errors.SpecError) as caught:
        library.parse(text, "demo/test.yaml")
    assert caught.value.file == "demo/test.yaml"
    return caught.value.problems


def test_yaml_keeps_what_people_wrote() -> None:
    data, lines = yaml_text.load(
        "no: off\ntime: 12:30:00\ndate: 2026-01-01\nzip: 012\nprice: 0.10\nn: 12\nbig: 2067719225654838123\nyes: true\n"
        "none: null\nempty:\nquoted: '1'\n1: x\nlist:\n  - a\n  - {true: b, '2': c}\nblock: |\n  text\n"
    )
    assert data == {
        "no": "off",
        "time": "12:30:00",
        "date": "2026-01-01",
        "zip": "012",
        "price": Decimal("0.10"),
        "n": 12,
        "big": 2067719225654838123,
        "yes": True,
        "none": None,
        "empty": None,
        "quoted": "1",
        1: "x",
        "list": ["a", {"true": "b", "2": "c"}],
        "block": "text\n",
    }
    assert lines[("list", 1, "true")] == 15
    assert lines[("price",)] == 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2", 2),
        ("a: &x 1\nb: *x", 1),
        ("a: !!python/object:os.system 1", 1),
        ("a: 1\n---\nb: 2", 1),
        ("", 1),
        ("a: [1,\nb: {", 3),
        ("a: 1\n? [x]\n: 2", 2),
        ("a: \x00", 1),
        ("x: " + "[" * 60 + "]" * 60, 1),
        ("- " * 5000 + "1", 1),
        ("a: " + "x" * 600_000, 1),
    ],
)
def test_dangerous_or_broken_yaml_is_refused(text: str, line: int) -> None:
    with pytest.raises(yaml_text.YamlError) as caught:
        yaml_text.load(text)
    assert caught.value.line == line
    assert problems(text)[0].line == line


def told(error: errors.SpecError) -> None:
    assert error.problems
    assert all(problem.zh and problem.en for problem in error.problems)


@given(st.text("a:-{}[]'\"\n #&*!|>,?%@01.", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_mapping_or_a_spec_error(text: str) -> None:
    for whole in (text, files.HEAD.format(entity="order") + "rules:\n  " + text):
        try:
            library.parse(whole, "f")
        except errors.SpecError as error:
            told(error)


@pytest.mark.parametrize(
    "data", [None, 1, "x", [], {}, {"rules": 5}, {"rules": [None]}, {"rules": [{"native": 5}]}, {1: 2}]
)
def test_plain_data_that_is_no_mapping_is_refused(data: Any) -> None:
    with pytest.raises(errors.SpecError):
        document.validate(data, "f")


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("{native: a}", "canonical"),
        ("{canonical: id}", "native"),
        ("{native: a, canonical: id, codec: nonsense}", "codec"),
        ("{native: a, canonical: id, zon: x}", "zon"),
        ("{native: a, canonical: id, way: sideways}", "way"),
        ("{native: a, canonical: id, value: 1}", "cannot be inverted"),
        ("{native: a, canonical: id, expr: '1'}", "cannot be inverted"),
        ("{native: a, canonical: id, when: 'x'}", "one side only"),
        ("{native: a, value: 1, expr: '1'}", "exclude"),
        ("{native: a, expr: '1 +'}", "expression"),
        ("{native: a, canonical: id, when: '((', way: to}", "expression"),
        ("{native: a..b, canonical: id}", "cannot be read"),
        ("{native: a, canonical: total, codec: money}", "unit"),
        ("{native: a, canonical: created_at, codec: datetime}", "format"),
        ("{native: a, canonical: status, codec: enum}", "table"),
        ("{native: a, canonical: seller_note, codec: split}", "by"),
        ("{native: a, canonical: total, codec: number, zone: UTC}", "zone"),
        ("{native: a, canonical: id, places: 2}", "places"),
        ("{native: a, canonical: hold, true: '1'}", "true"),
        ("{native: a, canonical: lines, each: [], inside: []}", "exclude"),
        ("{native: a, canonical: lines, each: [], codec: money, unit: fen}", "json"),
        ("{native: a, canonical: lines, each: [], default: 1}", "inside"),
        ("{native: a, canonical: lines, each: [{native: x, canonical: id, only: 'x'}]}", "only"),
        ("{native: a, canonical: id, each: []}", "not a list"),
        ("{native: a, canonical: id, inside: []}", "not an object"),
        ("{native: a, canonical: nope}", "no canonical field"),
    ],
)
def test_wrong_rules_are_told_with_line_and_number(rule: str, word: str) -> None:
    found = problems(files.text("{native: id, canonical: id}\n" + rule))
    assert any(word in problem.en for problem in found), found
    assert {problem.line for problem in found} == {6}
    assert found[0].rule.startswith("2")
    assert all(problem.zh for problem in found)


def test_a_wrong_option_deep_inside_is_told_with_its_line() -> None:
    text = files.text("""
{native: id, canonical: id}
native: rows
  canonical: lines
  each:
    - {native: id, canonical: id}
    - native: q
      canonical: quantity
      codec: number
      plces: 2
""")
    (found,) = problems(text)
    assert (found.rule, found.line) == ("2.2", 13)
    assert "plces" in found.en


def test_a_constant_with_one_side_needs_no_way() -> None:
    to, back = document.parse(files.text("{native: a, value: 1}\n{canonical: shop, expr: 'x'}"), "f")[0].rules
    assert (to.way, back.way) == (spec.Way.TO, spec.Way.FROM)


def test_unknown_entity_and_wrong_test_blocks() -> None:
    assert "no entity 'nothing'" in problems(files.text("{native: id, canonical: id}", entity="nothing"))[0].en
    for block in (
        "{name: a, way: from, in: {}}",
        "{name: a, way: from, out: {}}",
        "{name: a, way: both, in: {}, out: {}}",
    ):
        assert problems(files.text("{native: id, canonical: id}", f"tests:\n  - {block}\n"))[0].line == 7


def test_the_schema_is_published() -> None:
    schema = library.schema()
    assert json.dumps(schema)
    rule = schema["$defs"]["Rule"]["properties"]
    assert {"native", "canonical", "as", "true", "false", "each"} <= set(rule)
    assert schema["$defs"]["Rule"]["additionalProperties"] is False
