"""What a process holds, what it may act on, and what it must give back."""

from __future__ import annotations

import dataclasses

from retry_queue import holdings
from retry_queue.ledger import lane

BLANK = {field.name: None for field in dataclasses.fields(lane.ClaimedDelivery) if field.default is dataclasses.MISSING}


def held(name: str, fence: int) -> lane.ClaimedDelivery:
    given = {**BLANK, "connection_key": "erp", "lease": lane.Lease(name, fence, 1)}
    return lane.ClaimedDelivery(**given)  # type: ignore[arg-type]


def test_a_claim_is_in_doubt_until_it_is_answered() -> None:
    mine = holdings.Holdings()
    assert mine.claiming("erp") == ({}, False)
    assert mine.claiming("erp") == ({}, True), "the answer never came"
    mine.claimed("erp", [held("a", 1)])
    assert mine.claiming("erp") == ({"a": 1}, False)


def test_a_probe_under_way_is_not_given_back_by_the_next_claim() -> None:
    """A claim was lost, a probe went out, and the next claim gave the probe's lane to somebody else."""
    mine = holdings.Holdings()
    mine.claiming("erp")
    mine.took("erp", [held("probe", 7)])
    assert mine.claiming("erp") == ({"probe": 7}, True)
    mine.let_go(held("probe", 6))
    assert mine.claiming("erp")[0] == {"probe": 7}, "an older lease lets nothing go"
    mine.let_go(held("probe", 7))
    assert mine.claiming("erp")[0] == {}


def test_what_is_left_makes_the_next_claim_look() -> None:
    mine = holdings.Holdings()
    mine.claiming("erp")
    mine.claimed("erp", [held("a", 1)])
    mine.leave(held("a", 1))
    assert mine.claiming("erp") == ({}, True)


def test_a_seat_covers_what_was_claimed_on_it_while_it_is_heard_of() -> None:
    seat = holdings.Seat(100.0)
    assert seat.covers(101.0, 106.0)
    assert not seat.covers(101.0, 107.0), "nobody has heard of us for too long"
    seat.heard(106.5)
    assert seat.covers(101.0, 110.0)
    seat.anew(108.0)
    assert not seat.covers(101.0, 110.0), "claimed on a seat that was given away"
    assert seat.covers(109.0, 110.0)
