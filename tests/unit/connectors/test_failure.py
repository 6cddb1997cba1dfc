"""The tables: vendor codes first, then what HTTP itself says."""

from __future__ import annotations

import pytest

from connectors.core import answer, errors, failure, jsontext
from connectors.core.declaration import ErrorClass
from tests.unit.connectors import conftest

SPEC = conftest.declared(
    """
errors:
  - {match: ["40014", "invalid*Token"], becomes: token}
  - {match: ["7"], text: ban, becomes: banned, retry_after: 60, retry_after_pattern: "last for (\\\\d+)"}
  - {match: ["7"], becomes: throttled, retry_after: 2, hint: {zh: 慢点, en: slower}}
  - {text: "<html", becomes: banned}
  - {status: [418], becomes: misdeclared}
  - {match: ["dup"], becomes: done}
  - {match: ["may"], becomes: unknown}
probe: read
operations:
  read: {label: {zh: 读, en: read}, kind: get, errors: [{match: ["7"], text: special, becomes: rejected}]}
  write: {label: {zh: 写, en: write}, kind: write}
"""
)
SPEC = SPEC.model_copy(
    update={
        "failure": SPEC.failure.model_copy(
            update={"codes": ["body.errcode", "body.errors[*].code"], "retry_after": ["body.wait"]}
        )
    }
)
READ = failure.Reader(SPEC, SPEC.operations["read"])
WRITE = failure.Reader(SPEC, SPEC.operations["write"])


def got(status=200, body=None, raw=None, **headers):
    content = raw if raw is not None else (b"" if body is None else jsontext.dumps(body))
    return answer.Answer(status, {key.replace("_", "-"): value for key, value in headers.items()}, content)


def meaning(reader, answered, *, safe=False):
    assert not reader.succeeded(answered)
    return reader.finding(answered, safe=safe)


@pytest.mark.parametrize(
    ("answered", "becomes", "code"),
    [
        (got(body={"errcode": 40014}), ErrorClass.TOKEN, "40014"),
        (got(body={"errcode": "invalidAccessToken"}), ErrorClass.TOKEN, "invalidAccessToken"),
        (got(400, {"errcode": "invalidAccessToken"}), ErrorClass.TOKEN, "invalidAccessToken"),
        (got(body={"errcode": 7, "errmsg": "x"}), ErrorClass.THROTTLED, "7"),
        (got(body={"errcode": 7, "errmsg": "ban will last for 33 seconds"}), ErrorClass.BANNED, "7"),
        (got(body={"errcode": 7, "errmsg": "special"}), ErrorClass.REJECTED, "7"),
        (got(body={"errcode": 1, "errors": [{"code": "x"}, {"code": "dup"}]}), ErrorClass.DONE, "dup"),
        (got(raw=b"<html>denied</html>"), ErrorClass.BANNED, None),
        (got(418, {"errcode": 0}), ErrorClass.MISDECLARED, "0"),
    ],
)
def test_declared_rules(answered, becomes, code):
    found = meaning(READ, answered)
    assert (found.becomes, found.code) == (becomes, code)


def test_how_long_to_wait():
    assert meaning(READ, got(body={"errcode": 7, "errmsg": "ban will last for 33 more seconds"})).retry_after == 33
    assert meaning(READ, got(body={"errcode": 7, "errmsg": "ban"})).retry_after == 60
    assert meaning(READ, got(body={"errcode": 7, "wait": 9})).retry_after == 9
    assert meaning(READ, got(body={"errcode": 7}, retry_after="5")).retry_after == 5
    assert meaning(READ, got(body={"errcode": 7})).retry_after == 2
    assert meaning(READ, got(body={"errcode": 7})).hint == {"zh": "慢点", "en": "slower"}
    dated = got(429, retry_after="Sun, 22 Nov 2026 03:00:30 GMT", date="Sun, 22 Nov 2026 03:00:00 GMT")
    assert meaning(READ, dated).retry_after == 30
    past = got(429, retry_after="Sun, 22 Nov 2009 03:00:30 GMT")
    assert meaning(READ, past).retry_after == 0
    for odd in ("soon", "-5", "1e99", "", "Someday, 99 Foo 2026"):
        assert meaning(READ, got(429, retry_after=odd)).retry_after is None


