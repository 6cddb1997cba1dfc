"""Every stock scheme fails closed: no secret, wrong secret, one flipped bit anywhere, outside the window."""

from __future__ import annotations

import hmac
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import standardwebhooks

from connectors.core import cipher, declaration, errors, jsontext, model, registry, verify, xmltext
from tests.unit.connectors import conftest

NOW = 1700000000.0
SPEC = registry.parse(
    conftest.HEAD
    + "success: {path: status, equals: 200}\nprobe: a\noperations: {a: {label: {zh: a, en: a}, method: GET}}"
)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
BODY = b'{"order": "A1", "total": 1.10}'


def check(hook, scheme, options, now=NOW, secrets=None):
    connection = replace(conftest.connected(SPEC, "https://x"), secrets=secrets or {"s": "right", "w": WHSEC, "k": KEY})
    return verify.verify(hook, connection, declaration.Verify(scheme=scheme, options=options), now)


def refused(hook, scheme, options, now=NOW, secrets=None):
    with pytest.raises(errors.HookRefused) as caught:
        check(hook, scheme, options, now, secrets)
    return caught.value.reason


def hook(body=BODY, query=None, method="POST", **headers):
    return model.RawHook(method, query or {}, {key.replace("_", "-"): value for key, value in headers.items()}, body)


def flipped(text, at):
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]


# token

TOKEN = {"token": "${secret.s}", "header": "X-Token"}


def test_token():
    assert check(hook(x_token="right"), "token", TOKEN).plaintext == BODY
    assert check(hook(query={"t": "right"}), "token", {"token": "${secret.s}", "query": "t"}).plaintext == BODY
    bearer = {"token": "${secret.s}", "prefix": "Bearer "}
    assert check(hook(authorization="Bearer right"), "token", bearer).plaintext == BODY
    assert refused(hook(authorization="right"), "token", bearer) == "forged"


@pytest.mark.parametrize("given", ["wrong", "righ", "right2", "right, right", "RIGHT", "\udcff"])
def test_token_wrong(given):
    assert refused(hook(x_token=given), "token", TOKEN) == "forged"


def test_token_missing():
    assert refused(hook(), "token", TOKEN) == "unsigned"
    assert refused(hook(x_token=""), "token", TOKEN) == "unsigned"


# hmac_header

HMAC = {"secret": "${secret.s}", "header": "X-Sig", "prefix": "sha256="}
TIMED = {**HMAC, "timestamp_header": "X-Time"}


def proof(text=BODY, secret=b"right"):
    return "sha256=" + hmac.new(secret, text, "sha256").hexdigest()


def test_hmac_header():
    assert check(hook(x_sig=proof()), "hmac_header", HMAC).plaintext == BODY
    timed = hook(x_sig=proof(b"1700000000." + BODY), x_time="1700000000")
    assert check(timed, "hmac_header", TIMED).plaintext == BODY


@pytest.mark.parametrize("at", range(7, 7 + 64, 9))
def test_hmac_flipped_signature(at):
    assert refused(hook(x_sig=flipped(proof(), at)), "hmac_header", HMAC) in ("forged", "garbled")


@pytest.mark.parametrize("at", range(len(BODY)))
def test_hmac_flipped_body(at):
    assert refused(hook(flipped(BODY.decode(), at).encode(), x_sig=proof()), "hmac_header", HMAC) == "forged"


@pytest.mark.parametrize(
    "given", ["", "sha256=", "sha256=zz", proof()[7:], proof() + ", " + proof(), "sha256=" + "é" * 64]
)
def test_hmac_garbage(given):
    assert refused(hook(x_sig=given), "hmac_header", HMAC) in ("unsigned", "garbled", "forged")


def test_hmac_flipped_or_old_timestamp():
    signed = proof(b"1700000000." + BODY)
    assert refused(hook(x_sig=signed, x_time="1700000001"), "hmac_header", TIMED) == "forged"
    assert refused(hook(x_sig=signed), "hmac_header", TIMED) == "unsigned"
    for now in (NOW + 301, NOW - 301):
        assert refused(hook(x_sig=signed, x_time="1700000000"), "hmac_header", TIMED, now) == "stale"
    for text in ("now", "1e9", "-5", "１７０", "9" * 17):
        assert refused(hook(x_sig=signed, x_time=text), "hmac_header", TIMED) == "garbled"


def test_rotation_takes_either_secret():
    options = {"secrets": ["${secret.new}", "${secret.s}"], "header": "x-sig", "prefix": "sha256="}
    assert check(hook(x_sig=proof()), "hmac_header", options)
    assert check(hook(x_sig=proof(secret=b"n")), "hmac_header", options, secrets={"new": "n", "s": "right"})
    assert refused(hook(x_sig=proof(secret=b"third")), "hmac_header", options) == "forged"


# standard_webhooks

SW = {"secret": "${secret.w}"}


