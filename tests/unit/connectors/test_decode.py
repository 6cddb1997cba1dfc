from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.core import declaration, decode, jsontext, model, registry, xmltext
from tests.unit.connectors import conftest

SPEC = registry.parse(
    conftest.HEAD
    + """
success: {path: status, equals: 200}
probe: a
operations: {a: {label: {zh: a, en: a}, method: GET}}
messages:
  trade:
    label: {zh: 交易, en: trade}
    match: {path: topic, matches: "trade_*"}
    unpack: [content]
    entity: order
    record: content.tid
    dedupe: [id]
    time: pub_time
    body: content.order
    fast: true
  ping:
    label: {zh: 探测, en: ping}
    match: {path: topic, equals: ping}
  hello:
    label: {zh: 问候, en: hello}
    match: {path: kind, equals: hello}
    dedupe: [a, b]
    time: at
  bare:
    label: {zh: 只有编号, en: only an id}
    match: {path: ".", matches: "id-*"}
    record: "."
    dedupe: [".", "${window.end|s}"]
events:
  main: {label: {zh: 推送, en: push}, door: hook, verify: {scheme: none}}
  many: {label: {zh: 批量, en: batch}, door: hook, verify: {scheme: none}, split: data.list}
  whole: {label: {zh: 数组, en: array}, door: hook, verify: {scheme: none}, split: "."}
  xml: {label: {zh: XML, en: XML}, door: hook, verify: {scheme: none}, format: xml}
  form: {label: {zh: 表单, en: form}, door: hook, verify: {scheme: none}, format: form}
  any: {label: {zh: 任意, en: any}, door: hook, verify: {scheme: none}, format: any}
  only: {label: {zh: 一种, en: one}, door: hook, verify: {scheme: none}, messages: [ping]}
"""
)


def one(source, body):
    (found,) = decode.events(SPEC, source, body)
    return found


TRADE = b"""{"id": 42, "topic": "trade_Paid", "pub_time": "2026-01-01 08:00:00",
 "content": "{\\"tid\\":4171301100123456789,\\"payment\\":188.00,\\"order\\":{\\"n\\":1.10}}"}"""


def test_a_text_inside_a_text_is_opened():
    found = one("main", TRADE)
    assert (found.message, found.entity, found.record) == ("trade", "order", "4171301100123456789")
    assert found.dedupe == "trade:42"
    assert found.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert found.fast
    assert b"4171301100123456789" in found.payload
    assert b"188.00" in found.payload
    assert decode.native(found.payload, SPEC.messages["trade"]) == {"n": Decimal("1.10")}
    # A stored payload that was never opened is opened on the way out.
    assert decode.native(TRADE, SPEC.messages["trade"]) == {"n": Decimal("1.10")}


def test_a_text_that_is_no_json_stays():
    found = one("main", b'{"id":1,"topic":"trade_x","content":"oops"}')
    assert (found.message, found.record) == ("trade", None)


def test_what_nobody_knows_is_kept_as_unknown():
    found = one("main", b'{"new":"thing"}')
    assert (found.message, found.entity, found.payload) == ("unknown", None, b'{"new":"thing"}')
    assert found.dedupe == one("main", b'{ "new": "thing" }').dedupe
    assert found.dedupe != one("main", b'{"new":"other"}').dedupe
    assert one("only", TRADE).message == "unknown"


def test_split():
    body = b'{"data":{"list":[{"topic":"ping"},{"kind":"hello"},7]}}'
    assert [event.message for event in decode.events(SPEC, "many", body)] == ["ping", "hello", "unknown"]
    assert [event.message for event in decode.events(SPEC, "whole", b'[{"topic":"ping"},{}]')] == ["ping", "unknown"]
    assert decode.events(SPEC, "whole", b"[]") == []
    packed = b'{"data":{"list":"[{\\"topic\\":\\"ping\\"}]"}}'
    assert [event.message for event in decode.events(SPEC, "many", packed)] == ["ping"]
    # Another shape than declared is one unknown event, never nothing.
    assert [event.message for event in decode.events(SPEC, "many", b'{"data":null}')] == ["unknown"]


def test_dedupe():
    first = one("main", b'{"kind":"hello","a":1,"b":null,"noise":1}')
    assert first.dedupe == "hello:1|"
    assert first.dedupe == one("main", b'{"kind":"hello","a":"1","noise":2}').dedupe
    digest = one("main", b'{"kind":"hello","noise":1}').dedupe
    assert digest.startswith("hello:")
    assert digest != one("main", b'{"kind":"hello","noise":2}').dedupe
    long = one("main", jsontext.dumps({"kind": "hello", "a": "x" * 1000}))
    assert len(long.dedupe) < 100
    assert "\n" not in one("main", b'{"kind":"hello","a":"x\\ny"}').dedupe


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
        (1767225600, datetime(2026, 1, 1, tzinfo=UTC)),
        (1767225600000, datetime(2026, 1, 1, tzinfo=UTC)),
        ("1767225600000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01 08:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T08:00:00+08:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T08:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("soon", None),
        ("", None),
        (None, None),
        (True, None),
        ({}, None),
        (10**30, None),
    ],
)
def test_times(value, expected):
    assert decode.when(value, SPEC.time) == expected


def test_xml():
    body = "<xml><Event><![CDATA[a<b]]></Event><N>1</N><N>2</N><P x='1'><Q>中</Q></P></xml>".encode()
    assert jsontext.loads(one("xml", body).payload) == {"Event": "a<b", "N": ["1", "2"], "P": {"@x": "1", "Q": "中"}}


