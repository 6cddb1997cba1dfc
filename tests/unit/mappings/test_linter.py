"""The linter names what is wrong, what is doubtful and what is one-way, with file, line and rule."""

from __future__ import annotations

import pytest

from mappings import linter
from tests.unit.mappings import files

GOOD = """
{native: id, canonical: id}
{native: status, canonical: status}
{native: total, canonical: total, codec: money, unit: yuan}
{canonical: currency, value: CNY}
"""
TESTS = "tests: [{name: a, way: from, in: {id: 1, status: paid, total: 1}, out: {id: '1'}}]\n"


def lint(rules: str, more: str = "", base: str = GOOD) -> list[linter.Finding]:
    return linter.lint(files.text(base + rules, more + TESTS), "demo/test.yaml")


def grave(found: list[linter.Finding], level: str = "error") -> list[linter.Finding]:
    return [finding for finding in found if finding.level == level]


def test_a_good_file_has_only_the_one_way_remark() -> None:
    (found,) = lint("")
    assert (found.level, found.rule, found.line) == ("info", "4", 8)
    assert "constant" in found.en
    assert "固定值" in found.zh
    assert str(found).startswith("demo/test.yaml:8: rule 4 info:")


@pytest.mark.parametrize(
    ("rules", "more", "rule", "word"),
    [
        ("{native: s, canonical: nope}", "", "5", "no canonical field"),
        ("{native: other, canonical: id}", "", "5", "writes 'id' again after rule 1"),
        ("{native: id, canonical: number}", "", "5", "writes 'id' again after rule 1"),
        ("{native: id.x, canonical: number}", "", "5", "cannot be written below"),
        ("{native: c, value: {d: 1}}\n{native: c.e, canonical: number}", "", "", ""),
        ("{native: c.e, canonical: number}\n{native: c, value: x}", "", "6", "overwrite"),
        ("{native: total.x, canonical: number, way: to}", "", "5", "cannot be written below"),
        (
            "{native: s, canonical: kind, codec: enum, table: t}",
            "tables: {t: {from: {A: x, B: x}}}\n",
            "5",
            "A, B all become 'x'",
        ),
        ("{native: s, canonical: kind, codec: enum, table: missing}", "", "5", "no table 'missing'"),
        (
            "{native: a, canonical: receiver.address, codec: address, style: joined, separator: ''}",
            "",
            "5",
            "without a separator",
        ),
        ("{native: 'a[-1]', canonical: number}", "", "5", "negative index"),
        ("{native: a, value: '@conf.x'}", "", "5", "no context '@conf'"),
        ("{native: a, value: {b: ['@conf.x']}}", "", "5", "no context '@conf'"),
        ("{native: a, expr: 'numbr + \"x\"'}", "", "5", "'numbr' in the expression"),
        ("{native: a, expr: '@conf.x'}", "", "5", "no context '@conf'"),
        ("{native: a, canonical: number, when: 'totl > 1', way: to}", "", "5", "'totl'"),
    ],
)
def test_errors(rules: str, more: str, rule: str, word: str) -> None:
    found = grave(lint(rules, more))
    assert [finding.rule for finding in found] == [rule] * bool(rule), found
    if not rule:
        return
    assert word in found[0].en
    assert found[0].line == 4 + int(rule)
    assert found[0].zh


@pytest.mark.parametrize(
    "rules",
    [
        "{native: other, canonical: id, way: from, when_absent: true}",
        "{native: other, canonical: id, way: from, when: 'other != \"\"'}",
        "{native: a, expr: 'size(lines) + (parent.x == null ? 1 : 2) + size(this.number) + @config.n + order.total'}",
        "{native: 'i[k=a].v', canonical: 'buyer.identities[kind=a].value'}",
        "{native: a.b, canonical: number}\n{native: a.c, canonical: shop}",
        "{native: a, value: '@customer.identities[kind=x].value'}",
    ],
)
def test_what_is_fine_is_left_alone(rules: str) -> None:
    assert grave(lint(rules)) == []


def test_required_canonical_fields() -> None:
    (found,) = grave(lint("", base="{native: id, canonical: id, way: from}\n{native: status, canonical: status}"))
    assert "total" in found.en
    rows = "native: rows\n  canonical: lines\n  each:\n    - {native: sku, canonical: sku}\n"
    assert "lines[].id, lines[].quantity" in grave(lint(rows))[0].en
    assert "payments[0].amount" in grave(lint("{native: p, canonical: 'payments[0].method'}"))[0].en
    assert "value" in grave(lint("{native: p, canonical: 'buyer.identities[0].kind'}"))[0].en
    assert grave(lint("", base="{native: number, canonical: number, way: to}")) == []


def test_enum_values_must_exist_in_the_model() -> None:
    base = GOOD.replace("canonical: status}", "canonical: status, codec: enum, table: t}")
    every = "created: created, paid: paid, ps: partially_shipped, s: shipped, c: completed"
    wrong = lint("", f"tables: {{t: {{from: {{{every}, x: finished}}, to: {{closed: x, ended: y}}}}}}\n", base)
    assert sorted(finding.en.split("'")[1] for finding in grave(wrong)) == ["ended", "finished"]
    assert grave(lint("", f"tables: {{t: {{from: {{{every}, x: closed}}}}}}\n", base)) == []
    (missing,) = grave(lint("", f"tables: {{t: {{from: {{{every}}}}}}}\n", base), "warning")
    assert "cannot write: closed" in missing.en
    assert (
        "'done' is not a value"
        in grave(lint("", "", GOOD.replace("native: status, canonical: status", "canonical: status, value: done")))[
            0
        ].en
    )


def test_warnings() -> None:
    assert "no rule sets currency" in grave(lint("", "", GOOD.rsplit("{", 1)[0]), "warning")[0].en
    assert "table 't' is not used" in grave(lint("", "tables: {t: {from: {a: b}}}\n"), "warning")[0].en
    assert "no tests" in grave(linter.lint(files.text(GOOD), "f"), "warning")[0].en


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("{native: a, expr: 'number'}", "an expression cannot be inverted"),
        ("{native: a, value: '@config.x'}", "constant or context"),
        ("{native: a, canonical: number, when: 'true', way: to}", "condition"),
        ("{native: a, canonical: number, way: from}", "declared one-way"),
        ("{native: a, canonical: freight, codec: money, unit: fen, rounding: half_up}", "rounds"),
        ("{native: a, canonical: paid_at, codec: datetime, format: '%Y-%m-%d', zone: UTC}", "no seconds"),
        ("{native: a, canonical: receiver.address, codec: address, style: joined}", "lacking a middle part"),
    ],
)
def test_every_rule_that_does_not_invert_is_named_with_its_reason(rule: str, word: str) -> None:
    found = [finding for finding in lint(rule) if finding.rule == "5"]
    assert [finding.level for finding in found] == ["info"]
    assert word in found[0].en


def test_a_file_that_cannot_be_read_is_one_finding() -> None:
    (found,) = linter.lint("rules: [", "f.yaml")
    assert found.level == "error"
    assert found.line >= 1


@pytest.mark.parametrize(("only", "wrong"), [("sku != 'A'", 0), ("shipped_at != null", 1)])
def test_what_is_left_out_of_a_list_is_decided_by_its_elements(only: str, wrong: int) -> None:
    rule = f'{{native: rows, canonical: lines, way: to, only: "{only}", each: [{{native: sku, canonical: sku}}]}}'
    assert len(grave(lint(rule))) == wrong
