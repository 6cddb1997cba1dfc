"""Reconciliation: finds what differs and nothing else, mends it by the normal way, survives its process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from retry_queue import reconcile
from retry_queue.ledger import configuration, findings, reconciliations, session
from retry_queue.sync import agreement
from tests.ledger import making, pair


@pytest.fixture
async def two(database_url: str, ledger: session.Ledger) -> AsyncIterator[pair.Pair]:
    async with pair.opened(database_url, ledger) as made:
        yield made


# --- what is no difference ----------------------------------------------------------------------


async def test_nobody_is_alarmed_by_what_is_on_its_way(two: pair.Pair) -> None:
    """A delivery that is owed, an event that is not planned, a record that changes while it is compared."""
    two.fill(40)
    await two.link(40)
    two.spoil({1}, set(), {2, 3})
    now = time.time()
    two.left.records.customers["L000004"].update(level="钻石", updated_at=pair.records.stamp(now + 5))
    async with two.ledger.write() as db:
        row = await making.a_record(db, ("left", "customer", "L000001"))
    await making.change(
        two.ledger,
        "INSERT INTO deliveries (event_id, route_key, connection_key, operation, position, kind, record_id, lane,"
        " state, next_at, created_at) VALUES (1, 'x', 'nowhere', 'x', 0, 'act', :row, 'x', 'retrying', :late, :late)",
        row=row, late=now + 9999,
    )  # fmt: skip
    waiting = making.event("e", "right", entity="customer", record="R000002")
    await making.append(two.ledger, waiting)
    await making.change(two.ledger, "UPDATE inbox SET next_at = :late", late=now + 9999)
    row = await two.compared()
    found = await two.findings(row.id)
    assert [(one.kind, one.right_record) for one in found] == [("different", "R000003")]
    assert row.counts["under_way"] == 3


async def test_a_counterpart_outside_the_window_is_looked_for(two: pair.Pair) -> None:
    two.fill(20)
    await two.link(20)
    long_ago = pair.records.stamp(time.time() - 40 * 86400)
    for number in (5, 6):
        two.right.records.customers[f"R{number:06d}"]["updated_at"] = long_ago
    two.right.records.customers["R000006"]["level"] = "旧"
    two.left.records.customers["L000007"]["updated_at"] = long_ago  # edited on the right only
    two.right.records.customers["R000007"]["remark"] = "现场改的"
    row = await two.compared()
    found = await two.findings(row.id)
    assert [(one.kind, one.left_record, one.right_record) for one in found] == [
        ("different", "L000006", "R000006"),
        ("different", "L000007", "R000007"),
    ]
    assert found[0].fields == [{"path": "level", "left": "金卡", "right": "旧"}]


async def test_conditions_fields_and_tolerances_narrow_it(two: pair.Pair) -> None:
    two.fill(12)
    await two.link(12)
    two.spoil({1, 2}, set(), {3, 4, 5, 6})  # name, remark, level, tags in some order
    two.left.records.customers["L000001"]["level"] = "潜在"
    number = await two.ask(when='customer.level != "潜在"', fields=["level", "tags", "name"], ignore=["name"])
    row = await two.compared(number)
    found = await two.findings(row.id)
    assert [(one.kind, one.left_record) for one in found if one.kind == "missing"] == [("missing", "L000002")]
    assert {each["path"] for one in found for each in one.fields} == {"level", "tags"}


async def test_what_is_linked_several_to_one_is_compared_together(two: pair.Pair) -> None:
    """Two customers here were found to be one person, and are one customer there: it must say what one of them says."""
    two.fill(10)
    await two.link(10)
    two.spoil({4, 6}, set(), {7})
    for number in (4, 6):
        await making.change(
            two.ledger,
            "UPDATE records SET link_id = :became WHERE link_id = :was AND connection_key = 'left'",
            became=10_000_000 + number - 1, was=10_000_000 + number,
        )  # fmt: skip
    two.right.records.customers["R000005"]["level"] = "谁都没有"
    row = await two.compared()
    found = {one.right_record: one for one in await two.findings(row.id)}
    assert sorted((one.kind, one.right_record) for one in found.values()) == [
        ("different", "R000005"), ("different", "R000007"),
    ]  # fmt: skip
    joined = found["R000005"]
    assert joined.fields == [{"path": "level", "left": "金卡", "right": "谁都没有"}]
    assert joined.detail is not None
    assert joined.detail["en"].startswith("2 on the left are 1")
    assert row.counts["matched"] == 10 - 1 - 2 - 1 + 1, "two of them make one finding"
    assert await two.repaired(row.id) == {"different": {"failed": 1, "repaired": 1}}
    assert two.right.records.customers["R000005"]["level"] == "谁都没有", "no part is written over the whole"


async def test_what_was_read_is_forgotten_at_the_end(two: pair.Pair) -> None:
    two.fill(30)
    two.spoil({1}, set(), set())
    await two.compared()
    assert (await making.rows(two.ledger, "SELECT count(*) AS n FROM sightings"))[0].n == 0


# --- one process after another --------------------------------------------------------------------


async def test_goes_on_where_a_dead_process_stopped(two: pair.Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after every single step, by whoever had it: found once, and nothing is read twice from the start."""
    monkeypatch.setattr(agreement, "CHUNK", 10)
    two.fill(60)
    await two.link(60, every=3)
    two.spoil({1, 20}, {33, 59}, {40, 50})
    number = await two.ask()
    turns = 0
    while (await two.get(number)).state != "done":
        turns += 1
        assert turns < 2000, "a step may end before its commit on a busy machine, but not for ever"
        reconciler = pair.reconciler(two.worker)
        await reconciler.step()
        reconciler._halt.set()  # it stops at its next commit, as at the end of a process
        await reconciler.idle()
    assert turns > 5
    found = await two.findings(number)
    assert sorted((one.kind, (one.left_record or one.right_record or "")[1:]) for one in found) == [
        ("different", "000040"), ("different", "000050"), ("extra", "000033"), ("extra", "000059"),
        ("missing", "000001"), ("missing", "000020"),
    ]  # fmt: skip
    counts = (await two.get(number)).counts
    assert (counts["left"], counts["right"], counts["matched"]) == (58, 58, 54)


