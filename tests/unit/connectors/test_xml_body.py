"""XML out: the text of a document, the ``xml`` body of an operation, the declared answer to a refused call."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.core import errors, model, plan, registry, reply, xmltext
from tests.unit.connectors import conftest

SPEC = conftest.declared(
    """
probe: a
operations:
  a: {label: {zh: 例, en: a}, method: GET}
  order.save:
    label: {zh: 存, en: save}
    kind: write
    path: /orders
    xml:
      request:
        head: {code: "${input.code}", gone: "${input.nothing}", note: "${input.note}", paid: "${input.paid}"}
        lines: {line: "${input.lines}"}
        "...": "${input.more}"
  two.roots: {label: {zh: 错, en: wrong}, xml: {a: {b: 1}, c: {d: 1}}}
  no.object: {label: {zh: 错, en: wrong}, xml: {a: "${input.x}"}}
events:
  own:
    label: {zh: 回, en: own}
    door: hook
    verify: {scheme: none}
    refusal: {status: 200, body: "<response><flag>failure</flag></response>", type: text/xml;charset=utf-8}
  tree: {label: {zh: 回, en: tree}, door: hook, verify: {scheme: none}, refusal: {status: 403, body: {code: 1}}}
  ours: {label: {zh: 回, en: ours}, door: hook, verify: {scheme: none}}
"""
)


def sent(name: str, **given: object) -> model.Request:
    return plan.of(SPEC, name).request({"config": {"base_url": "http://x"}, "input": given})


def test_an_operation_writes_a_document() -> None:
    lines = [{"sku": "A&B", "qty": Decimal("2.50")}, {"sku": "<C>", "@no": 2}]
    made = sent("order.save", code="D1", note="快\x07点 \U0001f381", paid=True, lines=lines, more={"extra": "1E+2"})
    assert made.body.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>'
        "<request><head><code>D1</code><note>快点 \U0001f381</note><paid>true</paid></head>"
        '<lines><line><sku>A&amp;B</sku><qty>2.50</qty></line><line no="2"><sku>&lt;C&gt;</sku></line></lines>'
        "<extra>1E+2</extra></request>"
    )
    assert made.headers["content-type"] == "text/xml; charset=utf-8"
    again = xmltext.loads(made.body)
    assert again["lines"]["line"][0] == {"sku": "A&B", "qty": "2.50"}


@pytest.mark.parametrize("name", ["two.roots", "no.object"])
def test_a_body_without_one_root_is_our_mistake(name: str) -> None:
    with pytest.raises(errors.Misdeclared) as wrong:
        sent(name, x="text")
    assert wrong.value.hint["zh"]


@pytest.mark.parametrize("name", ["a b", "a><b", "1a", "", "a/", 'a"b', "@a b"])
def test_a_name_that_is_none_cannot_smuggle_an_element(name: str) -> None:
    with pytest.raises(xmltext.XmlError):
        xmltext.dumps("r", {name: "x"})
    with pytest.raises(errors.Misdeclared):
        sent("order.save", more={name: "x"})


def test_a_refused_call_is_answered_as_declared() -> None:
    own = reply.refusal(SPEC.events["own"])
    assert own == model.HookReply(200, b"<response><flag>failure</flag></response>", "text/xml;charset=utf-8")
    assert reply.refusal(SPEC.events["tree"]) == model.HookReply(403, b'{"code":1}', "application/json")
    assert reply.refusal(SPEC.events["ours"]) is None


def test_the_schema_names_the_key() -> None:
    assert "xml" in registry.schema()["$defs"]["Operation"]["properties"]
