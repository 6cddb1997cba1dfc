"""Save, submit, audit: resumable from anywhere, because the system is asked where the record stands."""

from __future__ import annotations

import asyncio

import pytest

from connectors.core import errors
from tests.unit.connectors.conftest import answer, connected, declared

SPEC = declared(
    """
errors:
  - {match: [dup], becomes: done}
  - {match: [bad], becomes: rejected}
probe: view
operations:
  view:
    label: {zh: 查, en: view}
    kind: get
    path: /view
    json: {no: "${input.no}"}
    found: {path: body.doc, present: true}
    result: doc
    id: id
  save: {label: {zh: 存, en: save}, kind: write, path: /save, json: {no: "${input.no}"}, id: id, timeout: 0.4}
  submit:
    label: {zh: 交, en: submit}
    kind: act
    path: /submit
    json: {no: "${input.no}", id: "${record.id}"}
    timeout: 0.4
  audit: {label: {zh: 审, en: audit}, kind: act, path: /audit, json: {no: "${input.no}"}, timeout: 0.4}
  order.save:
    label: {zh: 单, en: order}
    kind: write
    idempotent: query_first
    defaults: {kind: plain}
    flow:
      lookup: view
      state: status
      steps:
        - {operation: save, when: [absent, Z]}
        - {operation: submit, when: [A, D]}
        - {operation: audit, when: [B]}
      done: [C]
      waiting: [W]
"""
)
WAITING = SPEC.model_copy(
    update={
        "operations": {
            **SPEC.operations,
            "order.save": SPEC.operations["order.save"].model_copy(
                update={"flow": SPEC.operations["order.save"].flow.model_copy(update={"waiting": ["B"]})}
            ),
        }
    }
)


def _revising():
    flow = SPEC.operations["order.save"].flow
    update = type(flow.steps[0])(operation="update", when=["A", "C"], existing=True)
    with_update = flow.model_copy(update={"steps": [flow.steps[0], update, *flow.steps[1:]]})
    operations = {
        **SPEC.operations,
        "update": SPEC.operations["save"].model_copy(update={"path": "/update"}),
        "order.save": SPEC.operations["order.save"].model_copy(update={"flow": with_update}),
    }
    return SPEC.model_copy(update={"operations": operations})


REVISING = _revising()


class Books:
    """A system where documents are saved, submitted and audited, in that order only."""

    def __init__(self, peer):
        self.peer = peer
        self.docs = {}
        self.trouble = {}
        self.tells = False
        peer.decide = self.decide

    async def decide(self, seen):
        no, verb = seen.json["no"], seen.path[1:]
        trouble = self.trouble.get(verb, [])
        now = trouble.pop(0) if trouble else None
        if now == "before":
            return answer({"errcode": "bad", "errmsg": f"{verb} refused"})
        found = self.act(verb, no)
        if now == "after":
            await asyncio.sleep(1)
        return answer(found)

    def act(self, verb, no):
        doc = self.docs.get(no)
        if verb == "view":
            return {"errcode": 0, "doc": doc} if doc else {"errcode": 0}
        if verb == "save":
            if doc:
                return {"errcode": "dup", "errmsg": "number in use"}
            self.docs[no] = {"id": 100512, "status": "A"}
            return {"errcode": 0, "id": 100512}
        if verb == "update":
            doc["revised"] = doc.get("revised", 0) + 1
            return {"errcode": 0}
        wanted, following = {"submit": ("A", "B"), "audit": ("B", "C")}[verb]
        if doc["status"] != wanted:
            return {"errcode": "bad", "errmsg": f"cannot {verb} in {doc['status']}"}
        doc["status"] = following
        return {"errcode": 0, "status": following} if self.tells else {"errcode": 0}

    def paths(self):
        found = [path[1:] for path in self.peer.paths()]
        self.peer.seen.clear()
        return found


@pytest.fixture
def books(peer):
    return Books(peer)


async def run(calls, peer, *, fresh=True, spec=SPEC):
    return await calls.call(connected(spec, peer.url), "order.save", {"no": "SO1"}, fresh=fresh)


async def test_fresh_goes_straight_through_and_looks_once_at_the_end(calls, peer, books):
    found = await run(calls, peer)
    assert peer.seen[1].json == {"no": "SO1", "id": "100512"}
    assert books.paths() == ["save", "submit", "audit", "view"]
    assert found.record_id == "100512"
    assert found.data["status"] == "C"
    assert (found.already, found.waiting) == (False, False)
    assert [seen.operation for seen in found.exchanges] == ["save", "submit", "audit", "view"]


async def test_a_system_that_takes_a_record_twice_is_asked_first_although_nothing_was_sent(calls, peer, books):
    flow = SPEC.operations["order.save"].flow.model_copy(update={"ask": True})
    asking = {**SPEC.operations, "order.save": SPEC.operations["order.save"].model_copy(update={"flow": flow})}
    spec = SPEC.model_copy(update={"operations": asking})
    await run(calls, peer, spec=spec)
    assert books.paths() == ["view", "save", "submit", "audit", "view"]
    await run(calls, peer, spec=spec)
    assert books.paths() == ["view"]


async def test_when_the_last_answer_tells_the_state_nobody_asks(calls, peer, books):
    books.tells = True
    await run(calls, peer)
    assert books.paths() == ["save", "submit", "audit"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, ["view", "save", "submit", "audit", "view"]),
        ("A", ["view", "submit", "audit", "view"]),
        ("B", ["view", "audit", "view"]),
        ("C", ["view"]),
    ],
)
async def test_resumed_from_anywhere(calls, peer, books, status, expected):
    if status:
        books.docs["SO1"] = {"id": 100512, "status": status}
    found = await run(calls, peer, fresh=False)
    assert books.paths() == expected
    assert found.already is (status == "C")
    assert found.record_id == "100512"


