"""When a trial may read the accounts: a source that was read before the last change has not told of its echo."""

from __future__ import annotations

import pytest

from gateway.trial.stage import Reading

STOOD = Reading(begun=4, goes_on=False, failures=0)


@pytest.mark.parametrize(
    ("before", "now", "anew"),
    [
        (STOOD, STOOD, False),
        (STOOD, Reading(5, goes_on=True, failures=0), False),
        (STOOD, Reading(5, goes_on=False, failures=1), False),
        (STOOD, Reading(5, goes_on=False, failures=0), True),
        (Reading(4, goes_on=True, failures=0), STOOD, False),  # that reading began before the change
        (Reading(4, goes_on=True, failures=0), Reading(6, goes_on=True, failures=0), True),
        (None, Reading(1, goes_on=True, failures=0), False),
    ],
)
def test_accounts_were_read_while_a_slow_system_still_had_changes_to_tell(
    before: Reading | None, now: Reading, anew: bool
) -> None:
    assert now.anew(before) is anew
