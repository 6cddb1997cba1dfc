"""The generic HTTP connector and the reference CRM against their simulators: every operation, over real HTTP."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import standardwebhooks

from connectors.core import client, decode, errors, model, registry, scope, verify
from connectors.simulator import engine

ROOT = Path(registry.__file__).parent.parent
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def sample(connector: str, name: str) -> Any:
    return json.loads((ROOT / connector / "samples" / name).read_text(encoding="utf-8"))


def connection(connector: str, config: dict[str, Any], **secrets: str) -> model.Connection:
    return model.Connection(f"{connector}-test", registry.get(connector), config, secrets)


def taken(source: model.Connection, call: model.RawHook) -> list[model.SourceEvent]:
    """The events of one hook call, verified now."""
    [(key, spec)] = [(k, s) for k, s in scope.open_sources(source).items() if s.door == "hook"]
    assert spec.verify is not None
    verified = verify.verify(call, source, spec.verify, time.time())
    return decode.events(source.declaration, key, verified.plaintext, source, verified)


class Bench:
    """Both simulators running, a client, and a connection to each."""

    def __init__(self, url: engine.Url, caller: client.Client) -> None:
        self.url, self.caller = url, caller
        self.crm = connection("crm", {"base_url": f"{url}/crm"}, api_key="crm-demo-key", webhook_secret=SECRET)
        self.http = connection("http", {"base_url": f"{url}/http"})
        self.shop = url.simulators["crm"]
        self.sink = url.simulators["http"]
        self.person = self.shop.world.customers[7]

    async def call(self, operation: str, given: dict[str, Any], on: model.Connection | None = None) -> model.Outcome:
        return await self.caller.call(on or self.crm, operation, given)


@pytest.fixture
async def bench(calls: client.Client) -> AsyncIterator[Bench]:
    async with engine.serve(["crm", "http"], time_scale=0.001) as url:
        yield Bench(url, calls)


async def test_both_probe(bench: Bench) -> None:
    assert (await bench.caller.probe(bench.crm)).data["customers"] == 500
    assert (await bench.caller.probe(bench.http)).data == {"ok": True}


async def test_crm_get_and_find(bench: Bench) -> None:
    found = await bench.call("customer.get", {"id": bench.person.ids["crm.id"]})
    assert (found.record_id, found.data["mobile"]) == (bench.person.ids["crm.id"], bench.person.phone)
    assert (await bench.call("customer.get", {"id": "C1"})).data is None
    for given in (
        {"social": {"unionid": bench.person.ids["unionid"]}},
        {"social": {"wecom_external_userid": bench.person.ids["wecom.external_userid"]}},
        {"external_id": "nobody", "mobile": bench.person.phone},
    ):
        assert (await bench.call("customer.find", given)).record_id == bench.person.ids["crm.id"]
    nobody = await bench.call("customer.find", {"external_id": "nobody"})
    assert (nobody.data, nobody.record_id) == (None, None)


async def test_crm_list_gives_every_customer_once_and_windows_hold(bench: Bench) -> None:
    seen = [row["id"] async for page in bench.caller.pages(bench.crm, "customer.list", {}) for row in page]
    assert len(seen) == len(set(seen)) == 500
    now = bench.shop.now()
    window = (datetime.fromtimestamp(now - 86400 - 630, UTC), datetime.fromtimestamp(now - 86400 + 60, UTC))
    recent = [row async for page in bench.caller.pages(bench.crm, "customer.list", {}, window) for row in page]
    assert {row["id"] for row in recent} == {person.ids["crm.id"] for person in bench.shop.world.customers[:11]}


async def test_crm_save_creates_once_then_updates(bench: Bench) -> None:
    given = {"external_id": "CUST90001", "name": "新客户", "mobile": "13912345678", "social": {"unionid": "o6_new"}}
    first = await bench.call("customer.save", given)
    again = await bench.call("customer.save", given)
    assert first.record_id == again.record_id
    assert (first.data["created"], again.data["created"]) == (True, False)
    assert first.data["version"] == again.data["version"] == 1
    changed = await bench.call("customer.save", {"id": first.record_id, "level": "金卡"})
    assert changed.data["version"] == 2
    kept = (await bench.call("customer.get", {"id": first.record_id})).data
    assert (kept["name"], kept["level"], kept["external_id"]) == ("新客户", "金卡", "CUST90001")
    assert len(bench.shop.journal.find("customer.create", "CUST90001")) == 1


async def test_crm_save_finds_the_person_by_open_id(bench: Bench) -> None:
    given = {"external_id": "wm-1", "name": "改名", "social": {"unionid": bench.person.ids["unionid"]}}
    assert (await bench.call("customer.save", given)).record_id == bench.person.ids["crm.id"]


async def test_crm_order_update_twice_is_one_effect(bench: Bench) -> None:
    given = sample("crm", "call.customer.order_update.request.json") | {"customer_id": bench.person.ids["crm.id"]}
    first = await bench.call("customer.order_update", given)
    second = await bench.call("customer.order_update", given)
    assert first.record_id == bench.person.ids["crm.id"]
    assert first.data["last_order"] == given["last_order"]
    assert first.data["version"] == second.data["version"]
    assert len(bench.shop.journal.find("customer.last_order")) == 1


async def test_crm_activity_is_made_once_per_key(bench: Bench) -> None:
    given = sample("crm", "call.activity.create.request.json") | {"customer_id": bench.person.ids["crm.id"]}
    first = await bench.call("activity.create", given)
    assert (await bench.call("activity.create", given)).record_id == first.record_id == "A000001"
    assert len(bench.shop.journal.find("activity.create", "evt-9")) == 1
    with pytest.raises(errors.Misdeclared) as refused:
        await bench.call("activity.create", given | {"text": "另一条"})
    assert refused.value.code == "idempotency_mismatch"


async def test_crm_errors_say_what_to_do(bench: Bench) -> None:
    wrong_key = connection("crm", dict(bench.crm.config), api_key="wrong-key-canary")
    with pytest.raises(errors.CredentialRefused) as credential:
        await bench.call("account.get", {}, on=wrong_key)
    assert credential.value.code == "invalid_token"
    assert "API 密钥" in credential.value.hint["zh"]
    assert "wrong-key-canary" not in repr(credential.value.exchange)
    with pytest.raises(errors.Rejected) as rejected:
        await bench.call("customer.save", {"name": "王", "mobile": "123"})
    assert rejected.value.code == "validation_failed"
    with pytest.raises(errors.Rejected) as conflict:
        await bench.call("customer.save", {"id": bench.person.ids["crm.id"], "name": "王", "version": 99})
    assert conflict.value.code == "version_conflict"
    with pytest.raises(errors.Rejected) as missing:
        await bench.call("customer.order_update", {"customer_id": "C1", "last_order": {"number": "T1"}})
    assert missing.value.code == "not_found"
    bench.shop.faults.throttle = 1
    with pytest.raises(errors.Throttled) as throttled:
        await bench.call("customer.save", {"name": "王"})
    assert throttled.value.retry_after == 2


async def test_crm_lost_reply_and_garbage_are_unknown_and_repeating_is_harmless(bench: Bench) -> None:
    given = {"external_id": "CUST90002", "name": "断线客户"}
    bench.shop.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await bench.call("customer.save", given)
    bench.shop.faults.garbage = 1
    with pytest.raises(errors.OutcomeUnknown):
        await bench.call("customer.save", given)
    assert (await bench.call("customer.save", given)).data["created"] is False
    assert len(bench.shop.journal.find("customer.create", "CUST90002")) == 1


async def test_crm_pushes_are_signed_for_any_standard_webhooks_receiver(bench: Bench) -> None:
    bench.shop.configure({"push_url": f"{bench.url}/http/in", "webhook_secret": SECRET})
    await bench.call("customer.save", {"id": bench.person.ids["crm.id"], "remark": "API 改的"})
    async with httpx.AsyncClient(base_url=bench.url, trust_env=False) as desk:
        place = f"/_sim/crm/customers/{bench.person.ids['crm.id']}"
        assert (await desk.post(place, json={"level": "至尊"})).json()["level"] == "至尊"
        await desk.post(place + "/notes", json={"order_number": "T1", "text": "加急"})
        await desk.delete(place)
        await desk.post("/_sim/crm/customers", json={"name": "人工建的"})
        assert (await desk.post(place, json={"level": 5})).status_code == 422
    await bench.shop.settle()
    received = list(bench.sink.snapshot()["messages"])
    kinds = sorted(one["body"]["type"] for one in received)
    assert kinds == ["customer.created", "customer.deleted", "customer.updated", "customer.updated", "order.noted"]
    source = connection("crm", {"intake": "push"}, webhook_secret=SECRET)
    for one in received:
        raw = json.dumps(one["body"], ensure_ascii=False).encode()
        assert standardwebhooks.Webhook(SECRET).verify(raw, one["headers"])["id"].startswith("evt_")
        [event] = taken(source, model.RawHook("POST", {}, one["headers"], raw))
        assert event.entity in ("customer", "message")


async def test_crm_push_is_sent_again_with_the_same_id(bench: Bench) -> None:
    bench.shop.configure({"push_url": f"{bench.url}/http/in"})
    bench.sink.faults.error_rate = 1
    await bench.call("customer.save", {"id": bench.person.ids["crm.id"], "remark": "一次"})
    await bench.shop.settle()
    assert [attempt.status for attempt in bench.shop.pushes[0].tries] == [500, 200]
    assert len(bench.sink.journal.find("message.take")) == 1


@pytest.mark.parametrize(("operation", "method"), [("send", "POST"), ("send.put", "PUT"), ("send.patch", "PATCH")])
async def test_http_send(bench: Bench, operation: str, method: str) -> None:
    target = connection("http", {"base_url": f"{bench.url}/http", "send_path": "/orders", "headers": {"X-Tenant": "7"}})
    given = sample("http", f"call.{operation}.request.json")
    first = await bench.call(operation, given, on=target)
    again = await bench.call(operation, given, on=target)
    assert first.record_id == again.record_id == "in-1"
    [message] = bench.sink.snapshot()["messages"]
    assert (message["method"], message["path"], message["body"]) == (method, "/orders", given)
    assert (message["headers"]["idempotency-key"], message["headers"]["x-tenant"]) == ("evt-1", "7")


async def test_http_send_without_a_key_makes_one_that_repeats(bench: Bench) -> None:
    await bench.call("send", {"id": "T1"}, on=bench.http)
    await bench.call("send", {"id": "T1"}, on=bench.http)
    await bench.call("send", {"id": "T2"}, on=bench.http)
    assert len(bench.sink.journal.find("message.take")) == 2


async def test_http_record_put_escapes_the_id(bench: Bench) -> None:
    given = {"id": "T/1 中", "status": "paid"}
    assert (await bench.call("record.put", given, on=bench.http)).record_id == "T/1 中"
    await bench.call("record.put", given, on=bench.http)
    assert bench.sink.snapshot()["records"] == {"T/1 中": given}
    assert len(bench.sink.journal.find("record.put")) == 1


@pytest.mark.parametrize(
    ("config", "secrets", "wanted"),
    [
        ({"auth_style": "bearer"}, {"auth_secret": "k"}, ("authorization", "Bearer k")),
        ({"auth_style": "basic", "auth_user": "u"}, {"auth_secret": "p"}, ("authorization", "Basic dTpw")),
        ({"auth_style": "header", "auth_name": "X-Key"}, {"auth_secret": "k"}, ("x-key", "k")),
    ],
)
async def test_http_credentials(
    bench: Bench, config: dict[str, Any], secrets: dict[str, str], wanted: tuple[str, str]
) -> None:
    target = connection("http", {"base_url": f"{bench.url}/http", **config}, **secrets)
    await bench.call("send", {"id": "1"}, on=target)
    [message] = bench.sink.snapshot()["messages"]
    assert message["headers"][wanted[0]] == wanted[1]
    with pytest.raises(errors.Misdeclared, match="auth_secret"):
        await bench.call("send", {"id": "1"}, on=connection("http", dict(target.config)))


async def test_http_wrong_credential_and_refusals(bench: Bench) -> None:
    bench.sink.configure({"authorization": "Bearer right"})
    with pytest.raises(errors.CredentialRefused):
        await bench.call("send", {"id": "1"}, on=bench.http)
    bench.sink.configure({"authorization": ""})
    bench.sink.faults.throttle = 1
    with pytest.raises(errors.Throttled) as throttled:
        await bench.call("send", {"id": "1"}, on=bench.http)
    assert throttled.value.retry_after == 1
    bench.sink.faults.garbage = 1
    with pytest.raises(errors.ConnectorError):
        await bench.call("send", {"id": "1"}, on=bench.http)


async def test_http_signs_what_it_sends(bench: Bench) -> None:
    config = {"base_url": f"{bench.url}/http", "sign_style": "standard_webhooks"}
    await bench.call("send", {"id": "1", "idempotency_key": "evt-5"}, on=connection("http", config, sign_secret=SECRET))
    config = {"base_url": f"{bench.url}/http", "sign_style": "hmac", "sign_header": "X-Sig", "sign_prefix": "sha256="}
    await bench.call("send", {"id": "2"}, on=connection("http", config, sign_secret="key"))
    first, second = bench.sink.snapshot()["messages"]
    raw = json.dumps(first["body"], ensure_ascii=False, separators=(",", ":")).encode()
    assert standardwebhooks.Webhook(SECRET).verify(raw, first["headers"]) == first["body"]
    assert first["headers"]["webhook-id"] == "evt-5"
    expected = hmac.new(b"key", b'{"id":"2"}', "sha256").hexdigest()
    assert second["headers"]["x-sig"] == f"sha256={expected}"


@pytest.mark.parametrize("style", ["hmac", "standard_webhooks", "token", "token_query"])
async def test_http_simulator_pushes_what_the_connector_takes(bench: Bench, style: str) -> None:
    secret = SECRET if style == "standard_webhooks" else "s3cret"
    header = "X-Token" if style.startswith("token") else "X-Signature"
    bench.sink.configure(
        {"push_url": f"{bench.url}/http/in", "push_style": style, "push_secret": secret, "push_header": header}
    )
    async with httpx.AsyncClient(base_url=bench.url, trust_env=False) as desk:
        await desk.post("/_sim/http/emit", json=sample("http", "hook.order.json"))
    await bench.sink.settle()
    [message] = bench.sink.snapshot()["messages"]
    config = {"verify_style": style.removesuffix("_query"), "token_place": "query" if "query" in style else "header"}
    raw = json.dumps(message["body"], separators=(",", ":"), ensure_ascii=False).encode()
    call = model.RawHook("POST", {"X-Token": secret} if style == "token_query" else {}, message["headers"], raw)
    [event] = taken(connection("http", config, hook_secret=secret), call)
    assert event.record == "SO-2024-0001"
