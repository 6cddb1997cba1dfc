"""The generic HTTP connector and the reference CRM: declarations, vectors, proofs, samples."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from connectors.core import decode, errors, model, registry, reply, scope, signing, verify

ROOT = Path(registry.__file__).parent.parent
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NOW = 1731374130.0


def sample(connector: str, name: str) -> Any:
    return json.loads((ROOT / connector / "samples" / name).read_text(encoding="utf-8"))


def connection(connector: str, config: dict[str, Any], **secrets: str) -> model.Connection:
    return model.Connection(f"{connector}-test", registry.get(connector), config, secrets)


def hook(body: bytes, headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> model.RawHook:
    return model.RawHook("POST", query or {}, {k.lower(): v for k, v in (headers or {}).items()}, body)


def standard(body: bytes, secret: str = SECRET, event: str = "msg_1", at: float = NOW) -> dict[str, str]:
    signed = standardwebhooks.Webhook(secret).sign(event, datetime.fromtimestamp(at, UTC), body.decode())
    return {"webhook-id": event, "webhook-timestamp": str(int(at)), "webhook-signature": signed}


def taken(source: model.Connection, call: model.RawHook, now: float = NOW) -> tuple[list[model.SourceEvent], Any]:
    """What one hook call becomes: its events and the reply."""
    [(key, spec)] = [(k, s) for k, s in scope.open_sources(source).items() if s.door == "hook"]
    assert spec.verify is not None
    verified = verify.verify(call, source, spec.verify, now)
    found = decode.events(source.declaration, key, verified.plaintext, source, verified)
    return found, reply.reply(source, spec, verified, now)


# Vectors.

VECTORS = [(name, one) for name in ("crm", "http") for one in sample(name, "vectors.json")]


@pytest.mark.parametrize(("connector", "vector"), VECTORS, ids=[f"{c}-{v['name']}" for c, v in VECTORS])
def test_vectors(connector: str, vector: dict[str, Any]) -> None:
    given, expected = vector["inputs"], vector["expected"]
    body = given["body"].encode()
    if given["kind"] == "standard_webhooks.sign":
        found = signing.webhook_signature(given["secret"], given["id"], str(given["timestamp"]), body)
        assert found == expected["signature"]
        assert found == standardwebhooks.Webhook(given["secret"]).sign(
            given["id"], datetime.fromtimestamp(given["timestamp"], UTC), given["body"]
        )
    elif given["kind"] == "standard_webhooks.verify":
        source = connection("crm", {"intake": "push"}, **dict(zip(SECRETS, given["secrets"], strict=False)))
        at = str(given["timestamp"])
        call = hook(body, {"webhook-id": given["id"], "webhook-timestamp": at, "webhook-signature": given["signature"]})
        if expected["accepted"]:
            assert taken(source, call, given["timestamp"])[0]
        else:
            with pytest.raises(errors.HookRefused):
                taken(source, call, given["timestamp"])
    else:
        options = {key: given[key] for key in ("algorithm", "encoding", "prefix")}
        assert signing.header_signature(options, given["secret"], body, None) == expected["signature"]


SECRETS = ("webhook_secret", "webhook_secret_old")


# Declarations.


@pytest.mark.parametrize("connector", ["crm", "http"])
def test_every_operation_and_event_has_its_sample(connector: str) -> None:
    declared = registry.get(connector)
    there = {path.name for path in (ROOT / connector / "samples").iterdir()}
    for name, operation in declared.operations.items():
        assert f"call.{name}.response.json" in there
        if operation.kind in ("write", "act"):
            assert f"call.{name}.request.json" in there
            assert f"call.{name}.error.json" in there
    for message in declared.messages:
        if connector == "crm" and message != "customer.row":
            assert f"hook.{message}.json" in there


def test_the_entity_of_every_choice_exists_in_the_mapping_room() -> None:
    field = next(field for field in registry.get("http").fields if field.key == "entity")
    shipped = {path.stem for path in (ROOT.parent / "mappings" / "http").glob("*.yaml")}
    assert {choice.value for choice in field.choices} == shipped


# What the CRM pushes.


@pytest.mark.parametrize(
    ("message", "entity", "record"),
    [
        ("customer.created", "customer", "C100007"),
        ("customer.updated", "customer", "C100007"),
        ("customer.deleted", "customer", "C100007"),
        ("order.noted", "message", "N000003"),
    ],
)
def test_crm_samples_become_events(message: str, entity: str, record: str) -> None:
    body = json.dumps(sample("crm", f"hook.{message}.json"), ensure_ascii=False).encode()
    source = connection("crm", {"intake": "push"}, webhook_secret=SECRET)
    [event], answer = taken(source, hook(body, standard(body)))
    assert (event.message, event.entity, event.record) == (message, entity, record)
    assert event.dedupe == f"{message}:{json.loads(body)['id']}"
    assert event.occurred_at is not None
    assert event.occurred_at.utcoffset() is not None
    native = decode.native(event.payload, source.declaration.messages[message])
    assert native["id"] == record
    assert answer == model.HookReply(200, b'{"received":true}', "application/json")


def test_a_polled_row_is_an_event() -> None:
    row = sample("crm", "call.customer.list.response.json")["items"][0]
    event = decode.event(registry.get("crm"), "changes", row)
    assert (event.message, event.entity, event.record) == ("customer.row", "customer", "C100007")
    assert event.dedupe == "customer.row:C100007|4"


def test_an_unknown_crm_event_is_kept_as_unknown() -> None:
    body = b'{"id":"evt_1","type":"invoice.made","data":{}}'
    source = connection("crm", {"intake": "push"}, webhook_secret=SECRET)
    [event], _ = taken(source, hook(body, standard(body)))
    assert (event.message, event.entity) == ("unknown", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-signature": None}, "unsigned"),
        ({"webhook-id": None}, "unsigned"),
        ({"webhook-timestamp": None}, "unsigned"),
        ({"webhook-id": "msg_2"}, "forged"),
        ({"webhook-timestamp": str(int(NOW) + 1)}, "forged"),
        ({"webhook-timestamp": "soon"}, "garbled"),
        ({"webhook-timestamp": str(int(NOW) - 301)}, "stale"),
        ({"webhook-timestamp": str(int(NOW) + 301)}, "stale"),
    ],
)
def test_crm_hook_fails_closed(change: dict[str, str | None], reason: str) -> None:
    body = b'{"id":"evt_1","type":"customer.updated","data":{"id":"C1"}}'
    headers = {key: value for key, value in (standard(body) | change).items() if value is not None}
    with pytest.raises(errors.HookRefused) as refused:
        taken(connection("crm", {"intake": "push"}, webhook_secret=SECRET), hook(body, headers))
    assert refused.value.reason == reason


@pytest.mark.parametrize("flipped", range(0, 59, 7))
def test_crm_hook_refuses_a_changed_body(flipped: int) -> None:
    body = b'{"id":"evt_1","type":"customer.updated","data":{"id":"C1"}}'
    changed = body[:flipped] + bytes([body[flipped] ^ 1]) + body[flipped + 1 :]
    with pytest.raises(errors.HookRefused, match="forged"):
        taken(connection("crm", {"intake": "push"}, webhook_secret=SECRET), hook(changed, standard(body)))


@pytest.mark.parametrize("secret", ["", "whsec_", "   "])
def test_crm_hook_without_a_secret_is_shut(secret: str) -> None:
    body = b"{}"
    with pytest.raises(errors.HookRefused, match="misconfigured"):
        taken(connection("crm", {"intake": "push"}, webhook_secret=secret), hook(body, standard(body)))


def test_a_closed_crm_connection_has_no_door() -> None:
    assert scope.open_sources(connection("crm", {"intake": "closed"})) == {}
    assert list(scope.open_sources(connection("crm", {"intake": "poll"}))) == ["changes"]
    assert sorted(scope.open_sources(connection("crm", {}))) == ["changes", "hook"]


# What the generic connector takes in.


def test_http_standard_webhooks_is_deduplicated_by_webhook_id() -> None:
    body = json.dumps(sample("http", "hook.order.json"), ensure_ascii=False).encode()
    source = connection("http", {"verify_style": "standard_webhooks"}, hook_secret=SECRET)
    [event], answer = taken(source, hook(body, standard(body, event="msg_77")))
    assert (event.message, event.entity, event.record) == ("record.signed", "order", "SO-2024-0001")
    assert event.dedupe == "record.signed:msg_77"
    assert answer.status == 200


@pytest.mark.parametrize("entity", ["customer", "shipment", "product", "message"])
def test_http_entity_and_paths_come_from_the_connection(entity: str) -> None:
    record = sample("http", f"hook.{entity}.json")
    body = json.dumps({"event": {"no": 7}, "data": record}, ensure_ascii=False).encode()
    config = {
        "verify_style": "token",
        "entity": entity,
        "body_path": "data",
        "id_path": "data.id",
        "dedupe_path": "event.no",
        "time_path": "data.updated_at",
    }
    source = connection("http", config, hook_secret="t0ken")
    [event], _ = taken(source, hook(body, {"X-Token": "t0ken"}))
    assert (event.entity, event.record, event.dedupe) == (entity, str(record["id"]), "record:7")
    assert event.occurred_at == datetime.fromisoformat(record["updated_at"])
    message = decode.named(source.declaration, source.declaration.messages["record"], source)
    assert decode.native(event.payload, message) == record


def test_http_array_is_one_event_per_element_and_equal_bodies_are_one() -> None:
    body = b'[{"id":1},{"id":2},{"id":1}]'
    source = connection("http", {"verify_style": "token", "token_place": "query", "token_name": "key"}, hook_secret="s")
    found, _ = taken(source, hook(body, query={"key": "s"}))
    assert [event.record for event in found] == ["1", "2", "1"]
    assert found[0].dedupe == found[2].dedupe != found[1].dedupe


@pytest.mark.parametrize(
    ("algorithm", "encoding", "prefix", "stamped"),
    [
        ("sha256", "hex", "sha256=", False),
        ("sha256", "base64", "", False),
        ("sha1", "hex", "sha1=", False),
        ("sha256", "hex", "", True),
    ],
)
def test_http_hmac_header(algorithm: str, encoding: str, prefix: str, stamped: bool) -> None:
    body, at = '{"id":1,"name":"林小满"}'.encode(), str(int(NOW))
    text = at.encode() + b"." + body if stamped else body
    proof = hmac.new(b"key", text, getattr(hashlib, algorithm)).digest()
    value = prefix + (base64.b64encode(proof).decode() if encoding == "base64" else proof.hex())
    config = {
        "verify_style": "hmac",
        "verify_header": "X-Hub-Signature",
        "verify_algorithm": algorithm,
        "verify_encoding": encoding,
        "verify_prefix": prefix,
        "verify_timestamp_header": "X-Time" if stamped else "",
    }
    source = connection("http", config, hook_secret="key")
    headers = {"X-Hub-Signature": value, "X-Time": at}
    assert taken(source, hook(body, headers))[0][0].record == "1"
    assert taken(connection("http", config, hook_secret="new", hook_secret_old="key"), hook(body, headers))[0]
    for wrong in (
        hook(body + b" ", headers),
        hook(body, {**headers, "X-Hub-Signature": value[:-2] + "00"}),
        hook(body, {"X-Time": at}),
    ):
        with pytest.raises(errors.HookRefused):
            taken(source, wrong)
    if stamped:
        with pytest.raises(errors.HookRefused, match="stale"):
            taken(source, hook(body, headers), NOW + 301)
        with pytest.raises(errors.HookRefused, match="forged"):
            taken(source, hook(body, {**headers, "X-Time": str(int(NOW) + 1)}))


@pytest.mark.parametrize("style", ["hmac", "standard_webhooks", "token"])
def test_http_without_a_secret_is_shut(style: str) -> None:
    headers = {"X-Signature": "00", "X-Token": "", **standard(b"{}")}
    with pytest.raises(errors.HookRefused, match="misconfigured"):
        taken(connection("http", {"verify_style": style}), hook(b"{}", headers))


def test_http_is_closed_until_somebody_chooses_and_open_only_on_purpose() -> None:
    assert scope.open_sources(connection("http", {})) == {}
    source = connection("http", {"verify_style": "none"})
    assert taken(source, hook(b'{"id":1}'))[0][0].entity == "order"
    choice = next(field for field in registry.get("http").fields if field.key == "verify_style")
    assert choice.help is not None
    assert "任何知道回调地址的人" in choice.help.zh
