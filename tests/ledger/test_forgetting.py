"""Forgetting: a customer on request, everybody after a time. Counts stay, what is owed stays, the rest is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from retry_queue import keeping
from retry_queue.ledger import audit, configuration, retention, session, tables, tallies, upkeep
from tests.ledger import hub as hubs
from tests.ledger import making, reminders, target, test_identity

PHONE, NAME, STREET, UNION = "13812345678", "欧阳测试", "文三路一千零一号", "canary-union-id"
CANARIES = (PHONE, NAME, STREET, UNION, "canary@example.com")
OTHER = "13987654321"


async def dump(ledger: session.Ledger, *but: str) -> str:
    """Everything the database holds, as text."""
    found = []
    async with ledger.read() as connection:
        for table in upkeep.metadata.sorted_tables:
            if table.name not in but:
                rows = await connection.execute(select(table))
                found += [f"{table.name}: {tuple(row)}" for row in rows]
    return "\n".join(found)


def left(text: str, canaries: Sequence[str] = CANARIES) -> list[str]:
    """Rows that hold a canary, also as JSON writes it."""
    marks = {*canaries, *(json.dumps(one)[1:-1] for one in canaries)}
    return [row[:160] for row in text.splitlines() if any(mark in row for mark in marks)]


async def _met(worker: hubs.Worker) -> None:
    """A customer known in two systems, who bought something that was delivered, was refused and is to be reminded."""
    await reminders.words(worker.ledger)
    await reminders.remind(worker.ledger, unless=[], to={"template": "t", "mapping": "message"})
    known = [{"kind": "unionid", "value": UNION}]
    address = {"province": "浙江省", "city": "杭州市", "street": STREET}
    person = test_identity.masked(
        "C1", name=NAME, phone=PHONE, email="canary@example.com", identities=known, addresses=[address]
    )
    await hubs.route(worker.ledger, "book", to="desk", operation="record.put")
    await worker.hub.reload()
    await test_identity.tell_unsettled(worker, "contacts", person)
    await test_identity.tell_unsettled(worker, "crm", test_identity.masked("K1", name=NAME, phone=PHONE))
    bought = {"buyer": {"phone": PHONE, "name": NAME}, "receiver": {"name": NAME, "phone": PHONE, "address": address}}
    await test_identity.tell_unsettled(worker, "shop", hubs.order("T1", remark=f"请送到{STREET}", **bought))
    other = {"buyer": {"phone": OTHER, "name": "别人"}}
    await test_identity.tell_unsettled(worker, "shop", hubs.order("T2", **other))
    await making.until(lambda: _delivered(worker, 2), what="orders delivered")


async def _delivered(worker: hubs.Worker, n: int) -> bool:
    rows = await making.rows(worker.ledger, "SELECT 1 FROM deliveries WHERE state = 'delivered' AND route_key = 'book'")
    return len(rows) >= n


async def test_a_customer_is_erased_and_the_ledger_balances(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await _met(worker)
        before = await worker.balance()
        # As read for a push that only named the record, and as it stood before somebody's edit.
        await making.change(worker.ledger, "UPDATE canonicals SET native = body")
        edited = (
            "INSERT INTO edits (event_id, what, before, changes, note, by, at)"
            " SELECT id, 'payload', payload, payload, '', 'wang', 0 FROM events"
        )
        await making.change(worker.ledger, edited)
        assert len(left(await dump(worker.ledger))) > 8
        async with test_identity.client(worker, "owner") as owner:
            (found,) = (await owner.get("/customers", params={"q": PHONE})).json()["items"]
            link, said = found["link"], {"reason": "request 7"}
            async with test_identity.client(worker, "editor") as editor:
                assert (await editor.post(f"/customers/{link}/erase", json=said)).status_code == 403
            assert (await owner.post(f"/customers/{link}/erase", json={})).status_code == 422
            done = await owner.post(f"/customers/{link}/erase", json=said)
            assert done.status_code == 200, done.text
            assert done.json()["events"] == 3
            assert done.json()["identities"] > 3
            held = left(await dump(worker.ledger))
            assert not held, "\n".join(held)
            assert OTHER in await dump(worker.ledger), "somebody else's data stays"
            after = await worker.balance()
            assert after.difference == 0
            assert after.received == before.received
            assert after.in_flight == 0, "the reminder is cancelled"
            async with worker.ledger.read() as db:
                assert await tallies.audit(db) == []
                (entry,) = await audit.search(db, limit=1, action="customer.erase")
                assert entry.detail["reason"] == "request 7"
                assert await audit.verify(db, hubs.SEALER) == []
            assert (await owner.get("/customers", params={"q": PHONE})).json()["items"] == []
            for event in (await owner.get("/events")).json()["items"]:
                for what in ("", "/timeline", "/explanation"):
                    shown = await owner.get(f"/events/{event['id']}{what}", params={"reveal": "true"})
                    assert shown.status_code in (200, 404), shown.text
                    assert not left(shown.text)
                again = await owner.post(f"/events/{event['id']}/replay")
                assert again.status_code == 409, "what has no body is not planned anew"
            query = "SELECT canonical FROM records WHERE record = 'T1' AND connection_key = 'shop'"
            t1 = (await making.rows(worker.ledger, query))[0].canonical
            assert json.loads(t1)["number"] == "T1"
            assert "188.00" in t1, "amounts stay"
            assert (await owner.post(f"/customers/{link}/erase", json=said)).status_code == 200, "once more is no harm"
            assert (await owner.post("/customers/999999/erase", json=said)).status_code == 404


async def test_nobody_is_erased_in_the_middle_of_a_delivery(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await _met(worker)
        await making.change(worker.ledger, "UPDATE deliveries SET state = 'retrying' WHERE route_key = 'book'")
        held = await dump(worker.ledger, "settings", "workers", "audit", "api_tokens", "sessions")
        async with test_identity.client(worker, "owner") as owner:
            (found,) = (await owner.get("/customers", params={"q": PHONE})).json()["items"]
            busy = await owner.post(f"/customers/{found['link']}/erase", json={"reason": "x"})
            assert (busy.status_code, busy.json()["code"]) == (409, "conflict")
        assert held == await dump(worker.ledger, "settings", "workers", "audit", "api_tokens", "sessions")


# --- after a time ---------------------------------------------------------------------------------


async def _aged(worker: hubs.Worker, days: float) -> None:
    past = days * 86400
    for table, column in (("events", "received_at"), ("attempts", "at"), ("quarantine", "at"), ("audit", "at")):
        if table != "audit":  # its times are in the chain
            await making.change(worker.ledger, f"UPDATE {table} SET {column} = {column} - :past", past=past)


async def _policy(ledger: session.Ledger, **days: Any) -> None:
    async with ledger.write() as connection:
        await retention.put(connection, retention.Policy(**days))


async def _swept(worker: hubs.Worker, ahead: float = 0.0) -> int:
    return await keeping.Keeper(worker.ledger, hubs.SEALER).sweep(time.time() + ahead)


async def test_what_is_over_goes_and_what_is_owed_stays(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}", buyer={"phone": PHONE, "name": NAME}) for n in range(20)))
        await making.until(lambda: _ended(worker, 20), what="all delivered")
        ids = [row.id for row in await worker.deliveries()]  # a sequence may have gaps
        await making.change(worker.ledger, "UPDATE deliveries SET state = 'dead' WHERE id = :i", i=ids[3])
        await making.change(worker.ledger, "UPDATE deliveries SET state = 'parked' WHERE id = :i", i=ids[5])
        before = await worker.balance()
        assert await _swept(worker) == 0, "nothing is old yet"
        await _aged(worker, 100)
        await _policy(worker.ledger, raw=120, attempts=120, dead_letters=300)
        assert await _swept(worker) == 0
        await _policy(worker.ledger, raw=90, attempts=90, dead_letters=300)
        assert await _swept(worker) == 18 + 18
        kept = await making.rows(worker.ledger, "SELECT e.id FROM events e WHERE payload <> 'null'")
        tried = await making.rows(worker.ledger, "SELECT DISTINCT delivery_id FROM attempts ORDER BY 1")
        assert len(kept) == 2
        assert [row.delivery_id for row in tried] == [ids[3], ids[5]]
        assert await worker.balance() == before
        assert await _swept(worker) == 0, "a second sweep finds nothing"
        await _policy(worker.ledger, raw=90, attempts=90, dead_letters=95)
        assert await _swept(worker) == 2, "dead letters have their own time"
        assert await _swept(worker, 90000) == 0, "what waits for a person stays"
        await making.change(worker.ledger, "UPDATE canonicals SET native = body")
        await _policy(worker.ledger, raw=90, canonicals=90, attempts=90, dead_letters=95, exchanges=1)
        assert await _swept(worker) == 19, "mapped bodies have their own time"
        told = await making.rows(worker.ledger, "SELECT 1 FROM canonicals WHERE body <> 'null' OR native IS NOT NULL")
        assert len(told) == 1, "of what waits for a person"
        await worker.push(hubs.order("T99"))
        await making.until(lambda: _ended(worker, 19), what="one more")
        await _aged(worker, 2)
        assert await _swept(worker) == 1, "what was said goes before the attempt"
        said = "SELECT exchanges FROM attempts WHERE delivery_id <> :i"
        assert [row.exchanges for row in await making.rows(worker.ledger, said, i=ids[5])] == [None]
        async with worker.ledger.read() as db:
            assert await tallies.audit(db) == []
        state = await making.rows(worker.ledger, "SELECT 1 FROM records WHERE canonical IS NOT NULL")
        assert len(state) >= 20, "the newest state of records is no history"


async def _ended(worker: hubs.Worker, n: int) -> bool:
    return len(await making.rows(worker.ledger, "SELECT 1 FROM deliveries WHERE state = 'delivered'")) >= n


async def test_the_audit_log_is_cut_at_its_beginning_and_still_verifies(ledger: session.Ledger) -> None:
    sealer, now = hubs.SEALER, time.time()
    async with ledger.write() as connection:
        for age in range(30, 0, -1):
            await audit.append(connection, sealer, now - age * 86400, "wang", "x", f"day/{age}")
        assert await audit.prune(connection, sealer, now - 20.5 * 86400, now, 4) == 4
        assert await audit.prune(connection, sealer, now - 20.5 * 86400, now, 400) == 6
        assert await audit.prune(connection, sealer, now - 20.5 * 86400, now, 400) == 0
        assert await audit.verify(connection, sealer) == []
    async with ledger.engine.connect() as connection:
        oldest = (await connection.execute(select(tables.audit.c.id).order_by(tables.audit.c.id).limit(1))).scalar_one()
        await connection.execute(tables.audit.delete().where(tables.audit.c.id == oldest))
        assert any("removed" in one for one in await audit.verify(connection, sealer))
        await connection.rollback()
        forged = dict(await configuration.setting(connection, audit.BASE)) | {"id": oldest, "count": 11}
        await connection.execute(tables.audit.delete().where(tables.audit.c.id == oldest))
        await configuration.put_setting(connection, audit.BASE, forged)
        assert any("anchor" in one for one in await audit.verify(connection, sealer))
        await connection.rollback()


async def test_the_policy_over_the_api(database_url: str, desk: target.Target) -> None:
    worker = await hubs.build(database_url)
    try:
        async with test_identity.client(worker, "owner") as owner:
            found = (await owner.get("/settings/retention")).json()
            assert found["raw"] == 180
            assert found["audit"] is None
            assert (await owner.put("/settings/retention", json={**found, "raw": 0})).status_code == 422
            assert (await owner.put("/settings/retention", json={"raw": 5})).status_code == 422
            assert (await owner.put("/settings/retention", json={**found, "raw": 30})).json()["raw"] == 30
            assert (await owner.get("/settings/retention")).json()["raw"] == 30
            (entry,) = (await owner.get("/audit", params={"action": "retention.put"})).json()["items"]
            assert entry["detail"] == {"raw": 30}
    finally:
        await worker.hub.close()
