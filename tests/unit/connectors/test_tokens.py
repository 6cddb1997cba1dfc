"""Tokens: one login for everybody, one renewal per refusal, and a second refusal is final."""

from __future__ import annotations

import asyncio
import types

import pytest

from connectors.core import auth, client, errors, grant, model, pacing, registry
from tests.unit.connectors.conftest import answer, connected, declared

TEXT = """
auth:
  - style: token
    token:
      request: {{path: /token, json: {{key: "${{config.shade}}", secret: "${{secret.app_secret}}"}}}}
      value: access_token
      expires_in: expires_in
      early: 300
      {more}
    query: {{access_token: "${{token}}"}}
    headers: {{x-seat: "${{token.seat}}"}}
errors:
  - {{match: ["40014"], becomes: token}}
  - {{match: ["45009"], becomes: throttled, retry_after: 9}}
probe: a
operations:
  a: {{label: {{zh: a, en: a}}, kind: write, path: /a}}
  r: {{label: {{zh: r, en: r}}, kind: get, path: /a}}
  free: {{label: {{zh: f, en: f}}, kind: write, path: /free, auth: false}}
"""
SPEC = declared(TEXT.format(more=""))
LOGIN = declared(
    "auth:\n  - {style: token, token: {}, query: {access_token: '${token}'}}\n"
    "errors: [{match: ['40014'], becomes: token}, {match: ['45009'], becomes: throttled}]\n"
    "probe: a\noperations: {a: {label: {zh: a, en: a}, path: /a}}"
)


class Office:
    """Gives tokens and takes only the newest one."""

    def __init__(self, peer, *, same=False, expires_in=7200):
        self.logins = 0
        self.valid = None
        self.same, self.expires_in = same, expires_in
        self.refuse_login = None
        self.delay = 0.02
        peer.decide = self.decide

    async def decide(self, seen):
        if seen.path == "/token":
            await asyncio.sleep(self.delay)
            self.logins += 1
            if self.refuse_login is not None:
                return self.refuse_login
            self.valid = "token-same-000" if self.same else f"token-value-{self.logins}"
            body = {"errcode": 0, "access_token": self.valid, "expires_in": self.expires_in}
            return answer(body, set_cookie="seat=s7; path=/")
        good = seen.query.get("access_token") == self.valid or seen.path == "/free"
        return answer({"errcode": 0 if good else 40014, "errmsg": "token"})

    def expire(self):
        self.valid = "nobody has this"


async def test_got_once_and_kept(calls, peer):
    office, shop = Office(peer), connected(SPEC, peer.url)
    for _ in range(3):
        found = await calls.call(shop, "a", {})
    assert office.logins == 1
    assert peer.paths() == ["/token", "/a", "/a", "/a"]
    assert peer.seen[0].json == {"key": "grey", "secret": "s3cret-of-the-shop"}
    assert peer.seen[1].headers["x-seat"] == "s7"
    assert "token-value-1" not in repr(found.exchanges)
    assert "access_token=***" in found.exchanges[0].url


async def test_the_login_is_seen_in_the_ledger_without_its_secrets(calls, peer):
    Office(peer)
    found = await calls.call(connected(SPEC, peer.url), "a", {})
    assert [seen.operation for seen in found.exchanges] == ["token", "a"]
    shown = repr(found.exchanges)
    assert "token-value-1" not in shown
    assert "s3cret" not in shown


async def test_operations_without_auth_fetch_none(calls, peer):
    office = Office(peer)
    await calls.call(connected(SPEC, peer.url), "free", {})
    assert office.logins == 0


async def test_fifty_calls_at_once_log_in_once(calls, peer):
    office, shop = Office(peer), connected(SPEC, peer.url)
    await asyncio.gather(*(calls.call(shop, "a", {}) for _ in range(50)))
    assert office.logins == 1


async def test_fifty_calls_refused_at_once_renew_once(calls, peer):
    office, shop = Office(peer), connected(SPEC, peer.url)
    await calls.call(shop, "a", {})
    office.expire()
    found = await asyncio.gather(*(calls.call(shop, "a", {}) for _ in range(50)))
    assert len(found) == 50
    assert office.logins == 2


