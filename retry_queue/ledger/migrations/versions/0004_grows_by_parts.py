"""what grows with every event, in partitions on PostgreSQL

The tables that are there become the first partitions of new ones of the same name: nothing is copied. Before that
``prepare`` proves, while everything goes on, that their ids are below the first bound; so the exchange itself reads no
rows and takes an instant. An older version that is still running goes on as before.
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = {
    "events": ("id", "received_at", "inbox_id_seq"),
    "canonicals": ("event_id", None, "inbox_id_seq"),
    "attempts": ("id", "at", "attempts_id_seq"),
}
INDEXES = {
    "events": {"ix_events_record": "record, id", "ix_events_connection_key_id": "connection_key, id"},
    "canonicals": {},
    "attempts": {"ix_attempts_delivery_id": "delivery_id"},
}
RECEIVED = "state = 'received'"
LEAST, WEEKS, STEP = 250_000, 4, 10_000
"""Ids that the first partition still takes: so many weeks' worth, so that nobody meets the bound before the exchange."""


def _plain(connection: sa.Connection, table: str) -> bool:
    kind = connection.execute(sa.text("SELECT relkind FROM pg_class WHERE oid = to_regclass(:name)"), {"name": table})
    return kind.scalar() in ("r", b"r")


def _last(connection: sa.Connection, table: str) -> int:
    query = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {TABLES[table][2]}"
    return int(connection.execute(sa.text(query)).scalar_one())


def _told(connection: sa.Connection, table: str) -> int | None:
    """The bound that was announced by a check."""
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name"
    found = connection.execute(sa.text(query), {"table": table, "name": f"ck_{table}_first"}).scalar()
    told = re.search(r"< '?(\d+)", found or "")
    return int(told[1]) if told else None


def _bound(connection: sa.Connection, table: str) -> int:
    last = _last(connection, table)
    head = "events" if table == "canonicals" else table
    moment = TABLES[head][1]
    query = f"SELECT extract(epoch FROM now())::float8 - {moment} FROM {head} ORDER BY id LIMIT 1"
    age = float(connection.execute(sa.text(query)).scalar() or 0.0)
    weeks = last / max(age, 86400.0) * 7 * 86400 * WEEKS
    return -(-int(last + max(LEAST, weeks)) // STEP) * STEP


def prepare(connection: sa.Connection) -> None:
    """Runs before the transaction of ``upgrade``, each statement by itself; may be cut off and begun again."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(sa.text("SET lock_timeout = '3s'"))
    pair: int | None = None
    for table in TABLES:
        if not _plain(connection, table):
            continue
        told = _told(connection, table)
        if told is not None and told - _last(connection, table) < LEAST // 2:  # left here long ago
            connection.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_first"))
            told = None
        if told is None:
            told = pair if table == "canonicals" and pair else _bound(connection, table)
            check = f"CHECK ({TABLES[table][0]} < {told}) NOT VALID"
            connection.execute(sa.text(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_first {check}"))
        pair = told
        connection.execute(sa.text(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_first"))
    connection.execute(sa.text("RESET lock_timeout"))
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_inbox_received')"
    valid = connection.execute(sa.text(query)).scalar()
    if valid is False:  # cut off while it was made
        connection.execute(sa.text("DROP INDEX CONCURRENTLY ix_inbox_received"))
    if not valid:
        connection.execute(sa.text(f"CREATE INDEX CONCURRENTLY ix_inbox_received ON inbox (id) WHERE {RECEIVED}"))


def upgrade() -> None:
    connection = op.get_bind()
    op.execute(f"CREATE INDEX IF NOT EXISTS ix_inbox_received ON inbox (id) WHERE {RECEIVED}")
    if connection.dialect.name != "postgresql":
        return
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("LOCK TABLE events, canonicals, attempts IN ACCESS EXCLUSIVE MODE")
    told = {table: _told(connection, table) or _bound(connection, table) for table in TABLES}
    told["events"] = told["canonicals"] = max(told["events"], told["canonicals"])
    for table in TABLES:
        _exchange(table, told[table])
    op.execute("RESET lock_timeout")


def _exchange(table: str, bound: int) -> None:
    key = TABLES[table][0]
    first = f"{table}_0"
    op.execute(f"ALTER TABLE {table} RENAME TO {first}")
    op.execute(f"ALTER INDEX pk_{table} RENAME TO {first}_pkey")
    for name in INDEXES[table]:
        op.execute(f"ALTER INDEX {name} RENAME TO {name.replace(f'ix_{table}', first)}_idx")
    op.execute(f"CREATE TABLE {table} (LIKE {first} INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY RANGE ({key})")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
    for name, columns in INDEXES[table].items():
        op.execute(f"CREATE INDEX {name} ON {table} ({columns})")
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({bound})")
    op.execute(f"ALTER TABLE {first} DROP CONSTRAINT IF EXISTS ck_{table}_first")
    op.execute(f"CREATE TABLE {table}_spare PARTITION OF {table} FOR VALUES FROM ({bound}) TO (MAXVALUE)")
    if table == "attempts":
        op.execute("ALTER SEQUENCE attempts_id_seq OWNED BY attempts.id")


def downgrade() -> None:
    op.execute("DROP INDEX ix_inbox_received")
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_parts")
        for name in (f"pk_{table}", *INDEXES[table]):
            op.execute(f"ALTER INDEX {name} RENAME TO {name}_parts")
        op.execute(f"CREATE TABLE {table} (LIKE {table}_parts INCLUDING DEFAULTS INCLUDING STORAGE)")
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_parts")
        if table == "attempts":
            op.execute("ALTER SEQUENCE attempts_id_seq OWNED BY attempts.id")
        op.execute(f"DROP TABLE {table}_parts")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({TABLES[table][0]})")
        for name, columns in INDEXES[table].items():
            op.execute(f"CREATE INDEX {name} ON {table} ({columns})")
