"""A simulator stands in for a real system and goes again: what was real comes back whole, and nothing gets mixed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from connectors.simulator import engine
from gateway import hub, hub_export, hub_file
from retry_queue.ledger import connections, keyring, tables, tokens
from tests.unit.gateway import desk as desks
from tests.unit.gateway.desk import problem

REAL = {
    "key": "shop", "connector": "kuaishou",
    "config": {"base_url": "https://openapi.kwaixiaodian.com", "app_key": "real-key", "receive": "poll"},
    "secrets": {"app_secret": "real-app-secret", "sign_secret": "real-sign-secret", "code": "real-code"},
    "enable": True,
}  # fmt: skip


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with (
        engine.serve(["kuaishou", "http"], time_scale=0.01) as url,
        desks.opened(database_url, tmp_path, sandbox_url=str(url)) as made,
    ):
        yield made


@pytest.fixture
async def editor(desk: desks.Desk) -> httpx.AsyncClient:
    made = await desk.as_("editor")
    for body in (REAL, desks.NOTES):
        answer = await made.post("/connections", json=body)
        assert answer.status_code == 201, answer.text
    return made


async def turned(editor: httpx.AsyncClient, *, on: bool, **more: Any) -> httpx.Response:
    return await editor.post("/connections/shop/sandbox", json={"on": on, **more})


async def row_of(desk: desks.Desk) -> connections.Row:
    async with desk.ledger.read() as db:
        found = await connections.get(db, "shop")
    assert found is not None
    return found


async def test_the_simulator_stands_in_and_what_was_real_comes_back_whole(
    desk: desks.Desk, editor: httpx.AsyncClient
) -> None:
    assert (await editor.get("/connectors/kuaishou")).json()["sandbox"] is True
    async with desk.ledger.write() as db:
        assert await tokens.lock(db, "shop", 0, 0.0)
        assert await tokens.put(db, desk.hub.sealer, "shop", 0, "real-token", {"refresh_token": "once"}, 2e9)
        cursor = {"connection_key": "shop", "source": "orders", "value": '"real-place"', "fence": 7}
        await db.execute(insert(tables.cursors).values(**cursor))
    before = (await editor.get("/connections/shop")).json()

    shown = await turned(editor, on=True)
    assert shown.status_code == 200, shown.text
    assert (shown.json()["sandbox"], shown.json()["state"]) == (True, "enabled")
    assert "127.0.0.1" in shown.json()["config"]["base_url"]
    assert "real" not in shown.text
    tried = (await editor.post("/connections/shop/test")).json()
    assert tried["ok"], tried
    async with desk.ledger.read() as db:
        assert await tokens.get(db, desk.hub.sealer, "shop") is None
        (place,) = list(await db.execute(select(tables.cursors)))
    assert (place.value, place.fence, place.owner) == (None, 8, None), "whoever polled has lost its lease"
    etag = shown.json()["etag"]
    edited = await editor.put("/connections/shop", json={"config": {}}, headers={"if-match": etag})
    assert problem(edited, 409, "conflict")

    # A rotation of the keys finds what is put aside, too.
    owner = await desk.as_("owner")
    await owner.post("/keys/rotate")
    for _ in range(9):
        await keyring.step(desk.ledger, desk.hub.sealer, desk.clock() + 100, 0.0)
    assert len((await owner.get("/keys")).json()["keys"]) == 1

    back = await turned(editor, on=False)
    assert back.status_code == 200, back.text
    kept = ("config", "secrets", "state", "missing", "sandbox", "hook_url")
    assert {name: back.json()[name] for name in kept} == {name: before[name] for name in kept}
    assert (await row_of(desk)).opened(desk.hub.sealer) == REAL["secrets"]
    async with desk.ledger.read() as db:
        told = await tokens.get(db, desk.hub.sealer, "shop")
        (place,) = list(await db.execute(select(tables.cursors)))
    assert told is not None
    assert (told.value, told.extra, told.expires_at) == ("real-token", {"refresh_token": "once"}, 2e9)
    assert place.value == '"real-place"'
    acts = (await owner.get("/audit", params={"action": "connection.sandbox"})).json()["items"]
    assert [one["detail"]["on"] for one in acts] == [False, True]


async def test_a_refusal_was_forgotten_when_a_simulator_had_stood_in(
    desk: desks.Desk, editor: httpx.AsyncClient
) -> None:
    """It came back refused without a word why, and a secret changed meanwhile where it lives was never noticed."""
    words = {"code": "credential", "zh": "应用密钥不对", "en": "the app secret is wrong"}
    async with desk.ledger.write() as db:
        assert await connections.refuse(db, "shop", words, "digest of what was refused")
    refused = await row_of(desk)
    before = (await editor.get("/connections/shop")).json()
    assert (await turned(editor, on=True)).json()["state"] == "enabled"
    inside = await row_of(desk)
    assert (inside.reason, inside.refused) == (None, ""), "of the simulator nothing was refused"
    assert (inside.really().reason, inside.really().refused) == (words, refused.refused)
    async with desk.ledger.write() as db:
        assert await connections.refuse(db, "shop", {"zh": "模拟器说不", "en": "said the simulator"})
    back = await turned(editor, on=False)
    assert back.status_code == 200, back.text
    row = await row_of(desk)
    assert (row.state, row.reason, row.refused) == (refused.state, words, "digest of what was refused")
    names = ("state", "reason")
    assert {name: back.json().get(name) for name in names} == {name: before.get(name) for name in names}
    assert connections.REFUSED not in back.text


async def test_two_shops_of_one_platform_in_the_sandbox_log_in_each_for_itself(
    desk: desks.Desk, editor: httpx.AsyncClient
) -> None:
    """The code of the simulator works once: the second shop was refused, and the first after it was switched again."""
    assert (await editor.post("/connections", json={**REAL, "key": "other"})).status_code == 201
    for key in ("shop", "other", "shop", "other"):
        for on in (False, True):  # off and on again is a new login
            answer = await editor.post(f"/connections/{key}/sandbox", json={"on": on})
            assert answer.status_code in (200, 409), answer.text
        for each in ("shop", "other"):
            if (await editor.get(f"/connections/{each}")).json()["sandbox"]:
                tried = (await editor.post(f"/connections/{each}/test")).json()
                assert tried["ok"], (key, each, tried)


async def test_invented_orders_never_meet_a_real_system(desk: desks.Desk, editor: httpx.AsyncClient) -> None:
    route = {**desks.ROUTE, "from": {"connection": "shop", "entity": "order"}, "enabled": True}
    assert (await editor.post("/routes", json=route)).status_code == 201
    refused = problem(await turned(editor, on=True), 409, "mixed_routes")
    assert "order-out" in refused["detail"]
    assert (await turned(editor, on=True, stop_routes=True)).status_code == 200
    assert (await editor.get("/routes/order-out")).json()["enabled"] is False
    assert "mixed" in (await editor.post("/routes/order-out/enable")).text
    assert (await editor.post("/connections/notes/sandbox", json={"on": True})).status_code == 200
    assert (await editor.post("/routes/order-out/enable")).status_code == 200, "all of it is invented now"
    assert problem(await turned(editor, on=False), 409, "mixed_routes")


async def test_what_is_under_way_belongs_to_the_system_it_was_meant_for(
    desk: desks.Desk, editor: httpx.AsyncClient
) -> None:
    await desk.receive(desks.event("shop", "{}", "real-1"))
    said = problem(await turned(editor, on=True), 409, "conflict")["detail"]
    assert "1" in said
    assert (await row_of(desk)).real is None


async def test_lost_step_a_connection_that_only_a_later_step_uses_is_not_removed(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    extra = {**desks.NOTES, "key": "later"}
    assert (await owner.post("/connections", json=extra)).status_code == 201
    step = {"to": [{"connection": "later", "operation": "send"}]}
    route = {**desks.ROUTE, "key": "two-steps", "then": [step]}
    assert (await owner.post("/routes", json=route)).status_code == 201
    etag = (await owner.get("/connections/later")).json()["etag"]
    refused = problem(await owner.delete("/connections/later", headers={"if-match": etag}), 409, "in_use")
    assert "two-steps" in refused["detail"]


async def test_a_file_does_not_change_what_a_simulator_stands_in_for(
    desk: desks.Desk, editor: httpx.AsyncClient
) -> None:
    assert (await turned(editor, on=True)).status_code == 200
    text, _ = await hub_export.export(desk.ledger, desk.hub.sealer)
    assert REAL["config"]["base_url"] in text  # type: ignore[index]
    assert "/kuaishou" not in text
    file = "apiVersion: shuniu/v1\nconnections:\n  - {key: shop, connector: kuaishou, config: {app_key: x}}\n"
    with pytest.raises(hub_file.Broken, match="模拟器"):
        await hub.apply(desk.ledger, desk.hub.sealer, hub_file.read(file, "hub.yaml", variables={}), actor="test")
    assert (await turned(editor, on=False)).status_code == 200


async def test_invented_buyers_order_only_at_the_simulator(desk: desks.Desk, editor: httpx.AsyncClient) -> None:
    path = "/connections/shop/sandbox/orders"
    problem(await editor.post(path, json={}), 409, "conflict")
    assert (await turned(editor, on=True)).status_code == 200
    async with httpx.AsyncClient() as sim:
        state = f"{desk.hub.settings.sandbox_url}/_sim/kuaishou/state"
        before = (await sim.get(state)).json()
        operator = await desk.as_("operator")
        assert (await operator.post(path, json={"count": 2})).status_code == 204
        assert (await sim.get(state)).json() != before
    problem(await operator.post(path, json={"count": 1000}), 422, "invalid")
    assert (await (await desk.as_("viewer")).post(path, json={})).status_code == 403
    assert (await editor.post("/connections/notes/sandbox", json={"on": True})).status_code == 200
    problem(await editor.post("/connections/notes/sandbox/orders", json={}), 409, "conflict")
