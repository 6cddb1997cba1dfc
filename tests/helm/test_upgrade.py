"""``helm upgrade``: the migration first, then new pods beside old ones, and every order that was taken arrives once."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway import migrate
from gateway.trial import processes
from retry_queue.ledger import session, tallies
from tests.helm import pods
from tests.ledger import hub as hubs
from tests.ledger import making

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "webhooks", "retry_queue", "connectors", "mappings")
NEXT = '''"""what the next version adds"""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("tone", sa.String(10), server_default="calm", nullable=False))
    op.create_index("ix_deliveries_tone", "deliveries", ["tone"])
'''


def _next_version(folder: Path, head: str) -> Path:
    """This code with a migration more."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "static", "samples"))
    place = folder / "retry_queue" / "ledger" / "migrations" / "versions" / "9999_next.py"
    place.write_text(NEXT.format(head=head))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_an_upgrade_keeps_running_events(
    tmp_path: Path, postgres_url: str, valkey_url: str, free_port: Callable[[], int]
) -> None:
    old = pods.Release(tmp_path / "old", postgres_url, valkey_url)
    assert await asyncio.to_thread(old.migrate) == 0
    _, head = await migrate.state(postgres_url)
    assert head is not None
    code = await asyncio.to_thread(_next_version, tmp_path / "code", head)
    new = pods.Release(tmp_path / "new", postgres_url, valkey_url, code)
    ports = [free_port(), free_port()]
    taken: list[str] = []
    open_: list[int] = []
    ending = asyncio.Event()

    async def customers(client: httpx.AsyncClient) -> None:
        """Orders come all the time; a load balancer sends each to a pod that is there, and again when one goes away."""
        number = 0
        while not ending.is_set():
            number += 1
            for port in reversed(open_):
                with contextlib.suppress(httpx.TransportError):
                    if await pods.push(client, port, f"T{number}") == 200:
                        taken.append(f"T{number}")
                        break
            await asyncio.sleep(0.02)

    try:
        async with (
            session.opened(postgres_url, owner="test", pool=2) as ledger,
            hubs.wired(ledger) as erp,
            httpx.AsyncClient(timeout=10, trust_env=False) as client,
        ):
            with contextlib.ExitStack() as house:
                before = house.enter_context(contextlib.ExitStack())
                before.enter_context(old.pod("api", ports[0]))
                before.enter_context(old.pod("worker"))
                await processes.reachable(ports[0])
                open_.append(ports[0])
                pushing = asyncio.create_task(customers(client))
                await making.until(lambda: len(erp.records) >= 20, 30.0, "the old version delivers")

                assert await asyncio.to_thread(new.migrate) == 0, (tmp_path / "new" / "migrate.log").read_text()
                there = len(erp.records)
                await making.until(lambda: len(erp.records) >= there + 20, 30.0, "old code, new schema")

                house.enter_context(new.pod("worker"))
                house.enter_context(new.pod("api", ports[1]))
                await processes.reachable(ports[1])
                open_.append(ports[1])
                there = len(erp.records)
                await making.until(lambda: len(erp.records) >= there + 20, 30.0, "side by side")
                open_.remove(ports[0])
                await asyncio.to_thread(before.close)
                there = len(erp.records)
                await making.until(lambda: len(erp.records) >= there + 20, 30.0, "the new version alone")
                ending.set()
                await pushing
                await making.until(lambda: set(erp.records) >= set(taken), 30.0, "every order")

                async def settled() -> bool:
                    async with ledger.read() as connection:
                        return (await tallies.balance(connection)).in_flight == 0

                await making.until(settled, 30.0, "nothing in flight")
            async with ledger.read() as connection:
                balance = await tallies.balance(connection)
            assert (balance.delivered, balance.dead, balance.difference) == (len(taken), 0, 0), balance.line()
            assert max(erp.effects.values()) == 1
            calls = [call.body["id"] for call in erp.calls]
            assert len(calls) == len(set(calls)) == len(taken), "nothing was sent twice"
            assert [row.tone for row in await making.rows(ledger, "SELECT DISTINCT tone FROM deliveries")] == ["calm"]
    finally:
        ending.set()