async def test_who_lost_the_lease_writes_nothing(two: pair.Pair) -> None:
    two.fill(10)
    two.spoil({1}, set(), set())
    number = await two.ask()
    async with two.ledger.write() as db:
        late = await reconciliations.claim(db, "w-late", 0.0)
    assert late is not None
    row = await two.compared(number)
    assert row.state == "done"
    async with two.ledger.write() as db:
        assert not await reconciliations.end(db, late, "failed")
    with pytest.raises(reconciliations.Lost):
        async with two.ledger.write() as db:
            await findings.add(db, number, [findings.New("extra", None, None, "x", None)])
            await reconciliations.keep(db, late, {}, {}, 60.0)
    assert len(await two.findings(number)) == 1


async def test_a_side_that_is_away_is_asked_again(two: pair.Pair, quick: None) -> None:
    two.fill(10)
    two.right.faults.error_rate = 1.0
    number = await two.ask()
    await two.reconciler.step()
    await two.reconciler.idle()
    row = await two.get(number)
    assert (row.state, row.progress["failures"], row.progress["phase"]) == ("running", 1, "right")
    assert row.detail is not None
    two.right.faults.error_rate = 0.0
    assert (await two.compared(number)).state == "done"


async def test_a_side_that_cannot_be_read_fails_with_words(two: pair.Pair) -> None:
    row = await two.compared(await two.ask(right="nobody"))
    assert row.state == "failed"
    assert row.detail is not None
    assert "nobody" in row.detail["en"]


