"""SQLite reads what a step needs as well: it has no statistics of a ledger that grows, so each plan is looked at.

The wound: ending a lane read all lanes there were, once per ended one. With a hundred thousand orders in backlog a
worker did a few dozen deliveries a second.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import re
import sqlite3
from collections.abc import Iterator

import pytest

import retry_queue.ledger
from gateway import migrate
from retry_queue.ledger import sql

LONG = {
    "apart", "attempts", "canonicals", "deliveries", "detours", "events", "findings", "inbox", "lanes", "link_history",
    "mentions", "merged", "quarantine", "records", "sightings", "timers",
}  # fmt: skip
"""Tables that grow with the history or with a backlog."""
OPEN = {
    "ix_deliveries_lane", "ix_deliveries_parked", "ix_deliveries_retrying", "ix_deliveries_dead", "ix_inbox_received",
    "ix_inbox_parked", "ix_timers_due", "ix_timers_waiting",
}  # fmt: skip
"""Indexes of what is open or waits for a person: reading one from end to end costs as much as there is of that."""
WHOLE = {
    "backfills._PRESSURE": "counts what an import is owed, while one runs",
    "detours._TIDY": "detours are few and end; once a minute",
    "findings._FOLLOW": "of a reconciliation, which read both systems",
    "links._APART": "pairs that a person took apart",
    "recovery._DOUBT": "once, after a backup was put back",
    "recovery._DUE": "once, after a backup was put back",
    "tallies._AUDIT": "a person's question about the whole balance",
    "quarantine._TRIM": "it is kept short by this",
}
"""Statement -> why it may read a table from end to end."""
NEWEST = {"pulse._ARRIVED", "pulse._MOVED", "tallies._SINCE", "quarantine._TRIM"}
"""Statements that read the newest rows by their ids, on purpose."""


def statements() -> Iterator[tuple[str, str, int, bool]]:
    """Name, SQLite text, number of parameters, whether the first is a batch."""
    for module in pkgutil.iter_modules(retry_queue.ledger.__path__):
        found = importlib.import_module(f"retry_queue.ledger.{module.name}")
        for name, value in vars(found).items():
            one = value.get("sqlite") if isinstance(value, dict) else value
            if isinstance(one, sql.Statement):
                text = one._text["sqlite"]
                if re.search(r"\bFOR (UPDATE|SHARE|NO KEY)|pg_advisory|nextval", text):  # only ever said to PostgreSQL
                    continue
                count = max((int(number) for number in re.findall(r"\?(\d+)", text)), default=0)
                yield f"{module.name}.{name}", text, count, bool(one._columns)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("plans") / "ledger.sqlite3"
    asyncio.run(migrate.upgrade(f"sqlite+aiosqlite:///{path}"))
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def plan(schema: sqlite3.Connection, text: str, count: int, batch: bool) -> list[str]:
    given = ["[]" if batch and place == 0 else None for place in range(count)]
    return [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {text}", given)]


def aliases(text: str) -> dict[str, str]:
    """Alias -> table, for every table that is named in the statement."""
    found = re.findall(r"\b(?:FROM|JOIN|UPDATE|INTO|,)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", text)
    return {name: name for name, _ in found} | {alias: name for name, alias in found if alias}


def test_there_is_something_to_look_at(schema: sqlite3.Connection) -> None:
    assert len(list(statements())) > 150
    there = {row[0] for row in schema.execute("SELECT name FROM sqlite_schema")}
    assert there >= LONG | OPEN
    assert {name for name, *_ in statements()} >= WHOLE.keys() | NEWEST


@pytest.mark.parametrize(("name", "text", "count", "batch"), [pytest.param(*one, id=one[0]) for one in statements()])
def test_no_statement_reads_a_long_table_whole(
    schema: sqlite3.Connection, name: str, text: str, count: int, batch: bool
) -> None:
    tables = aliases(text)
    steps = plan(schema, text, count, batch)
    made = {step.split()[1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    for step in steps:
        assert "AUTOMATIC" not in step, f"{name} builds an index of its own each time: {step}"
        scanned = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        if scanned and scanned[1] not in made and tables.get(scanned[1]) in LONG and name not in WHOLE:
            assert scanned[2] in OPEN, f"{name} reads all of {tables[scanned[1]]}: {step}"
        ranged = re.match(r"SEARCH (\w+) USING INTEGER PRIMARY KEY \(rowid[<>]", step)
        if ranged and tables.get(ranged[1]) in LONG:
            assert name in NEWEST, f"{name} reads {tables[ranged[1]]} by a range of its ids: {step}"
