"""Published vectors of the stock schemes; an independent implementation where there is one."""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
import standardwebhooks

from connectors.core import errors, model, registry, signing
from tests.unit.connectors import conftest

NOW = 1700000000.0


def signed(scheme, options, now=NOW, **request):
    made = model.Request("POST", "https://127.0.0.1/x", **request)
    connection = conftest.connected(SPEC, "https://127.0.0.1")
    signing.sign(scheme, options, made, connection, now)
    return made


SPEC = registry.parse(
    conftest.HEAD
    + "success: {path: status, equals: 200}\nprobe: a\noperations: {a: {label: {zh: a, en: a}, method: GET}}"
)

# Worked examples of an open platform's document "API call method in detail" (2016 and 2013 editions).
SORTED = [
    (
        "helloworld",
        {
            "app_key": "12345678",
            "fields": "num_iid,title,nick,price,num",
            "format": "json",
            "method": "taobao.item.seller.get",
            "num_iid": "11223344",
            "session": "test",
            "sign_method": "md5",
            "timestamp": "2016-01-01 12:00:00",
            "v": "2.0",
        },
        "66987CB115214E59E6EC978214934FB8",
    ),
    (
        "test",
        {
            "method": "taobao.user.seller.get",
            "timestamp": "2013-05-06 13:52:03",
            "format": "xml",
            "app_key": "test",
            "v": "2.0",
            "fields": "nick",
            "sign_method": "md5",
            "session": "test",
        },
        "72CB4D809B375A54502C09360D879C64",
    ),
]


@pytest.mark.parametrize(("secret", "params", "expected"), SORTED)
def test_sorted_params_published(secret, params, expected):
    assert signed("sorted_params", {"secret": secret}, query=dict(params)).query["sign"] == expected
    # Split over query and form it is the same signature, and it goes where the form is.
    items = list(params.items())
    split = signed("sorted_params", {"secret": secret}, query=dict(items[:3]), form=dict(items[3:]))
    assert split.form["sign"] == expected
    assert "sign" not in split.query


@pytest.mark.parametrize(("algorithm", "expected"), [
    ("md5", "9A0A8659F005D6984697E2CA0A9CF3B7"),
    ("hmac_sha256", "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"),
])  # fmt: skip
def test_sorted_params_with_separators_published(algorithm, expected):
    # Worked example of a payment platform's document "Security rules: signature algorithm" (API v2).
    params = {"mch_id": "10000100", "body": "test", "device_info": "1000", "appid": "wxd930ea5d5a258f4f",
              "nonce_str": "ibuaiVcKdpRxkhJA", "empty": ""}  # fmt: skip
    options = {"secret": "192006250b4c09247ec02edce69f6a2d", "algorithm": algorithm, "equals": "=", "between": "&",
               "secret_param": "key"}  # fmt: skip
    assert signed("sorted_params", options, query=params).query["sign"] == expected


def test_sorted_params_options():
    params = {"b": "2", "a": "1", "empty": ""}
    text = b"a1b2"
    lower = signed("sorted_params", {"secret": "k", "algorithm": "hmac_sha256", "case": "lower"}, query=dict(params))
    assert lower.query["sign"] == hmac.new(b"k", text, "sha256").hexdigest()
    old = signed("sorted_params", {"secret": "k", "algorithm": "hmac_md5", "param": "s"}, query=dict(params))
    assert old.query["s"] == hmac.new(b"k", text, "md5").hexdigest().upper()
    kept = signed("sorted_params", {"secret": "k", "skip_empty": False}, query=dict(params))
    assert kept.query["sign"] == hashlib.md5(b"ka1b2emptyk").hexdigest().upper()
    body = signed("sorted_params", {"secret": "k", "body": "append"}, query={"a": "1"}, body=b"<x/>")
    assert body.query["sign"] == hashlib.md5(b"ka1<x/>k").hexdigest().upper()


def test_an_old_signature_is_not_signed():
    once = signed("sorted_params", {"secret": "k"}, query={"a": "1"})
    again = signed("sorted_params", {"secret": "k"}, query=dict(once.query))
    assert again.query == once.query


