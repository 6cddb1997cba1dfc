"""What an event comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import errors as mapping_errors
from mappings import expression
from retry_queue.ledger import records
from retry_queue.ledger.states import EventState
from retry_queue.sync import echo, plan, route

REF = ("shop", "order", "T1")
NOW = 1_700_000_000.0


def order(**more: Any) -> dict[str, Any]:
    return {"id": "T1", "number": "T1", "status": "paid", "total": "188.00"} | more


def candidate(
    when: str | None = None, *, kinds: tuple[str, ...] = ("state",), open_: tuple[bool, ...] | None = None,
    key: str = "r",
) -> plan.Candidate:  # fmt: skip
    one = route.Route.model_validate({
        "key": key,
        "from": {"connection": "shop", "entity": "order"},
        "to": [{"connection": f"erp{place}", "operation": "put"} for place in range(len(kinds))],
    })  # fmt: skip
    holds = expression.condition(when) if when else None
    return plan.Candidate(one, holds, kinds, open_ or (True,) * len(kinds))


def known(canonical: Mapping[str, Any] | None = None, **more: Any) -> records.Known:
    given_: dict[str, Any] = {
        "id": 7, "connection_key": "shop", "entity": "order", "record": "T1", "link_id": 7, "number": None,
        "version": None, "fingerprint": echo.fingerprint(canonical) if canonical else None,
        "canonical": orjson.dumps(canonical).decode() if canonical else None, "wrote": None, "wrote_at": None,
        "hop": 0,
    } | more  # fmt: skip
    return records.Known(**given_)


def decide(
    canonical: Mapping[str, Any], version: float | None = 100.0, before: records.Known | None = None,
    wrote: Mapping[str, str] | None = None, candidates: tuple[plan.Candidate, ...] | None = None, **more: Any,
) -> plan.Plan:  # fmt: skip
    asked = (candidate(),) if candidates is None else candidates
    return plan.decide(REF, canonical, orjson.dumps(canonical).decode(), version, before, wrote, asked, NOW, **more)


def test_a_new_record_goes_to_every_open_target_of_every_matching_route() -> None:
    found = decide(
        order(),
        candidates=(
            candidate('order.status == "paid"', kinds=("state", "act")),
            candidate('order.status == "shipped"', key="no"),
            candidate(kinds=("state", "act"), open_=(False, True), key="half"),
        ),
    )
    assert found.ruling is EventState.PLANNED
    assert [(leg.route.key, leg.position, leg.kind) for leg in found.legs] == [
        ("r", 0, "state"), ("r", 1, "act"), ("half", 1, "act"),
    ]  # fmt: skip
    assert found.state == records.State(
        REF, "T1", 100.0, echo.fingerprint(order()), orjson.dumps(order()).decode(), 0, None, 0
    )


def test_what_is_missing_is_no_yes() -> None:
    assert decide(order(), candidates=(candidate("order.missing"),)).reason == "filtered"


def test_a_condition_sees_where_the_event_came_from() -> None:
    when = 'event.connection == "shop" && event.entity == "order" && event.record == "T1" && event.hop == 0'
    assert decide(order(), candidates=(candidate(when),)).ruling is EventState.PLANNED


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [((), "no_route"), ((candidate("false"),), "filtered"), ((candidate(open_=(False,)),), "filtered")],
)
def test_nothing_to_deliver_says_why_and_keeps_the_state(candidates: Any, reason: str) -> None:
    found = decide(order(), candidates=candidates)
    assert (found.ruling, found.reason) == (EventState.SKIPPED, reason)
    assert found.state is not None
    assert found.words == plan.SKIPS[reason]


def test_an_older_state_is_stale_and_changes_nothing() -> None:
    found = decide(order(status="created"), 99.0, known(order(), version=100.0))
    assert (found.reason, found.state) == ("stale", None)


def test_the_same_moment_is_not_older() -> None:
    found = decide(order(status="shipped"), 99.9998, known(order(), version=100.0))
    assert found.ruling is EventState.PLANNED


def test_what_has_no_version_is_taken() -> None:
    assert decide(order(status="x"), None, known(order(), version=100.0)).ruling is EventState.PLANNED
    assert decide(order(status="x"), 1.0, known(order(), version=None)).ruling is EventState.PLANNED


def test_acts_follow_an_occasion_also_when_the_record_reads_as_before() -> None:
    """A contact who is added again gets a welcome again; the ERP need not hear of it."""
    both = (candidate(kinds=("state", "act")), candidate('event.message == "other"', kinds=("act",), key="no"))
    found = decide(order(), 200.0, known(order()), candidates=both, occasion=True, message="added")
    assert [(leg.route.key, leg.kind) for leg in found.legs] == [("r", "act")]
    assert found.state is not None
    assert decide(order(), 200.0, known(order()), occasion=True).reason == "unchanged", "no act asks for it"
    echoed = decide(order(), 200.0, known(order(total="1.00")), {"total": echo.digest("188.00")}, both, occasion=True)
    assert [leg.kind for leg in echoed.legs] == ["act"]
    assert decide(order(), 200.0, known(order()), candidates=both, message="added").reason == "unchanged"


def test_unchanged_is_skipped_but_remembered_as_of_its_own_time() -> None:
    """A(10) · A(30) · B(20): without the memory of 30 the late B would win over the newer A."""
    found = decide(order(), 130.0, known(order(), version=100.0))
    assert found.reason == "unchanged"
    assert found.state is not None
    assert found.state.version == 130.0


def test_our_own_write_coming_back_is_skipped_and_kept() -> None:
    wrote = echo.digests(order(), ["status", "total"])
    found = decide(order(), 130.0, known(None, wrote_at=NOW - 1, hop=1), wrote)
    assert found.reason == "echo"
    assert found.state is not None
    assert found.state.hop == 1


def test_a_change_after_our_write_goes_on_with_its_hop() -> None:
    wrote = echo.digests(order(), ["status", "total"])
    found = decide(order(status="shipped"), 130.0, known(order(), wrote_at=NOW - 1, hop=2), wrote)
    assert (found.ruling, found.hop) == (EventState.PLANNED, 2)


def test_a_change_long_after_our_write_is_a_new_beginning() -> None:
    found = decide(order(status="shipped"), 130.0, known(order(), wrote_at=NOW - plan.HOP_MEMORY - 1, hop=5))
    assert found.hop == 0


def test_a_ring_of_systems_comes_to_an_end() -> None:
    before = known(order(), wrote_at=NOW - 1, hop=plan.HOP_LIMIT + 1)
    assert decide(order(status="x"), 130.0, before).reason == "hop_limit"
    before = known(order(), wrote_at=NOW - 1, hop=plan.HOP_LIMIT)
    assert decide(order(status="x"), 130.0, before).ruling is EventState.PLANNED


def test_a_replay_is_planned_though_nothing_changed() -> None:
    wrote = echo.digests(order(), ["status", "total"])
    found = decide(order(), 50.0, known(order(), version=100.0), wrote, replay=True)
    assert found.ruling is EventState.PLANNED


@pytest.mark.parametrize("when", ["order.total + 1 > 2", "order.total", "1"])
def test_a_condition_that_fails_is_the_callers_to_park(when: str) -> None:
    """Also one that ends in text or a number: it is not taken for a yes, nor silently for a no."""
    with pytest.raises(mapping_errors.ExpressionError):
        decide(order(), candidates=(candidate(when),))


def test_every_reason_has_words_in_both_languages() -> None:
    for reason, words in plan.SKIPS.items():
        assert words["zh"], reason
        assert words["en"], reason
        assert plan.skip(reason).words == words


def test_lanes_are_named_by_target_entity_and_link() -> None:
    assert plan.lane("k3", "order", 7) == "k3/order/7"


@given(st.permutations([(10.0, "a"), (20.0, "b"), (30.0, "a"), (40.0, "c"), (50.0, "b")]), st.data())
def test_whatever_the_order_of_arrival_the_newest_state_is_what_is_kept(
    arrivals: list[tuple[float, str]], data: Any
) -> None:
    """Also with duplicates, and with states that come back to what they were."""
    repeated = data.draw(st.lists(st.sampled_from(arrivals), max_size=4))
    before: records.Known | None = None
    sent: list[tuple[float, str]] = []
    for version, status in [*arrivals, *repeated]:
        canonical = order(status=status)
        found = decide(canonical, version, before)
        if found.state is not None:
            before = known(canonical, version=max(version, before.version or 0) if before else version)
        if found.ruling is EventState.PLANNED:
            sent.append((version, status))
    assert before is not None
    assert orjson.loads(str(before.canonical))["status"] == "b"
    assert sent == sorted(sent, key=lambda one: one[0])
    assert sent[-1][1] == "b"


def test_a_record_read_in_the_middle_of_our_write_came_back_as_somebodys_change() -> None:
    """Its hint was older than the write, and the read (of a system that had throttled us) was not."""
    before = known()
    begun = {plan.lane("shop", "order", 7): 100.0}
    assert not plan.under_way(REF, before, begun, plan.seen_at(before, 90.0, None))
    assert plan.under_way(REF, before, begun, plan.seen_at(before, 90.0, 101.0))
    assert not plan.under_way(REF, before, begun, plan.seen_at(before, 90.0, 99.0))
    assert plan.seen_at(None, 90.0, 101.0) == 90.0, "no write that began later has made it"
