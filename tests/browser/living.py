"""A hub that lives for a browser run: real processes, every simulator, people who may sign in, traffic and trouble."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from gateway import hub, hub_file, security
from gateway.trial import stage, story
from tests import hooks

PASSWORD = "a long enough password"
ROLES = ("viewer", "operator", "editor", "owner")
HOOK_SECRET = "browser-hook-secret-0123456789"
SCANNING = {
    "SHUNIU_SCAN_LOGIN": "office,ding,away",
    "SHUNIU_SCAN_ROLES": "office/sales01=operator,office/*=viewer,away/*=viewer,ding/sales02=editor",
}
"""Connections that people may sign in by, where they are there (``test_scanning.py`` makes them)."""
T = TypeVar("T")

EXTRA = """
apiVersion: shuniu/v1
connections:
  - key: own-shop
    connector: http
    config: {verify_style: hmac, entity: order}
    secrets: {hook_secret: "${OWN_SHOP}"}
  - key: warehouse
    connector: http
    config: {base_url: "${SIM}/nowhere", record_path: /records}
routes:
  - key: own-orders
    label: 自有商城订单 → 仓库
    from: {connection: own-shop, entity: order}
    when: 'order.status == "paid"'
    to: [{connection: warehouse, operation: record.put}]
"""
"""Beside the demo's story: a shop of one's own, and a warehouse whose address is wrong."""

BUSY = (
    "SELECT connection_key, operation, state, reason FROM breakers",
    "SELECT connection_key, operation, state, attempt, reason FROM deliveries WHERE state IN ('pending', 'retrying')",
    "SELECT id, connection_key, state, reason FROM inbox WHERE state IN ('received', 'parked') LIMIT 20",
)


class Living:
    """The hub, in a thread of its own; tests are plain functions that ask it for things."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed: BaseException | None = None
        self._client: httpx.Client | None = None
        self._thread = threading.Thread(target=self._main, name="living-hub", daemon=True)
        self.place: stage.Stage

    def start(self) -> Living:
        self._thread.start()
        if not self._ready.wait(180):
            raise TimeoutError("the hub did not start within 180 s")
        if self._failed is not None:
            raise self._failed
        return self

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._loop is not None and self._end is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(60)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._failed = error
            self._ready.set()

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with stage.running(self.folder, time_scale=0.02) as place:
            self.place = place
            await self._people()
            self._ready.set()
            await self._end.wait()

    async def _people(self) -> None:
        for role in ROLES:
            made = await security.hashed(PASSWORD)
            async with self.place.ledger.write() as db:
                await security.add_user(db, self.place.sealer, role, made, role, 1.7e9, "test")

    def run(self, make: Callable[[], Awaitable[T]], seconds: float = 120.0) -> T:
        """Runs something on the hub's own loop and waits for it."""

        async def work() -> T:
            return await make()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(seconds)

    @property
    def url(self) -> str:
        return self.place.hub_url

    # --- what goes on -----------------------------------------------------------------------------

    def configure(self) -> None:
        """The demo's configuration, and a shop and a warehouse of one's own."""
        self.run(lambda: self.place.apply(stage.shipped_hub_yaml()))
        self.apply(EXTRA)

    def apply(self, text: str) -> None:
        """A piece of hub.yaml beside what is there."""
        known = {"SIM": self.place.sim_url, "OWN_SHOP": HOOK_SECRET}
        draft = hub_file.read(text, "hub.yaml", variables=known)
        self.run(lambda: hub.apply(self.place.ledger, self.place.sealer, draft, actor="test"))

    def panel(self, path: str, body: Any = None) -> Any:
        """The simulators' control panel, as ``stage.Stage.panel``."""
        return self.run(lambda: self.place.panel(path, body))

    def tell(self, call: story.Call, values: Mapping[str, Any]) -> Any:
        """One call of the story with its marks filled."""
        return self.run(lambda: self.place.tell(call, values))

    def api(
        self, method: str, path: str, body: Any = None, *, accept: tuple[int, ...] = (200, 201, 204),
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """One call of the admin API as an owner."""
        if self._client is None:
            self._client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=20)
            signed = self._client.post("/sessions", json={"name": "owner", "password": PASSWORD})
            self._client.headers["x-csrf-token"] = signed.json()["csrf"]
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.status_code in accept, f"{method} {path}: {answer.status_code} {answer.text[:400]}"
        return answer.json() if answer.content else None

    def orders(self, count: int) -> None:
        """Paid orders in the marketplace's simulator."""
        for place in range(count):
            self.run(lambda place=place: self.place.tell(self.place.story.order, {"place": place}))  # type: ignore[misc]

    def push(self, record: Any, *, secret: str = HOOK_SECRET, key: str = "own-shop") -> int:
        """One signed push to our own shop's hook; returns the status."""
        body = json.dumps(record, ensure_ascii=False).encode()
        sign = hooks.proof(body, secret)
        headers = {"X-Signature": sign, "Content-Type": "application/json"}
        return httpx.post(f"{self.url}/hooks/{key}", content=body, headers=headers, timeout=10).status_code

    def quiet(self, seconds: float = 60.0) -> None:
        """Waits until nothing is on its way but what waits for a person or for its hour."""

        async def settled() -> bool:
            told = await self.place.balance()
            async with self.place.ledger.read() as db:
                waiting = await db.exec_driver_sql(
                    "SELECT count(DISTINCT deliveries.event_id) AS n FROM deliveries JOIN timers ON delivery_id = id"
                    " WHERE timers.state = 'waiting' AND deliveries.state = 'pending'"
                )
                return told.in_flight == told.parked + waiting.one().n

        try:
            self.run(lambda: stage.until(settled, seconds, "quiescence"), seconds + 10)
        except TimeoutError as error:
            raise AssertionError(f"not quiet after {seconds} s: {self.run(self._busy)}") from error

    async def _busy(self) -> list[str]:
        """What is still on its way, and which breakers say why."""
        told = [str(await self.place.balance())]
        async with self.place.ledger.read() as db:
            for asked in BUSY:
                told += [str(row) for row in await db.exec_driver_sql(asked)]
        return told


def order(number: str, **more: Any) -> dict[str, Any]:
    """An order as our own shop pushes it."""
    given = {"id": number, "number": number, "status": "paid", "total": "188.00", "currency": "CNY"}
    lines = [{"id": "1", "sku": "TEA-01", "title": "龙井 250g", "quantity": "2", "unit_price": "94.00"}]
    return {**given, "buyer": {"name": "王小明", "phone": "13812345678"}, "lines": lines, **more}
