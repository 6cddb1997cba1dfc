"""Lane order: one head, never an older state after a newer, and what holds or lets pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retry_queue.ledger import lane, records
from retry_queue.ledger.states import DeliveryState as State

NONE: dict[str, str] = {}
SKIPPING = {"r": lane.SKIP, "s": lane.SKIP}
SUPERSEDING = {"r": lane.SUPERSEDE, "s": lane.SUPERSEDE}


def waiting(number: int, state: State = State.PENDING, wait: float = 0.0, **more: Any) -> lane.Waiting:
    given_ = {"route_key": "r", "position": 0, "kind": "act", "version": None} | more
    return lane.Waiting(id=number, lane="erp/order/1", state=str(state), wait=wait, **given_)


def state(number: int, version: float | None, state_: State = State.PENDING, **more: Any) -> lane.Waiting:
    return waiting(number, state_, kind="state", version=version, **more)


def head(view: lane.Lane) -> int | None:
    return view.head.id if view.head else None


def test_the_oldest_goes_first() -> None:
    view = lane.order([waiting(1), waiting(2), waiting(3)], NONE)
    assert (head(view), view.superseded, view.next_wait) == (1, (), 0.0)


def test_an_empty_lane_has_nothing_to_do() -> None:
    assert lane.order([], NONE) == lane.Lane(None, (), None)


def test_of_waiting_states_only_the_newest_goes() -> None:
    view = lane.order([state(1, 10), state(2, 30), state(3, 20)], NONE)
    assert (head(view), view.superseded, view.next_wait) == (2, (1, 3), None)


def test_the_same_moment_is_decided_by_arrival() -> None:
    assert lane.order([state(1, 10.0), state(2, 10.0002)], NONE).superseded == (1,)
    assert lane.order([state(1, 10.0002), state(2, 10.0)], NONE).superseded == (1,)


def test_a_state_without_version_is_as_new_as_its_arrival() -> None:
    assert lane.order([state(1, 10), state(2, None)], NONE).superseded == (1,)
    assert lane.order([state(1, None), state(2, 10)], NONE).superseded == (1,)
    assert lane.order([state(1, None), state(2, None)], NONE).superseded == (1,)


def test_states_of_different_targets_do_not_replace_each_other() -> None:
    view = lane.order([state(1, 10), state(2, 20, route_key="s"), state(3, 30, position=1)], NONE)
    assert (head(view), view.superseded) == (1, ())


def test_acts_are_never_merged() -> None:
    assert lane.order([waiting(1, version=1), waiting(2, version=2)], NONE).superseded == ()


def test_a_newer_state_replaces_one_that_waits_for_its_retry() -> None:
    view = lane.order([state(1, 10, State.RETRYING, wait=600), state(2, 20)], NONE)
    assert (head(view), view.superseded) == (2, (1,))


def test_an_interrupted_head_comes_first_whatever_else_there_is() -> None:
    queue = [waiting(1), state(2, 20, State.IN_FLIGHT), state(3, 30), waiting(4, State.PARKED)]
    assert head(lane.order(queue, NONE)) == 2
    assert lane.order(queue, NONE).superseded == ()
    assert head(lane.order([waiting(1, State.PARKED), waiting(2, State.IN_FLIGHT)], NONE)) == 2


def test_a_state_older_than_the_interrupted_one_is_not_sent_after_it() -> None:
    view = lane.order([state(1, 20, State.IN_FLIGHT), state(2, 10)], NONE)
    assert (head(view), view.superseded) == (1, (2,))


def test_a_failing_head_holds_the_lane() -> None:
    view = lane.order([waiting(1, State.RETRYING, wait=30), waiting(2)], NONE)
    assert (head(view), view.next_wait) == (None, 30)


def test_skip_goes_past_a_failing_head_and_wakes_for_it() -> None:
    view = lane.order([waiting(1, State.RETRYING, wait=30), waiting(2)], SKIPPING)
    assert (head(view), view.next_wait, view.passed) == (2, 30, (1,))


def test_supersede_ends_a_parked_state_when_a_newer_one_comes() -> None:
    queue = [state(1, 10, State.PARKED), state(2, 20)]
    assert lane.order(queue, NONE) == lane.Lane(None, (), None), "hold waits for a person"
    view = lane.order(queue, SUPERSEDING)
    assert (head(view), view.superseded) == (2, (1,))
    acts = [waiting(1, State.PARKED), waiting(2)]
    assert lane.order(acts, SUPERSEDING) == lane.Lane(None, (), None), "what is done once is never replaced"
    older = [state(1, 20, State.PARKED), state(2, 10)]
    assert lane.order(older, SUPERSEDING).superseded == ()
    other = [state(1, 10, State.PARKED), state(2, 20, position=1)]
    assert head(lane.order(other, SUPERSEDING)) is None


def test_a_parked_head_holds_or_is_passed() -> None:
    queue = [waiting(1, State.PARKED), waiting(2)]
    assert lane.order(queue, NONE) == lane.Lane(None, (), None)
    assert head(lane.order(queue, SKIPPING)) == 2


def test_a_parked_one_holds_only_what_comes_after_it() -> None:
    view = lane.order([waiting(1), waiting(2, State.PARKED), waiting(3)], NONE)
    assert (head(view), view.next_wait) == (1, None)


def test_what_was_told_to_wait_lets_others_pass() -> None:
    """``after: 3d`` is a wish, not a failure: it must not hold a lane for three days."""
    view = lane.order([waiting(1, wait=3 * 86400.0), waiting(2, route_key="s")], NONE)
    assert (head(view), view.next_wait) == (2, 3 * 86400.0)


def test_nothing_due_says_when_to_look_again() -> None:
    assert lane.order([waiting(1, wait=50), waiting(2, wait=20)], NONE) == lane.Lane(None, (), 20)


_waitings = st.lists(
    st.builds(
        lambda state_, wait, kind, version, route, position: waiting(
            0, state_, wait, kind=kind, version=version, route_key=route, position=position
        ),
        st.sampled_from([State.PENDING, State.RETRYING, State.IN_FLIGHT, State.PARKED]),
        st.sampled_from([-5.0, 0.0, 0.5, 60.0]),
        st.sampled_from(["state", "act"]),
        st.one_of(st.none(), st.integers(1, 6).map(float)),
        st.sampled_from(["r", "s"]),
        st.integers(0, 1),
    ),
    max_size=8,
)


@given(_waitings, st.sampled_from([NONE, {"r": lane.SKIP}, SKIPPING, SUPERSEDING]))
def test_whatever_waits_the_decision_is_sound(queue: list[lane.Waiting], policies: dict[str, str]) -> None:
    queue = [replace(one, id=place) for place, one in enumerate(queue, 1)]
    by_id = {one.id: one for one in queue}
    view = lane.order(queue, policies)
    if view.head is not None:
        assert view.head.id in by_id
        assert view.head.id not in view.superseded
        assert view.head.state != State.PARKED
        assert view.head.wait <= 0 or view.head.state == State.IN_FLIGHT
    if any(one.state == State.IN_FLIGHT for one in queue):
        assert view.head is not None
        assert view.head.state == State.IN_FLIGHT
    for number in view.superseded:
        gone = by_id[number]
        assert gone.kind == "state"
        assert gone.state in (State.PENDING, State.RETRYING) or policies == SUPERSEDING
        heirs = [
            one for one in queue
            if one.id not in view.superseded and one.kind == "state" and one.state != State.PARKED
            and (one.route_key, one.position) == (gone.route_key, gone.position)
        ]  # fmt: skip
        assert heirs, "a state may only go when a newer one of its target stays"
    # Nothing that is left may be forgotten: the lane says when to look again, or a parked one holds it.
    left = [
        one for one in queue
        if one.id not in view.superseded and one.state != State.PARKED and one is not view.head
    ]  # fmt: skip
    held = any(one.state == State.PARKED and policies.get(one.route_key) != lane.SKIP for one in queue)
    if left and not held:
        assert view.next_wait is not None


# --- a whole life of a lane, by the decisions alone ------------------------------------------------


@dataclass
class Row:
    id: int
    version: float | None
    state: State
    due: float


def _run(steps: list[tuple[Any, ...]], policies: dict[str, str]) -> list[Row]:
    """Plays a lane of one route target: plan | deliver with an outcome | crash | replay | time passes."""
    table: list[Row] = []
    sent: list[Row] = []
    now = 0.0

    def view() -> lane.Lane:
        open_ = [
            state(row.id, row.version, row.state, wait=row.due - now)
            for row in table
            if row.state in (State.PENDING, State.IN_FLIGHT, State.RETRYING, State.PARKED)
        ]
        return lane.order(open_, policies)

    for kind, *more in steps:
        if kind == "plan":
            table.append(Row(len(table) + 1, more[0], State.PENDING, now))
        elif kind == "later":
            now += more[0]
        elif kind == "replay":
            for row in table:
                if row.state is State.PARKED:
                    row.state, row.due = State.PENDING, now
        else:
            seen = view()
            for row in table:
                if row.id in seen.superseded:
                    row.state = State.SUPERSEDED
            if seen.head is None:
                continue
            row = table[seen.head.id - 1]
            sent.append(replace(row))
            row.state = State(more[0])
            row.due = now + more[1]
    return sent


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.integers(1, 9).map(float)),
        st.tuples(st.just("later"), st.sampled_from([1.0, 30.0])),
        st.tuples(st.just("replay")),
        st.tuples(
            st.just("deliver"),
            st.sampled_from([State.DELIVERED, State.RETRYING, State.IN_FLIGHT, State.DEAD, State.PARKED]),
            st.sampled_from([0.0, 10.0]),
        ),
    ),
    max_size=25,
)


@settings(max_examples=300)
@given(_steps, st.sampled_from([NONE, SUPERSEDING]))
def test_a_holding_lane_never_sends_an_older_state_after_a_newer(
    steps: list[tuple[Any, ...]], policies: dict[str, str]
) -> None:
    newest: float | None = None
    # Intake keeps stale states out: what is planned is never older than what was planned before it.
    top = 0.0
    sound = []
    for step in steps:
        if step[0] == "plan":
            if step[1] < top:
                continue
            top = step[1]
        sound.append(step)
    for row in _run(sound, policies):
        assert newest is None or not records.older(row.version, newest)
        newest = row.version


def test_two_packages_of_one_order_share_a_lane_and_both_arrive() -> None:
    """Their records are linked, so they wait in one lane; the newer package is no newer state of the older one."""
    view = lane.order([state(1, 10, record_id=7), state(2, 20, record_id=8), state(3, 30, record_id=7)], NONE)
    assert (head(view), view.superseded, view.next_wait) == (2, (1,), 0.0)


# --- when the lane is looked at again -----------------------------------------------------------


def claimed(**more: Any) -> lane.ClaimedDelivery:
    given_: dict[str, Any] = dict.fromkeys(lane.ClaimedDelivery.__dataclass_fields__) | {"more": False} | more
    return lane.ClaimedDelivery(**given_)


@pytest.mark.parametrize(
    ("state_", "delay", "hold", "more", "expected"),
    [
        (State.DELIVERED, 0.0, True, {}, None),
        (State.DELIVERED, 0.0, True, {"more": True, "next_wait": 7.0}, 7.0),
        (State.DEAD, 0.0, True, {"more": True, "next_wait": 0.0}, 0.0),
        (State.RETRYING, 30.0, True, {"more": True, "next_wait": 0.0}, 30.0),
        (State.RETRYING, 30.0, False, {"more": True, "next_wait": 0.0}, 0.0),
        (State.RETRYING, 30.0, False, {"more": True, "next_wait": 90.0}, 30.0),
        (State.RETRYING, 30.0, False, {}, 30.0),
        (State.PENDING, 0.0, True, {}, 0.0),
        (State.PARKED, 0.0, True, {"more": True, "next_wait": 0.0}, None),
        (State.PARKED, 0.0, False, {"more": True, "next_wait": 4.0}, 4.0),
        (State.PARKED, 0.0, False, {}, None),
    ],
)
def test_the_lane_waits_as_long_as_its_policy_says(
    state_: State, delay: float, hold: bool, more: dict[str, Any], expected: float | None
) -> None:
    result = lane.Result(claimed(**more), state_, str(state_), 0.0, delay, hold=hold)
    assert lane.lane_wait(result) == expected