def test_query_timestamp_hmac():
    # Not published by the vendor; identical from npm dingtalk-robot-sender 1.2.0 and PyPI DingtalkChatbot 1.5.7.
    made = signed("query_timestamp_hmac", {"secret": "SECthis-is-a-demo-secret"}, query={"access_token": "t"})
    assert made.query["timestamp"] == "1700000000000"
    assert quote(made.query["sign"], safe="") == "mi9jaOPhAXvHi1ZwYP3HOXuxnNOgCHMi0WN0ECJjwwc%3D"


def test_query_timestamp_hmac_agrees_with_dingtalkchatbot(monkeypatch):
    from dingtalkchatbot import chatbot

    monkeypatch.setattr(chatbot.time, "time", lambda: NOW)
    robot = chatbot.DingtalkChatbot("https://127.0.0.1/robot/send?access_token=t", secret="SECanother")
    made = signed("query_timestamp_hmac", {"secret": "SECanother"}, query={"access_token": "t"})
    expected = "&".join(f"{key}={quote(value, safe='')}" for key, value in made.query.items())
    assert robot.webhook.partition("?")[2].replace("%3D", "%3d").lower() == expected.replace("%3D", "%3d").lower()


def test_published_hmac_of_a_message_alone():
    # A platform's FAQ: HMAC-SHA256, base64, of "1546084445901" under "testappSecret".
    found = signing.header_signature({"encoding": "base64"}, "testappSecret", b"1546084445901", None)
    assert quote(found, safe="") == "HCbG3xNE3vzhO%2Bu7qCUL1jS5hsu2n5r2cFhnTrtyDAE%3D"


def test_hmac_header():
    # RFC 4231, test case 2.
    found = signing.header_signature({}, "Jefe", b"what do ya want for nothing?", None)
    assert found == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    made = signed("hmac_header", {"secret": "k", "header": "X-Sig", "prefix": "sha256="}, body=b"{}")
    assert made.headers["X-Sig"] == "sha256=" + hmac.new(b"k", b"{}", "sha256").hexdigest()
    timed = signed("hmac_header", {"secret": "k", "timestamp_header": "x-time"}, body=b"{}")
    assert timed.headers["x-time"] == "1700000000"
    assert timed.headers["x-signature"] == hmac.new(b"k", b"1700000000.{}", "sha256").hexdigest()


def test_hmac_header_signs_the_form_as_it_is_sent():
    made = signed("hmac_header", {"secret": "k"}, form={"a": "1 2", "b": "中"})
    assert made.headers["x-signature"] == hmac.new(b"k", b"a=1+2&b=%E4%B8%AD", "sha256").hexdigest()


def test_standard_webhooks_published_and_by_their_own_library():
    # The specification's example.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    assert signing.webhook_signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    now = datetime.now(UTC).timestamp()
    made = signed("standard_webhooks", {"secret": secret, "id": "msg_1"}, now=now, body=body)
    standardwebhooks.Webhook(secret).verify(body, made.headers)
    other = signed("standard_webhooks", {"secret": secret}, now=now, body=body)
    assert other.headers["webhook-id"].startswith("msg_")


@pytest.mark.parametrize("scheme", ["sorted_params", "query_timestamp_hmac", "hmac_header", "standard_webhooks"])
def test_no_secret_is_said_unless_it_is_optional(scheme):
    for options in ({}, {"secret": ""}, {"secret": None}):
        with pytest.raises(errors.Misdeclared) as caught:
            signed(scheme, options)
        assert caught.value.hint["zh"]
    if scheme != "sorted_params":
        made = signed(scheme, {"optional": True})
        assert (made.query, made.headers) == ({}, {})


@pytest.mark.parametrize("secret", ["whsec_", "whsec_%%%", "whsec_a"])
def test_a_secret_that_is_no_base64(secret):
    with pytest.raises(errors.Misdeclared):
        signed("standard_webhooks", {"secret": secret})


def test_unknown_scheme_and_missing_signer():
    with pytest.raises(errors.Misdeclared, match="no scheme"):
        signed("rot13", {})
    with pytest.raises(errors.Misdeclared, match=r"signer\.py"):
        signed("custom", {})
    with pytest.raises(errors.Misdeclared, match="no algorithm"):
        signed("hmac_header", {"secret": "k", "algorithm": "crc32"})
