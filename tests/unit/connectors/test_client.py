"""The client against a real server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from decimal import Decimal

import pytest

from connectors.core import auth, client, errors, model, pacing, plan
from tests.unit.connectors.conftest import answer, connected, declared

SPEC = declared(
    """
errors:
  - {match: ["7"], becomes: banned, retry_after: 60}
  - {match: ["8"], becomes: throttled, retry_after: 3}
  - {match: ["-1"], becomes: unavailable}
  - {match: ["dup"], becomes: done}
  - {match: ["9"], becomes: rejected, hint: {zh: 不行, en: no}}
probe: order.get
operations:
  order.get:
    label: {zh: 查, en: get}
    kind: get
    method: GET
    path: /orders/${input.id}
    query: {fields: "a,b", none: "${input.nope}", shade: "${config.shade}"}
    found: {path: body.order, present: true}
    result: order
    id: no
    timeout: 0.5
  order.list:
    label: {zh: 列, en: list}
    kind: list
    method: GET
    path: /orders
    query: {page: "${page.no}", size: "${page.size}", start: "${window.start|local}"}
    items: rows
    id: no
    paging: {style: page, size: 2, total: total}
  order.save:
    label: {zh: 存, en: save}
    kind: write
    path: /save
    json: {no: "${input.no}", total: "${input.total}", left_out: "${input.nope}", nothing: "${input.none}"}
    defaults: {none: null}
    id_input: no
    idempotent: query_first
    lookup: order.get
    confirm: {path: result.total, equals: "${input.total}"}
    partial: [{path: bad, label: {zh: 无效, en: invalid}}]
    timeout: 0.5
  order.form:
    label: {zh: 表, en: form}
    kind: write
    path: /form
    form: {b: "${input.b}", a: 1, on: true, tree: "${input.tree}", gone: "${input.nope}"}
  note.send: {label: {zh: 发, en: send}, kind: act, path: /note, text: "hi ${input.who}"}
  put: {label: {zh: 放, en: put}, kind: write, method: PUT, path: /put}
