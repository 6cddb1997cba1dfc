"""Calling operations: what goes out, what comes back, and what is done about it."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from connectors.core import auth, client, errors, model, pacing, plan
from tests.unit.connectors.conftest import answer, connected, declared
from tests.unit.connectors.shop import SPEC, failing


@pytest.fixture
def shop(peer):
    return connected(SPEC, peer.url)


# what goes out and what comes back


async def test_get(calls, shop, peer):
    peer.decide = lambda seen: (
        200,
        {"content-type": "text/html"},
        b'{"errcode":"0","order":{"no":4171301100123456789,"p":1.10}}',
    )
    found = await calls.call(shop, "order.get", {"id": "A/1 ?中"})
    assert found.data == {"no": 4171301100123456789, "p": Decimal("1.10")}
    assert found.record_id == "4171301100123456789"
    assert peer.seen[0].query == {"fields": "a,b", "shade": "grey"}
    assert peer.seen[0].path == "/orders/A/1 ?中", "one path segment, percent-encoded on the wire"
    (seen,) = found.exchanges
    assert (seen.operation, seen.method, seen.status) == ("order.get", "GET", 200)
    assert "/orders/A%2F1%20%3F%E4%B8%AD" in seen.url
    assert 0 < seen.duration < 5


async def test_a_record_that_is_not_there_is_no_error(calls, shop, peer):
    found = await calls.call(shop, "order.get", {"id": "x"})
    assert (found.data, found.record_id) == (None, None)


async def test_of_several_places_for_the_result_the_first_that_is_there_counts(calls, peer):
    spec = declared(
        """
probe: order.get
operations:
  order.get: {label: {zh: 查, en: get}, kind: get, method: GET, path: /o, result: [wrapped, "."], id: no}