async def test_a_person_cancels_it(two: pair.Pair) -> None:
    two.fill(10)
    number = await two.ask()
    async with two.ledger.write() as db:
        assert await reconciliations.cancel(db, number)
        assert not await reconciliations.cancel(db, number)
    await two.reconciler.step()
    await two.reconciler.idle()
    assert (await two.get(number)).state == "cancelled"


# --- schedules ------------------------------------------------------------------------------------


async def test_each_turn_of_a_schedule_is_made_once(two: pair.Pair) -> None:
    two.fill(5)
    wanted = {"key": "nightly", "left": "left", "right": "right", "entity": "customer", "every": 3600.0}
    async with two.ledger.write() as db:
        await configuration.put_setting(db, reconcile.SETTING, [wanted, {"key": "broken"}])
        await configuration.touch(db)
    await two.worker.hub.reload()
    others = [pair.reconciler(two.worker) for _ in range(3)]
    await asyncio.gather(*(one.step() for one in others))
    await asyncio.gather(*(one.idle() for one in others))
    async with two.ledger.read() as db:
        rows = await reconciliations.search(db, limit=10)
    assert [(row.plan_key, row.state) for row in rows] == [("nightly", "done")]
    assert rows[0].window_end - rows[0].window_start == 86400.0


# --- repairs --------------------------------------------------------------------------------------


async def test_a_repair_that_cannot_be_made_says_why(database_url: str, ledger: session.Ledger) -> None:
    async with pair.opened(database_url, ledger, both=False) as two:
        two.fill(10)
        await two.link(10)
        two.spoil({1}, {2}, set())
        row = await two.compared()
        states = await two.repaired(row.id)
        assert states == {"missing": {"repaired": 1}, "extra": {"failed": 1}}
        (failed,) = await two.findings(row.id, state="failed")
        assert failed.detail is not None
        assert "no route" in failed.detail["en"]


async def test_a_repair_sends_nobody_a_message(two: pair.Pair) -> None:
    """Another route from the same source, with an act: the repair is for the other side only."""
    two.fill(6)
    await two.link(6)
    two.spoil(set(), set(), {3})
    async with two.ledger.write() as db:
        spec = {
            "from": {"connection": "left", "entity": "customer"},
            "to": [
                {"connection": "left", "operation": "customer.save"},
                {"connection": "right", "operation": "customer.save"},
            ],
        }
        await configuration.put_route(db, "more", spec, True)
        await configuration.touch(db)
    await two.worker.hub.reload()
    row = await two.compared()
    assert await two.repaired(row.id) == {"different": {"repaired": 1}}
    owed = await two.worker.deliveries()
    assert {one.connection_key for one in owed} == {"right"}
    await pair.quiet(two.worker)
    assert two.same() == []


async def test_the_owner_of_a_field_is_followed(two: pair.Pair) -> None:
    two.fill(6)
    await two.link(6)
    two.spoil(set(), set(), {0})  # the level
    async with two.ledger.write() as db:
        await configuration.put_setting(db, "entities", {"customer": {"owners": {"level": "right"}}})
        await configuration.touch(db)
    await two.worker.hub.reload()
    row = await two.compared()
    assert await two.repaired(row.id) == {"different": {"repaired": 1}}
    assert two.left.records.customers["L000000"]["level"] == "普通"
    assert two.same() == []


async def test_a_person_leaves_it_as_it_is(two: pair.Pair) -> None:
    two.fill(6)
    await two.link(6)
    two.spoil({1}, set(), {2})
    row = await two.compared()
    async with two.ledger.write() as db:
        assert await findings.ignore(db, findings.Filter(row.id, kind="missing"), {"zh": "知道了", "en": "known"}) == 1
        assert await findings.ask(db, findings.Filter(row.id, kind="missing")) == 0
    assert await two.repaired(row.id) == {"missing": {"ignored": 1}, "different": {"repaired": 1}}
