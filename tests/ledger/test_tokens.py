"""Shared tokens: however many want one at once, over however many processes, there is one login."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from connectors.core import errors, model
from retry_queue import credentials
from retry_queue.ledger import logins, secrets, session, tokens
from tests.ledger import making

Open = Callable[[str], session.Ledger]
SEALER = secrets.Sealer("a master key of the tests")


class Vendor:
    """Gives tokens; how often it was asked is what the tests look at."""

    def __init__(self, seconds: float = 0.05, lifetime: float = 7200.0) -> None:
        self.logins = 0
        self.fails = 0
        self._seconds = seconds
        self._lifetime = lifetime

    async def login(self) -> model.Token:
        self.logins += 1
        await asyncio.sleep(self._seconds)
        if self.fails:
            self.fails -= 1
            raise errors.Unavailable("down")
        return model.Token(f"token-{self.logins}", time.time() + self._lifetime, {"cookie": "c"})


def store(ledger: session.Ledger) -> credentials.LedgerTokens:
    return credentials.LedgerTokens(ledger, SEALER)


async def test_fifty_at_once_over_two_processes_are_one_login(open_ledger: Open) -> None:
    """T-31."""
    stores = [store(open_ledger("w1")), store(open_ledger("w2"))]
    vendor = Vendor()
    found = await asyncio.gather(*(stores[n % 2].renew("k3", None, vendor.login) for n in range(50)))
    assert {token.value for token in found} == {"token-1"}
    assert found[0].extra == {"cookie": "c"}
    again = await asyncio.gather(*(stores[n % 2].renew("k3", "token-1", vendor.login) for n in range(50)))
    assert {token.value for token in again} == {"token-2"}
    assert vendor.logins == 2


async def test_who_comes_late_with_a_stale_token_gets_the_new_one(open_ledger: Open) -> None:
    one, two = store(open_ledger("w1")), store(open_ledger("w2"))
    vendor = Vendor(0)
    await one.renew("k3", None, vendor.login)
    assert (await two.renew("k3", None, vendor.login)).value == "token-1"
    await one.renew("k3", "token-1", vendor.login)
    assert (await two.renew("k3", "token-1", vendor.login)).value == "token-2"
    assert vendor.logins == 2


async def test_a_kept_token_is_found_by_others_and_after_a_restart(open_ledger: Open) -> None:
    ledger, vendor = open_ledger("w1"), Vendor(0)
    made = await store(ledger).renew("k3", None, vendor.login)
    fresh = store(open_ledger("w2"))
    assert await fresh.get("k3", time.time()) == made
    assert await fresh.get("k3", made.expires_at + 1) is None
    assert await fresh.get("other", time.time()) is None
    await making.change(ledger, "DELETE FROM tokens")
    assert await fresh.get("k3", time.time()) == made  # a call in the common case asks no database
    fresh.forget("k3")
    assert await fresh.get("k3", time.time()) is None


async def test_a_failed_login_is_everybodys_and_gives_the_right_back(open_ledger: Open) -> None:
    one, two = store(open_ledger("w1")), store(open_ledger("w2"))
    vendor = Vendor()
    vendor.fails = 1
    found = await asyncio.gather(*(one.renew("k3", None, vendor.login) for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in found] == [errors.Unavailable] * 5
    assert vendor.logins == 1
    assert (await two.renew("k3", None, vendor.login)).value == "token-2"


async def test_a_process_that_dies_during_its_login_does_not_block_the_others(open_ledger: Open) -> None:
    ledger = open_ledger("w1")
    async with ledger.write() as connection:
        assert await tokens.lock(connection, "k3", 0, 0.3)
        assert not await tokens.lock(connection, "k3", 0, 30)
    assert (await store(ledger).renew("k3", None, Vendor(0).login)).value == "token-1"


async def test_a_token_that_is_over_is_renewed(open_ledger: Open) -> None:
    one, two = store(open_ledger("w1")), store(open_ledger("w2"))
    vendor = Vendor(0, lifetime=-1.0)
    await one.renew("k3", None, vendor.login)
    await two.renew("k3", None, vendor.login)
    assert vendor.logins == 2


async def test_a_late_login_does_not_replace_a_newer_token(ledger: session.Ledger) -> None:
    async with ledger.write() as connection:
        assert await tokens.lock(connection, "k3", 0, 0.0)
        assert await tokens.put(connection, SEALER, "k3", 0, "new", {}, 1e12)
        assert not await tokens.put(connection, SEALER, "k3", 0, "late", {}, 1e12)
        found = await tokens.get(connection, SEALER, "k3")
    assert found is not None
    assert (found.value, found.epoch) == ("new", 1)


async def test_tokens_are_sealed_and_forgotten_with_their_connection(ledger: session.Ledger) -> None:
    vendor = Vendor(0)
    for key in ("k3", "k3#1", "k3x"):
        await store(ledger).renew(key, None, vendor.login)
    rows = await making.rows(ledger, "SELECT value FROM tokens")
    assert "token-" not in repr(rows)
    async with ledger.write() as connection:
        await logins.forget(connection, "k3")
    assert [row.key for row in await making.rows(ledger, "SELECT key FROM tokens")] == ["k3x"]


async def test_an_ended_token_is_not_used_but_what_it_carries_is_kept(open_ledger: Open) -> None:
    """T-31: a refresh token that works once outlives an edit of the connection, also in another process."""
    one, two = open_ledger("w1"), open_ledger("w2")
    vendor = Vendor(0)
    await store(one).renew("k3", None, vendor.login)
    async with one.write() as connection:
        await logins.end(connection, "k3")
    fresh = store(two)
    assert await fresh.get("k3", time.time()) is None
    kept = await fresh.kept("k3")
    assert kept is not None
    assert (kept.value, kept.extra, kept.expires_at) == ("token-1", {"cookie": "c"}, 0.0)
    assert (await fresh.renew("k3", None, vendor.login)).value == "token-2"
    assert await fresh.kept("other") is None


async def test_a_login_that_an_edit_overtook_is_kept_for_what_it_carries(open_ledger: Open) -> None:
    """The used refresh token was left in the ledger, and the next one lost: a person had to authorise again."""
    ledger = open_ledger("w1")
    vendor = Vendor(0)
    await store(ledger).renew("k3", None, vendor.login)

    async def slow() -> model.Token:
        async with open_ledger("w2").write() as connection:
            await logins.end(connection, "k3")
        return model.Token("token-9", time.time() + 7200, {"refresh_token": "r-9"})

    await store(ledger).renew("k3", "token-1", slow)
    fresh = store(open_ledger("w3"))
    assert await fresh.get("k3", time.time()) is None, "it was made with the credentials of before"
    kept = await fresh.kept("k3")
    assert kept is not None
    assert (kept.value, kept.extra) == ("token-9", {"refresh_token": "r-9"})


async def test_an_overtaken_login_does_not_disturb_the_one_that_overtook(ledger: session.Ledger) -> None:
    async with ledger.write() as connection:
        assert await tokens.lock(connection, "k3", 0, 30)
        await logins.end(connection, "k3")
        assert await tokens.lock(connection, "k3", 1, 30)
        assert not await tokens.put(connection, SEALER, "k3", 0, "old credentials", {}, 1e12)
        assert not await tokens.carry(connection, SEALER, "k3", "old credentials", {})
        assert await tokens.put(connection, SEALER, "k3", 1, "new credentials", {}, 1e12)
        assert not await tokens.carry(connection, SEALER, "k3", "old credentials", {})
        found = await tokens.get(connection, SEALER, "k3")
    assert found is not None
    assert found.value == "new credentials"


async def test_a_token_moved_to_another_connection_does_not_open(ledger: session.Ledger) -> None:
    await store(ledger).renew("k3", None, Vendor(0).login)
    await making.change(ledger, "UPDATE tokens SET key = 'other'")
    with pytest.raises(secrets.SecretUnreadable):
        await store(ledger).get("other", time.time())
