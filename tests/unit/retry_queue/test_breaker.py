"""When a breaker opens, what it lets through, and how it comes back: decided without any clock or database."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from retry_queue.ledger import breakers
from retry_queue.sync import breaker

RULE = breaker.Rule()
ROW = breakers.Row("erp", "", breakers.CLOSED, 0.0)
BAD = breaker.Call(False, {"code": "unavailable", "zh": "不可用", "en": "down"})
GOOD = breaker.Call(True)


def after(row: breakers.Row, *calls: tuple[float, breaker.Call]) -> breakers.Row:
    """The breaker after calls at their times."""
    for at, call in calls:
        row = breaker.decide(RULE, row, [call], at) or replace(ROW, window_at=at)
    return row


def opened() -> breakers.Row:
    return after(ROW, *((float(n), BAD) for n in range(5)))


def test_failures_in_a_row_open_it_once_they_last() -> None:
    assert after(ROW, *((0.1 * n, BAD) for n in range(19))).state == breakers.CLOSED
    found = opened()
    assert (found.state, found.since, found.next_probe_at) == (breakers.OPEN, 4.0, 34.0)
    assert found.reason == BAD.words


def test_any_answer_ends_a_row_of_failures() -> None:
    calls = [(float(n), BAD if n % 4 else GOOD) for n in range(4)]
    assert after(ROW, *calls, (4.0, GOOD), (9.0, BAD)).streak == 1


def test_half_of_many_calls_open_it() -> None:
    calls = [(0.2 * n, BAD if n % 2 else GOOD) for n in range(24)]
    assert after(ROW, *calls).state == breakers.OPEN
    assert after(ROW, *((0.2 * n, BAD if n % 3 == 0 else GOOD) for n in range(60))).state == breakers.CLOSED


def test_what_was_under_way_before_it_opened_says_nothing() -> None:
    assert after(opened(), (4.1, GOOD), (4.2, BAD), (90.0, GOOD)) == opened()


def test_a_probe_decides() -> None:
    there = after(opened(), (35.0, replace(GOOD, probe=True)))
    assert (there.state, there.since) == (breakers.RAMPING, 35.0)
    down = after(opened(), (35.0, replace(BAD, probe=True)))
    assert (down.state, down.since, down.next_probe_at) == (breakers.OPEN, 4.0, 34.0), "since the outage began"
    nothing = after(opened(), (35.0, breaker.Call(None, probe=True)))
    assert (nothing.state, nothing.next_probe_at) == (breakers.OPEN, 35.0), "nothing was sent: another one may go"


def test_a_recovery_doubles_and_ends() -> None:
    there = after(opened(), (35.0, replace(GOOD, probe=True)))
    wide = [breaker.width(RULE, there, 35.0 + second, 16) for second in (0.0, 0.9, 1.0, 2.0, 3.0, 4.0, 7.9)]
    assert wide == [1, 1, 2, 4, 8, 16, 16]
    assert breaker.width(RULE, opened(), 40.0, 16) == 0
    assert breaker.decide(RULE, there, [GOOD], 44.0) is None


def test_a_recovery_that_fails_is_an_outage_again() -> None:
    there = after(opened(), (35.0, replace(GOOD, probe=True)))
    again = after(there, (36.0, BAD), (36.1, BAD), (36.2, BAD))
    assert (again.state, again.next_probe_at) == (breakers.OPEN, pytest.approx(66.2))


def test_a_system_that_loses_some_answers_is_called_on() -> None:
    """With 30 % lost a row of failures is chance: opened for it again and again, a queue hardly moved for good."""
    dice = random.Random(7)
    row, shut = ROW, 0
    for n in range(20_000):
        row = after(row, (0.7 * n, BAD if dice.random() < 0.3 else GOOD))
        if row.shut:
            shut += 1
            row = after(row, (0.7 * n, replace(GOOD, probe=True)))
    assert shut <= 2
    steady = after(ROW, *((0.5 * n, BAD if n % 3 == 0 else GOOD) for n in range(30)))
    assert after(steady, *((15.0 + n, BAD) for n in range(6))).state == breakers.CLOSED
    assert after(steady, *((15.0 + n, BAD) for n in range(12))).state == breakers.OPEN, "it is down for all that"
    long = after(ROW, *((n / 10, GOOD) for n in range(299)), *((29.9 + n / 100, BAD) for n in range(40)))
    assert after(long, (33.5, BAD)).state == breakers.OPEN, "a row that is longer than what is counted of it"
    there = after(opened(), (35.0, replace(GOOD, probe=True)), *((35.1 + n / 50, GOOD) for n in range(20)))
    assert after(there, *((36.0 + n / 50, BAD) for n in range(4))).state == breakers.RAMPING


def test_a_ban_opens_until_it_is_over() -> None:
    banned = after(ROW, (10.0, breaker.Call(True, banned=300.0)), (11.0, breaker.Call(True, banned=5.0)))
    assert (banned.state, banned.next_probe_at) == (breakers.OPEN, 310.0)
    assert banned.reason is not None
    assert banned.reason["code"] == "banned"


def test_a_person_goes_before_the_machine() -> None:
    held = breaker.opened_by(ROW, 5.0, "li")
    assert (held.state, held.by) == (breakers.OPEN, "li")
    assert held.next_probe_at >= breakers.NEVER
    assert after(held, (6.0, replace(GOOD, probe=True))) == held
    assert after(held, (6.0, breaker.Call(True, banned=30.0))) == held
    assert breaker.closed_by(held, 9.0).state == breakers.RAMPING


def test_health_leaves_nothing_to_remember() -> None:
    assert breaker.decide(RULE, ROW, [GOOD, GOOD], 1.0) is None
    counting = breaker.decide(RULE, ROW, [BAD, GOOD], 1.0)
    assert counting is not None
    assert breaker.decide(RULE, counting, [GOOD], 60.0) is None
