"""Who is who, over a real ledger and through the API: joined, suggested, parted, and everything about one person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway import api, problems, security, settings
from gateway.api import services
from retry_queue.ledger import audit, configuration, session
from tests.ledger import hub as hubs
from tests.ledger import making, reminders, target


@pytest.fixture
def sources(desk: target.Target) -> target.Target:
    """``contacts`` and ``crm`` tell customers, ``shop`` orders, ``store`` shipments; ``desk`` takes messages."""
    return desk


@asynccontextmanager
async def client(worker: hubs.Worker, role: str = "operator") -> AsyncIterator[httpx.AsyncClient]:
    """A program at the admin API of this worker's hub."""
    hub = worker.hub
    parts = services.Services(
        hub.ledger, hub.sealer, hub.calls, hub.current, hub.reload, settings.Settings(), worker.pumps.wake
    )
    app = FastAPI()
    problems.install(app)
    app.include_router(api.build(parts))
    async with hub.ledger.write() as db:
        value, _ = await security.issue_token(db, hub.sealer, f"test-{role}", role, parts.clock(), None, "test")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {value}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test/api/v1", headers=headers) as made:
        yield made


async def tell(worker: hubs.Worker, key: str, *bodies: dict[str, Any]) -> None:
    """Hands in records one after the other, each planned before the next."""
    for body in bodies:
        await worker.push(body, key=key)
        await making.until(lambda body=body: reminders.seen(worker, body["id"]), what=body["id"])
        await worker.settled()


async def groups(worker: hubs.Worker) -> list[set[str]]:
    """Records that are one, as ``connection/id``."""
    found: dict[int, set[str]] = {}
    query = "SELECT connection_key, record, coalesce(link_id, id) AS link FROM records WHERE entity = 'customer'"
    for row in await making.rows(worker.ledger, query):
        found.setdefault(row.link, set()).add(f"{row.connection_key}/{row.record}")
    return sorted(found.values(), key=sorted)


async def rules(ledger: session.Ledger, **match: Any) -> None:
    async with ledger.write() as connection:
        await configuration.put_setting(connection, "entities", {"customer": {"match": match}})
        await configuration.touch(connection)


def masked(record: str, **more: Any) -> dict[str, Any]:
    return {"id": record, "name": "王建国", "phone": "138****8000", "updated_at": "2024-11-11T00:00:00+00:00"} | more


