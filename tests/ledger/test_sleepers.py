"""A process that slept: what it had claimed is somebody else's by now, and it must not be sent a second time."""

from __future__ import annotations

import asyncio

import pytest

from retry_queue import holdings, pacer
from retry_queue.ledger import outbox, session, unsettled, workers
from retry_queue.ledger.states import DeliveryState
from tests.ledger import hub as hubs
from tests.ledger import making, target


async def test_who_slept_sends_nothing_of_what_it_had_claimed(
    database_url: str, ledger: session.Ledger, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Woken after others had buried it, a worker went on with its queue: each of them was done twice."""
    erp.gate.clear()
    async with hubs.running(database_url) as sleeper:
        await sleeper.push(*(hubs.order(f"T{number}") for number in range(60)))
        await making.until(lambda: erp.waiting >= 16, 20.0, "calls")
        before = len(erp.calls)
        monkeypatch.setattr(holdings, "UNHEARD", -1.0)  # as after a long sleep: nobody can have heard of it lately
        async with ledger.write() as connection:
            await workers.bury(connection, [sleeper.ledger.owner])
        erp.gate.set()
        await asyncio.sleep(0.6)
        assert len(erp.calls) == before, "it went on sending"
        monkeypatch.setattr(holdings, "UNHEARD", 7.0)
        await sleeper.settled(30.0)
    assert set(erp.effects.values()) == {1}


async def test_who_slept_between_its_decision_and_its_call_does_not_call(
    database_url: str, ledger: session.Ledger, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it waited for its turn, a worker called when it woke; another had done it meanwhile."""
    waiting, woken = asyncio.Event(), asyncio.Event()

    async def acquire(*_given: object) -> None:
        waiting.set()
        await woken.wait()

    with monkeypatch.context() as patched:
        patched.setattr(pacer.SharedPacer, "acquire", acquire)
        async with hubs.running(database_url) as sleeper:
            await sleeper.push(hubs.order("T1"))
            await asyncio.wait_for(waiting.wait(), 20.0)
            patched.setattr(holdings, "UNHEARD", -1.0)
            async with ledger.write() as connection:
                await workers.bury(connection, [sleeper.ledger.owner])
            woken.set()
            await asyncio.sleep(0.6)
            assert erp.calls == []
            patched.setattr(holdings, "UNHEARD", 7.0)
            await sleeper.settled(30.0)
    assert set(erp.effects.values()) == {1}


async def test_what_is_in_doubt_stays_so_when_it_is_given_back(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    """An interrupted delivery that was given back counted as untried, and would have been sent again unasked."""
    await making.owe(ledger, "E1")
    worker = await hubs.build(database_url)
    async with ledger.write() as connection:
        await outbox.claim(connection, "erp", 10, "dead", 120.0, {})
        await outbox.release(connection, ["dead"])
    async with worker.ledger.write() as connection:
        (claimed,) = await outbox.claim(connection, "erp", 10, worker.ledger.owner, 120.0, {})
    assert claimed.interrupted
    await worker.pumps._give_back(claimed)
    assert [row.state for row in await worker.deliveries()] == ["in_flight"]
    await worker.hub.close()


async def test_the_echo_of_a_write_given_back_between_two_tries_counted_as_somebodys_change(database_url: str) -> None:
    """What the first try may have done is ours, also after nobody had time for the second one."""
    worker = await hubs.build(database_url)
    ledger = worker.ledger

    async def busy() -> set[str]:
        async with ledger.read() as connection:
            return set(await unsettled.busy(connection, ["erp"]))

    async def look() -> tuple[str, int, int]:
        (row,) = await worker.deliveries()
        tries = await making.rows(ledger, "SELECT attempt FROM attempts")
        return row.state, row.attempt, len(tries)

    settling = asyncio.create_task(worker.pumps._settler.run())
    await making.owe(ledger, "E1", kind="state")
    for claims in (1, 2):  # claimed and given back as often as there is no time for it, it was never tried
        (untried,) = await making.claim(ledger)
        await worker.pumps._give_back(untried)
        assert await look() == ("pending", claims, 0)
        assert await busy() == set(), "nothing of it can have been done: whoever changes that record did"
    (tried,) = await making.claim(ledger)
    await making.settle(ledger, making.result(tried, DeliveryState.RETRYING))
    assert await look() == ("retrying", 3, 1)
    assert await busy() == {"erp/order/1"}
    for claims in (4, 5):
        (again,) = await making.claim(ledger)
        assert again.attempt == claims
        assert await busy() == {"erp/order/1"}
        await worker.pumps._give_back(again)
        assert await look() == ("retrying", claims, 1), "given back untried: no attempt, and still between two tries"
        assert await busy() == {"erp/order/1"}, "its echo is known by this"
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await worker.hub.close()
