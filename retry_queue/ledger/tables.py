"""All tables of the ledger 台账. SQL is the truth; everything else may be lost.

Moments are ``DOUBLE PRECISION`` Unix seconds by the database's clock: one type on both databases,
exact enough (microseconds) and cheap to compare. Narrow rows that change (inbox, lanes, deliveries)
stand beside append-only bodies (events, canonicals, attempts), because a claim that rewrites a 2 KB
row costs ten times as much. JSON is kept as text: the ledger never looks inside.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Key = String(80)
RowId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows itself only for INTEGER


def partial(name: str, *columns: object, where: str) -> Index:
    """An index over the rows for which ``where`` holds."""
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))  # type: ignore[arg-type]


# --- what is configured -------------------------------------------------------------------------

connections = Table(
    "connections",
    metadata,
    Column("key", Key, primary_key=True),
    Column("connector", String(40), nullable=False),
    Column("config", Text, nullable=False),  # JSON
    Column("secrets", Text, nullable=False),  # JSON: field -> sealed text (secrets.py)
    Column("state", String(12), nullable=False),
    Column("reason", Text),  # JSON {code, zh, en}: why it is paused
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("switches", Integer, nullable=False, server_default="0"),  # between the real system and a simulator
)

tokens = Table(
    "tokens",
    metadata,
    Column("key", String(160), primary_key=True),  # connection, or what shares one login
    Column("value", Text),  # sealed JSON {value, extra}
    Column("expires_at", Double, nullable=False, server_default="0"),
    Column("renewing_until", Double, nullable=False, server_default="0"),
    Column("epoch", Integer, nullable=False, server_default="0"),
)

mapping_versions = Table(
    "mapping_versions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("connector", String(40), nullable=False),
    Column("name", String(60), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),  # YAML as the site wrote it; immutable
    Column("checksum", String(64), nullable=False),
    Column("published", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", String(80), nullable=False),
    UniqueConstraint("connector", "name", "version"),
)

routes = Table(
    "routes",
    metadata,
    Column("key", Key, primary_key=True),
    Column("spec", Text, nullable=False),  # JSON of sync.route.Route
    Column("enabled", Boolean, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("key", Key, primary_key=True),  # e.g. templates, entities, epoch
    Column("value", Text, nullable=False),  # JSON
    Column("version", Integer, nullable=False, server_default="1"),
    Column("updated_at", Double, nullable=False),
)

# --- what came in ---------------------------------------------------------------------------------

inbox = Table(
    "inbox",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("connection_key", Key, nullable=False),
    Column("dedupe", String(120), nullable=False),
    Column("state", String(10), nullable=False),
    Column("priority", SmallInteger, nullable=False),  # 0 fast, 1 live, 2 backfill
    Column("next_at", Double, nullable=False),  # due; while claimed: when the lease ends
    Column("owner", String(40)),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("reason", String(60)),  # slug, for skipped and parked
    Column("detail", Text),  # JSON {zh, en, ...} for people
    Column("received_at", Double, nullable=False),
    UniqueConstraint("connection_key", "dedupe"),
    partial("ix_inbox_due", "priority", "next_at", "id", where="state = 'received'"),
    partial("ix_inbox_turn", "connection_key", "next_at", "id", where="state = 'received' AND priority = 1"),
    partial("ix_inbox_parked", "id", where="state = 'parked'"),
    partial("ix_inbox_received", "id", where="state = 'received'"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("connection_key", Key, nullable=False),
    Column("source", String(40), nullable=False),  # which door
    Column("message", String(80), nullable=False),
    Column("entity", String(40)),
    Column("record", String(200)),
    Column("payload", Text, nullable=False),  # JSON, exact digits
    Column("occurred_at", Double),
    Column("received_at", Double, nullable=False),
    Column("trace", String(32), nullable=False),
    Column("hop", SmallInteger, nullable=False, server_default="0"),
    Index("ix_events_record", "record", "id"),
    Index("ix_events_connection_key_id", "connection_key", "id"),
    postgresql_partition_by="RANGE (id)",
)

canonicals = Table(
    "canonicals",
    metadata,
    Column("event_id", RowId, primary_key=True, autoincrement=False),
    Column("entity", String(40), nullable=False),
    Column("mapping", String(120), nullable=False),  # connector/name@version
    Column("body", Text, nullable=False),  # JSON
    Column("native", Text),  # JSON of the record as it was read, where the event only named it
    postgresql_partition_by="RANGE (event_id)",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("connection_key", Key, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("detail", String(400), nullable=False),
    Column("excerpt", Text, nullable=False),  # the head of the body, personal data masked
    Column("at", Double, nullable=False),
    sqlite_autoincrement=True,
)

cursors = Table(
    "cursors",
    metadata,
    Column("connection_key", Key, primary_key=True),
    Column("source", String(40), primary_key=True),
    Column("value", Text),  # JSON
    Column("next_at", Double, nullable=False, server_default="0"),
    Column("owner", String(40)),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("last_ok_at", Double),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),  # JSON {code, zh, en}
)

# --- what corresponds -------------------------------------------------------------------------------

records = Table(
    "records",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("connection_key", Key, nullable=False),
    Column("entity", String(40), nullable=False),
    Column("record", String(200), nullable=False),
    Column("link_id", RowId),  # absent: a group of its own
    Column("number", String(200)),
    Column("version", Double),  # the source's own time of the newest state we took
    Column("event_id", RowId),  # the event that carried it, when it arrived with one
    Column("fingerprint", String(32)),  # of the newest canonical we took
    Column("canonical", Text),  # JSON of the newest state we took
    Column("wrote", Text),  # JSON field -> digest of what we wrote there (echo)
    Column("wrote_at", Double),
    Column("hop", SmallInteger, nullable=False, server_default="0"),
    Column("updated_at", Double, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),  # grows with every state kept or written
    UniqueConstraint("connection_key", "entity", "record"),
    Index("ix_records_link", func.coalesce(text("link_id"), text("id"))),
    Index("ix_records_number", "number"),
    partial("ix_records_people", "id", where="entity = 'customer'"),
    sqlite_autoincrement=True,
)

identities = Table(
    "identities",
    metadata,
    Column("kind", String(60), primary_key=True),
    Column("digest", String(64), primary_key=True),  # keyed hash: phones and ids are never in clear here
    Column("record_id", RowId, nullable=False),
    Index("ix_identities_record_id", "record_id"),
)

link_history = Table(
    "link_history",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("record_id", RowId, nullable=False),
    Column("was", RowId, nullable=False),
    Column("became", RowId, nullable=False),
    Column("cause", String(80), nullable=False),
    Column("at", Double, nullable=False),
    Column("by", String(80)),  # the person; absent: the hub itself
    Index("ix_link_history_record_id", "record_id", "id"),
    Index("ix_link_history_at", "at"),
    sqlite_autoincrement=True,
)

# --- what is owed -------------------------------------------------------------------------------------

lanes = Table(
    "lanes",
    metadata,
    Column("lane", String(200), primary_key=True),
    Column("connection_key", Key, nullable=False),  # the target
    Column("priority", SmallInteger, nullable=False),
    Column("next_at", Double, nullable=False),  # due; while claimed: when the lease ends
    Column("owner", String(40)),
    Column("fence", Integer, nullable=False),
    Column("seq", Integer, nullable=False),  # bumped by every plan, so that a settle cannot drop a fresh row
    Index("ix_lanes_due", "connection_key", "priority", "next_at", "lane"),
    Index("ix_lanes_owner", "owner"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("event_id", RowId, nullable=False),
    Column("route_key", Key, nullable=False),
    Column("connection_key", Key, nullable=False),  # the target
    Column("operation", String(80), nullable=False),
    Column("position", SmallInteger, nullable=False),  # which target of the route
    Column("kind", String(5), nullable=False),  # state | act
    Column("record_id", RowId, nullable=False),  # the source's row in records
    Column("lane", String(200), nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),  # the fencing number
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("next_at", Double, nullable=False),
    Column("version", Double),  # of the source's state: newest wins
    Column("hop", SmallInteger, nullable=False, server_default="0"),
    Column("target_record", String(200)),
    Column("reason", String(60)),
    Column("detail", Text),  # JSON {zh, en, code}
    Column("created_at", Double, nullable=False),
    Column("settled_at", Double),
    Column("stage", SmallInteger, nullable=False, server_default="0"),  # later ones wait for all earlier ones
    Column("mapping", String(120)),  # connector/name@version it was planned with
    Column("passed", Integer, nullable=False, server_default="0"),  # how often others went past it
    UniqueConstraint("event_id", "route_key", "position"),
    partial("ix_deliveries_lane", "lane", "id", where="state IN ('pending', 'in_flight', 'retrying', 'parked')"),
    partial("ix_deliveries_dead", "connection_key", "id", where="state = 'dead'"),
    partial("ix_deliveries_parked", "connection_key", "id", where="state = 'parked'"),
    partial("ix_deliveries_retrying", "connection_key", "id", where="state = 'retrying'"),
    Index("ix_deliveries_record_id", "record_id", "id"),
    sqlite_autoincrement=True,
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("delivery_id", RowId, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("outcome", String(20), nullable=False),  # delivered, retry, park, ...
    Column("code", String(120)),
    Column("message", Text),  # JSON {zh, en} for people
    Column("exchanges", Text),  # JSON list of masked HTTP exchanges, in order
    Column("duration", Double, nullable=False),
    Column("worker", String(40), nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_attempts_delivery_id", "delivery_id"),
    postgresql_partition_by="RANGE (id)",
)

# --- counts, people, processes ----------------------------------------------------------------------

tallies = Table(
    "tallies",
    metadata,
    Column("day", Integer, primary_key=True),  # days since 1970-01-01 UTC
    Column("connection_key", Key, primary_key=True),
    Column("kind", String(60), primary_key=True),  # received, duplicate, rejected.<reason>, ...
    Column("slot", Integer, primary_key=True),  # one per process: no two processes wait for one row
    Column("n", BigInteger, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("slot", Integer, nullable=False),
    Column("role", String(12), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", String(80), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("beat_at", Double, nullable=False),
    UniqueConstraint("slot"),
)

users = Table(
    "users",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("name", String(80), nullable=False),
    Column("password", String(200), nullable=False),  # argon2
    Column("role", String(10), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", Double, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    Column("subject", String(64)),  # digest of who they are to the identity provider
    UniqueConstraint("name"),
    Index("ix_users_subject", "subject", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),  # of the cookie
    Column("user_id", RowId, nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("name", String(80), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("role", String(10), nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("used_at", Double),
    Column("revoked_at", Double),
    Column("scopes", Text),  # JSON list; absent: whatever the role may
    UniqueConstraint("digest"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(60), nullable=False),
    Column("object", String(200), nullable=False),
    Column("detail", Text, nullable=False),  # JSON, never a secret
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    sqlite_autoincrement=True,
)