async def test_one_refused_login_for_fifty_calls_and_each_has_its_own_error(calls, peer):
    office, shop = Office(peer), connected(SPEC, peer.url)
    office.delay = 0.2
    office.refuse_login = answer({"errcode": 40001, "errmsg": "bad secret s3cret-of-the-shop"})
    found = await asyncio.gather(*(calls.call(shop, "a", {}) for _ in range(50)), return_exceptions=True)
    assert {type(error) for error in found} == {errors.CredentialRefused}
    assert office.logins == 1
    assert len({id(error) for error in found}) == 50
    assert "s3cret" not in found[0].message
    assert found[0].code == "40001"
    assert found[0].hint["zh"]


async def test_a_second_refusal_is_final(calls, peer):
    office, shop = Office(peer), connected(SPEC, peer.url)

    async def never(seen):
        return await office.decide(seen) if seen.path == "/token" else answer({"errcode": 40014, "errmsg": "no"})

    peer.decide = never
    with pytest.raises(errors.CredentialRefused) as caught:
        await calls.call(shop, "a", {})
    assert peer.paths() == ["/token", "/a", "/token", "/a"]
    assert [seen.operation for seen in caught.value.exchange] == ["token", "a", "token", "a"]


async def test_a_system_that_gives_the_same_token_again(calls, peer):
    office, shop = Office(peer, same=True), connected(SPEC, peer.url)
    await calls.call(shop, "a", {})
    office.expire()
    await calls.call(shop, "a", {})
    assert office.logins == 2


async def test_renewed_before_its_end_by_the_declared_margin(peer):
    now = [1000.0]
    office = Office(peer, expires_in=1000)
    calls = client.Client(auth.MemoryTokens(lambda: now[0]), pacing.LocalPacer(), now=lambda: now[0])
    shop = connected(SPEC, peer.url)
    await calls.call(shop, "a", {})
    now[0] += 699
    await calls.call(shop, "a", {})
    assert office.logins == 1
    now[0] += 2
    await calls.call(shop, "a", {})
    assert office.logins == 2
    await calls.aclose()


async def test_a_short_lived_token_is_used_for_half_its_life(peer):
    now = [1000.0]
    office = Office(peer, expires_in=20)
    calls = client.Client(auth.MemoryTokens(lambda: now[0]), pacing.LocalPacer(), now=lambda: now[0])
    shop = connected(SPEC, peer.url)
    for _ in range(5):
        await calls.call(shop, "a", {})
    assert office.logins == 1
    now[0] += 11
    await calls.call(shop, "a", {})
    assert office.logins == 2
    await calls.aclose()


@pytest.mark.parametrize("expires", [1_800_000_000, 1_800_000_000_000, "1800000000"])
async def test_an_absolute_end(peer, expires):
    Office(peer, expires_in=expires)
    tokens = auth.MemoryTokens(lambda: 1_799_990_000.0)
    calls = client.Client(tokens, pacing.LocalPacer(), now=lambda: 1_799_990_000.0)
    await calls.call(connected(SPEC, peer.url), "a", {})
    assert (await tokens.get("c1", 0)).expires_at == 1_799_999_700.0
    await calls.aclose()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (answer({"errcode": 40001}), errors.CredentialRefused),
        (answer({"errcode": 45009}), errors.Throttled),
        (answer({"errcode": 0}), errors.CredentialRefused),
        (answer({}, 503), errors.Unavailable),
        (answer(b"<html>", 200), errors.Unavailable),
        (answer({}, 401), errors.CredentialRefused),
        (answer({}, 429), errors.Throttled),
    ],
)
async def test_refused_logins(calls, peer, refusal, kind):
    Office(peer).refuse_login = refusal
    with pytest.raises(errors.ConnectorError) as caught:
        await calls.call(connected(SPEC, peer.url), "a", {})
    assert type(caught.value) is kind, "and never an unknown outcome: the write was not sent"
    assert "/a" not in peer.paths()


