"""Every hook of every connector fails closed: genuine pushes are taken and acknowledged, spoiled ones refused.

The base is a push that the simulator really sent to a local address.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from connectors.core import cipher, decode, errors, jsontext, model, verify, xmltext
from tests.conformance import door, forgery, rehearsal, ruling

PUSHES = [(id, number) for id in ruling.IDS for number in range(len(rehearsal.of(id).pushes))]
NAMES = [f"{id}-{rehearsal.of(id).pushes[number].source}-{number}" for id, number in PUSHES]
every_push = pytest.mark.parametrize(("id", "number"), PUSHES, ids=NAMES)
HOOKS = [(id, key) for id in ruling.IDS for key, one in ruling.folder(id).spec.events.items() if one.door == "hook"]


@pytest.mark.parametrize(("id", "source"), HOOKS, ids=[f"{a}-{b}" for a, b in HOOKS])
def test_every_hook_is_rehearsed(id: str, source: str) -> None:
    assert source in {one.source for one in rehearsal.of(id).pushes}, "rehearsal.yaml has no push through this door"


def _refused(hook: model.RawHook, connection: model.Connection, source: str, now: float) -> str:
    """Empty when the call is refused the way it should be, else what happened instead."""
    spec = connection.declaration.events[source].verify
    assert spec is not None
    try:
        verify.verify(hook, connection, spec, now)
    except errors.HookRefused as refusal:
        return "" if refusal.reason else "refused without a reason"
    except Exception as error:
        return f"{type(error).__name__} instead of HookRefused: {error}"
    return "accepted"


@every_push
async def test_a_genuine_push_is_taken_and_acknowledged(id: str, number: int) -> None:
    push = rehearsal.of(id).pushes[number]
    async with door.pushed(id, push) as (stage, opened):
        assert not opened.refused
        events = [event for one in opened.taken for event in one.events]
        assert events
        assert all(event.message != "unknown" for event in events), events
        assert {one.state for one in stage.simulator.pushes} == {"acknowledged"}
        answers = {(one.reply.status, _body(one, opened.connection, push)) for one in opened.taken if one.events}
        assert answers == {(push.status, push.reply)}


def _body(one: door.Genuine, connection: model.Connection, push: rehearsal.Push) -> str:
    """The acknowledgement in plain text, opened where it is encrypted."""
    source = connection.declaration.events[push.source]
    if source.reply.style == "plain":
        return one.reply.body.decode()
    assert source.verify is not None
    options = verify.options_of(connection, source.verify)
    json = options.get("envelope") == "json"
    said = jsontext.loads(one.reply.body) if json else xmltext.loads(one.reply.body)
    message, owner = cipher.decrypt(options["key"], said["encrypt" if json else "Encrypt"])
    assert owner == one.verified.context["receive_id"]
    return message.decode()


@every_push
async def test_every_spoiled_push_is_refused(id: str, number: int) -> None:
    push = rehearsal.of(id).pushes[number]
    async with door.pushed(id, push) as (_stage, opened):
        pass
    wrong: dict[str, str] = {}
    for one in {each.hook.method: each for each in opened.taken}.values():
        hook = forgery.bare(opened.connection, push, one.hook)
        proven = forgery.parts(opened.connection, push, hook)
        if proven is None:
            continue
        assert _refused(hook, opened.connection, push.source, one.at) == "accepted", "the base case must be genuine"
        for words, spoiled in forgery.hooks(hook, proven):
            wrong[f"{hook.method}: {words}"] = _refused(spoiled, opened.connection, push.source, one.at)
        for words, connection in forgery.connections(opened.connection, push.source):
            wrong[f"{hook.method}: {words}"] = _refused(hook, connection, push.source, one.at)
        if proven.window is not None:
            for late in (proven.window + 2, -proven.window - 2):
                wrong[f"{late} s later"] = _refused(hook, opened.connection, push.source, one.at + late)
        noise = _noise(opened, push, one, random.Random(f"{id}-{number}"))
        wrong |= {f"{hook.method}: noise {hook!r}": said for hook, said in noise}
    assert {words: what for words, what in wrong.items() if what} == {}


def _noise(
    opened: door.Door, push: rehearsal.Push, one: door.Genuine, dice: random.Random
) -> Iterator[tuple[model.RawHook, str]]:
    """Damaged at random, a push is refused in words or holds what was really sent, and is decoded or malformed."""
    genuine = forgery.bare(opened.connection, push, one.hook)
    proven = forgery.parts(opened.connection, push, genuine)
    source = opened.connection.declaration.events[push.source]
    assert source.verify is not None
    for _ in range(300):
        hook = forgery.noise(genuine, dice)
        said = _refused(hook, opened.connection, push.source, one.at)
        if said != "accepted":
            yield hook, said
            continue
        if proven is not None and proven.body is not None:
            begin, end = proven.body
            yield hook, "" if genuine.body[begin:end].strip() in hook.body else "accepted with another body"
        found = verify.verify(hook, opened.connection, source.verify, one.at)
        with contextlib.suppress(decode.Malformed):
            decode.events(opened.connection.declaration, push.source, found.plaintext, opened.connection, found)


@every_push
async def test_a_stranger_without_any_proof_is_refused(id: str, number: int) -> None:
    push = rehearsal.of(id).pushes[number]
    async with rehearsal.stage(id) as stage:
        connection = stage.connection(push.connection)
    spec = connection.declaration.events[push.source].verify
    assert spec is not None
    bodies = (b"", b"{}", b"[]", b"null", b"<xml/>", b"\xff\xfe", b"[" * 5000, b"<a>" * 5000)
    said = {
        _refused(model.RawHook(method, {}, {}, body), connection, push.source, 1.8e9)
        for method in ("GET", "POST", "PUT")
        for body in bodies
    }
    assert said == ({"accepted"} if spec.scheme == "none" else {""})


def test_there_are_hooks_to_attack() -> None:
    assert PUSHES
