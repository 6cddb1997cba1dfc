"""A signature whose text a declaration spells out: public examples, both directions, and what must be refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.core import declaration, errors, model, signing, verify
from tests.unit.connectors import conftest

SPEC = conftest.declared("probe: a\noperations:\n  a: {label: {zh: a, en: a}}\n")
WHERE = model.Connection("c", SPEC, {}, {})
NOW = 1_700_000_000.0

# The example of WeChat Pay's second version: its pages give the parameters, the key and both signatures.
PAY = {
    "appid": "wxd930ea5d5a258f4f",
    "mch_id": "10000100",
    "device_info": "1000",
    "body": "test",
    "nonce_str": "ibuaiVcKdpRxkhJA",
}
PAY_KEY = "192006250b4c09247ec02edce69f6a2d"
# The example of Taobao's gateway in its old form: the secret on both sides of names and values.
TAOBAO = "66987CB115214E59E6EC978214934FB8"
TAOBAO_PARAMS = {
    "method": "taobao.item.seller.get", "app_key": "12345678", "session": "test", "timestamp": "2016-01-01 12:00:00",
    "format": "json", "v": "2.0", "sign_method": "md5", "fields": "num_iid,title,nick,price,num", "num_iid": "11223344",
}  # fmt: skip


def signed(
    options, method="POST", url="https://api.example.com/v1/orders", form=None, body=b"", query=None, headers=None
):
    made = model.Request(method, url, dict(query or {}), dict(headers or {}), body=body, form=form)
    signing.sign("template", options, made, WHERE, NOW)
    return made


@pytest.mark.parametrize(
    ("algorithm", "wanted"),
    [
        ("md5", "9A0A8659F005D6984697E2CA0A9CF3B7"),
        ("hmac_sha256", "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"),
    ],
)
def test_wechat_pays_example(algorithm, wanted):
    options = {"text": "{params}&key={secret}", "secret": PAY_KEY, "algorithm": algorithm, "case": "upper"}
    made = signed({**options, "to": "form.sign"}, form=dict(PAY))
    assert made.form["sign"] == wanted
    made = signed({**options, "to": "body.sign", "params": "body"}, body=json.dumps(PAY).encode())
    assert json.loads(made.body) == {**PAY, "sign": wanted}


def test_taobaos_example():
    options = {"text": "{secret}{params}{secret}", "secret": "helloworld", "equals": "", "between": "", "case": "upper"}
    made = signed({**options, "algorithm": "md5", "to": "query.sign"}, query=TAOBAO_PARAMS)
    assert made.query["sign"] == TAOBAO


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_method_path_time_and_nonce(algorithm):
    options = {
        "text": "{method}\n{path}\n{query}\n{timestamp}\n{nonce}\n{value.X-App}\n{body}", "secret": "k",
        "prefix": "v1=", "algorithm": f"hmac_{algorithm}", "to": "header.X-Sign", "timestamp_to": "header.X-Time",
        "timestamp_unit": "ms", "nonce_to": "header.X-Nonce",
    }  # fmt: skip
    made = signed(options, url="https://a.example/v1/x?b=2", query={"a": "中 1"}, headers={"X-App": "7"}, body=b"{}")
    assert made.headers["X-Time"] == "1700000000000"
    text = f"POST\n/v1/x\nb=2&a=%E4%B8%AD%201\n1700000000000\n{made.headers['X-Nonce']}\n7\n{{}}"
    assert made.headers["X-Sign"] == "v1=" + hmac.new(b"k", text.encode(), getattr(hashlib, algorithm)).hexdigest()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "{params}", "algorithm": "md5", "to": "query.sign"}, "no secret by itself"),
        ({"text": "{params}", "algorithm": "sha256", "to": "query.sign"}, "no secret by itself"),
        ({"text": "hello", "to": "query.sign"}, "names nothing"),
        ({"text": "{body}", "algorithm": "rot13", "to": "query.sign"}, "no algorithm"),
        ({"text": "{body}{timestamp}", "to": "query.sign"}, "timestamp_to"),
        ({"text": "{body}", "to": "cookie.sign"}, "no place"),
        ({"text": "{body}", "to": "form.sign"}, "has no form"),
    ],
)
def test_what_makes_no_signature_is_said(options, said):
    with pytest.raises(errors.Misdeclared, match=said):
        signed({"secret": "k", **options}, body=b"x")
    with pytest.raises(errors.Misdeclared, match="no secret"):
        signed({"text": "{params}{secret}", "algorithm": "md5", "to": "query.sign", "secret": ""})


DOOR = {
    "text": "{secret}{params}{secret}", "secret": "k", "algorithm": "md5", "to": "form.sign", "timestamp_to": "form.t",
}  # fmt: skip


def hook(form, **options):
    body = urlencode(form).encode()
    call = model.RawHook("POST", {}, {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, body)
    made = declaration.Verify(scheme="template", options={**DOOR, **options})
    return verify.verify(call, WHERE, made, NOW)


def proof(form):
    text = "k" + "&".join(f"{key}={form[key]}" for key in sorted(form)) + "k"
    return hashlib.md5(text.encode()).hexdigest()


def test_a_push_with_the_same_proof_is_taken_in_either_case():
    form = {"order": "7", "t": str(int(NOW))}
    assert hook({**form, "sign": proof(form)}).plaintext
    assert hook({**form, "sign": proof(form).upper()}).plaintext
    for wrong in ({"order": "8"}, {"more": "1"}, {"sign": ""}, {"t": str(int(NOW) - 301)}, {"t": "x"}):
        with pytest.raises(errors.HookRefused):
            hook({**form, "sign": proof(form), **wrong})
    late = {**form, "t": str(int(NOW) - 301)}
    with pytest.raises(errors.HookRefused) as stale:
        hook({**late, "sign": proof(late)})
    assert stale.value.reason == "stale"


def test_a_proof_that_leaves_the_body_out_is_none():
    spec_options = {"text": "{value.x}", "secret": "k", "to": "header.s"}
    made = declaration.Verify(scheme="template", options=spec_options)
    right = hmac.new(b"k", b"1", "sha256").hexdigest()
    told = model.RawHook("POST", {}, {"s": right, "x": "1"}, b'{"order":1}')
    with pytest.raises(errors.HookRefused) as refused:
        verify.verify(told, WHERE, made, NOW)
    assert refused.value.reason == "misconfigured"


@given(st.binary(max_size=60), st.text(max_size=30), st.text(st.sampled_from("{}params.body\ud800中"), max_size=30))
@example(b'{"a":"\\ud800"}', "x", "{params}")
def test_nothing_that_is_sent_makes_it_fail(body, sign, text):
    options = {"text": text or "{body}", "secret": "k", "to": "header.s", "params": "body"}
    made = declaration.Verify(scheme="template", options=options)
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        told = model.RawHook("POST", {"q": sign}, {"s": sign, "content-type": kind}, body)
        with pytest.raises(errors.HookRefused):
            verify.verify(told, WHERE, made, NOW)
