"""A caller's line: it ends when nothing comes, or too much that is no body, and never under an answer being made."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from gateway import listening

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Tells how long the body was; ``/slow`` takes its time, ``/early`` does not wait for the body."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    text = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(listening, "LINGER_SECONDS", 0.4)
    server = uvicorn.Server(
        uvicorn.Config(app, "127.0.0.1", 0, http=listening.Line, lifespan="off", log_config=None, timeout_keep_alive=30)
    )
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


@contextlib.asynccontextmanager
async def line(port: int, *words: bytes) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for one in words:
            writer.write(one)
            await writer.drain()
        yield reader, writer
    finally:
        writer.close()


async def told(reader: asyncio.StreamReader) -> bytes:
    """Everything until the end of the line."""
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionResetError):
            return await reader.read()
    return b""


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split()[0])
        return await reader.readexactly(size)


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ((b"",), b""),
        ((b"\r\n\r\n",), b""),
        ((b"GET / HTTP/1.1\r\nhost",), b"408"),
        ((GET, b"GE"), b"408"),
        ((b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1",), b"0"),
    ],
)
async def test_what_does_not_come_is_not_waited_for(port: int, words: tuple[bytes, ...], last: bytes) -> None:
    begun = time.monotonic()
    async with line(port, *words[:1]) as (reader, writer):
        if len(words) > 1:
            assert await answer(reader) == b"0"
            writer.write(words[1])
        said = await told(reader)
    assert last in said
    assert bool(said) is bool(last)
    assert time.monotonic() - begun < 15.0, "the pause between two requests may be 30 seconds"


async def test_drops_do_not_keep_it_open(port: int) -> None:
    for first, drop in ((b"GET / HTTP/1.1\r\nx: ", b"a"), (b"", b"\r\n"), (GET, b"\r\n")):
        async with line(port, first) as (reader, writer):
            reading = asyncio.create_task(told(reader))
            begun = time.monotonic()
            while not reading.done() and time.monotonic() - begun < 15.0:
                with contextlib.suppress(ConnectionError):
                    writer.write(drop)
                await asyncio.sleep(0.05)
            assert reading.done(), first
            await reading


async def test_who_keeps_to_the_rules_is_not_cut(port: int) -> None:
    async with line(port, GET) as (reader, writer):
        assert await answer(reader) == b"0"
        await asyncio.sleep(0.8)  # a pause between requests is no head that does not come
        writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await answer(reader) == b"0"
        writer.write(GET + GET)
        assert [await answer(reader), await answer(reader)] == [b"0", b"0"]
        writer.write(CHUNKED + b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n")
        assert await answer(reader) == b"30000"
        body = b"x" * 3_000_000
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert await answer(reader) == b"3000000"
        writer.write(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12")
        assert await answer(reader) == b"0"
        writer.write(b"345")  # within the time to linger: the line is whole again
        await asyncio.sleep(0.8)
        writer.write(GET)
        assert await answer(reader) == b"0"


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nx: ",
        b"GET /",
        CHUNKED + b"1\r\nx\r\n0\r\nx: ",
        CHUNKED + b"1;x=",
    ],
)
async def test_what_is_no_body_is_bounded(port: int, first: bytes) -> None:
    async with line(port, first) as (reader, writer):
        reading = asyncio.create_task(told(reader))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reading.done() and sent < 50_000_000:
                writer.write(b"a" * 16_384)
                sent += 16_384
                await writer.drain()
                await asyncio.sleep(0)
        said = await reading
    assert sent < 20_000_000
    assert b" 200 " not in said


def test_a_process_asks_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, given: asked.append(given))
    for limits, found, wanted in (
        ((1024, 4096), 4096, [(4096, 4096)]),
        ((1024, resource.RLIM_INFINITY), listening.FILES, [(listening.FILES, resource.RLIM_INFINITY)]),
        ((1_000_000, 1_000_000), 1_000_000, []),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, given=limits: given)
        assert (listening.room(), asked) == (found, wanted)
        asked.clear()
