"""Mail to several people of whom one is greylisted: nobody gets it twice, and the one gets it later."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from connectors.email import simulator
from connectors.simulator import engine
from retry_queue.ledger import configuration, connections, deliveries, revival
from retry_queue.ledger.states import ConnectionState
from tests.conformance import rehearsal
from tests.ledger import hub, making

TO = ["a@example.com", "later@example.com", "nobody@example.com", "b@example.com"]


@pytest.fixture
async def post() -> AsyncIterator[simulator.Simulator]:
    async with engine.serve(["email"]) as url:
        site = url.simulators["email"]
        assert isinstance(site, simulator.Simulator)
        yield site


async def opened(worker: hub.Worker, site: simulator.Simulator) -> None:
    """An order of the shop is told to four addresses in one mail."""
    await hub.source(worker.ledger)
    config, secrets = rehearsal.fitting("email", "", site)
    template = {"key": "news", "recipients": TO, "title": "新订单", "text": "{order.id}", "format": "text"}
    async with worker.ledger.write() as db:
        await connections.put(
            db,
            hub.SEALER,
            "mail",
            "email",
            config | {"security": "none"},
            secrets,
            ConnectionState.ENABLED,
            time.time(),
        )
        await configuration.put_setting(db, "templates", [template])
    await hub.route(worker.ledger, to=[{"connection": "mail", "operation": "message.send", "template": "news"}])
    await worker.hub.reload()


async def reached(worker: hub.Worker, *wanted: Any) -> Any:
    """The one delivery, once its state, reason and number of tries are these."""

    async def check() -> Any:
        found = await worker.deliveries()
        return found[0] if [(one.state, one.reason, one.attempt) for one in found] == [wanted] else None

    return await making.until(check, 20, f"{wanted}")


async def now(worker: hub.Worker, **change: int) -> None:
    """What waits is due."""
    for name, value in change.items():
        await making.change(worker.ledger, f"UPDATE deliveries SET {name} = {value}")
    await making.change(worker.ledger, "UPDATE deliveries SET next_at = 0 WHERE state = 'retrying'")
    await making.change(worker.ledger, "UPDATE lanes SET next_at = 0")


def heard(site: simulator.Simulator) -> list[list[str]]:
    return [one["to"] for one in site.mails]


async def test_who_was_greylisted_gets_it_later_and_nobody_twice(database_url: str, post: simulator.Simulator) -> None:
    post.configure({"greylist": ["later@example.com"]})
    async with hub.running(database_url) as worker:
        await opened(worker, post)
        await worker.push(hub.order("T1"))
        first = await reached(worker, "retrying", "rest", 1)
        said = orjson.loads(first.detail)
        assert "la***@example.com" in said["zh"]
        assert "la***@example.com" in said["en"]
        assert "later@" not in first.detail
        assert first.target_record
        # Another kind of trouble in between forgets nothing.
        post.faults.error_rate = 1.0
        await now(worker)
        await reached(worker, "retrying", "unavailable", 2)
        post.faults.error_rate = 0.0
        await now(worker)
        await reached(worker, "retrying", "rest", 3)
        assert heard(post) == [["a@example.com", "b@example.com"]]
        post.configure({"greylist": []})
        await now(worker)
        last = await reached(worker, "delivered", "partial", 4)
        assert heard(post) == [["a@example.com", "b@example.com"], ["later@example.com"]]
        assert len({one["id"] for one in post.mails}) == 1
        assert "no***@example.com" in last.detail, "who never will get it is told at the end as well"
        assert '"rest"' not in last.detail
        assert (await worker.settled()).difference == 0


async def test_what_was_given_up_names_them_and_a_replay_is_for_them_alone(
    sqlite_url: str, post: simulator.Simulator
) -> None:
    post.configure({"greylist": ["later@example.com"]})
    async with hub.running(sqlite_url) as worker:
        await opened(worker, post)
        await worker.push(hub.order("T1"))
        await reached(worker, "retrying", "rest", 1)
        await now(worker, failures=50)
        dead = await reached(worker, "dead", "rest", 2)
        async with worker.ledger.read() as db:
            shown = await deliveries.get(db, dead.id)
        assert shown is not None
        assert shown.detail is not None
        assert set(shown.detail) == {"zh", "en", "code"}
        assert "la***@example.com" in shown.detail["zh"]
        post.configure({"greylist": []})
        async with worker.ledger.write() as db:  # skipped by somebody, and after all replayed
            assert await deliveries.skip(db, [dead.id], {"zh": "不发了", "en": "not to be sent"}) == [dead.id]
            assert await revival.revive(db, [dead.id]) == [dead.id]
        await reached(worker, "delivered", "partial", 3)
        assert heard(post) == [["a@example.com", "b@example.com"], ["later@example.com"]]


async def test_an_interrupted_rest_waits_for_a_person_and_keeps_who_has_it(
    sqlite_url: str, post: simulator.Simulator
) -> None:
    """The last word about the second mail was lost: it is looked into, and a replay is still not for everybody."""
    post.configure({"greylist": ["later@example.com"]})
    async with hub.running(sqlite_url) as worker:
        await opened(worker, post)
        await worker.push(hub.order("T1"))
        await reached(worker, "retrying", "rest", 1)
        post.configure({"greylist": []})
        post.faults.drop_reply = 1
        await now(worker)
        parked = await reached(worker, "parked", "outcome_unknown", 2)
        async with worker.ledger.write() as db:
            await revival.revive(db, [parked.id])
        await reached(worker, "delivered", "partial", 3)
        assert heard(post) == [["a@example.com", "b@example.com"], ["later@example.com"], ["later@example.com"]]
