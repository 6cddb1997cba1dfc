"""A system that says ok and drops the message later is asked what became of it."""

from __future__ import annotations

import json

import pytest

from connectors.core import errors, registry
from tests.unit.connectors.conftest import answer, connected, declared

SPEC = declared(
    """
probe: notice.result
operations:
  notice.send:
    label: {zh: 发, en: send}
    kind: act
    path: /send
    json: {to: "${input.to}"}
    id: task
    idempotent: key
    partial: [{path: unknown, label: {zh: 未知, en: unknown}}]
    ask:
      operation: notice.result
      input: {task: "${record.id}", to: "${input.to}"}
      after: 0
      when: {check: ["true", "None"]}
  notice.result:
    label: {zh: 查, en: result}
    kind: get
    path: /result
    json: {task: "${input.task}", to: "${input.to}"}
    result: told
    partial: [{path: told.dropped, label: {zh: 被丢弃, en: dropped}}]
"""
)


@pytest.fixture
def office(peer):
    return connected(SPEC, peer.url)


def tells(dropped, unknown=None):
    def decide(seen):
        if seen.path == "/send":
            return answer({"errcode": 0, "task": 7, **({"unknown": unknown} if unknown else {})})
        return answer({"errcode": 0, "told": {"dropped": dropped}})

    return decide


async def test_what_was_dropped_becomes_a_warning(calls, office, peer):
    peer.decide = tells(["kefu02"], ["nobody"])
    found = await calls.call(office, "notice.send", {"to": "kefu01"})
    assert found.record_id == "7"
    assert [one.split(":")[0] for one in found.warnings] == ["未知 (unknown)", "被丢弃 (dropped)"]
    assert [(one.path, one.json) for one in peer.seen] == [
        ("/send", {"to": "kefu01"}),
        ("/result", {"task": "7", "to": "kefu01"}),
    ]
    assert [one.operation for one in found.exchanges] == ["notice.send", "notice.result"]


async def test_nothing_dropped_is_a_plain_success(calls, office, peer):
    peer.decide = tells([])
    assert (await calls.call(office, "notice.send", {"to": "a"})).warnings == ()


async def test_an_answer_that_cannot_be_had_does_not_undo_the_success(calls, office, peer):
    peer.decide = lambda seen: answer({"errcode": 0, "task": 7}) if seen.path == "/send" else answer({"errcode": "9"})
    found = await calls.call(office, "notice.send", {"to": "a"})
    assert (found.record_id, found.warnings) == ("7", ())


async def test_a_refused_call_asks_nothing(calls, office, peer):
    peer.decide = lambda seen: answer({"errcode": "9"})
    with pytest.raises(errors.Rejected):
        await calls.call(office, "notice.send", {"to": "a"})
    assert len(peer.seen) == 1


async def test_a_setting_turns_it_off(calls, peer):
    peer.decide = tells(["x"])
    quiet = connected(SPEC, peer.url, check=False)
    assert (await calls.call(quiet, "notice.send", {"to": "a"})).warnings == ()
    assert len(peer.seen) == 1


def test_the_operation_that_is_asked_must_be_there():
    data = json.loads(SPEC.model_dump_json(by_alias=True))
    data["operations"]["notice.send"]["ask"]["operation"] = "nope"
    with pytest.raises(registry.DeclarationError, match="no operation 'nope'"):
        registry.parse(json.dumps(data, ensure_ascii=False))
