from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from connectors.core import mask


def test_secrets_in_every_spelling():
    secret = 'p@ss/w0rd "x"+=\n中'
    one = mask.Mask([secret, "tok-12345"])
    import json

    for text in (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret, ensure_ascii=False),
    ):
        hidden = one.text(f"a {text} b tok-12345 c")
        assert "w0rd" not in hidden
        assert hidden.endswith("*** c")


def test_the_longer_of_two_overlapping_secrets_goes_whole():
    assert mask.Mask(["abcd", "abcdefgh"]).text("xabcdefghx abcd") == "x***x ***"


def test_phones():
    none = mask.Mask([])
    assert (
        none.text('{"mobile":"13812345678","tid":4171301100123456789}') == '{"mobile":"***","tid":4171301100123456789}'
    )
    assert none.text("+86 13812345678, 8613812345678") == "***, ***"
    assert none.text("order 1381234567 and 138123456789") == "order 1381234567 and 138123456789"


def test_short_values_are_no_secrets():
    assert mask.Mask(["a", "12", ""]).text("banana 12") == "banana 12"


@given(st.integers(0, 400), st.integers(20, 300))
def test_no_half_secret_at_the_cut(offset, length):
    secret = "S" + "e" * (length - 2) + "T"
    text = "x" * (mask.CAP - 200 + offset) + secret + "y" * 500
    hidden = mask.Mask([secret]).text(text)
    assert "Se" not in hidden
    assert "eT" not in hidden
    assert len(hidden) <= mask.CAP


def test_many_masked_values_do_not_pull_a_tail_in():
    secret = "k" * 100
    hidden = mask.Mask([secret]).text((secret + "-") * 200)
    assert "kk" not in hidden


def test_also():
    one = mask.Mask(["first-secret"])
    two = one.and_also(("second-secret",))
    assert two.text("first-secret second-secret") == "*** ***"
    assert one.text("second-secret") == "second-secret"
    assert two.and_also(("second-secret",)) is two


@given(st.lists(st.sampled_from(["1", "3", "8", "6", "13812345678", "+86", "+", "-", " ", "x", "0"]), max_size=30))
def test_phone_numbers_are_found_as_by_looking_everywhere(parts):
    text = "".join(parts)
    assert mask.Mask([]).text(text) == mask._WHOLE.sub("***", text)
