"""Alembic's entry: runs migrations over a connection that the caller opened."""

from __future__ import annotations

from alembic import context

from retry_queue.ledger import upkeep

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=upkeep.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
