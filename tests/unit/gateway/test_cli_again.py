"""Replaying and editing on the command line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from retry_queue.ledger import audit, claims, edits, inbox, secrets, session, tallies
from tests.unit.gateway import desk as desks
from tests.unit.gateway import test_cli

run, hub = test_cli.run, test_cli.hub
Run = test_cli.Run


async def parked(ledger: session.Ledger, payload: str) -> int:
    """One event that could not be planned."""
    async with ledger.write() as connection:
        (number,) = await inbox.append(connection, [desks.event("shop", payload, "d1")])
        (claimed,) = await claims.claim(connection, 1, "t", 60)
        ruling = inbox.Ruling(claimed.id, claimed.fence, inbox.EventState.PARKED, "mapping")
        await inbox.settle(connection, [ruling])
        await tallies.add(connection, 0, Counter({("shop", "received"): 1}))
    assert number is not None
    return number


def test_replay_by_id_and_by_filter(run: Run) -> None:
    run("migrate")

    number = test_cli.ledger_step(lambda ledger, _sealer: parked(ledger, "{}"))
    assert test_cli.data(run("replay", "--event", str(number), "--json"))["events"] == [str(number)]
    run("replay", "--event", str(number), code=1)
    run("replay", "--delivery", "999", code=1)
    told = test_cli.data(run("replay", "--state", "dead", "--route", "x", "--dry-run", "--json"))
    assert told == {"matched": 0, "events": [], "deliveries": [], "dry_run": True}
    run("replay", code=2)
    run("replay", "--state", "delivered", code=2)
    run("ledger")


def test_an_event_is_edited_and_replayed(run: Run, tmp_path: Path) -> None:
    """What is printed is edited and handed back; what changed is told, kept and audited."""
    run("migrate")

    number = str(test_cli.ledger_step(lambda ledger, _sealer: parked(ledger, '{"id":"1","total":12.30}')))
    file = tmp_path / "event.json"
    file.write_text(run("edit", number).stdout)
    assert '"total": 12.30' in file.read_text()
    told = test_cli.data(run("edit", number, "--with", str(file), "--dry-run", "--json"))
    assert (told["changes"], told["events"]) == ([], [])
    file.write_text(file.read_text().replace("12.30", "12.40"))
    run("edit", number, "--with", str(file), code=2)
    run("edit", number, "--with", str(tmp_path / "nowhere"), "--note", "x", code=2)
    assert "total: 12.30 → 12.40" in run("edit", number, "--with", str(file), "--note", "typo").stdout
    run("edit", number, code=1)
    run("edit", number, "--with", str(file), "--note", "again", code=1)
    run("edit", "999", code=2)

    async def kept(ledger: session.Ledger, _sealer: secrets.Sealer) -> list[Any]:
        async with ledger.read() as connection:
            return [*await edits.of_event(connection, int(number)), *await audit.search(connection, limit=5)]

    edit, entry = test_cli.ledger_step(kept)
    assert (edit.note, edit.by, edit.changes[0]["path"]) == ("typo", "cli", "total")
    assert (entry.actor, entry.action) == ("cli", "event.edit")


def test_replay_of_everything_is_a_job(run: Run, hub: Path) -> None:
    """Without a running hub it waits for one; it can be listed and cancelled."""
    run("apply", "-f", str(hub))
    made = test_cli.data(run("replay", "--state", "dead", "--all", "--rate", "50", "--newest-mapping", "--json"))
    assert (made["state"], made["mapping"], made["chosen"]) == ("waiting", "newest", {"state": "dead"})
    assert [one["id"] for one in test_cli.data(run("replay", "--list", "--json"))] == [made["id"]]
    assert test_cli.data(run("replay", "--cancel", made["id"], "--json"))["state"] == "cancelled"
    run("replay", "--cancel", made["id"], code=1)
    run("replay", "--cancel", "99", code=2)
    run("replay", "--list", "--state", "dead", code=2)
    assert test_cli.data(run("replay", "--state", "dead", "--all", "--dry-run", "--json"))["matched"] == 0
