"""A refresh token that works once, kept in the ledger: several processes, an edit of the connection, a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog

from connectors.core import client, errors, grant, model, pacing, registry
from connectors.simulator import engine
from retry_queue import credentials
from retry_queue.ledger import logins, secrets, session
from retry_queue.sync import symptoms
from tests.ledger import making

Open = Callable[[str], session.Ledger]
SEALER = secrets.Sealer("a master key of the tests")


@contextlib.asynccontextmanager
async def shop() -> AsyncIterator[tuple[Any, model.Connection]]:
    """The simulated shop whose refresh tokens work once, and a connection to it."""
    async with engine.serve(["kuaishou"], time_scale=0.001) as url:
        simulator = url.simulators["kuaishou"]
        names = ("app_secret", "sign_secret", "message_key", "code")
        config = {"base_url": f"{url}/kuaishou", "app_key": simulator.settings["app_key"]}
        given = {name: str(simulator.settings[name]) for name in names}
        yield simulator, model.Connection("ks", registry.get("kuaishou"), config, given)


@contextlib.asynccontextmanager
async def process(ledger: session.Ledger) -> AsyncIterator[client.Client]:
    """What a worker holds: its own client, and tokens shared through the ledger."""
    caller = client.Client(credentials.LedgerTokens(ledger, SEALER), pacing.LocalPacer())
    try:
        yield caller
    finally:
        await caller.aclose()


async def test_two_processes_use_each_refresh_token_once(open_ledger: Open) -> None:
    one, two = open_ledger("w1"), open_ledger("w2")
    async with shop() as (simulator, connection), process(one) as first, process(two) as second:
        for turn in range(3):
            callers = [first, second] * 5
            found = await asyncio.gather(*(caller.probe(connection) for caller in callers))
            assert all(outcome.data for outcome in found)
            assert len(simulator.tokens.used) == turn
            simulator.tokens.expire()


async def test_an_edit_of_the_connection_keeps_the_chain_and_a_new_grant_begins_another(open_ledger: Open) -> None:
    ledger = open_ledger("w1")
    async with shop() as (simulator, connection):
        async with process(ledger) as caller:
            await caller.probe(connection)
        kept = simulator.tokens.refresh
        async with ledger.write() as db:
            await logins.end(db, connection.key)
        edited = replace(connection, config={**connection.config, "seller_id": "2161500000"})
        # A code works once: without the chain this would be the end.
        async with process(open_ledger("w2")) as caller:
            assert (await caller.probe(edited)).data
        assert simulator.tokens.used == {kept}
        simulator.tokens.revoked = True
        async with process(ledger) as caller:
            with pytest.raises(errors.CredentialRefused):
                await caller.probe(edited)
            simulator.configure({"code": "another-code"})
            async with ledger.write() as db:
                await logins.end(db, connection.key)
        renewed = replace(edited, secrets={**edited.secrets, "code": "another-code"})
        async with process(open_ledger("w3")) as caller:
            assert (await caller.probe(renewed)).data


async def test_the_last_two_weeks_of_a_grant_are_told_at_every_renewal(
    open_ledger: Open, logs: list[structlog.typing.EventDict]
) -> None:
    async with shop() as (simulator, connection), process(open_ledger("w1")) as caller:
        await caller.probe(connection)
        assert not [one for one in logs if one["event"] == "grant.ends_soon"]
        simulator.tokens.refresh_ends = simulator.now() + 13.5 * 86400
        simulator.tokens.expire()
        await caller.probe(connection)
        (told,) = [one for one in logs if one["event"] == "grant.ends_soon"]
        assert (told["connection"], told["days"], told["log_level"]) == ("ks", 13.5, "warning")


async def test_a_connection_that_is_removed_takes_its_grant_with_it(open_ledger: Open) -> None:
    ledger = open_ledger("w1")
    async with shop() as (simulator, connection), process(ledger) as caller:
        await caller.probe(connection)
        kept = await credentials.LedgerTokens(ledger, SEALER).kept(connection.key)
        assert kept is not None
        until = grant.granted_until(kept.extra)
        assert until == pytest.approx(simulator.tokens.refresh_ends, abs=2)
        assert simulator.tokens.refresh not in repr(await making.rows(ledger, "SELECT * FROM tokens"))
        async with ledger.write() as db:
            await logins.forget(db, connection.key)
        assert await credentials.LedgerTokens(ledger, SEALER).kept(connection.key) is None


async def test_what_the_system_told_goes_before_an_end_that_a_person_entered(open_ledger: Open) -> None:
    ledger = open_ledger("w1")
    entered = model.Connection("tb", registry.get("taobao"), {"session_ends": "2027-03-01"}, {})
    async with shop() as (simulator, connection), process(ledger) as caller:
        await caller.probe(connection)
        async with ledger.read() as db:
            assert await symptoms.granted(db, SEALER, "tb", entered) == 1803830400
            told = await symptoms.granted(db, SEALER, connection.key, entered)
        assert told == pytest.approx(simulator.tokens.refresh_ends, abs=2)


async def test_the_end_is_told_whichever_of_several_logins_a_connection_has(open_ledger: Open) -> None:
    """Only the first login of a connector was looked at: a tool of Youzan was never counted down."""
    ledger = open_ledger("w1")
    async with engine.serve(["youzan"], time_scale=0.001) as url, process(ledger) as caller:
        names = ("client_id", "kdt_id", "client_secret", "refresh_token")
        known = {name: str(url.simulators["youzan"].settings[name]) for name in names}
        config = {"base_url": f"{url}/youzan", "app_type": "tool", **known}
        tool = model.Connection("mall", registry.get("youzan"), config, known)
        await caller.probe(tool)
        async with ledger.read() as db:
            told = await symptoms.granted(db, SEALER, "mall", tool)
        assert told == pytest.approx(url.simulators["youzan"].now() + 28 * 86400, abs=60)


AGREED = {
    "jd": ("app_secret", {"base_url": "/jd/routerjson", "oauth_url": "/jd/oauth2"}, "app_key"),
    "pdd": ("client_secret", {"base_url": "/pdd/api/router"}, "client_id"),
    "taobao": ("app_secret", {"base_url": "/taobao/router/rest"}, "app_key"),
    "weibo": ("app_secret", {"base_url": "/weibo", "reply_url": "/weibo"}, "app_key"),
}


@pytest.mark.parametrize("id", AGREED)
async def test_an_edit_or_a_pause_costs_no_shop_its_authorisation(open_ledger: Open, id: str) -> None:
    """Tokens that only a person can replace were asked for again after any edit, refused, and everything stopped."""
    secret, places, name = AGREED[id]
    async with engine.serve([id], time_scale=0.001) as url:
        simulator = url.simulators[id]
        simulator.configure({"code": "agreed-once"})
        config = {**{key: f"{url}{path}" for key, path in places.items()}, name: simulator.settings[name]}
        given = {secret: str(simulator.settings[secret]), "code": "agreed-once"}
        shop = model.Connection(id, registry.get(id), config, given)
        async with process(open_ledger("w1")) as caller:
            assert (await caller.probe(shop)).data
            kept = await credentials.LedgerTokens(open_ledger("w1"), SEALER).kept(id)
            assert kept is not None
            assert (grant.granted_until(kept.extra) or 0) > simulator.now() + 86400, "the end is counted down to"
        async with open_ledger("w1").write() as db:
            await logins.end(db, id)
        async with process(open_ledger("w2")) as caller:
            assert (await caller.probe(replace(shop, config={**config, "receive": "poll-only"}))).data
            again = await credentials.LedgerTokens(open_ledger("w2"), SEALER).kept(id)
            assert again is not None
            assert (again.value, again.extra) == (kept.value, kept.extra)
        simulator.configure({"code": "agreed-again"})
        async with open_ledger("w1").write() as db:
            await logins.end(db, id)
        async with process(open_ledger("w3")) as caller:
            assert (await caller.probe(replace(shop, secrets={**given, "code": "agreed-again"}))).data
            newer = await credentials.LedgerTokens(open_ledger("w3"), SEALER).kept(id)
            assert newer is not None
            assert newer.value != kept.value
