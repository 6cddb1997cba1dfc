"""A process at its limit delivers what is planned before it plans more of a crowd; any other plans on."""

from __future__ import annotations

import pytest

from retry_queue import turns


class Clock:
    def __init__(self) -> None:
        self.wall = self.cpu = 100.0

    def stock(self) -> turns.Stock:
        return turns.Stock(lambda: self.cpu, lambda: self.wall)

    def passes(self, seconds: float, busy: float) -> None:
        self.wall += seconds
        self.cpu += seconds * busy


@pytest.mark.parametrize(
    ("busy", "refills", "enough"),
    [
        (0.95, [(64, 64)], True),
        (0.95, [(64, 64), (64, 63)], False),  # one of them has nothing left
        (0.95, [(64, 0), (64, 64)], False),
        (0.95, [], False),  # nobody asked: there may be nothing to deliver at all
        (0.3, [(64, 64)], False),  # its target is slow
    ],
)
def test_planning_waits_only_for_a_process_that_has_both_hands_full(
    busy: float, refills: list[tuple[int, int]], enough: bool
) -> None:
    clock = Clock()
    stock = clock.stock()
    stock.planning()
    clock.passes(0.2, busy)
    for wanted, got in refills:
        stock.refilled(wanted, got)
    assert stock.enough() is enough


def test_a_full_claim_of_long_ago_says_nothing() -> None:
    clock = Clock()
    stock = clock.stock()
    stock.refilled(64, 64)
    clock.passes(turns.ENOUGH + 0.1, 1.0)
    stock.planning()
    clock.passes(0.2, 1.0)
    assert not stock.enough()


def test_the_wait_ends_when_a_target_runs_short() -> None:
    clock = Clock()
    stock = clock.stock()
    stock.planning()
    clock.passes(0.2, 1.0)
    stock.refilled(64, 64)
    assert stock.enough()
    stock.refilled(64, 10)
    assert stock.short.is_set()
    stock.planning()
    assert not stock.short.is_set()
