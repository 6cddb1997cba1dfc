"""The answer to a claim is lost: what was leased all the same is taken up again at once, not when its lease ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import claims, outbox, session
from tests.ledger import hub as hubs
from tests.ledger import making, target


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, str], list[str]]:
    """``lose(module, name)``: the first call of this repository function is committed, and nobody hears of it."""

    def arrange(module: object, name: str) -> list[str]:
        struck: list[str] = []
        real = getattr(module, name)
        write = session.Ledger.write

        async def call(connection: AsyncConnection, *given: object, **named: object) -> object:
            found = await real(connection, *given, **named)
            if found and not struck:
                struck.append("now")
            return found

        @contextlib.asynccontextmanager
        async def writing(ledger: session.Ledger, **how: bool) -> AsyncIterator[AsyncConnection]:
            async with write(ledger, **how) as connection:
                yield connection
            if struck == ["now"]:
                struck.append("done")
                raise session.LedgerUnavailable("the answer was lost")

        monkeypatch.setattr(module, name, call)
        monkeypatch.setattr(session.Ledger, "write", writing)
        return struck

    return arrange


@pytest.mark.parametrize("what", ["events", "lanes"])
async def test_a_claim_whose_answer_was_lost_is_no_minute_of_silence(
    what: str, database_url: str, erp: target.Target, lose: Callable[[object, str], list[str]]
) -> None:
    struck = lose(claims if what == "events" else outbox, "claim")
    async with hubs.running(database_url) as worker:
        begun = time.monotonic()
        await worker.push(*(hubs.order(f"T{number}") for number in range(5)))
        balance = await worker.settled()
        assert struck == ["now", "done"]
        assert balance.delivered == 5
        assert time.monotonic() - begun < 15.0
    assert sorted(erp.effects.values()) == [1] * 5


async def test_what_is_in_our_hands_is_not_given_back(
    database_url: str, erp: target.Target, lose: Callable[[object, str], list[str]]
) -> None:
    """The second claim's answer is lost while the first one's calls are under way: those go on undisturbed."""
    erp.gate.clear()
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"A{number}") for number in range(3)))

        async def called() -> bool:
            return len(erp.calls) == 3

        await making.until(called, 10.0, "the first calls")
        struck = lose(outbox, "claim")
        await worker.push(*(hubs.order(f"B{number}") for number in range(3)))

        async def more() -> bool:
            return len(erp.calls) == 6

        await making.until(more, 10.0, "the calls whose claim was lost")
        assert struck == ["now", "done"]
        erp.gate.set()
        assert (await worker.settled()).delivered == 6
    assert len(erp.calls) == 6
