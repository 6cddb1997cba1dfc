"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_queue.sync import backoff

_jitter = st.floats(0, 1, exclude_max=True)


def test_the_schedule_lasts_about_two_and_a_half_days_and_ends() -> None:
    waits = [backoff.after(n, 0.5).delay for n in range(1, len(backoff.SCHEDULE) + 1)]
    assert waits == list(backoff.SCHEDULE)
    assert 2 * 86400 < sum(backoff.SCHEDULE) < 3 * 86400
    assert backoff.after(len(backoff.SCHEDULE) + 1, 0.5).delay is None


@given(st.integers(-3, len(backoff.SCHEDULE)), _jitter)
def test_the_jitter_moves_by_a_fifth_at_most(failures: int, jitter: float) -> None:
    planned = backoff.SCHEDULE[max(failures, 1) - 1]
    delay = backoff.after(failures, jitter).delay
    assert delay is not None
    assert planned * 0.8 <= delay < planned * 1.2001


@given(st.integers(1, len(backoff.SCHEDULE)), _jitter, st.floats(0, 1e6))
def test_what_the_vendor_asked_for_is_never_undercut(failures: int, jitter: float, asked: float) -> None:
    delay = backoff.after(failures, jitter, at_least=asked).delay
    assert delay is not None
    assert delay >= asked


def test_another_schedule_ends_where_it_ends() -> None:
    assert backoff.after(1, 0.5, schedule=(3.0,)).delay == pytest.approx(3.0)
    assert backoff.after(2, 0.5, schedule=(3.0,)).delay is None