def theirs(now, body=BODY, secret=WHSEC):
    message = f"msg_{uuid.uuid4().hex}"
    at = datetime.fromtimestamp(now, UTC)
    signature = standardwebhooks.Webhook(secret).sign(message, at, body.decode())
    return {"webhook_id": message, "webhook_timestamp": str(int(now)), "webhook_signature": signature}


def test_standard_webhooks_made_by_their_own_library():
    verified = check(hook(**(sent := theirs(NOW))), "standard_webhooks", SW)
    assert verified.plaintext == BODY
    assert verified.context["id"] == sent["webhook_id"]
    several = {**sent, "webhook_signature": f"v1,AAAA v1a,xxx {sent['webhook_signature']}"}
    assert check(hook(**several), "standard_webhooks", SW)


@pytest.mark.parametrize("part", ["webhook_id", "webhook_timestamp", "webhook_signature"])
def test_standard_webhooks_each_part_flipped_or_missing(part):
    sent = theirs(NOW)
    for at in range(0, len(sent[part]), 5):
        spoiled = {**sent, part: flipped(sent[part], at)}
        assert refused(hook(**spoiled), "standard_webhooks", SW) in ("forged", "garbled", "stale")
    without = {name: value for name, value in sent.items() if name != part}
    assert refused(hook(**without), "standard_webhooks", SW) == "unsigned"
    # A header that came twice arrives joined; a list of signatures is allowed, a list of ids is not.
    twice = {**sent, part: f"{sent[part]}, {sent[part]}"}
    if part != "webhook_signature":
        assert refused(hook(**twice), "standard_webhooks", SW) in ("forged", "garbled")


def test_standard_webhooks_body_flipped_and_replayed():
    sent = theirs(NOW)
    for at in range(len(BODY)):
        assert refused(hook(flipped(BODY.decode(), at).encode(), **sent), "standard_webhooks", SW) == "forged"
    assert check(hook(**sent), "standard_webhooks", SW, NOW + 300)
    assert refused(hook(**sent), "standard_webhooks", SW, NOW + 301) == "stale"
    assert refused(hook(**sent), "standard_webhooks", SW, NOW - 301) == "stale"
    assert refused(hook(**theirs(NOW, secret="whsec_AAAA")), "standard_webhooks", SW) == "forged"
    assert refused(hook(**sent), "standard_webhooks", SW, secrets={"w": "whsec_***"}) == "misconfigured"


# sha1_aes

XML = {
    "token": "${secret.s}",
    "key": "${secret.k}",
    "receive_ids": ["${config.corp}", "wwcorp"],
    "window": 600,
    "timestamp": "s",
    "echo": "echostr",
}
JSON = {**XML, "envelope": "json", "timestamp": "ms", "signature": ["msg_signature", "signature"], "echo": None}


def sealed(message=b"<xml><A>1</A></xml>", *, owner="wwcorp", key=KEY, token="right", at="1700000000", text=None):
    text = text or cipher.encrypt(key, message, owner)
    query = {"msg_signature": cipher.signature(token, at, "n0nce", text), "timestamp": at, "nonce": "n0nce"}
    return text, query


def xml_hook(**how):
    text, query = sealed(**how)
    return hook(xmltext.dumps("xml", {"ToUserName": "x", "Encrypt": text}), query)


def test_sha1_aes_xml():
    verified = check(xml_hook(), "sha1_aes", XML)
    assert verified.plaintext == b"<xml><A>1</A></xml>"
    assert verified.handshake is None
    assert verified.context["receive_id"] == "wwcorp"
    assert verified.context["query"]["nonce"] == "n0nce"


def test_sha1_aes_json_reads_either_name_of_the_signature():
    text, query = sealed(b'{"EventType":"x"}', at="1700000000123")
    body = jsontext.dumps({"encrypt": text})
    assert check(hook(body, query), "sha1_aes", JSON).plaintext == b'{"EventType":"x"}'
    query["signature"] = query.pop("msg_signature")
    assert check(hook(body, query), "sha1_aes", JSON).plaintext == b'{"EventType":"x"}'
    assert refused(hook(body, {**query, "timestamp": "1700000000"}), "sha1_aes", JSON) == "forged"


def test_sha1_aes_handshake():
    text, query = sealed(b"1616140317555161061")
    verified = check(hook(b"", {**query, "echostr": text}, method="GET"), "sha1_aes", XML)
    assert verified.handshake == b"1616140317555161061"
    assert refused(hook(b"", query, method="GET"), "sha1_aes", XML) == "unsigned"


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
def test_sha1_aes_query_flipped_or_missing(name):
    good = xml_hook()
    for at in range(len(good.query[name])):
        spoiled = replace(good, query={**good.query, name: flipped(good.query[name], at)})
        assert refused(spoiled, "sha1_aes", XML) in ("forged", "garbled")
    without = {key: value for key, value in good.query.items() if key != name}
    assert refused(replace(good, query=without), "sha1_aes", XML) == "unsigned"


