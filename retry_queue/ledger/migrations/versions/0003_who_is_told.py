"""who is told of trouble"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('alarms',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
        sa.Column('alert_key', sa.String(length=80), nullable=False),
        sa.Column('kind', sa.String(length=20), nullable=False),
        sa.Column('subject', sa.String(length=200), nullable=False),
        sa.Column('state', sa.String(length=10), nullable=False),
        sa.Column('n', sa.Double(), nullable=False),
        sa.Column('detail', sa.Text(), nullable=True),
        sa.Column('always', sa.SmallInteger(), server_default='0', nullable=False),
        sa.Column('since', sa.Double(), nullable=False),
        sa.Column('fired_at', sa.Double(), nullable=True),
        sa.Column('told_at', sa.Double(), nullable=True),
        sa.Column('acknowledged_by', sa.String(length=80), nullable=True),
        sa.Column('ended_at', sa.Double(), nullable=True),
        sa.Column('end_told', sa.SmallInteger(), server_default='0', nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_alarms')),
        sqlite_autoincrement=True
    )
    with op.batch_alter_table('alarms', schema=None) as batch_op:
        batch_op.create_index('ix_alarms_open', ['alert_key', 'id'], unique=False, postgresql_where=sa.text("state <> 'ended' OR end_told = 0"), sqlite_where=sa.text("state <> 'ended' OR end_told = 0"))

    op.create_table('notices',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
        sa.Column('alert_key', sa.String(length=80), nullable=False),
        sa.Column('connection_key', sa.String(length=80), nullable=False),
        sa.Column('operation', sa.String(length=80), nullable=False),
        sa.Column('recipients', sa.Text(), nullable=False),
        sa.Column('body', sa.Text(), nullable=False),
        sa.Column('state', sa.String(length=10), nullable=False),
        sa.Column('next_at', sa.Double(), nullable=False),
        sa.Column('fence', sa.Integer(), server_default='0', nullable=False),
        sa.Column('failures', sa.Integer(), server_default='0', nullable=False),
        sa.Column('detail', sa.Text(), nullable=True),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.Column('ended_at', sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_notices')),
        sqlite_autoincrement=True
    )
    with op.batch_alter_table('notices', schema=None) as batch_op:
        batch_op.create_index('ix_notices_due', ['next_at', 'id'], unique=False, postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'"))


def downgrade() -> None:
    with op.batch_alter_table('notices', schema=None) as batch_op:
        batch_op.drop_index('ix_notices_due', postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'"))

    op.drop_table('notices')
    with op.batch_alter_table('alarms', schema=None) as batch_op:
        batch_op.drop_index('ix_alarms_open', postgresql_where=sa.text("state <> 'ended' OR end_told = 0"), sqlite_where=sa.text("state <> 'ended' OR end_told = 0"))

    op.drop_table('alarms')
