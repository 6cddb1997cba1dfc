"""whose words these are: which system a connection spoke to when something was read, and what may be our own echo

Versions before this one append without looking at the first, which is what they did.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEX = "ix_deliveries_retrying"
OF = "ON deliveries (connection_key, id) WHERE state = 'retrying'"


def prepare(connection: sa.Connection) -> None:
    """The index, made online; may be cut off and begun again."""
    if connection.dialect.name != "postgresql":
        return
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
    valid = connection.execute(sa.text(query), {"name": INDEX}).scalar()
    if valid is False:  # cut off while it was made
        connection.execute(sa.text(f"DROP INDEX CONCURRENTLY {INDEX}"))
    if not valid:
        connection.execute(sa.text(f"CREATE INDEX CONCURRENTLY {INDEX} {OF}"))


def upgrade() -> None:
    op.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} {OF}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE connections ADD COLUMN IF NOT EXISTS switches integer NOT NULL DEFAULT 0")
    else:
        op.add_column("connections", sa.Column("switches", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_index(INDEX, "deliveries")
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_column("switches")