def test_sha1_aes_ciphertext_flipped():
    text, query = sealed()
    for at in range(0, len(text) - 2, 7):
        body = xmltext.dumps("xml", {"Encrypt": flipped(text, at)})
        assert refused(hook(body, query), "sha1_aes", XML) in ("forged", "garbled")


def test_sha1_aes_says_the_same_for_every_wrong_cipher():
    words = set()
    for how in (
        {"owner": "wwother"},
        {"owner": ""},
        {"key": "A" * 43},
        {"text": "AAAA"},
        {"text": "QUJDREVGR0hJSktMTU5PUA=="},
    ):
        with pytest.raises(errors.HookRefused) as caught:
            check(xml_hook(**how), "sha1_aes", XML)
        words.add(str(caught.value))
    assert words == {"forged: cannot be decrypted"}


def test_sha1_aes_window():
    assert refused(xml_hook(), "sha1_aes", XML, NOW + 601) == "stale"
    assert refused(xml_hook(), "sha1_aes", XML, NOW - 601) == "stale"
    assert check(xml_hook(), "sha1_aes", {**XML, "window": None}, NOW + 1e6)


@pytest.mark.parametrize(
    "body", [b"", b"<xml>", b"<xml><Encrypt></Encrypt></xml>", b"<xml><Encrypt><a/></Encrypt></xml>", b"{}", b"[]"]
)
def test_sha1_aes_garbage_envelopes(body):
    _, query = sealed()
    assert refused(hook(body, query), "sha1_aes", XML) in ("garbled", "unsigned")
    assert refused(hook(body, query), "sha1_aes", JSON) in ("garbled", "unsigned")


def test_sha1_aes_entity_bomb():
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><xml><Encrypt>&c;</Encrypt></xml>'
    assert refused(hook(bomb, sealed()[1]), "sha1_aes", XML) == "garbled"


# all of them

GOOD = [
    ("token", TOKEN, hook(x_token="right"), ["s"]),
    ("hmac_header", HMAC, hook(x_sig=proof()), ["s"]),
    ("standard_webhooks", SW, hook(**theirs(NOW)), ["w"]),
    ("sha1_aes", XML, xml_hook(), ["s", "k"]),
]


@pytest.mark.parametrize(("scheme", "options", "good", "names"), GOOD, ids=[case[0] for case in GOOD])
def test_no_secret_means_no_entry(scheme, options, good, names):
    right = {"s": "right", "w": WHSEC, "k": KEY}
    assert check(good, scheme, options, secrets=right)
    for name in names:
        for empty in ({}, {name: ""}, {name: "   "}):
            secrets = {**right, **empty}
            if not empty:
                del secrets[name]
            assert refused(good, scheme, options, secrets=secrets or {"none": "x"}) == "misconfigured"
    # An empty secret must not verify what was signed with an empty secret either.
    assert refused(hook(x_token="", x_sig=proof(secret=b"")), scheme, options, secrets={"x": "y"}) == "misconfigured"


@pytest.mark.parametrize(("scheme", "options", "good", "names"), GOOD, ids=[case[0] for case in GOOD])
def test_wrong_secret(scheme, options, good, names):
    wrong = {"s": "wrong", "w": "whsec_AAAAAAAA", "k": "A" * 43}
    assert refused(good, scheme, options, secrets=wrong) == "forged"


def test_without_receive_ids_nothing_is_ours():
    for ids in ([], ["${config.corp}"], [""], None):
        assert refused(xml_hook(), "sha1_aes", {**XML, "receive_ids": ids}) == "misconfigured"


def test_settings_that_make_no_sense_refuse():
    for options in ({**XML, "window": "ten minutes"}, {**XML, "token": "${secret.s|int}"}):
        assert refused(xml_hook(), "sha1_aes", options) == "misconfigured"
    assert refused(xml_hook(), "sha1_aes", {**XML, "window": "nan"}) == "stale"
    assert check(xml_hook(), "sha1_aes", {**XML, "receive_ids": "wwcorp", "signature": "msg_signature"})


def test_none_must_be_written_out_and_unknown_schemes_refuse():
    assert check(hook(), "none", {}).plaintext == BODY
    assert refused(hook(), "nothing", {}) == "misconfigured"
    assert refused(hook(), "custom", {}) == "misconfigured"


def test_refusals_never_show_the_secret():
    for scheme, options, good, _ in GOOD:
        with pytest.raises(errors.HookRefused) as caught:
            check(good, scheme, options, secrets={"s": "wr0ng-secret", "w": "whsec_d3IwbmctcmVhbGx5", "k": "A" * 43})
        assert "wr0ng" not in repr(caught.value)
        assert "whsec" not in repr(caught.value)
