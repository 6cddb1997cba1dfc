"""Gaps: what nobody could take in is read again, once, whoever comes back first, and nothing else is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from connectors.core import client, declaration, model, registry
from retry_queue import append, backfill, gap, poll
from retry_queue.ledger import backfills, cursors, inbox, marks, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites
from tests.ledger import making, target, test_poll

Open = Callable[[str], session.Ledger]

DOORS = """
  hook:
    label: {zh: 推送, en: Push}
    door: hook
    messages: [row]
    verify: {scheme: hmac_header, options: {secret: "${secret.hook_secret}", header: X-Signature}}
  failed:
    label: {zh: 失败推送, en: Failed pushes}
    door: poll
    messages: [row]
    operation: failed
    gap: only
  ledger_only:
    label: {zh: 报表, en: Reports}
    door: poll
    messages: [row]
    operation: list
    when: {intake: reports}
    gap: never
"""
FAILED = """
  failed:
    label: {zh: 失败推送, en: Failed pushes}
    kind: list
    method: GET
    path: /failed
    query: {since: "${window.start|iso}", until: "${window.end|iso}", page: "${page.no}"}
    items: items
    id: id
    paging: {style: page, first: 1, size: 3, total: total}
messages:
"""


def declared(*, polled: bool = False, hook: bool = True) -> declaration.Declaration:
    """The shelf of the polling tests with a push door, a list of failed pushes, and its poll open or closed."""
    text = test_poll.SHELF.replace("messages:\n", FAILED, 1)
    text += DOORS if hook else DOORS.replace("door: hook", "door: hook\n    when: {intake: never}")
    if not polled:
        text = text.replace("    every: 1\n", "    every: 1\n    when: {intake: poll}\n")
    return registry.parse(text, "shelf/connector.yaml")


def site(url: str, spec: declaration.Declaration, state: ConnectionState = ConnectionState.ENABLED) -> sites.Site:
    opened = model.Connection("shelf", spec, {"base_url": url}, {"hook_secret": "x"})
    return sites.Site(1, {"shelf": sites.Live("shelf", "shelf", state, opened, None)}, [], {}, {}, {})


async def silence(ledger: session.Ledger, seconds: float) -> None:
    """As if the last mark was so long ago."""
    query = "UPDATE settings SET updated_at = updated_at - :ago WHERE key = :key"
    await making.change(ledger, query, ago=seconds, key=marks.INGRESS)


async def asked(ledger: session.Ledger) -> list[backfills.Row]:
    async with ledger.read() as db:
        return sorted(await backfills.search(db, limit=100), key=lambda row: row.id)


async def test_a_short_silence_is_none(ledger: session.Ledger) -> None:
    made = gap.Gaps(ledger, lambda: site("http://x", declared()))
    assert await made.beat() == 0, "nobody has ever marked: nothing was missed"
    await silence(ledger, 4.5)
    assert await made.beat() == 0
    assert await asked(ledger) == []


async def test_what_was_missed_is_read_again_once(ledger: session.Ledger, open_ledger: Open) -> None:
    """Three processes come back at once; the closed poll and the failed pushes are read for that time."""
    found = site("http://x", declared())
    await gap.Gaps(ledger, lambda: found).beat()
    await silence(ledger, 30.0)
    others = [gap.Gaps(open_ledger(f"a{n}"), lambda: found) for n in range(3)]
    assert sorted(await asyncio.gather(*(one.beat() for one in others))) == [0, 0, 2]
    rows = await asked(ledger)
    assert sorted(row.source for row in rows) == ["failed", "rows"]
    for row in rows:
        assert (row.cause, row.priority, row.budget, row.requested_by) == ("gap", inbox.LIVE, 0.0, "hub")
        assert 30.0 <= row.window_end - row.window_start < 40.0
        assert abs(row.window_end - time.time()) < 10.0


@pytest.mark.parametrize(
    ("spec", "state"),
    [
        (declared(hook=False), ConnectionState.ENABLED),
        (declared(), ConnectionState.DISABLED),
        (declared(), ConnectionState.PAUSED),
    ],
    ids=["nobody calls us", "disabled", "paused"],
)
async def test_what_depends_on_no_call_is_left_alone(
    ledger: session.Ledger, spec: declaration.Declaration, state: ConnectionState
) -> None:
    found = site("http://x", spec, state)
    made = gap.Gaps(ledger, lambda: found)
    await made.beat()
    await silence(ledger, 30.0)
    assert await made.beat() == 0
    assert await asked(ledger) == []


async def test_an_open_poll_is_only_hurried(ledger: session.Ledger) -> None:
    """Its cursor stands before the gap anyway."""
    found = site("http://x", declared(polled=True))
    made = gap.Gaps(ledger, lambda: found)
    await made.beat()
    async with ledger.write() as db:
        held = await cursors.claim(db, "shelf", "rows", "p", 5.0)
        assert held is not None
        await cursors.move(db, "shelf", "rows", held.fence, {"at": 1}, 3600.0, 0)
    await silence(ledger, 30.0)
    assert await made.beat() == 2
    assert [row.source for row in await asked(ledger)] == ["failed"]
    async with ledger.write() as db:
        assert await cursors.claim(db, "shelf", "rows", "p", 5.0) is not None


async def test_a_closed_poll_whose_question_is_not_configured_is_not_asked(ledger: session.Ledger) -> None:
    """A sweep over colleagues that nobody named failed after every outage."""
    text = test_poll.SHELF.replace("messages:\n", FAILED, 1) + DOORS
    text = text.replace(
        "    every: 1\n", '    every: 1\n    when: {intake: poll}\n    input: {who: "${config.people}"}\n'
    )
    found = site("http://x", registry.parse(text, "shelf/connector.yaml"))
    made = gap.Gaps(ledger, lambda: found)
    await made.beat()
    await silence(ledger, 30.0)
    assert await made.beat() == 1
    assert [row.source for row in await asked(ledger)] == ["failed"]


async def test_a_list_of_failed_pushes_is_no_poll(ledger: session.Ledger) -> None:
    found = site("http://x", declared(polled=True))
    async with client.alone() as calls:
        poller = poll.Poller(ledger, lambda: found, calls, append.Appender(ledger, lambda: None))
        assert [name for _, name, _ in poller._sources()] == ["rows"]


async def test_marks_go_on_after_the_ledger_was_away(ledger: session.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that cannot be written for a while is a gap too: hooks were answered with 503."""
    monkeypatch.setattr(gap, "BEAT", 0.05)
    found = site("http://x", declared())
    made = gap.Gaps(ledger, lambda: found, silent=0.5)
    stopped = asyncio.Event()
    away = False
    real = marks.beat

    async def beat(db: object, name: str) -> object:
        if away:
            raise session.LedgerUnavailable("gone")
        return await real(db, name)

    monkeypatch.setattr(marks, "beat", beat)
    task = asyncio.create_task(made.run(stopped))
    await asyncio.sleep(0.3)
    assert await asked(ledger) == []
    away = True
    await asyncio.sleep(0.8)
    away = False
    await making.until(lambda: asked(ledger))
    await asyncio.sleep(0.2)
    stopped.set()
    await task
    assert len(await asked(ledger)) == 2


@pytest.fixture
async def server() -> AsyncIterator[target.Target]:
    made = target.Target()
    await made.up()
    yield made
    await made.down()


async def test_missed_pushes_come_in_after_all(ledger: session.Ledger, server: target.Target) -> None:
    """What changed while nobody listened is in the inbox, at live priority, and what came before is no news."""
    shelf = test_poll.Shelf()
    shelf.put("before", 1000.0)
    shelf.put("missed", 10.0)
    server.lists = shelf.read
    found = site(server.url, declared())
    made = gap.Gaps(ledger, lambda: found)
    await made.beat()
    await silence(ledger, 20.0)
    assert await made.beat() == 2
    appender = append.Appender(ledger, lambda: None)
    async with client.alone() as calls:
        worker = backfill.Backfiller(ledger, lambda: found, calls, appender)
        await worker.step()
        await worker.idle()
    await appender.close()
    assert {row.state for row in await asked(ledger)} == {"done"}
    rows = await making.rows(ledger, "SELECT dedupe, priority FROM inbox ORDER BY id")
    assert {(row.dedupe, row.priority) for row in rows} == {("row:missed|1", inbox.LIVE)}