@pytest.mark.parametrize("verb", ["save", "submit", "audit"])
async def test_an_answer_that_got_lost_is_resumed_without_doing_anything_twice(calls, peer, books, verb):
    books.trouble[verb] = ["after"]
    with pytest.raises(errors.OutcomeUnknown) as caught:
        await run(calls, peer)
    assert caught.value.exchange[-1].operation == verb
    books.paths()
    found = await run(calls, peer, fresh=False)
    assert books.docs["SO1"]["status"] == "C"
    assert verb not in books.paths()
    assert found.record_id == "100512"


async def test_a_duplicate_on_a_fresh_run_is_looked_up_and_continued(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "A"}
    found = await run(calls, peer)
    assert books.paths() == ["save", "view", "submit", "audit", "view"]
    assert found.data["status"] == "C"


async def test_a_duplicate_of_something_invisible_is_a_rejection(calls, peer, books):
    books.docs["SO1"] = {"id": 1, "status": "A"}
    act = books.act
    books.act = lambda verb, no: {"errcode": 0} if verb == "view" else act(verb, no)
    with pytest.raises(errors.Rejected, match="number in use"):
        await run(calls, peer)


async def test_a_refused_save_is_a_rejection_at_once(calls, peer, books):
    books.trouble["save"] = ["before"]
    with pytest.raises(errors.Rejected, match="save refused") as caught:
        await run(calls, peer)
    assert books.paths() == ["save"]
    assert caught.value.operation == "save"


async def test_a_refused_audit(calls, peer, books):
    books.trouble["audit"] = ["before"]
    with pytest.raises(errors.Rejected, match="audit refused"):
        await run(calls, peer)
    assert books.paths() == ["save", "submit", "audit", "view"]


async def test_somebody_else_was_quicker(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "A"}
    act = books.act

    def race(verb, no):
        if verb == "submit":
            books.docs[no]["status"] = "C"
        return act(verb, no)

    books.act = race
    found = await run(calls, peer, fresh=False)
    assert found.data["status"] == "C"
    assert books.paths() == ["view", "submit", "view"]


async def test_a_record_that_was_there_is_brought_up_to_date_even_when_done(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "C"}
    found = await run(calls, peer, fresh=False, spec=REVISING)
    assert books.paths() == ["view", "update", "view"]
    assert (found.already, found.data["revised"]) == (False, 1)
    await run(calls, peer, spec=REVISING)
    assert books.paths() == ["save", "view", "update", "view"]


async def test_a_record_this_run_made_is_not_updated_again(calls, peer, books):
    await run(calls, peer, spec=REVISING)
    assert books.paths() == ["save", "submit", "audit", "view"]


async def test_a_refused_update_of_a_done_record_is_no_success(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "C"}
    books.trouble["update"] = ["before"]
    with pytest.raises(errors.Rejected, match="update refused"):
        await run(calls, peer, fresh=False, spec=REVISING)


async def test_waiting_for_a_workflow(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "W"}
    found = await run(calls, peer, fresh=False)
    assert (found.waiting, found.already, found.record_id) == (True, False, "100512")
    assert books.paths() == ["view"]


async def test_an_audit_that_a_workflow_refuses_waits_with_the_reason(calls, peer, books):
    books.trouble["audit"] = ["before"] * 5
    found = await run(calls, peer, spec=WAITING)
    assert found.waiting
    assert found.warnings == ("audit refused",)
    assert books.paths() == ["save", "submit", "audit", "view"]
    again = await run(calls, peer, spec=WAITING, fresh=False)
    assert again.waiting
    assert books.paths() == ["view", "audit", "view"]
    books.trouble.clear()
    assert (await run(calls, peer, spec=WAITING, fresh=False)).data["status"] == "C"


async def test_an_accepted_step_that_does_not_show_is_asked_for_later_and_not_sent_again(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "B"}
    books.act = lambda verb, no: {"errcode": 0, "doc": books.docs[no]} if verb == "view" else {"errcode": 0}
    with pytest.raises(errors.Unavailable, match="still in state 'B'"):
        await run(calls, peer, fresh=False)
    assert books.paths() == ["view", "audit", "view"]
    assert (await run(calls, peer, spec=WAITING, fresh=False)).waiting


async def test_a_state_nobody_knows(calls, peer, books):
    books.docs["SO1"] = {"id": 100512, "status": "X"}
    with pytest.raises(errors.Rejected, match="'X'") as caught:
        await run(calls, peer, fresh=False)
    assert caught.value.code == "X"


async def test_a_lookup_without_a_state(calls, peer, books):
    books.docs["SO1"] = {"id": 100512}
    with pytest.raises(errors.Misdeclared, match="status"):
        await run(calls, peer, fresh=False)


async def test_eight_runs_with_losses_everywhere_end_done_and_nothing_twice(calls, peer, books):
    books.trouble = {"save": ["after", None, "after"], "submit": ["after"] * 3, "audit": ["after"] * 3}

    async def deliver(no):
        fresh = True
        for _ in range(10):
            try:
                return await calls.call(connected(SPEC, peer.url), "order.save", {"no": no}, fresh=fresh)
            except errors.OutcomeUnknown:
                fresh = False
        raise AssertionError("never done")

    await asyncio.gather(*(deliver(f"SO{n}") for n in range(8)))
    assert {doc["status"] for doc in books.docs.values()} == {"C"}
    assert len(books.docs) == 8
