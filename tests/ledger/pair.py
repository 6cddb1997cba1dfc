"""Two customer systems on sockets that should say the same, and a hub between them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from connectors.crm import records
from connectors.crm import simulator as crm
from connectors.simulator import engine, server, world
from retry_queue import reconcile
from retry_queue.ledger import configuration, connections, findings, reconciliations, secrets, session
from retry_queue.ledger.states import ConnectionState
from tests.ledger import hub as hubs
from tests.ledger import making

KEY = "crm-demo-key"


@dataclass
class Pair:
    """Customers on both sides by their number; ``left`` and ``right`` are the simulators."""

    left: crm.Simulator
    right: crm.Simulator
    urls: dict[str, str]
    worker: hubs.Worker | None = None
    reconciler: reconcile.Reconciler | None = None
    seeded: dict[str, set[int]] = field(default_factory=dict)

    @property
    def ledger(self) -> session.Ledger:
        assert self.worker is not None
        return self.worker.ledger

    def fill(self, count: int, ago: float = 1800.0) -> None:
        """``count`` customers, the same on both sides, changed one after another within half an hour."""
        now = time.time()
        for one in (self.left, self.right):
            one.records.customers.clear()
        for number in range(count):
            at = now - ago - 1800.0 * number / count
            self.left.records.customers[f"L{number:06d}"] = customer(number, f"L{number:06d}", at)
            self.right.records.customers[f"R{number:06d}"] = customer(number, f"R{number:06d}", at + 1.0)

    def spoil(self, missing: set[int], extra: set[int], different: set[int], at: float | None = None) -> None:
        """Makes the two disagree without anybody noticing: deleted here, deleted there, edited on the right."""
        self.seeded = {"missing": missing, "extra": extra, "different": different}
        for number in missing:
            del self.right.records.customers[f"R{number:06d}"]
        for number in extra:
            del self.left.records.customers[f"L{number:06d}"]
        for place, number in enumerate(sorted(different)):
            one = self.right.records.customers[f"R{number:06d}"]
            changed = [{"level": "普通"}, {"tags": ["改过"]}, {"name": "别的名字"}, {"remark": "现场改的"}][place % 4]
            one.update(changed)
            if at is not None:
                one["updated_at"] = records.stamp(at)

    def same(self) -> list[str]:
        """What still differs between the two, by phone."""
        both = (self.left.records.customers, self.right.records.customers)
        sides = [{one["mobile"]: facts(one) for one in customers.values()} for customers in both]
        return sorted(phone for phone in {*sides[0], *sides[1]} if sides[0].get(phone) != sides[1].get(phone))

    async def link(self, count: int, *, every: int = 1) -> None:
        """Links as earlier deliveries left them, for every ``every``-th pair."""
        async with self.ledger.write() as db:
            for number in range(0, count, every):
                query = (
                    "INSERT INTO records (connection_key, entity, record, link_id, updated_at, hop)"
                    " VALUES (:key, 'customer', :record, :link, 0, 0)"
                )
                for key, letter in (("left", "L"), ("right", "R")):
                    given = {"key": key, "record": f"{letter}{number:06d}", "link": 10_000_000 + number}
                    await db.execute(text(query), given)

    async def ask(self, hours: float = 2.0, **spec: Any) -> int:
        """Asks for a comparison as a person does."""
        now = await self.ledger.now()
        given = {"left": "left", "right": "right", "entity": "customer", "grace": 0} | spec
        wanted = reconciliations.New("left", "right", given["entity"], (now - hours * 3600, now), given, by="tester")
        async with self.ledger.write() as db:
            return await reconciliations.create(db, wanted, now)

    async def get(self, number: int) -> reconciliations.Row:
        async with self.ledger.read() as db:
            found = await reconciliations.get(db, number)
        assert found is not None
        return found

    async def compared(self, number: int | None = None, seconds: float = 60.0) -> reconciliations.Row:
        """Makes the comparison to its end."""
        assert self.reconciler is not None
        number = await self.ask() if number is None else number
        end = time.monotonic() + seconds
        while (row := await self.get(number)).state in reconciliations.OPEN:
            assert time.monotonic() < end, row
            await self.reconciler.step()
            await self.reconciler.idle()
        return row

    async def findings(self, number: int, **wanted: Any) -> list[findings.Found]:
        async with self.ledger.read() as db:
            return await findings.search(db, findings.Filter(number, **wanted), limit=100_000)

    async def repaired(self, number: int, seconds: float = 60.0) -> dict[str, dict[str, int]]:
        """Repairs everything and waits until each finding has its end; kind -> state -> how many."""
        assert self.reconciler is not None
        async with self.ledger.write() as db:
            await findings.ask(db, findings.Filter(number))
        end = time.monotonic() + seconds
        while True:
            await self.reconciler.step()
            async with self.ledger.read() as db:
                found = (await findings.counts(db, [number])).get(number, {})
            if not any("repairing" in states for states in found.values()):
                return found
            assert time.monotonic() < end, found
            await asyncio.sleep(0.02)


def customer(number: int, name: str, at: float) -> dict[str, Any]:
    """A customer in the simulated system's words."""
    return {
        "id": name, "type": "individual", "name": f"客户{number}", "gender": "FM"[number % 2],
        "mobile": f"138{number:08d}", "email": f"c{number}@example.com", "level": "金卡", "owner_id": "sales01",
        "tags": ["老客户", "礼品采购"], "status": "active", "remark": "",
        "address": {"province": "浙江省", "city": "杭州市", "district": "西湖区", "detail": f"文三路{number}号"},
        "social": {}, "created_at": records.stamp(at), "updated_at": records.stamp(at), "version": 1,
    }  # fmt: skip


