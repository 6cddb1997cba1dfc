"""The wire: before or after sending, cut, slow, packed, redirected; against real servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.core import errors, lease, line
from tests.unit.connectors.conftest import answer, connected, declared
from tests.unit.connectors.shop import SPEC, failing


@pytest.fixture
def shop(peer):
    return connected(SPEC, peer.url)


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


@given(
    st.sampled_from(
        ["http://a.com", "https://B.com:8443", "http://a:80", "http://[::1]:1", "http://u:p@a.com", "http://中国.cn"]
    ),
    st.text(st.sampled_from("aZ09-._~/%2fF?#&=+ @:;中\\\"|{}[]<>^`'!$()*,"), max_size=24),
)
@example("http://a.com", ".")  # regression: read as a path of its own, signed as "/." and sent as "/"
def test_the_quick_reading_of_an_address_is_that_of_httpx(origin, rest):
    """Values in a path are what others send us; of two readings one would be signed and the other sent."""
    try:
        meant = httpx.URL(origin + "/" + rest)
    except httpx.InvalidURL:
        with pytest.raises(httpx.InvalidURL):
            line.address(origin + "/" + rest)
        return
    read = line.address(origin + "/" + rest)
    assert (str(read), read.raw_path, read.host, read.port) == (str(meant), meant.raw_path, meant.host, meant.port)


async def test_an_address_is_sent_as_it_was_written(calls, shop, peer):
    """A vendor that signs the path signs each escape in it: none is put straight on the way."""
    peer.decide = lambda seen: answer({"errcode": 0, "order": {"no": "1"}})
    await calls.call(shop, "order.get", {"id": "a~b%2Fc/d é-%41"})
    assert peer.seen[0].written == "/orders/a~b%252Fc%2Fd%20%C3%A9-%2541"


async def test_something_else_than_http_answers(calls):
    async def banner(reader, writer, count):
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()

    server, url, _ = await raw_server(banner)
    async with server:
        assert type(await failing(calls, connected(SPEC, url))) is errors.OutcomeUnknown


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


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_nothing_leaves_a_process_that_was_away(calls, shop, peer, kept):
    """Stopped after it had decided to call, it called when it woke; others had taken that over: it was done twice."""
    for _ in range(2):  # on a fresh socket and on a kept one
        looks = iter([True] * kept)
        token = lease.HELD.set(lambda looks=looks: next(looks, False))
        if kept < 2:
            error = await failing(calls, shop)
            assert type(error) is errors.Unavailable, "it never left: it may be tried again"
            assert error.exchange[0].status is None
            assert peer.seen == []
        else:
            await calls.call(shop, "order.save", {"no": "1"})
        lease.HELD.reset(token)
    await calls.call(shop, "order.save", {"no": "1"})
    assert len(peer.seen) == (3 if kept == 2 else 1)


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
