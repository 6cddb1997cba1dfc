"""A long connection kept up: sessions follow each other, what is in hand is finished, nobody is let in unencrypted."""

from __future__ import annotations

import asyncio

import pytest

from connectors.core import channel, errors


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(channel, "LONGEST_DELAY", 0.02)
    monkeypatch.setattr(channel, "FAREWELL", 0.2)


@pytest.mark.parametrize(
    "fault",
    [
        OSError("cut"),
        TimeoutError(),
        channel.Refused("no"),
        errors.Rejected("not you", code="1"),
        errors.Throttled("slowly", retry_after=0.001),
        errors.Throttled("slowly"),
        errors.Unavailable("down"),
        None,
    ],
    ids=repr,
)
async def test_a_session_that_ends_is_followed_by_another(fault: Exception | None) -> None:
    stopped, seen = asyncio.Event(), 0

    async def session() -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            stopped.set()
        if fault is not None:
            raise fault

    await asyncio.wait_for(channel.keep(session, stopped, "main"), 2)
    assert seen == 3


@pytest.mark.parametrize("error", [KeyError("a mistake of ours"), errors.CredentialRefused("wrong secret")], ids=repr)
async def test_what_is_no_fault_of_the_network_is_not_hidden(error: Exception) -> None:
    async def session() -> None:
        raise error

    with pytest.raises(type(error)):
        await channel.keep(session, asyncio.Event(), "main")


async def test_stopping_ends_the_pause_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "LONGEST_DELAY", 60.0)
    stopped = asyncio.Event()

    async def session() -> None:
        asyncio.get_running_loop().call_later(0.02, stopped.set)
        raise channel.Refused("no")

    await asyncio.wait_for(channel.keep(session, stopped, "main"), 1)


@pytest.mark.parametrize(
    ("url", "over"),
    [
        ("http://127.0.0.1:1/", "http://127.0.0.1"),
        ("", "https://api.example.com"),
        ("ws://example.com/", "https://api.example.com"),
        ("file:///etc/hostname", "http://127.0.0.1"),
    ],
)
async def test_only_a_websocket_as_safe_as_the_call_that_named_it(url: str, over: str) -> None:
    with pytest.raises(channel.Refused):
        async with channel.opened(url, over):
            pass


async def test_the_first_end_ends_all_and_says_why() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    async def failing() -> None:
        await asyncio.sleep(0)
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        await channel.together(asyncio.Event(), endless(), failing())
    assert ended == ["endless"]
    stopped = asyncio.Event()
    stopped.set()
    await asyncio.wait_for(channel.together(stopped, endless()), 1)


async def test_what_is_in_hand_is_finished_and_never_more_than_there_is_room() -> None:
    begun, done, at_once, most = 0, 0, 0, 0

    async def work() -> None:
        nonlocal begun, done, at_once, most
        begun += 1
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        done += 1

    async with channel.Hands(3) as hands:
        for _ in range(10):
            await hands.take(work())
    assert (begun, done, most) == (10, 10, 3)


async def test_a_farewell_has_an_end() -> None:
    cancelled = 0

    async def stuck() -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async with channel.Hands() as hands:
        await hands.take(stuck())
    assert cancelled == 1


async def test_what_was_not_accepted_is_not_kept() -> None:
    async def accept(message: bytes) -> None:
        if message == b"bad":
            raise OSError("the ledger is down")

    assert await channel.kept(b"good", accept, "main")
    assert not await channel.kept(b"bad", accept, "main")