async def test_strong_marks_join_and_weak_ones_suggest(database_url: str, sources: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await tell(worker, "crm", masked("K1", phone="+86 138 0013 8000"), masked("K2", name="李", phone="13900000000"))
        await tell(worker, "contacts", masked("C1", phone="13800138000"), masked("C2"), masked("C3", name="王*"))
        assert await groups(worker) == [{"contacts/C1", "crm/K1"}, {"contacts/C2"}, {"contacts/C3"}, {"crm/K2"}]
        async with client(worker) as desk:
            (offered,) = (await desk.get("/customers/matches")).json()["items"]
            assert offered["confidence"] == 0.6
            assert [one["rule"] for one in offered["reasons"]] == ["masked_phone+name"]
            answer = await desk.post(f"/customers/matches/{offered['id']}/accept")
            assert answer.status_code == 200, answer.text
            assert {"contacts/C1", "contacts/C2", "crm/K1"} in await groups(worker)
            assert (await desk.get("/customers/matches")).json()["items"] == []
            (done,) = (await desk.get("/customers/matches", params={"state": "accepted"})).json()["items"]
            assert done["settled_by"] == "token:test-operator"
            assert (await desk.post(f"/customers/matches/{offered['id']}/refuse")).status_code == 409


async def test_what_was_refused_is_not_suggested_again_nor_joined(database_url: str, sources: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await tell(worker, "crm", masked("K1"))
        await tell(worker, "contacts", masked("C1"))
        async with client(worker) as desk:
            (offered,) = (await desk.get("/customers/matches")).json()["items"]
            assert (await desk.post(f"/customers/matches/{offered['id']}/refuse")).status_code == 200
            later = {"updated_at": "2024-11-12T00:00:00+00:00", "phone": "13800138000"}
            await tell(worker, "crm", masked("K1", level="1", **later))
            await tell(worker, "contacts", masked("C1", level="2", **later))
            assert (await desk.get("/customers/matches")).json()["items"] == []
            assert await groups(worker) == [{"contacts/C1"}, {"crm/K1"}]


async def test_the_rules_of_the_site_decide(database_url: str, sources: target.Target) -> None:
    given = [{"by": ["phone"], "confidence": 0.6}, {"by": ["phone", "name"], "confidence": 0.99}]
    async with hubs.running(database_url) as worker:
        await rules(worker.ledger, rules=given)
        await worker.hub.reload()
        whole = {"phone": "13800138000"}
        await tell(worker, "crm", masked("K1", **whole), masked("K2", name="李", **whole))
        await tell(worker, "contacts", masked("C1", **whole))
        assert await groups(worker) == [{"contacts/C1", "crm/K1"}, {"crm/K2"}]
        async with client(worker) as desk:
            assert [one["confidence"] for one in (await desk.get("/customers/matches")).json()["items"]] == [0.6]


async def test_two_that_come_at_once_are_joined(database_url: str, sources: target.Target) -> None:
    """Two planners see the same phone for the first time at the same moment."""
    async with hubs.running(database_url) as one, hubs.running(database_url) as other:
        for n in range(20):
            phone = f"138001380{n:02d}"
            first = masked(f"K{n}", phone=phone, name=f"a{n}")
            second = masked(f"C{n}", phone=phone, name=f"b{n}")
            await one.push(first, key="crm")
            await other.push(second, key="contacts")
        await making.until(lambda: reminders.seen(one, "C19"))
        await one.settled()
        assert await groups(one) == sorted(({f"contacts/C{n}", f"crm/K{n}"} for n in range(20)), key=sorted)
        query = "SELECT id FROM records r WHERE link_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM records n"
        assert (
            await making.rows(one.ledger, f"{query} WHERE n.id = r.link_id AND coalesce(n.link_id, n.id) = n.id)") == []
        )


async def test_everything_about_one_customer(database_url: str, sources: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.words(worker.ledger)
        await reminders.remind(worker.ledger, unless=[], to={"template": "t", "mapping": "message"})
        known = {"kind": "unionid", "value": "union-0001"}
        person = masked("C1", phone="13800138000", owner="anna", identities=[known])
        await tell_unsettled(worker, "contacts", person)
        await tell_unsettled(worker, "crm", masked("K1", identities=[known], phone=None, level="gold"))
        await tell_unsettled(worker, "shop", hubs.order("T1", buyer={"phone": "138 0013 8000", "name": "王建国"}))
        await tell_unsettled(worker, "shop", hubs.order("T2", buyer={"phone": "13911112222"}))
        parcel = {"id": "S1", "status": "shipped", "order_id": "T1", "updated_at": "2024-11-12T00:00:00+00:00"}
        await making.change(worker.ledger, "UPDATE records SET connection_key = 'store' WHERE record = 'T1'")
        await tell_unsettled(worker, "store", parcel)
        await making.change(worker.ledger, "UPDATE records SET connection_key = 'shop' WHERE record = 'T1'")
        async with client(worker, "viewer") as desk:
            for asked in ("+86 13800138000", "138****8000", "union-0001", "C1", "K1"):
                (found,) = (await desk.get("/customers", params={"q": asked})).json()["items"]
                assert found["connections"] == ["contacts", "crm"], asked
            assert (await desk.get("/customers", params={"q": "13811111111"})).json()["items"] == []
            (listed,) = (await desk.get("/customers")).json()["items"]
            told = (await desk.get(f"/customers/{listed['link']}")).json()
            text = (await desk.get(f"/customers/{listed['link']}")).text
            assert "13800138000" not in text
            assert "union-0001" not in text
            assert "王建国" not in text
            assert (await desk.get(f"/customers/{listed['link']}", params={"reveal": "true"})).status_code == 403
        assert told["profile"]["phone"] == "138****8000"
        assert told["profile"]["level"] == "gold"
        assert [one["records"][0]["record"] for one in told["things"]["order"]] == ["T1"]
        assert {one["connection"] for one in told["known_as"]} == {"contacts", "crm"}
        (timer,) = told["timers"]
        assert (timer["state"], timer["route"], timer["record"]) == ("waiting", "remind", "C1")
        (message,) = told["messages"]
        assert (message["state"], message["connection"]) == ("pending", "desk")
        assert [one["cause"] for one in told["history"]] == ["identity"]
        async with client(worker) as desk:
            whole = (await desk.get(f"/customers/{listed['link']}", params={"reveal": "true"})).json()
            assert whole["revealed"]
            assert whole["profile"]["phone"] == "13800138000"
            assert {one["kind"] for one in whole["identities"]} >= {"unionid", "phone"}
            async with worker.ledger.read() as db:
                assert (await audit.search(db, limit=1))[0].action == "personal_data.reveal"
            order = (await making.rows(worker.ledger, "SELECT id FROM records WHERE record = 'T1'"))[0].id
            assert (await desk.get(f"/customers/{order}")).status_code == 404
            assert (await desk.get("/customers/999999")).status_code == 404


async def tell_unsettled(worker: hubs.Worker, key: str, body: dict[str, Any]) -> None:
    given = {name: value for name, value in body.items() if value is not None}
    await worker.push(given, key=key)
    await making.until(lambda: reminders.seen(worker, body["id"]), what=body["id"])


async def test_a_shipment_belongs_to_whom_its_order_belongs(database_url: str, sources: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await tell(worker, "crm", masked("K1", phone="13800138000"))
        await making.change(worker.ledger, "UPDATE connections SET config = :c WHERE key = 'store'", c=(
            '{"verify_style": "hmac", "verify_header": "X-Signature", "entity": "shipment"}'))  # fmt: skip
        await hubs.source(worker.ledger, "store", "order")
        await worker.hub.reload()
        await tell(worker, "store", hubs.order("T1", buyer={"phone": "13800138000"}))
        await hubs.source(worker.ledger, "store", "shipment")
        await worker.hub.reload()
        parcel = {"id": "S1", "status": "shipped", "order_id": "T1", "updated_at": "2024-11-12T00:00:00+00:00"}
        await tell(worker, "store", parcel)
        async with client(worker) as desk:
            (listed,) = (await desk.get("/customers")).json()["items"]
            told = (await desk.get(f"/customers/{listed['link']}")).json()["things"]
        assert [one["records"][0]["record"] for one in told["order"]] == ["T1"]
        assert [one["records"][0]["record"] for one in told["shipment"]] == ["S1"]


async def test_customers_are_joined_and_parted_by_hand_without_losing_history(
    database_url: str, sources: target.Target
) -> None:
    async with hubs.running(database_url) as worker:
        same = {"phone": "13800138000"}
        await tell(worker, "crm", masked("K1", **same), masked("K2", name="李", phone="13911112222"))
        await tell(worker, "contacts", masked("C1", **same), masked("C2", name="李", phone="13911112222"))
        before = await groups(worker)
        assert before == [{"contacts/C1", "crm/K1"}, {"contacts/C2", "crm/K2"}]
        async with client(worker) as desk:
            links = [one["link"] for one in (await desk.get("/customers")).json()["items"]]
            answer = await desk.post(f"/customers/{links[0]}/merge", json={"others": [links[1]], "reason": "同一个人"})
            assert answer.status_code == 200, answer.text
            joined = answer.json()
            assert joined["shape"] == "contacts:2, crm:2"
            assert sorted(len(one["records"]) for one in joined["pieces"]) == [1, 1, 2]
            assert await groups(worker) == [{"contacts/C1", "contacts/C2", "crm/K1", "crm/K2"}]
            again = await desk.post(f"/customers/{links[0]}/merge", json={"others": [links[1]]})
            assert again.status_code == 409
            piece = next(one for one in joined["pieces"] if len(one["records"]) == 2)
            asked = {"piece": piece["link"], "reason": "看错了"}
            answer = await desk.post(f"/customers/{joined['link']}/split", json=asked)
            assert answer.status_code == 200, answer.text
            assert await groups(worker) == before
            await tell(worker, "crm", masked("K2", phone="13800138000", updated_at="2024-11-12T00:00:00+00:00"))
            assert await groups(worker) == before, "what a person parted stays apart"
            causes = [(one["cause"], one["by"]) for one in answer.json()["parted"]["history"]]
            assert ("同一个人", "token:test-operator") in causes
            assert causes[-1] == ("看错了", "token:test-operator")
            wrong = {"records": [{"connection": "crm", "record": "nobody"}]}
            assert (await desk.post(f"/links/{joined['link']}/split", json=wrong)).status_code == 409
            async with worker.ledger.read() as db:
                actions = [one.action for one in await audit.search(db, limit=10)]
        assert actions.count("link.merge") == 1
        assert actions.count("link.split") == 1
        async with client(worker, "viewer") as desk:
            refused = await desk.post(f"/customers/{links[0]}/merge", json={"others": [links[1]]})
            assert refused.status_code == 403


async def test_one_order_here_and_several_there(database_url: str, sources: target.Target) -> None:
    """A parent order that the warehouse split in two, and two orders that were packed as one."""
    async with hubs.running(database_url) as worker:
        await tell(worker, "shop", hubs.order("T1"), hubs.order("T2"))
        await hubs.source(worker.ledger, "store", "order")
        await worker.hub.reload()
        await tell(worker, "store", hubs.order("W1"), hubs.order("W2"))
        async with client(worker) as desk:

            async def link(record: str) -> str:
                (found,) = (await desk.get("/links", params={"q": record})).json()["items"]
                return str(found["link"])

            asked = {"links": [await link("T1"), await link("W1"), await link("W2")]}
            split = (await desk.post("/links/merge", json=asked)).json()
            assert split["shape"] == "shop:1, store:2"
            both = (await desk.post("/links/merge", json={"links": [split["link"], await link("T2")]})).json()
            assert both["shape"] == "shop:2, store:2"
            for asked_for in ("T1", "T2", "W1", "W2"):
                (found,) = (await desk.get("/links", params={"q": asked_for})).json()["items"]
                assert {one["record"] for one in found["records"]} == {"T1", "T2", "W1", "W2"}
            old = (await desk.get(f"/links/{await link('W2')}")).json()
            assert old["link"] == both["link"]
            asked = {"records": [{"connection": "shop", "record": "T2"}]}
            parted = (await desk.post(f"/links/{both['link']}/split", json=asked)).json()
            assert parted["rest"]["shape"] == "shop:1, store:2"
            assert [one["record"] for one in parted["parted"]["records"]] == ["T2"]


async def test_timers_by_api(database_url: str, sources: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger)
        for n in (1, 2, 3):
            await tell_unsettled(worker, "contacts", reminders.person(f"C{n}", f"u{n}"))
        async with client(worker) as desk:
            found = (await desk.get("/timers", params={"state": "waiting", "limit": 2})).json()
            assert [one["record"] for one in found["items"]] == ["C3", "C2"]
            rest = (await desk.get("/timers", params={"cursor": found["next_cursor"]})).json()["items"]
            assert [one["record"] for one in rest] == ["C1"]
            first, second = found["items"][0]["id"], found["items"][1]["id"]
            done = (await desk.post(f"/timers/{first}/cancel")).json()
            assert (done["state"], done["delivery_state"], done["reason"]) == ("cancelled", "skipped", "by_person")
            assert (await desk.post(f"/timers/{first}/cancel")).status_code == 409
            assert (await desk.post(f"/timers/{first}/fire")).status_code == 409
            assert (await desk.post(f"/timers/{second}/fire")).status_code == 200
            await making.until(lambda: sources.calls)
            assert [call.body["id"] for call in sources.calls] == ["C2"]
            assert (await desk.get(f"/timers/{second}")).json()["connection"] == "desk"
            assert (await desk.get("/timers/999999")).status_code == 404
            assert (await desk.get("/timers", params={"state": "nonsense"})).status_code == 422
        async with client(worker, "viewer") as desk:
            assert (await desk.post(f"/timers/{rest[0]['id']}/cancel")).status_code == 403