"""
)


@pytest.fixture
def shop(peer):
    return connected(SPEC, peer.url)


async def failing(calls, shop, operation="order.save", given=None, **more):
    with pytest.raises(errors.ConnectorError) as caught:
        await calls.call(shop, operation, {"no": "A1", "id": "A1"} if given is None else given, **more)
    return caught.value


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


async def test_partial_success_is_a_warning(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 0, "bad": "u1|u2"})
    assert (await calls.call(shop, "order.save", {"no": "1"})).warnings == ("无效 (invalid): u1|u2",)
    peer.decide = lambda seen: answer({"errcode": 0, "bad": ""})
    assert (await calls.call(shop, "order.save", {"no": "1"})).warnings == ()


# what can go wrong


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


async def test_redirects_are_not_followed(calls, shop, peer):
    peer.decide = lambda seen: (302, {"location": peer.url + "/elsewhere"}, b"")
    error = await failing(calls, shop)
    assert isinstance(error, errors.Misdeclared)
    assert "redirect" in error.hint["en"]
    assert peer.paths() == ["/save"]


async def test_cookies_are_not_kept(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 0}, set_cookie="session=1; path=/")
    # By name: cookie jars ignore bare addresses anyway.
    shop = connected(SPEC, peer.url.replace("127.0.0.1", "localhost"))
    for _ in range(3):
        await calls.call(shop, "order.save", {"no": "1"})
    assert all("cookie" not in seen.headers for seen in peer.seen)


async def test_nobody_listens(calls, peer):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = connected(SPEC, f"http://127.0.0.1:{free.getsockname()[1]}")
        error = await failing(calls, dead)
    assert type(error) is errors.Unavailable, "it never left: a write may be tried again"
    assert error.exchange[0].status is None


async def test_no_such_host(calls):
    error = await failing(calls, connected(SPEC, "http://no-such-host.invalid"))
    assert type(error) is errors.Unavailable


@pytest.mark.parametrize(
    "address",
    ["http:///x", "http://[::1", "http://exa mple", "http://" + "a" * 70 + ".com", "http://a:99999", "http://"],
)
async def test_addresses_nobody_can_call(calls, address):
    error = await failing(calls, connected(SPEC, address))
    assert type(error) in (errors.Misdeclared, errors.Unavailable), "never an unknown outcome"
    assert error.hint["zh"]


async def test_something_else_than_http_answers(calls):
    async def banner(reader, writer, count):
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()

    server, url, _ = await raw_server(banner)
    async with server:
        assert type(await failing(calls, connected(SPEC, url))) is errors.OutcomeUnknown


async def test_a_value_of_the_wrong_kind(calls, peer):
    spec = declared(
        "probe: a\noperations:\n  a: {label: {zh: a, en: a}, kind: write, json: {n: '${input.n|int}', t: '${input.t}'}}"
    )
    shop = connected(spec, peer.url)
    for given in ({"n": "seven"}, {"n": 1, "t": object()}, {"n": 1, "t": Decimal("NaN")}):
        assert type(await failing(calls, shop, "a", given)) is errors.Misdeclared
    assert peer.seen == []


async def test_too_slow(calls, shop, peer):
    async def slow(seen):
        await asyncio.sleep(2)
        return answer({"errcode": 0})

    peer.decide = slow
    assert type(await failing(calls, shop)) is errors.OutcomeUnknown


async def raw_server(script):
    """A server that answers by hand; ``script(reader, writer, count)``."""
    count = 0

    async def serve(reader, writer):
        nonlocal count
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                count += 1
                await script(reader, writer, count)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lambda: count


OK = b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"errcode":0}'


@pytest.mark.parametrize("operation", ["order.save", "put"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"])
async def test_cut_after_it_was_sent(calls, operation, before):
    async def cut(reader, writer, count):
        writer.write(before)
        await writer.drain()
        writer.transport.abort()

    server, url, count = await raw_server(cut)
    async with server:
        error = await failing(calls, connected(SPEC, url), operation)
    assert type(error) is errors.OutcomeUnknown
    assert count() == 1
    assert error.hint["zh"]


@pytest.mark.parametrize("operation", ["order.save", "put"])
async def test_cut_on_a_kept_socket_is_not_sent_again_behind_our_back(calls, operation):
    async def second_is_cut(reader, writer, count):
        if count == 1:
            writer.write(OK)
            await writer.drain()
        else:
            writer.transport.abort()

    server, url, count = await raw_server(second_is_cut)
    async with server:
        shop = connected(SPEC, url)
        await calls.call(shop, operation, {"no": "1"})
        assert type(await failing(calls, shop, operation)) is errors.OutcomeUnknown
    assert count() == 2


async def test_a_reading_is_tried_three_times(calls):
    async def third_works(reader, writer, count):
        if count < 3:
            writer.transport.abort()
        else:
            writer.write(OK)
            await writer.drain()

    server, url, count = await raw_server(third_works)
    async with server:
        found = await calls.call(connected(SPEC, url), "order.get", {"id": "1"})
    assert found.data is None
    assert [seen.status for seen in found.exchanges] == [None, None, 200]
    assert count() == 3


async def test_a_reading_gives_up_after_three(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": -1})
    error = await failing(calls, shop, "order.get")
    assert type(error) is errors.Unavailable
    assert len(peer.seen) == len(error.exchange) == 3
    peer.seen.clear()
    assert type(await failing(calls, shop)) is errors.Unavailable
    assert len(peer.seen) == 1


async def test_a_dripping_answer_ends_with_the_timeout(calls):
    async def drip(reader, writer, count):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    server, url, _ = await raw_server(drip)
    async with server:
        begun = asyncio.get_running_loop().time()
        assert type(await failing(calls, connected(SPEC, url))) is errors.OutcomeUnknown
        assert asyncio.get_running_loop().time() - begun < 2


async def test_gzip(calls, shop, peer):
    body = json.dumps({"errcode": 0, "order": {"no": "A"}}).encode()
    for encoding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        peer.decide = lambda seen, encoding=encoding, packed=packed: (200, {"content-encoding": encoding}, packed)
        assert (await calls.call(shop, "order.get", {"id": "1"})).record_id == "A"
        assert peer.seen[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", "bomb"),
        ("gzip", gzip.compress(b'{"errcode":0}')[:-9]),
        ("gzip", b"not gzip"),
        ("br", b"\x0b\x06\x80{}\x03"),
        ("", b'{"errcode":0,"x":"' + b"0" * 6_000_000 + b'"}'),
    ],
    ids=["bomb", "cut", "garbage", "not asked for", "too large"],
)
async def test_bodies_that_are_capped_or_refused(calls, shop, peer, encoding, packed):
    import tracemalloc

    if packed == "bomb":
        packed = gzip.compress(b'{"errcode":0,"x":"' + b"0" * 100_000_000 + b'"}', 6)
    peer.decide = lambda seen: (200, {"content-encoding": encoding} if encoding else {}, packed)
    tracemalloc.start()
    error = await failing(calls, shop)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert type(error) is errors.OutcomeUnknown
    assert peak < 40_000_000


async def test_header_smuggling_is_refused(calls, peer):
    spec = declared(
        "probe: a\noperations: {a: {label: {zh: a, en: a}, kind: write, headers: {x-note: '${input.note}'}}}"
    )
    error = await failing(calls, connected(spec, peer.url), "a", {"note": "x\r\nevil: 1"})
    assert isinstance(error, errors.Misdeclared)
    await calls.call(connected(spec, peer.url), "a", {"note": "plain"})
    assert peer.seen[0].headers["x-note"] == "plain"


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
        async def banned(self, connection, seconds):
            told.append((connection.key, seconds))

    calls = client.Client(auth.MemoryTokens(), Shared())
    peer.decide = lambda seen: answer({"errcode": 7})
    await failing(calls, connected(SPEC, peer.url))
    await calls.aclose()
    assert told == [("c1", 60)]


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
