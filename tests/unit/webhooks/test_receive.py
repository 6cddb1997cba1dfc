"""Accepting a call: what is verified, what is stored, what the quarantine keeps, and the handshakes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.core import cipher, decode, errors, model
from tests.unit.webhooks import door as doors
from webhooks import receive

BODY = orjson.dumps({"id": "T1", "updated_at": "2024-11-11T00:00:00+00:00"})
KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
WECOM = {"corp_id": "wwExampleCorp", "agent_id": "1000002"}


def hook(body: bytes = BODY, *headers: tuple[str, str], method: str = "POST", **query: str) -> model.RawHook:
    return model.RawHook(method, query, dict(headers), body)


async def test_one_call_may_hold_many_events(tmp_path: Path) -> None:
    """A body that is a list is a list of records."""
    async with doors.front(tmp_path) as front:
        body = orjson.dumps([{"id": f"T{n}"} for n in range(3)] + [{"id": "T0"}])
        answer = await front.receiver.accept(front.receiver.door("shop"), hook(body, doors.signed(body)))
        assert answer.status == 200
        assert [event.record for event in await front.stored()] == ["T0", "T1", "T2"]


async def test_a_replayed_call_outside_its_window_is_refused(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    timed = doors.door("timed", doors.HMAC | {"verify_timestamp_header": "X-Time"})
    async with doors.front(tmp_path, timed, now=lambda: now[0]) as front:
        stamp = str(int(now[0]))
        proof = hmac.new(doors.SECRET.encode(), stamp.encode() + b"." + BODY, hashlib.sha256).hexdigest()
        call = hook(BODY, ("x-signature", proof), ("x-time", stamp))
        door = front.receiver.door("timed")
        for passed in (0, 299, 299):
            now[0] = int(stamp) + passed
            assert (await front.receiver.accept(door, call)).status == 200
        now[0] = int(stamp) + 301
        with pytest.raises(errors.HookRefused) as refused:
            await front.receiver.accept(door, call)
        assert refused.value.reason == "stale"
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(door, hook(BODY, ("x-signature", proof), ("x-time", str(int(now[0])))))
        assert len(await front.stored()) == 1
        assert [reason for reason, _ in await front.refused()] == ["stale", "forged"]


async def test_a_call_for_one_source_is_no_proof_for_another(tmp_path: Path) -> None:
    other = doors.door("other", secrets={"hook_secret": "another secret"})
    async with doors.front(tmp_path, doors.door(), other) as front:
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(front.receiver.door("other"), hook(BODY, doors.signed(BODY)))


async def test_both_secrets_are_good_while_they_rotate(tmp_path: Path) -> None:
    """S-21."""
    both = doors.door(secrets={"hook_secret": "new secret", "hook_secret_old": doors.SECRET})
    after = doors.door("after", secrets={"hook_secret": "new secret"})
    async with doors.front(tmp_path, both, after) as front:
        for secret in ("new secret", doors.SECRET):
            await front.receiver.accept(front.receiver.door("shop"), hook(BODY, doors.signed(BODY, secret)))
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(front.receiver.door("after"), hook(BODY, doors.signed(BODY)))


async def test_the_proof_is_over_the_raw_bytes(tmp_path: Path) -> None:
    """S-04: a re-serialised body is another body; a BOM and odd spacing are not."""
    async with doors.front(tmp_path) as front:
        door = front.receiver.door("shop")
        odd = b'\xef\xbb\xbf { "id" :\n"T1", "\\u4e2d": 1.10 } '
        await front.receiver.accept(door, hook(odd, doors.signed(odd)))
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(door, hook(orjson.dumps(orjson.loads(odd[3:])), doors.signed(odd)))
        (event,) = await front.stored()
        assert "1.10" in event.payload


async def test_the_quarantine_keeps_the_head_of_a_body_without_phone_numbers(tmp_path: Path) -> None:
    async with doors.front(tmp_path) as front:
        body = b'{"phone": "13800000001", "id": 6900123456789, "n": 12}\x00' + b"x" * 4000
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(front.receiver.door("shop"), hook(body))
        ((reason, kept),) = await front.refused()
        assert reason == "unsigned"
        assert "13800000001" not in kept
        assert "********001" in kept
        assert '"n": 12' in kept
        assert "\x00" not in kept
        assert len(kept) <= receive.EXCERPT


async def test_malformed_is_only_said_to_who_proved_themselves(tmp_path: Path) -> None:
    async with doors.front(tmp_path) as front:
        door = front.receiver.door("shop")
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(door, hook(b"not json"))
        with pytest.raises(decode.Malformed):
            await front.receiver.accept(door, hook(b"not json", doors.signed(b"not json")))
        assert await front.stored() == []


async def test_concurrent_repeats_are_one_event(tmp_path: Path) -> None:
    async with doors.front(tmp_path) as front:
        door = front.receiver.door("shop")
        call = hook(BODY, doors.signed(BODY))
        answers = await asyncio.gather(*(front.receiver.accept(door, call) for _ in range(50)))
        assert {answer.status for answer in answers} == {200}
        assert len(await front.stored()) == 1


async def test_a_hook_is_answered_only_after_its_commit(tmp_path: Path) -> None:
    async with doors.front(tmp_path) as front:
        async with front.ledger.write():
            waiting = asyncio.create_task(
                front.receiver.accept(front.receiver.door("shop"), hook(BODY, doors.signed(BODY)))
            )
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            assert not done, "acknowledged while nothing could be committed"
        assert (await waiting).status == 200


# --- a door with a handshake: the shared callback cipher --------------------------------------------


def callback(
    plain: bytes, *, receive_id: str = "wwExampleCorp", token: str = "tok", at: str | None = None
) -> dict[str, str]:
    """The query of an encrypted call: what the platform signs and sends."""
    stamp, nonce = at or str(int(time.time())), "n1"
    text = cipher.encrypt(KEY, plain, receive_id)
    return {
        "msg_signature": cipher.signature(token, stamp, nonce, text),
        "timestamp": stamp,
        "nonce": nonce,
        "text": text,
    }


def wecom() -> doors.Door:
    secrets = {"app_secret": "app secret", "token": "tok", "encoding_aes_key": KEY}
    return doors.door("wecom", WECOM, secrets, connector="wecom")


async def test_a_handshake_is_answered_with_its_echo_and_stores_nothing(tmp_path: Path) -> None:
    async with doors.front(tmp_path, wecom()) as front:
        given = callback(b"1616140317555161061")
        given["echostr"] = given.pop("text")
        answer = await front.receiver.accept(front.receiver.door("wecom"), hook(b"", method="GET", **given))
        assert (answer.status, answer.body) == (200, b"1616140317555161061")
        assert await front.stored() == []
        assert await front.refused() == []


@pytest.mark.parametrize("wrong", [{"token": "other"}, {"receive_id": "wwSomebodyElse"}])
async def test_a_forged_handshake_gets_no_echo(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with doors.front(tmp_path, wecom()) as front:
        given = callback(b"123", **wrong)
        given["echostr"] = given.pop("text")
        with pytest.raises(errors.HookRefused):
            await front.receiver.accept(front.receiver.door("wecom"), hook(b"", method="GET", **given))
        assert len(await front.refused()) == 1