async def test_declared_refusal_and_success_of_the_login(calls, peer):
    spec = declared(TEXT.format(more="refusal: unavailable\n      success: {path: body.ok, equals: true}"))
    Office(peer)
    with pytest.raises(errors.Unavailable):
        await calls.call(connected(spec, peer.url), "a", {})


async def test_a_login_by_the_connectors_own_code(calls, peer, monkeypatch):
    async def login(send, connection, now):
        got = await send(model.Request("POST", connection.config["base_url"] + "/token", form={"k": "v"}))
        return model.Token(got.body["access_token"], now + 60, {"seat": got.cookies["seat"]})

    monkeypatch.setattr(registry, "signer", lambda name: types.SimpleNamespace(login=login))
    office = Office(peer)
    spec = declared(
        "auth:\n"
        "  - {style: token, token: {}, query: {access_token: '${token}'}, cookies: {seat: '${token.seat}'}}\n"
        "errors: [{match: ['40014'], becomes: token}]\n"
        "probe: a\noperations: {a: {label: {zh: a, en: a}, path: /a}}"
    )
    shop = connected(spec, peer.url)
    found = await calls.call(shop, "a", {})
    assert peer.seen[1].headers["cookie"] == "seat=s7"
    assert "token-value-1" not in repr(found.exchanges)
    office.expire()
    await calls.call(shop, "a", {})
    assert office.logins == 2


async def test_a_refresh_by_the_connectors_own_code_gets_the_token_before(calls, peer, monkeypatch):
    seen = []

    async def login(send, connection, now):
        return model.Token("login-1", now + 60, grant.carried("r-token-1", now + 100, ("code-1",)))

    async def refresh(send, connection, kept, now):
        seen.append((kept.value, grant.refresh_token(kept, (connection.config["shade"],), now)))
        await send(model.Request("POST", connection.config["base_url"] + "/free", form={"old": str(seen[-1][1])}))
        return model.Token("next-1", now + 60, kept.extra) if seen[-1][1] else None

    monkeypatch.setattr(registry, "signer", lambda name: types.SimpleNamespace(login=login, refresh=refresh))
    Office(peer).valid = "next-1"
    spec = LOGIN
    found = await calls.call(connected(spec, peer.url, shade="code-1"), "a", {})
    assert seen == [("login-1", "r-token-1")], "nothing was kept at first, then the refused token was"
    assert [one.operation for one in found.exchanges] == ["a", "token", "a"]
    assert "r-token-1" not in repr(found.exchanges)
    assert any(one.form == {"old": "r-token-1"} for one in peer.seen)
    peer.decide = Office(peer).decide
    with pytest.raises(errors.CredentialRefused):
        await calls.call(connected(spec, peer.url, shade="code-2"), "a", {})
    assert seen[-1] == ("next-1", None), "another grant in the form: the old chain is left"


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (answer({"errcode": 0}), None),
        (answer({"errcode": 1, "errmsg": "no s3cret-of-the-shop"}), errors.CredentialRefused),
        (answer({"errcode": 40014}), errors.CredentialRefused),
        (answer({"errcode": 45009}), errors.Throttled),
        (answer({}, 503), errors.Unavailable),
        (answer(b"<html>", 200), errors.Unavailable),
    ],
)
async def test_what_a_refused_login_of_the_connectors_own_code_means(calls, peer, monkeypatch, refusal, kind):
    async def login(send, connection, now):
        grant.check(connection, await send(model.Request("POST", connection.config["base_url"] + "/token")))
        return model.Token("token-value-1", now + 60)

    monkeypatch.setattr(registry, "signer", lambda name: types.SimpleNamespace(login=login))
    Office(peer).refuse_login = refusal
    work = calls.call(connected(LOGIN, peer.url), "a", {})
    if kind is None:
        with pytest.raises(errors.CredentialRefused):
            await work
        assert "/a" in peer.paths()
        return
    with pytest.raises(errors.ConnectorError) as caught:
        await work
    assert type(caught.value) is kind
    assert "s3cret" not in str(caught.value)
    assert "/a" not in peer.paths()


