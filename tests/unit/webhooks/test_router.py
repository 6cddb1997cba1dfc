"""The hook routes, as an ASGI server drives them: every refusal has its answer, none is a false success."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from connectors.core import declaration
from retry_queue.ledger.states import ConnectionState
from tests.unit.webhooks import door as doors
from webhooks import receive, router

BODY = orjson.dumps({"id": "T1", "status": "paid", "total": "1.00", "updated_at": "2024-11-11T00:00:00+00:00"})


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[doors.Front]:
    async with doors.front(tmp_path) as made:
        yield made


def problem(answer: doors.Answer | None, status: int, code: str) -> dict[str, Any]:
    assert answer is not None
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["code"], told["type"]) == (status, code, "about:blank")
    return told


async def test_a_signed_call_is_stored_and_answered_in_the_senders_form(front: doors.Front) -> None:
    answer = await front.call(BODY, [doors.signed(BODY)])
    assert answer is not None
    assert (answer.status, answer.json()) == (200, {"received": True})
    assert answer.headers["content-type"] == "application/json"
    (event,) = await front.stored()
    assert (event.connection_key, event.entity, event.record, event.state) == ("shop", "order", "T1", "received")
    assert orjson.loads(event.payload) == orjson.loads(BODY)
    assert event.occurred_at == 1731283200.0
    assert await front.refused() == []


async def test_a_repeat_is_answered_the_same_and_stored_once(front: doors.Front) -> None:
    answers = [await front.call(BODY, [doors.signed(BODY)]) for _ in range(3)]
    assert len({(answer.status, answer.body) for answer in answers if answer}) == 1
    assert len(await front.stored()) == 1


@pytest.mark.parametrize("key", ["nobody", "", "shop/more", "../shop", "SHOP", "x" * 5000])
async def test_an_unknown_connection_is_404(front: doors.Front, key: str) -> None:
    problem(await front.call(BODY, [doors.signed(BODY)], key=key), 404, "unknown_connection")
    assert await front.stored() == []


async def test_closed_and_disabled_doors_look_like_unknown_ones(tmp_path: Path) -> None:
    closed = [
        doors.door("off", state=ConnectionState.DISABLED),
        doors.door("shut", {"verify_style": "closed"}),
    ]
    async with doors.front(tmp_path, *closed) as front:
        nobody = await front.call(BODY, key="nobody")
        for one in closed:
            answer = await front.call(BODY, [doors.signed(BODY)], key=one.key)
            problem(answer, 404, "unknown_connection")
            assert answer == nobody


async def test_a_door_that_cannot_be_opened_now_asks_the_sender_to_come_again(tmp_path: Path) -> None:
    """A 404 would be taken for the last word, and what was pushed meanwhile would be lost."""
    broken = doors.Door("broken", "http", ConnectionState.ENABLED, None)
    async with doors.front(tmp_path, broken) as front:
        answer = await front.call(BODY, [doors.signed(BODY)], key="broken")
        problem(answer, 503, "ledger_unavailable")
        assert answer is not None
        assert answer.headers["retry-after"] == "2"


async def test_a_paused_connection_still_takes_in(tmp_path: Path) -> None:
    """What comes while a person mends something must not be lost."""
    states = [ConnectionState.PAUSED, ConnectionState.NEEDS_AUTH]
    async with doors.front(tmp_path, *(doors.door(str(state), state=state) for state in states)) as front:
        for state in states:
            answer = await front.call(BODY, [doors.signed(BODY)], key=str(state))
            assert answer is not None
            assert answer.status == 200
        assert len(await front.stored()) == 2


async def test_too_large_by_its_own_word_is_refused_unread(front: doors.Front) -> None:
    read = 0

    async def source() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x", "more_body": True}

    problem(await front.call(headers=[("content-length", "4097")], receive_=source), 413, "body_too_large")
    assert read == 0


async def test_too_large_in_fact_is_refused_before_it_is_all_read(front: doors.Front) -> None:
    """No Content-Length, or one that lies."""
    read = 0

    async def source() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    problem(await front.call(headers=[("content-length", "10")], receive_=source), 413, "body_too_large")
    assert read == 5
    problem(await front.call(b"x" * 4097), 413, "body_too_large")


async def test_the_limit_itself_is_allowed(front: doors.Front) -> None:
    body = orjson.dumps({"id": "T1", "pad": ""})
    body = orjson.dumps({"id": "T1", "pad": "x" * (4096 - len(body))})
    assert len(body) == 4096
    answer = await front.call([body[:1000], b"", body[1000:]], [doors.signed(body), ("content-length", "4096")])
    assert answer is not None
    assert answer.status == 200


async def test_every_refused_proof_looks_the_same(front: doors.Front) -> None:
    """401 with one text, whatever was wrong: nothing to learn from."""
    name, good = doors.signed(BODY)
    tries = [
        (BODY, []),
        (BODY, [(name, "")]),
        (BODY, [(name, "zz")]),
        (BODY, [(name, good[:-1])]),
        (BODY, [(name, good + "00")]),
        (BODY, [(name, "é" * 64)]),
        (BODY, [doors.signed(BODY, "another secret")]),
        (BODY + b" ", [(name, good)]),
        (b"", [(name, good)]),
        (BODY, [("x-other", good)]),
        (b"not json", []),
    ]
    answers = [await front.call(body, headers) for body, headers in tries]
    for answer in answers:
        problem(answer, 401, "proof_refused")
    assert len({answer.body for answer in answers if answer}) == 1
    assert await front.stored() == []
    assert len(await front.refused()) == len(tries)


async def test_a_refusal_in_the_systems_own_words(tmp_path: Path) -> None:
    """Where the connector declares one: still nothing stored, still in the quarantine."""
    plain = doors.door()
    assert plain.opened is not None
    spec = plain.opened.declaration
    words = declaration.Reply(status=200, body="<no/>", type="text/xml")
    told = {key: one.model_copy(update={"refusal": words}) for key, one in spec.events.items()}
    opened = dataclasses.replace(plain.opened, declaration=spec.model_copy(update={"events": told}))
    async with doors.front(tmp_path, dataclasses.replace(plain, opened=opened)) as front:
        answer = await front.call(BODY, [doors.signed(BODY, "another secret")])
        assert answer is not None
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"<no/>", "text/xml")
        assert await front.stored() == []
        assert [reason for reason, _ in await front.refused()] == ["forged"]


async def test_every_flipped_byte_is_refused(front: doors.Front) -> None:
    name, good = doors.signed(BODY)
    dice = random.Random(7)
    for place in range(len(BODY)):
        body = bytearray(BODY)
        body[place] ^= dice.randrange(1, 256)
        problem(await front.call(bytes(body), [(name, good)]), 401, "proof_refused")
    for place in range(len(good)):
        other = "0" if good[place] != "0" else "1"
        flipped = good[:place] + other + good[place + 1 :]
        problem(await front.call(BODY, [(name, flipped)]), 401, "proof_refused")
    assert await front.stored() == []


async def test_a_header_given_twice_never_passes(tmp_path: Path) -> None:
    """Whichever of the two a proxy in front would have taken."""
    token = doors.door("token", {"verify_style": "token", "token_name": "X-Token", "entity": "order"})
    base64 = doors.door("base64", doors.HMAC | {"verify_encoding": "base64"})
    async with doors.front(tmp_path, doors.door(), token, base64) as front:
        name, good = doors.signed(BODY)
        for one, other in itertools.product([good, "0" * 64, ""], repeat=2):
            if good in (one, other):
                problem(await front.call(BODY, [(name, one), (name, other)]), 401, "proof_refused")
        passed = await front.call(BODY, [("x-token", doors.SECRET)], key="token")
        assert passed is not None
        assert passed.status == 200
        for pair in ((doors.SECRET, doors.SECRET), (doors.SECRET, ""), ("", doors.SECRET), ("x", doors.SECRET)):
            headers = [("x-token", value) for value in pair]
            problem(await front.call(BODY, headers, key="token"), 401, "proof_refused")
        assert len(await front.stored()) == 1


async def test_a_source_without_its_secret_accepts_nothing(tmp_path: Path) -> None:
    """S-01: fails closed."""
    bare = [doors.door("none", secrets={}), doors.door("empty", secrets={"hook_secret": ""}),
            doors.door("blank", secrets={"hook_secret": "  "})]  # fmt: skip
    async with doors.front(tmp_path, *bare) as front:
        for one in bare:
            for secret in ("", "  ", "None", doors.SECRET):
                problem(await front.call(BODY, [doors.signed(BODY, secret)], key=one.key), 401, "proof_refused")
        assert await front.stored() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b'{"id":', b'{"a":NaN}', b"[" * 3000, b"\xff\xfe", b'{"a":"\\ud80"}',
     b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"],
)  # fmt: skip
async def test_what_cannot_be_read_is_400_with_a_reason(front: doors.Front, body: bytes) -> None:
    told = problem(await front.call(body, [doors.signed(body)]), 400, "bad_body")
    assert told["detail"]
    assert len(told["detail"]) <= 300
    assert await front.stored() == []
    assert [reason for reason, _ in await front.refused()] == ["malformed"]


async def test_a_bad_query_is_400_not_500(front: doors.Front) -> None:
    query = "&".join(f"a{n}=1" for n in range(51))
    problem(await front.call(BODY, [doors.signed(BODY)], query=query), 400, "bad_body")
    for odd in ("%ff%fe", "a=%00", "=", "&&&", "a=1;b=2", "%zz"):
        answer = await front.call(BODY, [doors.signed(BODY)], query=odd)
        assert answer is not None
        assert answer.status == 200


async def test_no_ledger_is_503_and_try_again(front: doors.Front) -> None:
    async with front.ledger.write() as connection:
        await connection.execute(text("ALTER TABLE inbox RENAME TO away"))
    answer = await front.call(BODY, [doors.signed(BODY)])
    problem(answer, 503, "ledger_unavailable")
    assert answer is not None
    assert int(answer.headers["retry-after"]) > 0
    async with front.ledger.write() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO inbox"))
    again = await front.call(BODY, [doors.signed(BODY)])
    assert again is not None
    assert again.status == 200
    assert len(await front.stored()) == 1


async def test_a_ledger_that_does_not_answer_is_503_before_the_sender_hangs_up(
    front: doors.Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a deaf database senders waited for half a minute, and had hung up long before; or were told 408."""
    monkeypatch.setattr(receive, "ANSWER_SECONDS", 0.1)
    async with front.ledger.write():  # somebody else holds it
        answer = await front.call(BODY, [doors.signed(BODY)])
    problem(answer, 503, "ledger_unavailable")
    again = await front.call(BODY, [doors.signed(BODY)])
    assert again is not None
    assert again.status == 200
    assert len(await front.stored()) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_405(front: doors.Front, method: str) -> None:
    problem(await front.call(BODY, [doors.signed(BODY)], method=method), 405, "method_not_allowed")


