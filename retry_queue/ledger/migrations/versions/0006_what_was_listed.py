"""what was listed: the records of a whole listing, to tell which of them are missing in the next

Versions before this one neither write nor read it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "listed",
        sa.Column("connection_key", sa.String(80), nullable=False),
        sa.Column("source", sa.String(41), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection_key", "source", "name", name=op.f("pk_listed")),
    )


def downgrade() -> None:
    op.drop_table("listed")