def facts(one: dict[str, Any]) -> dict[str, Any]:
    """What both should agree on."""
    return {name: one.get(name) or "" for name in ("name", "gender", "mobile", "email", "level", "remark")} | {
        "tags": sorted(one.get("tags", []))
    }


@asynccontextmanager
async def systems() -> AsyncIterator[Pair]:
    """Both systems, up."""
    made = [crm.Simulator(people=world.World(size=1)) for _ in range(2)]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(server.running(engine.application({"crm": one}))) for one in made]
        yield Pair(made[0], made[1], {"left": f"{urls[0]}/crm", "right": f"{urls[1]}/crm"})


async def connect(
    ledger: session.Ledger, urls: dict[str, str], *, both: bool = True, sealer: secrets.Sealer = hubs.SEALER
) -> None:
    """Both connections, and routes of all customers there and back."""
    async with ledger.write() as db:
        for key, url in urls.items():
            await connections.put(
                db, sealer, key, "crm", {"base_url": url, "intake": "closed"}, {"api_key": KEY},
                ConnectionState.ENABLED, time.time(),
            )  # fmt: skip
        ways = [("left", "right"), ("right", "left")] if both else [("left", "right")]
        for source, target in ways:
            spec = {
                "from": {"connection": source, "entity": "customer"},
                "to": [{"connection": target, "operation": "customer.save"}],
            }
            await configuration.put_route(db, f"{source}-{target}", spec, True)
        await configuration.touch(db)


@asynccontextmanager
async def opened(url: str, ledger: session.Ledger, **how: Any) -> AsyncIterator[Pair]:
    """Both systems and a worker between them that is at work."""
    async with systems() as made:
        await connect(ledger, made.urls, **how)
        async with hubs.running(url) as worker:
            made.worker = worker
            made.reconciler = reconciler(worker)
            yield made


def reconciler(worker: hubs.Worker) -> reconcile.Reconciler:
    hub = worker.hub
    return reconcile.Reconciler(hub.ledger, hub.current, hub.calls, hub.sealer, hub.appender)


async def quiet(worker: hubs.Worker) -> None:
    """Nothing is owed any more."""

    async def check() -> bool:
        balance = await worker.balance()
        assert balance.difference == 0
        return balance.in_flight == 0

    await making.until(check, 60.0, "nothing in flight")


def choose(count: int, share: float, seed: int = 7) -> list[set[int]]:
    """Three sets of so many of ``count`` in all, no number in two of them."""
    numbers = random.Random(seed).sample(range(count), round(count * share))
    return [set(numbers[place::3]) for place in range(3)]


async def prove(two: Pair, count: int, share: float, seconds: float, seed: int) -> dict[str, Any]:
    """Seeds differences into pairs, finds all of them and no other, mends them, finds none; returns figures."""
    two.fill(count)
    await two.link(count, every=2)
    missing, extra, different = choose(count, share, seed)
    two.spoil(missing, extra, different)
    began = time.monotonic()
    row = await two.compared(seconds=seconds)
    took = time.monotonic() - began
    assert row.state == "done", row.detail
    found = await two.findings(row.id)
    told = {
        kind: {int((one.left_record or one.right_record or "")[1:]) for one in found if one.kind == kind}
        for kind in findings.KINDS
    }
    assert told == {"missing": missing, "extra": extra, "different": different}
    seeded = len(missing) + len(extra) + len(different)
    assert len(found) == seeded
    assert row.counts["left"] == count - len(extra)
    assert row.counts["matched"] == count - len(found)
    states = await two.repaired(row.id, seconds)
    assert {kind: list(by) for kind, by in states.items()} == {kind: ["repaired"] for kind in states}
    assert two.worker is not None
    await quiet(two.worker)
    assert two.same() == []
    again = await two.compared(await two.ask(hours=3.0), seconds=seconds)
    assert (again.state, await two.findings(again.id)) == ("done", [])
    assert again.counts["matched"] == count
    return {"seeded": seeded, "found": len(found), "false_alarms": 0, "repaired": seeded, "left_after_repair": 0,
            "pairs_per_second": round(count / took)}  # fmt: skip