"""
    )
    for body in ({"errcode": 0, "wrapped": {"no": 1}}, {"errcode": 0, "no": 1}):
        peer.decide = lambda seen, body=body: answer(body)
        found = await calls.call(connected(spec, peer.url), "order.get", {})
        assert (found.data["no"], found.record_id) == (1, "1")


async def test_decimals_and_nulls_in_json(calls, shop, peer):
    found = await calls.call(shop, "order.save", {"no": "A1", "total": Decimal("188.00")})
    assert peer.seen[0].body == b'{"no":"A1","total":188.00,"nothing":null}'
    assert peer.seen[0].headers["content-type"] == "application/json"
    assert found.record_id == "A1"


async def test_form_and_text(calls, shop, peer):
    await calls.call(shop, "order.form", {"b": "1+1 中&", "tree": {"x": Decimal("1.50")}})
    assert peer.seen[0].form == {"b": "1+1 中&", "a": "1", "on": "true", "tree": '{"x":1.50}'}
    await calls.call(shop, "note.send", {"who": "你"})
    assert peer.seen[1].body.decode() == "hi 你"


async def test_what_is_missing_is_named_and_nothing_is_sent(calls, shop, peer):
    for operation, given in (
        ("order.get", {}),
        ("order.get", {"id": None}),
        ("order.get", {"id": ""}),
        ("note.send", {}),
        ("nope", {}),
    ):
        error = await failing(calls, shop, operation, given)
        assert isinstance(error, errors.Misdeclared)
        assert error.hint["zh"]
        assert error.operation == operation
    bad = connected(SPEC, "ftp://x")
    assert isinstance(await failing(calls, bad), errors.Misdeclared)
    assert peer.seen == []


async def test_refusals(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 9, "errmsg": "库存不足"})
    error = await failing(calls, shop)
    assert isinstance(error, errors.Rejected)
    assert (error.message, error.code, error.hint["zh"], error.operation) == ("库存不足", "9", "不行", "order.save")
    assert [seen.status for seen in error.exchange] == [200]
    assert isinstance(error.exchange, list)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (429, {"retry-after": "7"}, b"", errors.Throttled),
        (403, {}, b"no", errors.CredentialRefused),
        (500, {}, b"oops", errors.OutcomeUnknown),
        (502, {}, b"<html>", errors.OutcomeUnknown),
        (200, {"content-type": "text/html"}, b"<html>please log in</html>", errors.OutcomeUnknown),
        (200, {}, b"", errors.OutcomeUnknown),
        (422, {}, b"{}", errors.Rejected),
    ],
)
async def test_http_says_it(calls, shop, peer, status, headers, body, kind):
    peer.decide = lambda seen: (status, headers, body)
    error = await failing(calls, shop)
    assert type(error) is kind
    if status == 429:
        assert error.retry_after == 7
    assert len(peer.seen) == 1, "a write is never repeated"


async def test_a_value_of_the_wrong_kind(calls, peer):
    spec = declared(
        "probe: a\noperations:\n  a: {label: {zh: a, en: a}, kind: write, json: {n: '${input.n|int}', t: '${input.t}'}}"
    )
    shop = connected(spec, peer.url)
    for given in ({"n": "seven"}, {"n": 1, "t": object()}, {"n": 1, "t": Decimal("NaN")}):
        assert type(await failing(calls, shop, "a", given)) is errors.Misdeclared
    assert peer.seen == []


# lookup first, already so


async def test_after_an_unknown_outcome_the_lookup_decides(calls, shop, peer):
    there = {"no": "A1", "total": "188.00"}
    peer.decide = lambda seen: answer({"errcode": 0, "order": there} if seen.method == "GET" else {"errcode": 0})
    given = {"no": "A1", "id": "A1", "total": "188.00"}
    found = await calls.call(shop, "order.save", given, fresh=False)
    assert found.already
    assert found.record_id == "A1"
    assert peer.paths() == ["/orders/A1"]
    peer.seen.clear()
    changed = await calls.call(shop, "order.save", {**given, "total": "99.00"}, fresh=False)
    assert not changed.already
    assert peer.paths() == ["/orders/A1", "/save"]
    assert [seen.operation for seen in changed.exchanges] == ["order.get", "order.save"]
    peer.seen.clear()
    await calls.call(shop, "order.save", given)
    assert peer.paths() == ["/save"], "a first attempt does not ask"


async def test_absent_by_lookup_is_sent(calls, shop, peer):
    found = await calls.call(shop, "order.save", {"no": "A1", "id": "A1"}, fresh=False)
    assert peer.paths() == ["/orders/A1", "/save"]
    assert not found.already


async def test_already_so_is_believed_only_when_the_lookup_confirms(calls, shop, peer):
    there = {"no": "A1", "total": "188.00"}
    peer.decide = lambda seen: answer({"errcode": 0, "order": there} if seen.method == "GET" else {"errcode": "dup"})
    found = await calls.call(shop, "order.save", {"no": "A1", "id": "A1", "total": "188.00"})
    assert found.already
    error = await failing(calls, shop, given={"no": "A1", "id": "A1", "total": "1.00"})
    assert isinstance(error, errors.Rejected)
    assert error.code == "dup"
    assert len(error.exchange) == 2


async def test_already_so_without_a_lookup_is_success(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": "dup", "errmsg": "sent before"})
    found = await calls.call(shop, "note.send", {"who": "x"})
    assert found.already
    assert found.warnings == ("sent before",)


# guards


async def test_what_must_wait_over_there_is_not_sent(calls, peer):
    spec = declared(
        """
probe: order.get
operations:
  order.get: {label: {zh: 查, en: get}, kind: get, method: GET, path: "/orders/${input.no}", result: order, id: no}
  order.ship:
    label: {zh: 发, en: ship}
    kind: write
    path: /ship
    json: "${input}"
    idempotent: query_first
    lookup: order.get
    confirm: {path: result.waybill, equals: "${input.waybill}"}
    guard: {operation: order.get, when: {path: result.refund, equals: open}, hint: {zh: 退款中, en: refunding}}