def test_a_grant_knows_where_it_began_and_when_it_ends():
    kept = model.Token("t", 0.0, grant.carried("r-1", 2000.9, ("key", "code")))
    assert grant.granted_until(kept.extra) == 2000.0
    assert grant.refresh_token(kept, ("key", "code"), 1999.0) == "r-1"
    assert grant.refresh_token(kept, ("key", "other"), 1999.0) is None
    assert grant.refresh_token(kept, ("keyc", "ode"), 1999.0) is None
    with pytest.raises(errors.CredentialRefused) as caught:
        grant.refresh_token(kept, ("key", "code"), 2000.0)
    assert caught.value.hint["zh"]
    endless = model.Token("t", 0.0, grant.carried("r-1", None, ("code",)))
    assert grant.refresh_token(endless, ("code",), 1e12) == "r-1"
    assert grant.refresh_token(model.Token("t", 0.0), ("code",), 0.0) is None


async def test_a_missing_login_is_said(calls, peer):
    spec = declared("auth: [{style: token, token: {}}]\nprobe: a\noperations: {a: {label: {zh: a, en: a}, path: /a}}")
    with pytest.raises(errors.Misdeclared, match="login"):
        await calls.call(connected(spec, peer.url), "a", {})


async def test_which_auth_applies(calls, peer):
    spec = declared(
        """
auth:
  - {style: static, headers: {x-a: "1"}, when: {shade: grey}}
  - {style: static, headers: {x-b: "1"}, when: {shade: [blue]}}
  - {style: static, headers: {x-c: "1"}, operations: ["b*"]}
probe: a
operations:
  a: {label: {zh: a, en: a}, path: /a, headers: {x-a: mine}}
  b: {label: {zh: b, en: b}, path: /b}
"""
    )
    await calls.call(connected(spec, peer.url), "a", {})
    await calls.call(connected(spec, peer.url, shade="blue"), "b", {})
    first, second = [{key: value for key, value in seen.headers.items() if key[:2] == "x-"} for seen in peer.seen]
    assert first == {"x-a": "mine"}
    assert second == {"x-b": "1", "x-c": "1"}


# the store alone


async def token(value, life=100.0):
    await asyncio.sleep(0.01)
    return model.Token(value, 1000 + life)


async def test_store_gives_a_newer_token_without_a_login():
    store = auth.MemoryTokens(lambda: 1000.0)
    await store.renew("k", None, lambda: token("one"))
    await store.renew("k", "one", lambda: token("two"))
    late = await store.renew("k", "one", lambda: token("three"))
    assert late.value == "two"
    assert (await store.get("k", 1000.0)).value == "two"
    assert await store.get("k", 1100.0) is None
    assert (await store.kept("k")).value == "two"
    store.forget("k")
    assert await store.kept("k") is None
    assert await store.get("k", 1000.0) is None


async def test_a_caller_that_gives_up_does_not_end_the_login_of_the_others():
    store = auth.MemoryTokens(lambda: 1000.0)
    runs = []

    async def login():
        runs.append(1)
        await asyncio.sleep(0.05)
        return model.Token("one", 2000.0)

    first = asyncio.create_task(store.renew("k", None, login))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(store.renew("k", None, login))
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).value == "one"
    assert len(runs) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_after_a_failed_login_the_next_caller_tries_again():
    store = auth.MemoryTokens(lambda: 1000.0)

    async def broken():
        raise errors.Unavailable("down")

    with pytest.raises(errors.Unavailable):
        await store.renew("k", None, broken)
    assert (await store.renew("k", None, lambda: token("one"))).value == "one"


@pytest.mark.parametrize(
    ("text", "until"),
    [("2027-03-01", 1803830400.0), ("2027-03-01 09:30:00", 1803864600.0), ("", None), ("next year", None)],
)
def test_an_end_that_a_person_entered_is_counted_down(text, until):
    spec = registry.get("taobao")  # house: vendor-word because its sessions are entered by hand
    assert grant.entered_until(model.Connection("shop", spec, {"session_ends": text}, {})) == until
