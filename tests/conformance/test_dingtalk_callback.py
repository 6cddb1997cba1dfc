"""DingTalk's pushes and signatures: published vectors, forgeries, acknowledgements, what events mean."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from connectors.core import cipher, decode, errors, jsontext, model, registry, reply, signing, template, verify
from connectors.dingtalk import session
from connectors.dingtalk.simulated import callbacks, corp
from tests.conformance import messaging
from tests.conformance.messaging import check, flipped
from tests.conformance.messaging import dingtalk as connection

SAMPLES = registry.folder("dingtalk") / "samples"
VECTORS = jsontext.loads((SAMPLES / "vectors.json").read_bytes())
BY_NAME = {vector["name"]: vector for vector in VECTORS}
CALLBACKS = [vector for vector in VECTORS if vector["inputs"]["kind"] == "callback.decrypt"]
SOURCE = registry.get("dingtalk").events["callback"]
DEFAULTS = messaging.DINGTALK


def hook_of(vector: dict[str, Any], name: str = "msg_signature") -> model.RawHook:
    given = vector["inputs"]
    query = {name: vector["expected"]["msg_signature"], "timestamp": given["timestamp"], "nonce": given["nonce"]}
    return model.RawHook("POST", query, {}, json.dumps({"encrypt": given["encrypt"]}).encode())


def owner_of(vector: dict[str, Any], field: str = "app_key") -> model.Connection:
    given = vector["inputs"]
    changes = {field: vector["expected"]["receive_id"]}
    return connection(token=given["token"], aes_key=given["encoding_aes_key"], **changes)


def clock_of(vector: dict[str, Any]) -> float:
    """The vector's own time: milliseconds by contract, though one published vector carries seconds."""
    return int(vector["inputs"]["timestamp"]) / 1000


# Published vectors.


def test_vector_kinds_are_all_tested() -> None:
    assert {vector["inputs"]["kind"] for vector in VECTORS} == {
        "callback.decrypt",
        "raw_aes_cbc",
        "hmac_sha256",
        "query_timestamp_hmac.sign",
    }


