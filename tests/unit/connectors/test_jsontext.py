import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.core import answer, jsontext


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"tid":4171301100123456789}', {"tid": 4171301100123456789}),
        (b"[18446744073709551616]", [18446744073709551616]),
        (b"[-9223372036854775809, 99999999999999999999999]", [-9223372036854775809, 99999999999999999999999]),
        (b'{"p": 0.10}', {"p": Decimal("0.10")}),
        (b"[1e3, -2E-2]", [Decimal("1e3"), Decimal("-2E-2")]),
        (b"56.637168", Decimal("56.637168")),
        (b' {"t":"1.5e3, [2.5"} ', {"t": "1.5e3, [2.5"}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1.5}', {"a": Decimal("1.5")}),
    ],
)
def test_numbers_are_exact(text, value):
    found = jsontext.loads(text)
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"<html>",
        b'{"a":NaN}',
        b"[Infinity]",
        b"[1.5,-Infinity]",
        b"[" * 200 + b"]" * 200,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b"[" * 200_000,
        b"9" * 5000,
        b'"\\ud8"',
        b'[1.5,"\\ud80"]',
        b"\\ud800",
        b'["\xff\xfe"]',
        b'[1.5,"\xff\xfe"]',
    ],
)
def test_what_is_not_json_is_one_error(text):
    with pytest.raises(jsontext.JsonError):
        jsontext.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"cut \uD83D"', "cut \ufffd"),
        (rb'"\udf75 and \ud83c\udf75"', "\ufffd and 🍵"),
        (rb'"\ud83c\ud83c\udf75"', "\ufffd🍵"),
        (rb'"\ud83c\n\udf75"', "\ufffd\n\ufffd"),
        (rb'"C:\\ud800, \\\ud800"', "C:\\ud800, \\\ufffd"),
        (rb'[1.50,{"\ud800":"\udfff"}]', [Decimal("1.50"), {"\ufffd": "\ufffd"}]),
        ('["\ud83c", "\ud83c\udf75", "🍵"]', ["\ufffd", "🍵", "🍵"]),
    ],
)
def test_half_a_character_is_read_as_the_replacement_character(text, value):
    assert jsontext.loads(text) == value
    assert jsontext.loads(jsontext.dumps(jsontext.loads(text))) == value


@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_any_text_can_be_read_and_written_again(text):
    found = jsontext.loads(json.dumps([text]))
    assert found[0] == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert jsontext.loads(jsontext.dumps(found)) == found


def test_depth_just_below_the_bound_is_fine():
    text = b"[" * 100 + b"]" * 100
    assert jsontext.dumps(jsontext.loads(text)) == text


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(trees)
def test_what_is_written_reads_back_with_the_same_values(tree):
    assert jsontext.loads(jsontext.dumps(tree)) == tree


@given(trees)
def test_agrees_with_the_standard_library(tree):
    text = jsontext.dumps(tree)
    assert jsontext.loads(text) == json.loads(text, parse_float=Decimal)


def test_digits_stay():
    assert jsontext.dumps({"a": Decimal("188.00"), "b": Decimal("1E+2")}) == b'{"a":188.00,"b":1E+2}'
    assert jsontext.dumps({"id": 2**70}) == b'{"id":1180591620717411303424}'
    assert len(jsontext.dumps(Decimal("1E+999999"))) < 20


@pytest.mark.parametrize("value", [Decimal("NaN"), object(), {"a": "\ud800"}])
def test_what_has_no_json_is_refused(value):
    with pytest.raises(jsontext.JsonError):
        jsontext.dumps(value)


def test_an_answer_may_say_nan_where_a_number_has_no_value():
    text = b'{"a": NaN, "b": [-Infinity, 1.50], "c": "NaN, NaN", "d": 12345678901234567890}'
    assert jsontext.loads(text, constants=True) == {
        "a": None,
        "b": [None, Decimal("1.50")],
        "c": "NaN, NaN",
        "d": 12345678901234567890,
    }
    assert answer.Answer(200, {}, text).body["a"] is None
    with pytest.raises(jsontext.JsonError):
        jsontext.loads(b'{"a": nan}', constants=True)
