"""Tallies: counts that make the ledger balance in public, kept in the transaction that makes them true.

Each process counts in its own slot, so no two commits wait for one row.

    received = delivered + duplicate + filtered + dead + in flight

counts *events*: ``received`` every verified event that was handed in (duplicates included), the right
side what became of it. An event is delivered when all it owed is delivered (or a newer state went
instead), dead when something it owed was given up and nothing is open, filtered when there was
nothing to do, in flight otherwise (parked included: somebody still owes something).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import events, sql

EAST = 8 * 3600.0
"""Seconds by which days begin earlier than in UTC: a day of the tallies is one of Beijing."""
TODAY = "CAST({now} + 28799.5 AS BIGINT) / 86400"
MORE = "ON CONFLICT (day, connection_key, kind, slot) DO UPDATE SET n = tallies.n + excluded.n"
"""For statements that count by the way."""
_ADD = sql.Statement(
    f"""
    INSERT INTO tallies (day, connection_key, kind, slot, n)
    SELECT {TODAY}, connection_key, kind, slot, n FROM {{src}} {{more}} {MORE}
    """,
    "connection_key text, kind text, slot int, n int",
)
_OPEN = "state IN ('pending', 'in_flight', 'retrying', 'parked')"
_BY_CONNECTION = sql.Statement("SELECT connection_key, kind, sum(n) AS n FROM tallies GROUP BY connection_key, kind")
# One statement, so that counts and rows are of one moment also while others commit.
_BALANCE = sql.Statement(
    f"""
    SELECT kind, sum(n) AS n FROM tallies GROUP BY kind
    UNION ALL SELECT '+unplanned', count(*) FROM inbox WHERE state = 'received'
    UNION ALL SELECT '+parked_events', count(*) FROM inbox WHERE state = 'parked'
    UNION ALL SELECT '+open_events', count(DISTINCT event_id) FROM deliveries WHERE {_OPEN}
    UNION ALL SELECT '+parked_deliveries', count(DISTINCT event_id) FROM deliveries WHERE state = 'parked'
    UNION ALL SELECT '+dead_events', count(DISTINCT event_id) FROM deliveries d WHERE state = 'dead'
      AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.event_id = d.event_id AND o.{_OPEN})
    """
)
_AUDIT = sql.Statement(
    """
    SELECT kind, sum(n) AS n FROM tallies GROUP BY kind
    UNION ALL SELECT '+' || state, count(*) FROM inbox GROUP BY state
    """
)


_TODAY = sql.Statement("SELECT kind, sum(n) AS n FROM tallies WHERE day = {1} GROUP BY kind")
# What became of the events that came since a moment; ids grow with time, so the key narrows what is read.
_SINCE = sql.Statement(
    f"""
    SELECT '+' || state AS kind, count(*) AS n FROM inbox WHERE id >= {{1}} AND received_at >= {{2}} GROUP BY state
    UNION ALL SELECT '+open', count(DISTINCT d.event_id) FROM deliveries d JOIN inbox i ON i.id = d.event_id
      WHERE d.{_OPEN} AND d.event_id >= {{1}} AND i.received_at >= {{2}}
    UNION ALL SELECT '+waiting', count(DISTINCT d.event_id) FROM deliveries d JOIN inbox i ON i.id = d.event_id
      WHERE d.state = 'parked' AND d.event_id >= {{1}} AND i.received_at >= {{2}}
    UNION ALL SELECT '+dead', count(DISTINCT d.event_id) FROM deliveries d JOIN inbox i ON i.id = d.event_id
      WHERE d.state = 'dead' AND d.event_id >= {{1}} AND i.received_at >= {{2}}
      AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.event_id = d.event_id AND o.{_OPEN})
    """
)


@dataclass(frozen=True, slots=True)
class Balance:
    """The ledger's balance over all time; ``difference`` is 0 unless something was lost."""

    received: int
    delivered: int
    duplicate: int
    filtered: int
    dead: int
    in_flight: int
    parked: int
    """Events of ``in_flight`` that wait for a person."""
    rejected: int
    """Calls refused at the door; not part of the balance."""
    difference: int

    def line(self) -> str:
        """One line for people and scripts."""
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


async def add(connection: AsyncConnection, slot: int, counts: Counter[tuple[str, str]]) -> None:
    """Adds counts per (connection, kind) in this process's slot."""
    rows = sorted((key, kind, slot, n) for (key, kind), n in counts.items() if n)
    await _ADD.run(connection, rows)


async def balance(connection: AsyncConnection) -> Balance:
    """The balance by the tallies and the open rows: cheap at any size of history."""
    counted = {row.kind: int(row.n) for row in await _BALANCE.run(connection)}
    in_flight = counted["+unplanned"] + counted["+parked_events"] + counted["+open_events"]
    received = counted.get("received", 0)
    duplicate = counted.get("duplicate", 0)
    filtered = counted.get("filtered", 0)
    dead = counted["+dead_events"]
    delivered = counted.get("planned", 0) - counted["+open_events"] - dead
    return Balance(
        received=received,
        delivered=delivered,
        duplicate=duplicate,
        filtered=filtered,
        dead=dead,
        in_flight=in_flight,
        parked=counted["+parked_events"] + counted["+parked_deliveries"],
        rejected=sum(n for kind, n in counted.items() if kind.startswith("rejected.")),
        difference=received - delivered - duplicate - filtered - dead - in_flight,
    )


async def today(connection: AsyncConnection, now: float) -> Balance:
    """What became of the events of this day so far, by its rows; ``now`` is the database's clock."""
    day = int((now + EAST) // 86400)
    since = day * 86400.0 - EAST
    counted = Counter({row.kind: int(row.n) for row in await _TODAY.run(connection, (), day)})
    rows = await _SINCE.run(connection, (), await events.first_at(connection, since - events.TIME_SLACK), since)
    counted.update({row.kind: int(row.n) for row in rows})
    accepted = sum(counted[f"+{state}"] for state in ("received", "planned", "skipped", "parked"))
    return Balance(
        received=accepted + counted["duplicate"],
        delivered=counted["+planned"] - counted["+open"] - counted["+dead"],
        duplicate=counted["duplicate"],
        filtered=counted["+skipped"],
        dead=counted["+dead"],
        in_flight=counted["+received"] + counted["+parked"] + counted["+open"],
        parked=counted["+parked"] + counted["+waiting"],
        rejected=sum(n for kind, n in counted.items() if kind.startswith("rejected.")),
        difference=0,
    )


async def by_connection(connection: AsyncConnection) -> dict[str, dict[str, int]]:
    """Connection -> kind -> count."""
    found: dict[str, dict[str, int]] = {}
    for row in await _BY_CONNECTION.run(connection):
        found.setdefault(row.connection_key, {})[row.kind] = int(row.n)
    return found


async def audit(connection: AsyncConnection) -> list[str]:
    """Compares the tallies with the rows themselves (reads the whole inbox); returns what differs."""
    counted = Counter({row.kind: int(row.n) for row in await _AUDIT.run(connection)})
    accepted = sum(n for kind, n in counted.items() if kind.startswith("+"))
    pairs = {
        "accepted": (counted["received"] - counted["duplicate"], accepted),
        "planned": (counted["planned"], counted["+planned"]),
        "filtered": (counted["filtered"], counted["+skipped"]),
    }
    return [f"{name}: tallied {said}, found {found}" for name, (said, found) in pairs.items() if said != found]