"""
    )
    shop, given = connected(spec, peer.url), {"no": "A1", "waybill": "SF1"}
    order = {"no": "A1", "refund": "open"}
    peer.decide = lambda seen: answer({"errcode": 0, "order": order} if seen.method == "GET" else {"errcode": 0})
    held = await calls.call(shop, "order.ship", given)
    assert (held.waiting, held.already, held.warnings) == (True, False, ("退款中 (refunding)",))
    assert peer.paths() == ["/orders/A1"]
    order["waybill"] = "SF1"
    assert (await calls.call(shop, "order.ship", given, fresh=False)).already, "what is there already waits for nobody"
    order |= {"refund": "closed", "waybill": ""}
    peer.seen.clear()
    assert not (await calls.call(shop, "order.ship", given)).waiting
    assert peer.paths() == ["/orders/A1", "/ship"]
    peer.seen.clear()
    peer.decide = lambda seen: answer(b"<html>", 200)
    assert type(await failing(calls, shop, "order.ship", given)) is errors.Unavailable, "nothing was sent"
    assert "/ship" not in peer.paths()


# pages


async def test_pages(calls, shop, peer):
    from datetime import UTC, datetime

    def decide(seen):
        page = int(seen.query["page"])
        rows = [{"no": n} for n in range(5)][(page - 1) * 2 : page * 2]
        return answer({"errcode": 0, "rows": rows, "total": 5})

    peer.decide = decide
    window = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    found = [rows async for rows in calls.pages(shop, "order.list", {}, window)]
    assert [row["no"] for rows in found for row in rows] == [0, 1, 2, 3, 4]
    assert peer.seen[0].query == {"page": "1", "size": "2", "start": "2026-01-01 08:00:00"}
    assert plan.of(SPEC, "order.list").record_id(found[0][1]) == "1"


async def test_a_failing_page_raises(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 9})
    with pytest.raises(errors.Rejected) as caught:
        async for _ in calls.pages(shop, "order.list", {}):
            pass
    assert caught.value.exchange


async def test_one_page_by_call(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 0, "rows": [{"no": 1}]})
    assert (await calls.call(shop, "order.list", {})).data == [{"no": 1}]
    peer.decide = lambda seen: answer({"errcode": 0})
    assert (await calls.call(shop, "order.list", {})).data == []


# the rest


async def test_probe(calls, peer):
    error = None
    try:
        await calls.probe(connected(SPEC, peer.url))
    except errors.Misdeclared as caught:
        error = caught
    assert error is not None, "this probe needs an id"


async def test_a_ban_stops_the_next_call_before_it_is_sent(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 7})
    first = await failing(calls, shop)
    assert first.banned
    assert first.retry_after == 60
    second = await failing(calls, shop)
    assert second.banned
    assert 50 < second.retry_after <= 60
    assert len(peer.seen) == 1
    other = connected(SPEC, peer.url, key="c2")
    peer.decide = lambda seen: answer({"errcode": 0})
    await calls.call(other, "order.save", {"no": "1"})


async def test_an_asynchronous_pacer_is_told_too(peer):
    told = []

    class Shared(pacing.LocalPacer):
        async def banned(self, connection, seconds, scope="shop"):
            told.append((connection.key, seconds, scope))

    calls = client.Client(auth.MemoryTokens(), Shared())
    peer.decide = lambda seen: answer({"errcode": 7})
    await failing(calls, connected(SPEC, peer.url))
    await calls.aclose()
    assert told == [("c1", 60, "shop")]


async def test_secrets_and_phones_do_not_show(calls, peer):
    spec = declared(
        """
signing: {scheme: sorted_params, options: {secret: "${secret.app_secret}"}}
probe: a
operations:
  a:
    label: {zh: a, en: a}
    kind: write
    path: /a
    form: {k: "${secret.app_secret}", phone: "${input.phone}", at: "${now|s}"}
    headers: {authorization: "Bearer ${secret.app_secret}"}
