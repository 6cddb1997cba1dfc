"""whom a connection spoke to when something was read

Versions before this one append without looking at it, which is what they did.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE connections ADD COLUMN IF NOT EXISTS switches integer NOT NULL DEFAULT 0")
    else:
        op.add_column("connections", sa.Column("switches", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_column("switches")
