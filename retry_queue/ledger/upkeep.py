"""Tables for what keeps systems equal: merged records, conflicts, reconciliation, backfills, timers, and breakers.

In the same metadata and by the same rules as ``tables.py``: moments are Unix seconds, JSON is text.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from retry_queue.ledger import tables

Key, RowId, metadata = tables.Key, tables.RowId, tables.metadata

merged = Table(
    "merged",
    metadata,
    Column("link_id", RowId, primary_key=True, autoincrement=False),
    Column("entity", String(40), nullable=False),
    Column("fields", Text, nullable=False),  # JSON path -> {value, at, from, event, frozen?}
    Column("updated_at", Double, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("link_id", RowId, nullable=False),
    Column("entity", String(40), nullable=False),
    Column("field", String(200), nullable=False),
    Column("policy", String(12), nullable=False),  # owner | rank | newest | manual
    Column("state", String(10), nullable=False),  # open | settled
    Column("sides", Text, nullable=False),  # JSON [{connection, record, value, at, event}], the later claim last
    Column("winner", Key),  # the connection whose value holds, or the word person
    Column("reason", Text),  # JSON {zh, en}
    Column("event_id", RowId, nullable=False),  # the event that brought it up
    Column("created_at", Double, nullable=False),
    Column("settled_at", Double),
    Column("settled_by", String(80)),
    tables.partial("ix_conflicts_open", "id", where="state = 'open'"),
    Index("ix_conflicts_link_id", "link_id", "id"),
    sqlite_autoincrement=True,
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("plan_key", Key),  # the schedule it belongs to; absent when a person asked
    Column("left_key", Key, nullable=False),
    Column("right_key", Key, nullable=False),
    Column("entity", String(40), nullable=False),
    Column("window_start", Double, nullable=False),
    Column("window_end", Double, nullable=False),
    Column("spec", Text, nullable=False),  # JSON: fields, tolerances, conditions
    Column("state", String(10), nullable=False),  # waiting | running | done | failed | cancelled
    Column("progress", Text),  # JSON: where it is, to go on after a restart
    Column("counts", Text),  # JSON: left, right, matched, missing, extra, different
    Column("detail", Text),  # JSON {zh, en}
    Column("owner", String(40)),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("next_at", Double, nullable=False),
    Column("requested_by", String(80), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    UniqueConstraint("plan_key", "window_end"),  # each turn of a schedule once, whoever notices it first
    tables.partial("ix_reconciliations_due", "next_at", "id", where="state IN ('waiting', 'running')"),
    sqlite_autoincrement=True,
)

findings = Table(
    "findings",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("reconciliation_id", RowId, nullable=False),
    Column("kind", String(10), nullable=False),  # missing | extra | different
    Column("number", String(200)),
    Column("left_record", String(200)),
    Column("right_record", String(200)),
    Column("link_id", RowId),
    Column("fields", Text),  # JSON [{path, left, right}]
    Column("state", String(10), nullable=False),  # open | repairing | repaired | ignored | failed
    Column("event_id", RowId),  # the event that repairs it
    Column("detail", Text),  # JSON {zh, en}
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("asked_at", Double),  # when its repair was last asked for
    Column("next_at", Double, nullable=False, server_default="0"),  # due; while a repair is begun: when that lease ends
    Index("ix_findings_reconciliation_id", "reconciliation_id", "state", "id"),
    tables.partial("ix_findings_event", "event_id", where="event_id IS NOT NULL"),
    tables.partial("ix_findings_repairing", "next_at", "id", where="state = 'repairing'"),
    sqlite_autoincrement=True,
)

sightings = Table(
    "sightings",
    metadata,
    Column("reconciliation_id", RowId, primary_key=True, autoincrement=False),
    Column("side", SmallInteger, primary_key=True, autoincrement=False),  # 0 left, 1 right
    Column("record", String(200), primary_key=True),
    Column("link_id", RowId),
    Column("number", String(200)),
    Column("named", String(80)),  # a keyed digest of what names the thing in any system
    Column("at", Double),  # the record's own time
    Column("inside", SmallInteger, nullable=False),  # 1 changed within the window, 2 the condition holds, 3 both
    Column("body", Text),  # JSON path -> value of what is compared; absent: it could not be read
    Column("paired", SmallInteger, nullable=False, server_default="0"),
    Index("ix_sightings_link_id", "reconciliation_id", "side", "link_id"),
    Index("ix_sightings_number", "reconciliation_id", "side", "number"),
    Index("ix_sightings_named", "reconciliation_id", "side", "named"),
)

listed = Table(
    "listed",
    metadata,
    Column("connection_key", Key, primary_key=True),
    Column("source", String(41), primary_key=True),  # the poll; begins with ~ while a simulator stands in
    Column("name", String(32), primary_key=True),  # of the record, as ``together.name`` makes it
    Column("body", Text, nullable=False),  # JSON: what would be read of it with nothing in it
)

backfills = Table(
    "backfills",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("connection_key", Key, nullable=False),
    Column("source", String(40), nullable=False),  # the poll that reads it
    Column("cause", String(12), nullable=False),  # person | gap | first
    Column("window_start", Double, nullable=False),
    Column("window_end", Double, nullable=False),
    Column("state", String(10), nullable=False),  # waiting | running | paused | done | failed | cancelled
    Column("cursor", Text),  # JSON: the next window and page
    Column("counts", Text),  # JSON: rows, new, windows done and in all
    Column("budget", Double, nullable=False),  # records a second at most
    Column("priority", SmallInteger, nullable=False),  # as in inbox
    Column("detail", Text),  # JSON {zh, en}
    Column("owner", String(40)),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("next_at", Double, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("requested_by", String(80), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    tables.partial("ix_backfills_due", "next_at", "id", where="state IN ('waiting', 'running')"),
    sqlite_autoincrement=True,
)

replays = Table(
    "replays",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("wanted", Text, nullable=False),  # JSON: the filter, as in deliveries.Filter
    Column("mapping", String(8), nullable=False),  # planned | newest
    Column("upto", RowId, nullable=False),  # deliveries planned later are not in it
    Column("state", String(10), nullable=False),  # waiting | running | paused | done | failed | cancelled
    Column("cursor", Text),  # JSON {at, recent}: up to which id, and which of the last are not ended
    Column("counts", Text),  # JSON: matched, looked_at, replayed, superseded, taken_back
    Column("budget", Double, nullable=False),  # deliveries a second at most; 0: no bound
    Column("detail", Text),  # JSON {zh, en}
    Column("owner", String(40)),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("next_at", Double, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("requested_by", String(80), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    tables.partial("ix_replays_due", "next_at", "id", where="state IN ('waiting', 'running')"),
    sqlite_autoincrement=True,
)

edits = Table(
    "edits",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("event_id", RowId, nullable=False),
    Column("what", String(10), nullable=False),  # payload | canonical
    Column("before", Text, nullable=False),  # as it was
    Column("changes", Text, nullable=False),  # JSON [{path, before, after}]
    Column("note", Text, nullable=False),
    Column("by", String(80), nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_edits_event_id", "event_id", "id"),
    sqlite_autoincrement=True,
)

breakers = Table(
    "breakers",
    metadata,
    Column("connection_key", Key, primary_key=True),
    Column("operation", String(80), primary_key=True),  # empty: the whole connection
    Column("state", String(10), nullable=False),  # closed | open | half_open | ramping
    Column("since", Double, nullable=False),
    Column("streak", Integer, nullable=False),  # failures in a row
    Column("streak_at", Double, nullable=False),
    Column("good", Integer, nullable=False),  # calls since window_at
    Column("bad", Integer, nullable=False),
    Column("window_at", Double, nullable=False),
    Column("next_probe_at", Double, nullable=False),
    Column("reason", Text),  # JSON {zh, en, code}
    Column("prober", String(40)),
    Column("by", String(80)),  # the person who opened it
)

paces = Table(
    "paces",
    metadata,
    Column("key", String(64), primary_key=True),  # digest of what shares a limit
    Column("next_at", Double, nullable=False),  # when the next call may start; of a ban: when it is over
    Column("kind", String(8), nullable=False),  # turn | ban
    Column("connection_key", Key),  # of a ban: whose, for people
    tables.partial("ix_paces_bans", "next_at", where="kind = 'ban'"),
)

timers = Table(
    "timers",
    metadata,
    Column("delivery_id", RowId, primary_key=True, autoincrement=False),
    Column("event_id", RowId, nullable=False),
    Column("route_key", Key, nullable=False),
    Column("connection_key", Key, nullable=False),  # the target
    Column("record_id", RowId, nullable=False),  # whom or what it is about: a row of records
    Column("due_at", Double, nullable=False),
    Column("state", String(10), nullable=False),  # waiting | fired | cancelled
    Column("reason", String(60)),
    Column("cancelled_by", RowId),  # the event that made it pointless
    Column("spent", String(80)),  # the periods in which its quotas were taken, with blanks between
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    tables.partial("ix_timers_waiting", "route_key", "record_id", where="state = 'waiting'"),
    tables.partial("ix_timers_due", "due_at", "delivery_id", where="state = 'waiting'"),
)

quotas = Table(
    "quotas",
    metadata,
    Column("connection_key", Key, primary_key=True),
    Column("subject", String(64), primary_key=True),  # keyed digest of the recipient
    Column("period", String(20), primary_key=True),  # e.g. 2026-11-22, 2026-W47
    Column("n", BigInteger, nullable=False),
)

apart = Table(
    "apart",
    metadata,
    Column("low", RowId, primary_key=True, autoincrement=False),  # two rows of records that a person parted
    Column("high", RowId, primary_key=True, autoincrement=False),
    Column("by", String(80), nullable=False),
    Column("at", Double, nullable=False),
)

mentions = Table(
    "mentions",
    metadata,
    Column("kind", String(60), primary_key=True),  # of an identity, ``ref``, or ``~rule`` for weak evidence
    Column("digest", String(64), primary_key=True),  # keyed, as in identities
    Column("record_id", RowId, primary_key=True, autoincrement=False),
    Index("ix_mentions_record_id", "record_id"),
)

detours = Table(
    "detours",
    metadata,
    Column("lane", String(200), primary_key=True),  # waits
    Column("behind", String(200), primary_key=True),  # while this one is there: both lead to one record now
    Index("ix_detours_behind", "behind"),
)

matches = Table(
    "matches",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("left_link", RowId, nullable=False),
    Column("right_link", RowId, nullable=False),
    Column("confidence", Double, nullable=False),  # 0..1
    Column("reasons", Text, nullable=False),  # JSON [{rule, zh, en, weight}]
    Column("state", String(10), nullable=False),  # open | accepted | refused
    Column("created_at", Double, nullable=False),
    Column("settled_at", Double),
    Column("settled_by", String(80)),
    tables.partial("ix_matches_open", "id", where="state = 'open'"),
    Index("ix_matches_left_link", "left_link", "right_link"),
    sqlite_autoincrement=True,
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("alert_key", Key, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("subject", String(200), nullable=False),  # a connection, what two compare, or empty: the hub
    Column("state", String(10), nullable=False),  # waiting | firing | ended
    Column("n", Double, nullable=False),  # how many, or seconds
    Column("detail", Text),  # JSON {zh, en}
    Column("always", SmallInteger, nullable=False, server_default="0"),  # told outside of the hours too
    Column("since", Double, nullable=False),
    Column("fired_at", Double),
    Column("told_at", Double),
    Column("acknowledged_by", String(80)),
    Column("ended_at", Double),
    Column("end_told", SmallInteger, nullable=False, server_default="0"),
    tables.partial("ix_alarms_open", "alert_key", "id", where="state <> 'ended' OR end_told = 0"),
    sqlite_autoincrement=True,
)

notices = Table(
    "notices",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("alert_key", Key, nullable=False),
    Column("connection_key", Key, nullable=False),
    Column("operation", String(80), nullable=False),
    Column("recipients", Text, nullable=False),  # JSON list
    Column("body", Text, nullable=False),  # JSON {title, text, url}
    Column("state", String(10), nullable=False),  # waiting | sent | failed
    Column("next_at", Double, nullable=False),  # due; while it is sent: when the lease ends
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("detail", Text),  # JSON {zh, en}: why it was not taken
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    tables.partial("ix_notices_due", "next_at", "id", where="state = 'waiting'"),
    sqlite_autoincrement=True,
)


@event.listens_for(tables.attempts, "after_create")
@event.listens_for(tables.canonicals, "after_create")
@event.listens_for(tables.events, "after_create")
def _whole(grows: Table, connection: Connection, **_more: object) -> None:
    """One partition is made with the table, the others by partitions.py."""
    if connection.dialect.name == "postgresql":
        piece = f"{grows.name}_spare PARTITION OF {grows.name} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
        connection.exec_driver_sql(f"CREATE TABLE {piece}")
