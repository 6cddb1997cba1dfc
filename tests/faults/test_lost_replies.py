"""Nearly a third of all answers get lost after the target did what it was asked: nothing is done twice.

Where the target can be asked or knows a repeat by its key, the delivery ends well; where it cannot, it is parked with
the reason, once for each lost answer. An ERP's documents go on where they stand: saved, submitted, audited.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.simulator import engine, server
from gateway import hub, hub_file, migrate
from retry_queue.ledger import connections, session, tallies
from retry_queue.ledger.states import ConnectionState
from tests.conformance import rehearsal
from tests.faults import offices
from tests.ledger import hub as hubs
from tests.ledger import making

SHARE = 0.3
HUB = """
apiVersion: shuniu/v1
declarations:
  - body: |
{declared}
connections:
  - key: shop
    connector: http
    config: {{verify_style: hmac, verify_header: X-Signature, entity: order}}
    secrets: {{hook_secret: "{secret}"}}
  - {{key: office, connector: office, config: {{base_url: "{office}"}}}}
  - {{key: files, connector: office, config: {{base_url: "{office}"}}}}
  - {{key: notes, connector: office, config: {{base_url: "{office}"}}}}
mappings:
  - connector: office
    name: order
    body: |
{mapping}
routes:
{routes}
"""
ROUTE = "  - {{key: {0}, from: {{connection: shop, entity: order}}, to: [{{connection: {1}, operation: {2}}}]}}\n"
ROUTES = (("create", "office", "order.create"), ("put", "files", "order.put"), ("note", "notes", "note.add"))
STEPS = ("sales_order", "sales_order.submit", "sales_order.audit")


def indented(text: str) -> str:
    return "".join(f"      {line}\n" for line in text.strip().splitlines())


def order(number: int) -> dict[str, Any]:
    """A paid order that every target takes."""
    name = f"L{number:05d}"
    lines = [{"id": f"{name}-1", "sku": "SKU-1001", "quantity": "2", "unit_price": "94.00", "paid": "188.00"}]
    return hubs.order(name, lines=lines, paid_at="2024-11-11T00:00:05+00:00", receiver={"name": "测试收件人"})


@asynccontextmanager
async def standing(url: str, seed: int) -> AsyncIterator[tuple[offices.Office, Any]]:
    """The office and an ERP, configured with all routes; answers get lost in both."""
    await migrate.upgrade(url)
    erp = engine.create(["kingdee"])
    office = offices.Office(seed, SHARE)
    async with server.running(engine.application(erp)) as there, server.running(office.app) as here:
        site = erp["kingdee"]
        site.dice.seed(seed)
        routes = "".join(ROUTE.format(*one) for one in (*ROUTES, ("book", "erp", "sales_order.save")))
        text = HUB.format(
            declared=indented(offices.DECLARED), mapping=indented(offices.MAPPING), office=here, secret=hubs.SECRET,
            routes=routes,
        )  # fmt: skip
        config, secrets = rehearsal.fitting("kingdee", there, site)
        async with session.opened(url, owner="setup") as ledger:
            async with ledger.write() as db:
                await connections.put(db, hubs.SEALER, "erp", "kingdee", config, secrets, ConnectionState.ENABLED, 0.0)
            await hub.apply(ledger, hubs.SEALER, hub_file.read(text, "hub.yaml", variables={}), actor="test")
        site.faults.drop_reply = SHARE
        yield office, site


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_is_done_twice_when_answers_get_lost(
    database_url: str, full: bool, seed: int, quick: None, trial: Callable[..., None]
) -> None:
    size = 2000 if full else 40
    async with standing(database_url, seed) as (office, site):
        async with hubs.running(database_url) as one, hubs.running(database_url) as two:
            for start in range(0, size, 50):
                await (two if start % 100 else one).push(*(order(n) for n in range(start, min(start + 50, size))))

            async def quiet() -> tallies.Balance | None:
                found = await one.balance()
                assert found.difference == 0, found.line()
                owed = "SELECT 1 FROM deliveries WHERE state IN ('pending', 'in_flight', 'retrying') LIMIT 1"
                unplanned = "SELECT 1 FROM inbox WHERE state = 'received' LIMIT 1"
                # In this order: what is planned in between is owed then.
                busy = await making.rows(one.ledger, unplanned) or await making.rows(one.ledger, owed)
                await asyncio.sleep(0.2)
                return None if busy else found

            balance = await making.until(quiet, 120.0 + size / 4, "nothing is owed any more")
            query = "SELECT route_key, state, reason, count(*) AS n FROM deliveries GROUP BY route_key, state, reason"
            ends = {(row.route_key, row.state, row.reason): row.n for row in await making.rows(one.ledger, query)}
        journal = {kind: site.journal.totals().get(kind, {"keys": 0, "repeated": {}}) for kind in STEPS}
        again = sum(len(told["repeated"]) for told in journal.values())
        standing_at = [document.status for document in site.books.documents["SAL_SaleOrder"].values()]
    parked = ends.get(("note", "parked", "outcome_unknown"), 0)
    figures = {
        "answers_lost": sum(office.lost.values()), "created_twice": office.twice("create"),
        "put_twice": office.twice("put"), "notes_twice": office.twice("note"), "document_steps_twice": again,
        "documents_audited": standing_at.count("C"), "parked_unknown": parked, "dead": balance.dead,
    }  # fmt: skip
    trial("30 % of answers lost after the write", f"{size:,} orders, 4 targets", seed=seed, **figures)
    print(figures, ends)
    assert (office.twice("create"), office.twice("put"), office.twice("note"), again) == (0, 0, 0, 0), figures
    assert [office.count(what) for what in ("create", "put", "note")] == [size] * 3, figures
    assert standing_at == ["C"] * size, figures
    assert {kind: told["keys"] for kind, told in journal.items()} == dict.fromkeys(STEPS, size)
    assert parked == office.lost["note"] > 0, ends
    rest = {key: n for key, n in ends.items() if key != ("note", "parked", "outcome_unknown")}
    assert {state for _, state, _ in rest} == {"delivered"}, ends
    assert (balance.dead, balance.difference) == (0, 0)