@pytest.mark.parametrize(
    ("answered", "write", "read"),
    [
        (got(429), errors.Throttled, errors.Throttled),
        (got(401), errors.CredentialRefused, errors.CredentialRefused),
        (got(403, {"errmsg": "no"}), errors.CredentialRefused, errors.CredentialRefused),
        (got(500), errors.OutcomeUnknown, errors.Unavailable),
        (got(503, retry_after="3"), errors.OutcomeUnknown, errors.Unavailable),
        (got(502, raw=b"<center>nginx</center>"), errors.OutcomeUnknown, errors.Unavailable),
        (got(408), errors.OutcomeUnknown, errors.Unavailable),
        (got(200), errors.OutcomeUnknown, errors.Unavailable),
        (got(200, raw=b"<p>login</p>"), errors.OutcomeUnknown, errors.Unavailable),
        (got(200, {}), errors.OutcomeUnknown, errors.Unavailable),
        (got(200, {"errcode": "may"}), errors.OutcomeUnknown, errors.Unavailable),
        (got(302, location="https://login"), errors.Misdeclared, errors.Misdeclared),
        (got(405), errors.Misdeclared, errors.Misdeclared),
        (got(404), errors.Rejected, errors.Rejected),
        (got(422, {"errmsg": "bad"}), errors.Rejected, errors.Rejected),
        (got(200, {"errcode": 99, "errmsg": "bad"}), errors.Rejected, errors.Rejected),
        (got(200, {"errcode": "dup"}), errors.Rejected, errors.Rejected),
        (got(200, {"errcode": 40014}), errors.CredentialRefused, errors.CredentialRefused),
    ],
)
def test_what_http_says(answered, write, read):
    for reader, safe, kind in ((WRITE, False, write), (READ, True, read)):
        found = failure.error(meaning(reader, answered, safe=safe), "op", safe=safe)
        assert type(found) is kind
        assert found.operation == "op"


def test_a_declared_code_decides_over_the_status():
    assert meaning(WRITE, got(500, {"errcode": "dup"})).becomes is ErrorClass.DONE
    assert meaning(WRITE, got(403, {"errcode": 7})).becomes is ErrorClass.THROTTLED


def test_a_ban_has_a_length_even_when_nobody_told():
    error = failure.error(meaning(READ, got(raw=b"<html>")), "op", safe=True)
    assert error.banned
    assert error.retry_after == failure.BAN


def test_the_message_is_the_vendors():
    assert meaning(READ, got(body={"errcode": 99, "errmsg": "库存不足"})).message == "库存不足"
    assert meaning(READ, got(500, raw=b"<html><b>Bad</b> gateway" + b"x" * 500)).message.startswith(
        "HTTP 500: Bad gateway"
    )
    assert meaning(READ, got(500)).message == "HTTP 500, empty body"
    assert "zh" in meaning(READ, got(500)).hint


def reader(**condition):
    read = failure.Reader(SPEC, None)
    read.use(failure.declaration.Condition(**condition))
    return read


def test_a_body_that_cannot_be_read_proves_nothing():
    no_error = reader(path="body.error", present=False)
    assert no_error.succeeded(got(body={"x": 1}))
    assert not no_error.succeeded(got(raw=b"<html>"))
    assert not no_error.succeeded(got(raw=b""))
    assert not no_error.succeeded(got(500, body={"x": 1}))
    status = reader(path="status", one_of=[200, 404])
    assert status.succeeded(got(404, raw=b"<html>"))
    assert status.succeeded(got(200))
    assert not status.succeeded(got(500))
    both = reader(all=[{"path": "status", "equals": 204}, {"path": "body.error", "present": False}])
    assert both.succeeded(got(204))
    assert not both.succeeded(got(204, raw=b"<html>"))


def test_answers_in_other_clothes():
    gbk = '{"errmsg":"库存"}'.encode("gbk")
    assert answer.Answer(200, {"content-type": "text/html; charset=GBK"}, gbk).body == {"errmsg": "库存"}
    chinese = "<?xml version='1.0' encoding='GBK'?><r><a>库存</a></r>".encode("gbk")
    for kind in ("text/xml", "text/xml; charset=gbk"):
        assert answer.Answer(200, {"content-type": kind}, chinese).body == {"a": "库存"}
    xml = b"<?xml version='1.0'?><response><flag>success</flag></response>"
    assert answer.Answer(200, {}, xml).body == {"flag": "success"}
    assert answer.Answer(200, {"content-type": "text/xml"}, b"<r><a>1</a></r>").body == {"a": "1"}
    assert not answer.Answer(200, {"content-type": "text/html"}, b"<r><a>1</a></r>").parsed
    odd = answer.Answer(200, {"content-type": "x; charset=nonsense"}, b'{"a":1}')
    assert odd.body == {"a": 1}
    set_cookies = answer.Answer(200, {}, b"", ["a=1; path=/; HttpOnly", "ASP.NET_SessionId=x=y", "=bad"])
    assert set_cookies.cookies == {"a": "1", "ASP.NET_SessionId": "x=y"}