def test_form_and_any():
    assert jsontext.loads(one("form", b"a=1&b=%E4%B8%AD&b=2&c=").payload) == {"a": "1", "b": "中", "c": ""}
    assert jsontext.loads(one("any", b' {"a":1.50} ').payload) == {"a": Decimal("1.50")}
    assert jsontext.loads(one("any", b"<x><a>1</a></x>").payload) == {"a": "1"}
    assert jsontext.loads(one("any", b"a=1").payload) == {"a": "1"}
    assert jsontext.loads(one("any", "你好".encode()).payload) == {"text": "你好"}


BOMBS = [
    b'<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    b'<!DOCTYPE l [<!ENTITY a0 "lol"><!ENTITY a1 "&a0;&a0;&a0;&a0;"><!ENTITY a2 "&a1;&a1;&a1;">]><l>&a2;</l>',
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:1/x">]><a>&x;</a>',
    b"<a>" * 300 + b"</a>" * 300,
    b"<a>" * 100_000,
]


@pytest.mark.parametrize("body", BOMBS, ids=range(len(BOMBS)))
def test_dangerous_xml_is_refused(body):
    with pytest.raises(decode.Malformed):
        decode.events(SPEC, "xml", body)
    with pytest.raises(decode.Malformed):
        decode.events(SPEC, "any", body)


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("main", b""),
        ("main", b"7"),
        ("main", b'"text"'),
        ("main", b"{"),
        ("main", b"[" * 5000),
        ("main", b'{"a":"\xff"}'),
        ("main", b'{"a":' + b"9" * 5000 + b"}"),
        ("main", b'{"a":"\\ud80"}'),
        ("xml", b"{}"),
        ("xml", b""),
        ("form", b""),
        ("form", b"\xff\xfe"),
        ("any", b"  "),
        ("any", b"\xff\xfe"),
        ("any", b"{'a'"),
    ],
)
def test_what_cannot_be_read_is_malformed(source, body):
    with pytest.raises(decode.Malformed):
        decode.events(SPEC, source, body)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_else(body):
    for source in ("main", "many", "xml", "form", "any"):
        try:
            found = decode.events(SPEC, source, body)
        except decode.Malformed:
            continue
        for event in found:
            jsontext.loads(event.payload)
            assert len(event.dedupe) < 200


def test_ids_above_two_to_the_53_keep_their_digits():
    found = one("main", b'{"kind":"hello","a":99999999999999999999999999}')
    assert found.dedupe == "hello:99999999999999999999999999|"
    assert b"99999999999999999999999999" in found.payload


def test_xml_writing_escapes():
    text = xmltext.dumps("xml", {"a": '<&">', "b": None, "c": {"@k": 'q"', "d": ["1", "2"]}})
    assert xmltext.loads(text) == {"a": '<&">', "c": {"@k": 'q"', "d": ["1", "2"]}}


def test_a_row_that_is_a_bare_id_is_news_in_each_window_of_a_poll():
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    later = datetime(2026, 1, 3, tzinfo=UTC)
    found = decode.event(SPEC, "main", "id-7", window=(start, end))
    assert (found.message, found.record, found.payload) == ("bare", "id-7", b'"id-7"')
    assert found.dedupe == f"bare:id-7|{int(end.timestamp())}"
    assert decode.event(SPEC, "main", "id-7", window=(start, end)).dedupe == found.dedupe
    assert decode.event(SPEC, "main", "id-7", window=(start, later)).dedupe != found.dedupe
    owner = model.Connection("k", SPEC, {}, {})
    assert decode.event(SPEC, "main", "id-7", owner, window=(start, end)).dedupe == found.dedupe
    assert decode.event(SPEC, "main", "id-7", owner, window=(start, later)).dedupe != found.dedupe
    assert decode.event(SPEC, "main", "id-7", owner).dedupe == "bare:id-7"


def test_native_without_a_body_path_is_the_payload():
    message = declaration.MessageSpec(label={"zh": "a", "en": "a"})
    assert decode.native(b'{"a":1}', message) == {"a": 1}


WORDS = {"goods": "龙井茶", "n": "1"}


@pytest.mark.parametrize("charset", ["utf-8", "gbk"])
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{"goods":"龙井茶","n":"1"}'),
        ("any", '{"goods":"龙井茶","n":"1"}'),
        ("form", "goods=龙井茶&n=1"),
        ("xml", '<?xml version="1.0" encoding="CHARSET"?><r><goods>龙井茶</goods><n>1</n></r>'),
        ("any", "<?xml version='1.0' encoding='CHARSET'?><r><goods>龙井茶</goods><n>1</n></r>"),
    ],
)
def test_chinese_that_is_not_utf8_is_read_all_the_same(form, text, charset):
    """Regression: a push in GBK was unreadable, as XML even where it said so."""
    assert decode.parse(form, text.replace("CHARSET", charset).encode(charset)) == WORDS


def test_percent_signs_that_hide_gbk():
    assert decode.parse("form", b"goods=" + quote("龙井茶".encode("gbk")).encode() + b"&n=1") == WORDS
    assert decode.parse("form", b"goods=" + quote("龙井茶").encode() + b"&n=1") == WORDS


@pytest.mark.parametrize("form", ["json", "form", "xml", "any"])
def test_bytes_that_are_no_text_in_any_way(form):
    with pytest.raises(decode.Malformed):
        decode.parse(form, b'{"a":"\xff\xff"}')
