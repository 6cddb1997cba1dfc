"""The simulator engine: faults, the journal, pushes with retries, controls; over real TCP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import engine, world


class Shop(engine.Simulator):
    """A small vendor: orders that can be read and shipped."""

    id = "shop"
    SETTINGS: ClassVar[dict[str, Any]] = {"push_url": "", "key": "k"}
    PUSH_RETRIES = (10, 30)

    def seed(self) -> None:
        self.orders: dict[str, str] = {str(number): "paid" for number in range(1, 101)}

    def routes(self) -> list[BaseRoute]:
        return [Route("/orders/{id}", self.read), Route("/orders/{id}/ship", self.ship, methods=["POST"])]

    def snapshot(self) -> Any:
        return self.orders

    def throttled(self, request: Request) -> Response:
        return JSONResponse({"code": 7, "msg": "调用过于频繁"})

    async def read(self, request: Request) -> Response:
        return JSONResponse({"id": request.path_params["id"], "status": self.orders[request.path_params["id"]]})

    async def ship(self, request: Request) -> Response:
        number = request.path_params["id"]
        self.orders[number] = "shipped"
        self.commit("order.ship", number)
        return JSONResponse({"ok": True})

    def tell(self, number: str) -> None:
        self.push(self.settings["push_url"], number.encode(), label=f"order {number}")


class Sink(engine.Simulator):
    """Receives pushes; answers with the statuses it is given, then 200."""

    id = "sink"

    def seed(self) -> None:
        self.bodies: list[str] = []
        self.statuses: list[int] = []

    def routes(self) -> list[BaseRoute]:
        return [Route("/in", self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        self.bodies.append((await request.body()).decode())
        return Response(status_code=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[tuple[Shop, Sink, httpx.AsyncClient]]:
    made = {"shop": Shop(journal_file=tmp_path / "journal.jsonl", time_scale=0.001), "sink": Sink()}
    async with engine.serve(simulators=made) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        one, sink = made["shop"], made["sink"]
        assert isinstance(one, Shop)
        assert isinstance(sink, Sink)
        one.configure({"push_url": f"{url}/sink/in"})
        yield one, sink, client


Bench = tuple[Shop, Sink, httpx.AsyncClient]


async def test_a_write_changes_state_and_is_journalled(shop: Bench, tmp_path: Path) -> None:
    one, _, client = shop
    assert (await client.post("/shop/orders/1/ship")).json() == {"ok": True}
    assert (await client.get("/shop/orders/1")).json()["status"] == "shipped"
    found = (await client.get("/_sim/shop/effects", params={"kind": "order.ship"})).json()
    assert [effect["key"] for effect in found["effects"]] == ["1"]
    assert found["totals"] == {"order.ship": {"total": 1, "keys": 1, "repeated": {}}}
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [(line["simulator"], line["kind"], line["key"]) for line in lines] == [("shop", "order.ship", "1")]
    assert abs(lines[0]["at"] - one.now()) < 5


async def test_dropped_reply_cuts_the_connection_after_the_effect(shop: Bench) -> None:
    one, _, client = shop
    one.faults.drop_reply = 1
    assert (await client.get("/shop/orders/2")).status_code == 200, "a read is never dropped"
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.post("/shop/orders/2/ship")
    assert [effect.key for effect in one.journal.find("order.ship")] == ["2"]
    assert one.orders["2"] == "shipped"
    assert one.faults.drop_reply == 0
    assert (await client.post("/shop/orders/3/ship")).status_code == 200


async def test_dropped_reply_of_chosen_kinds_only(shop: Bench) -> None:
    one, _, client = shop
    await client.post("/_sim/shop/faults", json={"drop_reply": 1, "drop_kinds": ["refund.*"]})
    assert (await client.post("/shop/orders/4/ship")).status_code == 200
    assert one.faults.drop_reply == 1


async def test_throttle_speaks_the_vendors_words_and_counts_down(shop: Bench) -> None:
    _, _, client = shop
    await client.post("/_sim/shop/faults", json={"throttle": 2, "only": ["GET /orders/*"]})
    answers = [(await client.get("/shop/orders/1")).json() for _ in range(3)]
    assert [answer.get("code") for answer in answers] == [7, 7, None]


async def test_real_rate_limit(shop: Bench) -> None:
    one, _, client = shop
    one.faults.calls_per_second = 5
    answers = [(await client.get("/shop/orders/1")).json() for _ in range(8)]
    assert sum(answer.get("code") == 7 for answer in answers) == 3
    one.ahead += 1.1
    assert (await client.get("/shop/orders/1")).json()["status"] == "paid"


async def test_error_rate_happens_before_anything(shop: Bench) -> None:
    one, _, client = shop
    one.faults.error_rate = 1
    assert (await client.post("/shop/orders/5/ship")).status_code == 500
    assert one.orders["5"] == "paid"
    assert one.journal.effects == []


async def test_share_of_calls_fails(shop: Bench) -> None:
    one, _, client = shop
    one.faults.error_rate = 0.5
    statuses = [(await client.get("/shop/orders/1")).status_code for _ in range(60)]
    assert 10 < statuses.count(500) < 50


async def test_garbage_is_html_with_200_after_the_effect(shop: Bench) -> None:
    one, _, client = shop
    one.faults.garbage = 1
    answer = await client.post("/shop/orders/6/ship")
    assert answer.status_code == 200
    assert "<html>" in answer.text
    assert one.orders["6"] == "shipped"


async def test_truncated_answer(shop: Bench) -> None:
    one, _, client = shop
    one.faults.truncate = 1
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.get("/shop/orders/1")
    assert (await client.get("/shop/orders/1")).json()["status"] == "paid"


async def test_slow_answer_arrives_whole(shop: Bench) -> None:
    one, _, client = shop
    one.faults.slow = 0.2
    begun = time.monotonic()
    assert (await client.get("/shop/orders/1")).json()["status"] == "paid"
    assert time.monotonic() - begun >= 0.18


async def test_latency_and_ban(shop: Bench) -> None:
    one, _, client = shop
    one.faults.latency = 0.1
    begun = time.monotonic()
    await client.get("/shop/orders/1")
    assert time.monotonic() - begun >= 0.1
    await client.post("/_sim/shop/faults", json={"latency": 0, "ban": 300})
    answer = await client.get("/shop/orders/1")
    assert answer.status_code == 403
    assert "<html>" in answer.text
    await client.post("/_sim/shop/clock", json={"advance": 301})
    assert (await client.get("/shop/orders/1")).status_code == 200


async def test_regression_answers_do_not_wait_for_nagle(shop: Bench) -> None:
    _, _, client = shop
    begun = time.monotonic()
    for _ in range(25):
        await client.get("/shop/orders/1")
    assert time.monotonic() - begun < 0.5, "40 ms each when the listening socket leaves Nagle's delay on"


async def test_push_is_retried_by_the_vendors_list_until_acknowledged(shop: Bench) -> None:
    one, sink, _ = shop
    sink.statuses = [503, 500]
    one.tell("1")
    await one.settle()
    assert [attempt.status for attempt in one.pushes[0].tries] == [503, 500, 200]
    assert one.pushes[0].state == "acknowledged"
    assert sink.bodies == ["1", "1", "1"]
    gaps = [b.at - a.at for a, b in zip(one.pushes[0].tries, one.pushes[0].tries[1:], strict=False)]
    assert gaps[0] >= 0.01
    assert gaps[1] >= 0.03


async def test_push_is_given_up_after_the_list(shop: Bench) -> None:
    one, sink, _ = shop
    sink.statuses = [500] * 3
    one.tell("1")
    await one.settle()
    assert one.pushes[0].state == "given_up"
    assert len(one.pushes[0].tries) == 3


async def test_push_to_a_dead_hub_is_recorded(shop: Bench) -> None:
    one, _, _ = shop
    one.push("http://127.0.0.1:9/", b"x", retries=[])
    await one.settle()
    assert one.pushes[0].tries[0].status is None
    assert one.pushes[0].state == "given_up"


async def test_duplicate_and_reordered_pushes(shop: Bench) -> None:
    one, sink, _ = shop
    one.faults.duplicate_push = 2
    one.faults.reorder_push = 20
    sent = [str(number) for number in range(6)]
    for number in sent:
        one.tell(number)
    await one.settle()
    assert sorted(sink.bodies) == sorted(sent * 2)
    assert sink.bodies != [number for number in sent for _ in range(2)]


async def test_reset_forgets_state_and_stops_pushes_but_keeps_settings(shop: Bench) -> None:
    one, sink, client = shop
    await client.post("/shop/orders/1/ship")
    sink.statuses = [500]
    one.pusher.time_scale = 10
    one.tell("1")
    await asyncio.sleep(0.05)
    one.faults.error_rate = 1
    await client.post("/_sim/shop/reset")
    assert one.orders["1"] == "paid"
    assert one.journal.effects == []
    assert one.pushes == []
    assert one.faults.error_rate == 0
    assert one.settings["push_url"].endswith("/sink/in")


@pytest.mark.parametrize(
    ("path", "content", "word"),
    [
        ("faults", {"explode": 1}, "explode"),
        ("faults", {"duplicate_push": 0}, "duplicate_push"),
        ("configure", {"nothing": 1}, "nothing"),
        ("configure", [1], "JSON object"),
    ],
)
async def test_impossible_controls_are_refused_by_name(shop: Bench, path: str, content: object, word: str) -> None:
    _, _, client = shop
    answer = await client.post(f"/_sim/shop/{path}", json=content)
    assert answer.status_code == 422
    assert word in answer.json()["error"]


async def test_settings_never_show_their_values(shop: Bench) -> None:
    _, _, client = shop
    await client.post("/_sim/shop/configure", json={"key": "canary-secret"})
    assert "canary-secret" not in (await client.get("/_sim/shop/configure")).text


def test_the_world_is_the_same_everywhere_and_every_id_is_one_persons() -> None:
    first, second = world.World(), world.World()
    assert first.customers == second.customers
    assert len(first.customers) == 500
    for kind in first.customers[0].ids:
        assert len({person.ids[kind] for person in first.customers}) == 500
    assert len({person.phone for person in first.customers}) == 500
    assert all(re.fullmatch(r"1[3-9]\d{9}", person.phone) for person in first.customers)
    staff = {employee.ids["staff.userid"] for employee in first.staff}
    assert {person.owner for person in first.customers} <= staff
    person = first.customers[7]
    assert first.find("unionid", person.ids["unionid"]) is person
    assert len({sku.code for sku in first.skus}) == len(first.skus)


def test_unknown_simulator_is_named() -> None:
    with pytest.raises(LookupError, match="nowhere"):
        engine.create(["nowhere"])


def test_the_command_serves_all_and_ends_on_sigterm(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "connectors.simulator", "--port", "0", "--journal", str(tmp_path / "j.jsonl")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        listed = httpx.get(f"{found[0]}/_sim", trust_env=False).json()
        assert sorted(listed) == engine.discover()
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=10) == 0
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