@pytest.mark.parametrize("vector", CALLBACKS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("field", ["app_key", "corp_id"])
@pytest.mark.parametrize("name", ["msg_signature", "signature"])
def test_vector_opens_and_closes_again(vector: dict[str, Any], field: str, name: str) -> None:
    given, expected = vector["inputs"], vector["expected"]
    verified = check(hook_of(vector, name), owner_of(vector, field), clock_of(vector))
    assert verified.plaintext.decode() == expected["msg"]
    assert verified.context["receive_id"] == expected["receive_id"]
    again = cipher.encrypt(
        given["encoding_aes_key"],
        expected["msg"].encode(),
        expected["receive_id"],
        random=expected["random16"].encode(),
    )
    assert again == given["encrypt"]


def test_vector_raw_layer() -> None:
    vector = BY_NAME["rust-test-raw-aes-pkcs7-32"]
    key, plain = vector["inputs"]["encoding_aes_key"], vector["inputs"]["plaintext"].encode()
    sealed = cipher.seal(key, plain)
    assert base64.b64encode(sealed).decode() == vector["expected"]["ciphertext_b64"]
    assert cipher.unseal(key, sealed) == plain


def test_vector_robot_sign() -> None:
    vector = BY_NAME["computed-robot-sign"]
    secret, timestamp = vector["inputs"]["secret"], vector["inputs"]["timestamp_ms"]
    for made in (signing.timestamp_signature(secret, timestamp), corp.sign(secret, timestamp)):
        assert quote(made, safe="") == vector["expected"]["sign_urlencoded"]
    request = model.Request("POST", "https://example.com")
    signing.sign("query_timestamp_hmac", {"secret": secret}, request, connection(), int(timestamp) / 1000)
    assert request.query == {"timestamp": timestamp, "sign": corp.sign(secret, timestamp)}


def test_vector_scan_login_is_another_scheme() -> None:
    """The published login signature signs the time alone; the robot's must not be confused with it."""
    vector = BY_NAME["legacy-scan-login-signature"]
    key, message = vector["inputs"]["key"], vector["inputs"]["message"]
    made = base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()
    assert quote(made, safe="") == vector["expected"]["urlencoded"]
    assert signing.timestamp_signature(key, message) != made


def test_sampled_envelope_opens_by_its_documented_query() -> None:
    vector = BY_NAME["callback-crypto-repo-suite"]
    body = (SAMPLES / "http_push_envelope.request.json").read_bytes()
    query = dict(httpx.QueryParams(jsontext.loads(body)["_query"].lstrip("?")))
    verified = check(model.RawHook("POST", query, {}, body), owner_of(vector), clock_of(vector))
    assert b"check_create_suite_url" in verified.plaintext


# The door: forged, old, incomplete.

GENUINE = BY_NAME["callback-crypto-repo-suite"]
NOW = clock_of(GENUINE)


@pytest.mark.parametrize("name", ["msg_signature", "nonce"])
def test_flipped_byte_in_the_query_is_refused(name: str) -> None:
    hook = hook_of(GENUINE)
    for at in range(len(hook.query[name])):
        with pytest.raises(errors.HookRefused) as refused:
            check(replace(hook, query={**hook.query, name: flipped(hook.query[name], at)}), owner_of(GENUINE), NOW)
        assert refused.value.reason == "forged"


def test_another_timestamp_inside_the_window_is_refused() -> None:
    hook = hook_of(GENUINE)
    with pytest.raises(errors.HookRefused) as refused:
        check(replace(hook, query={**hook.query, "timestamp": str(int(NOW * 1000) + 1)}), owner_of(GENUINE), NOW)
    assert refused.value.reason == "forged"


def test_flipped_byte_anywhere_in_the_ciphertext_is_refused() -> None:
    text = GENUINE["inputs"]["encrypt"]
    for at in range(len(text)):
        body = json.dumps({"encrypt": flipped(text, at)}).encode()
        with pytest.raises(errors.HookRefused) as refused:
            check(replace(hook_of(GENUINE), body=body), owner_of(GENUINE), NOW)
        assert refused.value.reason == "forged"


def test_a_wrong_msg_signature_is_not_saved_by_a_right_signature() -> None:
    hook = hook_of(GENUINE)
    right = hook.query["msg_signature"]
    with pytest.raises(errors.HookRefused):
        check(
            replace(hook, query={**hook.query, "msg_signature": "0" * 40, "signature": right}), owner_of(GENUINE), NOW
        )


@pytest.mark.parametrize("late", [601, -601])
def test_replay_outside_the_window_is_refused(late: float) -> None:
    with pytest.raises(errors.HookRefused) as refused:
        check(hook_of(GENUINE), owner_of(GENUINE), NOW + late)
    assert refused.value.reason == "stale"


@pytest.mark.parametrize("secret", ["token", "aes_key"])
def test_without_its_secret_the_door_stays_shut(secret: str) -> None:
    owner = owner_of(GENUINE)
    with pytest.raises(errors.HookRefused) as refused:
        check(hook_of(GENUINE), replace(owner, secrets={**owner.secrets, secret: ""}), NOW)
    assert refused.value.reason == "misconfigured"


def test_somebody_elses_owner_key_is_refused() -> None:
    owner = owner_of(GENUINE)
    with pytest.raises(errors.HookRefused) as refused:
        check(hook_of(GENUINE), replace(owner, config={**owner.config, "app_key": "dingother"}), NOW)
    assert refused.value.reason == "forged"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"encrypt": 5}', b'{"other": "x"}'])
def test_unreadable_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(errors.HookRefused) as refused:
        check(replace(hook_of(GENUINE), body=body), owner_of(GENUINE), NOW)
    assert refused.value.reason in ("garbled", "unsigned")


@pytest.mark.parametrize("field", ["app_key", "corp_id"])
def test_acknowledgement_is_sealed_with_the_owner_key_received(field: str) -> None:
    owner = owner_of(GENUINE, field)
    answer = reply.reply(owner, SOURCE, check(hook_of(GENUINE), owner, NOW), NOW)
    body = json.loads(answer.body)
    assert (answer.status, set(body)) == (200, {"msg_signature", "timeStamp", "nonce", "encrypt"})
    key, token = GENUINE["inputs"]["encoding_aes_key"], GENUINE["inputs"]["token"]
    assert cipher.decrypt(key, body["encrypt"]) == (b"success", GENUINE["expected"]["receive_id"])
    right = cipher.signature(token, body["timeStamp"], body["nonce"], body["encrypt"])
    assert body["msg_signature"] == right
    assert body["timeStamp"] == str(int(NOW * 1000))


def test_sampled_acknowledgement_is_one() -> None:
    """The published acknowledgement satisfies the simulator's own judgement."""
    given = BY_NAME["callback-crypto-repo-1"]["inputs"]
    settings = {**DEFAULTS, "token": given["token"], "aes_key": given["encoding_aes_key"]}
    settings["app_key"] = BY_NAME["callback-crypto-repo-1"]["expected"]["receive_id"]
    content = (SAMPLES / "http_push_ack.response.json").read_bytes()
    assert callbacks.received(settings, 200, content)
    assert not callbacks.received({**settings, "app_key": "dingother"}, 200, content)
    assert not callbacks.received(settings, 200, b"success")
    assert not callbacks.received(settings, 200, b"")


# What events mean.