async def test_people_are_answered_in_their_language(front: doors.Front) -> None:
    titles = []
    for accepts in ("zh-CN,zh;q=0.9", "en-US,en", ""):
        told = problem(
            await front.call(key="nobody", headers=[("accept-language", accepts)]), 404, "unknown_connection"
        )
        titles.append(told["title"])
    assert titles == ["没有这个连接", "No such connection", "没有这个连接"]


async def test_a_body_that_comes_too_slowly_is_408(front: doors.Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow-loris: also when not even the first byte comes."""
    monkeypatch.setattr(router, "BODY_SECONDS", 0.05)
    sent: list[dict[str, Any]] = []

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def drip() -> dict[str, Any]:
        if not sent:
            sent.append({})
            return {"type": "http.request", "body": b"{", "more_body": True}
        return await never()

    async with asyncio.timeout(5):
        problem(await front.call(receive_=never), 408, "body_too_slow")
        problem(await front.call(receive_=drip), 408, "body_too_slow")


async def test_a_sender_that_hangs_up_gets_no_answer_and_leaves_nothing(front: doors.Front) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert await front.call(headers=[doors.signed(BODY)], receive_=gone) is None
    parts = iter([{"type": "http.request", "body": BODY[:5], "more_body": True}, {"type": "http.disconnect"}])

    async def halfway() -> dict[str, Any]:
        return next(parts)

    assert await front.call(headers=[doors.signed(BODY)], receive_=halfway) is None
    assert await front.stored() == []


async def test_an_error_of_ours_is_500_and_no_success(front: doors.Front, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise KeyError("13800000001")

    monkeypatch.setattr(front.receiver, "accept", broken)
    told = problem(await front.call(BODY, [doors.signed(BODY)]), 500, "internal")
    assert "13800000001" not in orjson.dumps(told).decode()


async def test_mounted_below_another_path_it_finds_its_key(front: doors.Front) -> None:
    answer = await front.call(BODY, [doors.signed(BODY)], path="/hub/hooks/shop/")
    assert answer is not None
    assert answer.status == 200


async def test_what_is_not_http_is_left_alone(front: doors.Front) -> None:
    async def nothing(*_: Any) -> Any:
        raise AssertionError

    await front.app({"type": "lifespan"}, nothing, nothing)
