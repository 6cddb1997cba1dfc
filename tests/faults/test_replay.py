"""T-35: very many dead letters by a filter, with a limit, cancelled half-way, counted at the system."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from sqlalchemy import insert

from retry_queue.ledger import session, tables
from tests.faults import house
from tests.ledger import making, target

SITE = """
apiVersion: shuniu/v1
connections:
  - {key: shop, connector: http, config: {verify_style: hmac, verify_header: X-Signature, entity: order},
     secrets: {hook_secret: "${SECRET}"}}
  - {key: erp, connector: http, config: {verify_style: closed, base_url: "${ERP}", send_path: /acts}}
routes:
  - {key: r, from: {connection: shop, entity: order}, to: [{connection: erp, operation: send}]}
"""
EACH = 4
"""Acts per record, in order; each must arrive once."""


async def dead_letters(ledger: session.Ledger, size: int) -> None:
    """So many dead acts, ``EACH`` per record, written as a long outage would have left them."""
    now = time.time()
    async with ledger.write() as db:
        for begin in range(0, size, 5000):
            numbers = range(begin + 1, min(begin + 5000, size) + 1)
            # All records once, then all again: acts of one record are far apart.
            count = size // EACH
            place = {n: (n - 1) % count + 1 for n in numbers}
            box = [
                {"id": n, "connection_key": "shop", "dedupe": f"d{n}", "state": "planned", "priority": 1,
                 "next_at": now, "received_at": now}
                for n in numbers
            ]  # fmt: skip
            body = [
                {"id": n, "connection_key": "shop", "source": "hook", "message": "record", "entity": "order",
                 "record": f"T{place[n]}", "payload": "{}", "received_at": now, "trace": f"{n:032x}"}
                for n in numbers
            ]  # fmt: skip
            order = {n: {"id": f"T{place[n]}", "number": str(n), "status": "paid", "total": "1.00"} for n in numbers}
            what = [
                {"event_id": n, "entity": "order", "mapping": "http/order@shipped",
                 "body": orjson.dumps(order[n]).decode()}
                for n in numbers
            ]  # fmt: skip
            known = [
                {"id": n, "connection_key": "shop", "entity": "order", "record": f"T{n}", "updated_at": now}
                for n in numbers
                if n <= count
            ]
            owed = [
                {"id": n, "event_id": n, "route_key": "r", "connection_key": "erp", "operation": "send", "position": 0,
                 "kind": "act", "record_id": place[n], "lane": f"erp/order/{place[n]}", "state": "dead", "attempt": 11,
                 "failures": 11, "next_at": now, "created_at": now, "settled_at": now, "reason": "unavailable"}
                for n in numbers
            ]  # fmt: skip
            for table, rows in ((tables.inbox, box), (tables.events, body), (tables.canonicals, what),
                                (tables.records, known), (tables.deliveries, owed)):  # fmt: skip
                if rows:
                    await db.execute(insert(table), rows)
        counts = [{"day": int(now // 86400), "connection_key": "shop", "kind": kind, "slot": 0, "n": size}
                  for kind in ("received", "planned")]  # fmt: skip
        await db.execute(insert(tables.tallies), counts)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(3000)
async def test_replay_at_size(
    folder: Path, postgres_url: str, valkey_url: str, full: bool, trial: Callable[..., None]
) -> None:
    size, rate = (100_000, 2_000.0) if full else (1_200, 150.0)
    erp = target.Target()
    await erp.up()
    try:
        async with house.standing(folder, database_url=postgres_url, redis_url=valkey_url, workers=2) as hub:
            await hub.apply(SITE, {"ERP": erp.url, "SECRET": "a secret of the test"})
            await dead_letters(hub.ledger, size)
            await asyncio.sleep(1.5)
            loop = asyncio.get_running_loop()
            async with hub.client("operator") as api:
                chosen = {"state": "dead", "connection": "erp", "reason": "unavailable"}
                counted = (await api.post("/replays/count", json=chosen)).json()["matched"]
                begun = loop.time()
                first = (await api.post("/replays", json={**chosen, "budget": rate})).json()["id"]

                async def half() -> bool:
                    return bool((await api.get(f"/replays/{first}")).json()["progress"] >= 0.4)

                await making.until(half, 1200.0, "half of the replay")
                speed = len(erp.calls) / (loop.time() - begun)
                asked = loop.time()
                cancelled = (await api.post(f"/replays/{first}/cancel")).json()
                # The last call that comes of it is how long the cancel took.
                await asyncio.sleep(6.0)
                took = max((erp.calls[-1].at - asked), 0.0)
                sent = len(erp.calls)
                left = (await api.post("/replays/count", json=chosen)).json()["matched"]
                second = (await api.post("/replays", json={**chosen, "budget": 0})).json()["id"]

                async def over() -> bool:
                    return bool((await api.get(f"/replays/{second}")).json()["state"] == "done")

                await making.until(over, 1200.0, "the second replay")
                await hub.quiet([], 120.0)
                done = (await api.get(f"/replays/{second}")).json()["counts"]
                balance = await hub.balance()
    finally:
        await erp.down()
    order = defaultdict[str, list[int]](list)
    for call in erp.calls:
        order[call.body["id"]].append(int(call.body["number"]))
    doubles = sum(n - 1 for n in erp.effects.values())
    wrong = sum(numbers != sorted(numbers) for numbers in order.values())
    figures = {
        "counted": counted, "per_second": f"{speed:.0f}", "asked_for": f"{rate:.0f}", "cancel_seconds": f"{took:.1f}",
        "sent_at_cancel": sent, "left": left, "second": done["replayed"], "doubles": doubles, "out_of_order": wrong,
        "dead": balance.dead,
    }  # fmt: skip
    trial("replay of dead letters, cancelled half-way", f"{size:,} dead letters", **figures)
    assert counted == size
    assert cancelled["state"] == "cancelled"
    assert took <= 5.0, figures
    assert sent + left == size, figures
    assert cancelled["counts"]["replayed"] == sent, (figures, cancelled["counts"])
    assert len(erp.calls) == len(erp.effects) == size, figures
    assert (doubles, wrong) == (0, 0), figures
    assert speed <= rate * 1.1 + 50, figures
    assert (balance.dead, balance.difference) == (0, 0), balance.line()
