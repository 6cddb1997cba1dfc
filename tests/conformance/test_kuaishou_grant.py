"""Kuaishou's grant: refresh tokens that work once, a code that goes first, an end that only a person moves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from connectors.core import auth, client, errors, grant, pacing
from tests.conformance.test_kuaishou import control, stage


async def test_the_chain_of_single_use_refresh_tokens() -> None:
    async with stage() as (found, connection):
        tokens = found.simulator.tokens
        await found.caller.probe(connection)
        seen, ends = [tokens.refresh], tokens.refresh_ends
        for _ in range(4):
            await control(found, "/expire_tokens")
            outcome = await found.caller.probe(connection)
            assert [one.operation for one in outcome.exchanges] == ["shop.get", "token", "shop.get"]
            shown = repr(outcome.exchanges)
            assert not [one for one in [*seen, tokens.refresh] if one in shown]
            seen.append(tokens.refresh)
        assert len(set(seen)) == 5
        assert tokens.used == set(seen[:-1])
        assert tokens.refresh_ends == ends, "the end never moves"


async def test_forty_callers_use_the_refresh_token_once() -> None:
    async with stage() as (found, connection):
        await found.caller.probe(connection)
        await control(found, "/expire_tokens")
        outcomes = await asyncio.gather(*(found.caller.probe(connection) for _ in range(40)))
        assert all(one.data for one in outcomes)
        assert len(found.simulator.tokens.used) == 1


async def test_the_end_of_the_grant_needs_a_person() -> None:
    async with stage() as (found, connection):
        clock = [time.time()]
        tokens = auth.MemoryTokens(lambda: clock[0])
        own = client.Client(tokens, pacing.LocalPacer(), now=lambda: clock[0])
        await own.probe(connection)
        kept = await tokens.kept(connection.key)
        assert kept is not None
        until = grant.granted_until(kept.extra)
        assert until == pytest.approx(found.simulator.tokens.refresh_ends, abs=2)
        clock[0] = until + 1
        with pytest.raises(errors.CredentialRefused) as caught:
            await own.probe(connection)
        await own.aclose()
        assert "重新授权" in caught.value.hint["zh"]
        assert not found.simulator.tokens.used, "what cannot work any more is not asked for"


async def test_a_new_code_goes_before_the_old_chain() -> None:
    async with stage() as (found, connection):
        await found.caller.probe(connection)
        await control(found, "/revoke")
        with pytest.raises(errors.CredentialRefused) as caught:
            await found.caller.probe(connection)
        assert "授权" in caught.value.hint["zh"]
        await control(found, "/authorize", code="simulated-code-0009")
        # Saving the connection ends its token in the ledger; what the token carries stays.
        tokens = found.caller._tokens._tokens
        tokens[connection.key] = replace(tokens[connection.key], expires_at=0.0)
        again = replace(connection, secrets={**connection.secrets, "code": "simulated-code-0009"})
        assert (await found.caller.probe(again)).data


async def test_a_new_code_counts_although_an_old_refresh_token_is_still_in_the_form() -> None:
    """Authorising in the browser changes the code only: the used token beside it ended every try for good."""
    async with stage() as (found, connection):
        found.simulator.tokens.seed("refresh-of-the-first-day")
        begun = {**connection.secrets, "code": "", "refresh_token": "refresh-of-the-first-day"}
        async with client.alone() as first:
            await first.probe(replace(connection, secrets=begun))
        await control(found, "/revoke")
        await control(found, "/authorize", code="simulated-code-0010")
        again = replace(connection, secrets={**begun, "code": "simulated-code-0010"})
        assert (await found.caller.probe(again)).data


async def test_a_refresh_token_used_elsewhere_is_a_matter_for_a_person() -> None:
    async with stage() as (found, connection):
        found.simulator.tokens.seed("refresh-from-elsewhere")
        own = replace(connection, secrets={**connection.secrets, "refresh_token": "refresh-from-elsewhere"})
        await found.caller.probe(own)
        async with client.alone() as other:
            with pytest.raises(errors.CredentialRefused, match="discarded"):
                await other.probe(own)
        bare = replace(connection, key="bare", secrets={**connection.secrets, "code": ""})
        with pytest.raises(errors.CredentialRefused, match="neither"):
            await found.caller.probe(bare)