"""
    )

    def echo(seen):
        return answer({"errcode": 9, "errmsg": "bad key s3cret-of-the-shop", "form": seen.form})

    peer.decide = echo
    shop = connected(spec, peer.url)
    error = await failing(calls, shop, "a", {"phone": "13812345678"})
    sign = peer.seen[0].form["sign"]
    everything = repr(error.exchange) + repr(error) + error.message + repr(shop)
    for hidden in ("s3cret-of-the-shop", "13812345678"):
        assert hidden in peer.seen[0].body.decode()
        assert hidden not in everything
    assert sign not in error.exchange[0].request
    assert "bad key ***" in error.message
    assert "k=***" in error.exchange[0].request


async def test_exchanges_are_capped(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 0, "x": "y" * 100_000})
    found = await calls.call(shop, "order.save", {"no": "n" * 100_000})
    assert len(found.exchanges[0].request) <= 8192
    assert len(found.exchanges[0].response) == 8192


async def test_changed_settings_take_effect_and_unchanged_ones_keep_the_socket(calls, peer):
    ports = set()

    def decide(seen):
        ports.add(seen.query.get("shade"))
        return answer({"errcode": 0})

    peer.decide = decide
    first = connected(SPEC, peer.url)
    await calls.call(first, "order.get", {"id": "1"})
    kept = calls._lines["c1"]
    await calls.call(connected(SPEC, peer.url), "order.get", {"id": "1"})
    assert calls._lines["c1"] is kept
    await calls.call(connected(SPEC, peer.url, shade="blue"), "order.get", {"id": "1"})
    assert calls._lines["c1"] is not kept
    await calls.call(connected(SPEC, peer.url, shade="blue"), "order.get", {"id": "1"})
    assert calls._retired == []
    assert ports == {"grey", "blue"}


async def test_no_more_calls_in_flight_than_declared(calls, peer):
    spec = declared("pacing: {concurrency: 3}\nprobe: a\noperations: {a: {label: {zh: a, en: a}, path: /a}}")
    flying = most = 0

    async def slow(seen):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.02)
        flying -= 1
        return answer({"errcode": 0})

    peer.decide = slow
    shop = connected(spec, peer.url)
    await asyncio.gather(*(calls.call(shop, "a", {}) for _ in range(20)))
    assert most == 3


async def test_a_given_transport_is_used(peer):
    import httpx

    def handler(request):
        return httpx.Response(200, json={"errcode": 0, "order": {"no": str(request.url.host)}})

    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer(), transport=httpx.MockTransport(handler))
    found = await calls.call(connected(SPEC, "https://example.com"), "order.get", {"id": "1"})
    assert found.record_id == "example.com"

    def refuse(request):
        raise httpx.ConnectError("no route")

    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer(), transport=httpx.MockTransport(refuse))
    assert type(await failing(calls, connected(SPEC, "https://example.com"))) is errors.Unavailable


async def test_custom_signers_are_called(calls, peer, monkeypatch):
    import types

    from connectors.core import registry

    def sign(request: model.Request, connection: model.Connection, now: float) -> None:
        request.form = {**(request.form or {}), "shade": connection.config["shade"], "at": str(int(now))}
        request.headers["x-proof"] = connection.secrets["app_secret"][::-1]

    monkeypatch.setattr(registry, "signer", lambda name: types.SimpleNamespace(sign=sign))
    spec = declared("signing: {scheme: custom}\nprobe: a\noperations: {a: {label: {zh: a, en: a}, path: /a, form: {}}}")
    found = await calls.call(connected(spec, peer.url), "a", {})
    assert peer.seen[0].form["shade"] == "grey", "declared defaults reach the signer"
    assert peer.seen[0].headers["x-proof"] not in repr(found.exchanges)