EVENTS = {
    "http_bpms_instance_change_start": ("approval", "approval", "PI-TEST-0001"),
    "http_bpms_instance_change_finish": ("approval", "approval", "PI-TEST-0001"),
    "http_bpms_task_change": ("approval_task", None, "PI-TEST-0001"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_event_sample(name: str) -> None:
    body = (SAMPLES / f"{name}.event.json").read_bytes()
    (event,) = decode.events(registry.get("dingtalk"), "callback", body)
    assert (event.message, event.entity, event.record) == EVENTS[name]
    assert event.occurred_at is not None
    assert event.occurred_at.year == 2024
    changed = json.loads(body) | {"eventId": "another"}
    (other,) = decode.events(registry.get("dingtalk"), "callback", json.dumps(changed).encode())
    assert other.dedupe != event.dedupe


def test_every_event_sample_is_listed() -> None:
    found = {path.name.removesuffix(".event.json") for path in SAMPLES.iterdir() if ".event." in path.name}
    assert found == set(EVENTS)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("check_url", "check_url"),
        ("user_modify_org", "staff"),
        ("org_dept_create", "department"),
        ("ding_paas_object_data_update", "crm_record"),
        ("something_new", "unknown"),
    ],
)
def test_other_events_are_known_but_move_nothing(kind: str, message: str) -> None:
    (event,) = decode.events(registry.get("dingtalk"), "callback", json.dumps({"EventType": kind}).encode())
    assert (event.message, event.entity) == (message, None)


def test_a_row_of_the_failed_list_is_an_approval_again() -> None:
    pushed = json.loads((SAMPLES / "http_bpms_instance_change_finish.event.json").read_text())
    row = {"call_back_tag": "bpms_instance_change", "event_time": pushed["EventTime"], "bpms_instance_change": pushed}
    event = decode.event(registry.get("dingtalk"), "missed", row)
    assert (event.message, event.entity, event.record) == ("approval_missed", "approval", "PI-TEST-0001")
    assert event.occurred_at is not None
    deleted = {**row, "bpms_instance_change": {**pushed, "type": "delete"}}
    gone = decode.event(registry.get("dingtalk"), "missed", deleted)
    assert (gone.message, gone.record) == ("approval_deleted_missed", "PI-TEST-0001")
    other = decode.event(registry.get("dingtalk"), "missed", {"call_back_tag": "user_add_org", "event_time": 1})
    assert other.message == decode.UNKNOWN


@pytest.mark.parametrize(("what", "message"), [("create", "crm_missed_new"), ("update", "crm_missed_changed")])
def test_a_row_of_the_failed_list_is_a_crm_customer_again(what: str, message: str) -> None:
    tag = f"ding_paas_object_data_{what}"
    pushed = {"EventType": tag, "ObjectType": "crm_customer", "DataId": "D1", "eventId": "e1"}
    event = decode.event(registry.get("dingtalk"), "missed_crm", {"call_back_tag": tag, "event_time": 1, tag: pushed})
    assert (event.message, event.entity, event.record) == (message, "customer", "D1")
    hydrate = registry.get("dingtalk").messages[message].hydrate
    assert hydrate is not None
    given = template.render(hydrate.input, {"payload": json.loads(event.payload)})
    assert given == {"instanceId": "D1", "relationType": "crm_customer"}


def test_a_question_by_http_comes_through_its_own_door_without_its_reply_address() -> None:
    """One address, two doors: what the encrypted one refuses the robot's takes, by the Client Secret alone."""
    owner, now = connection(push="http"), 1_700_000_000.0
    message = {
        "msgId": "m1",
        "conversationId": "cid1",
        "msgtype": "text",
        "text": {"content": "查订单"},
        "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=SECRETSESSION",
        "sessionWebhookExpiredTime": int(now * 1000) + 5_400_000,
    }
    post = callbacks.asked("http://hub", DEFAULTS, message, now)
    hook = model.RawHook("POST", {}, dict(post.headers), post.content)
    with pytest.raises(errors.HookRefused):
        check(hook, owner, now)
    spec = owner.declaration.events["robot"].verify
    assert spec is not None
    verified = verify.verify(hook, owner, spec, now)
    assert b"SECRETSESSION" not in verified.plaintext
    (event,) = decode.events(owner.declaration, "robot", verified.plaintext, owner, verified)
    assert (event.message, event.entity, event.record) == ("question", "message", "m1")
    kept = json.loads(verified.plaintext)["answerKey"]
    assert session.opened(owner.secrets["app_secret"], kept) == ("SECRETSESSION", message["sessionWebhookExpiredTime"])
    for body in (b"[]", b"nothing"):
        with pytest.raises(errors.HookRefused):
            verify.verify(model.RawHook("POST", {}, dict(post.headers), body), owner, spec, now)
