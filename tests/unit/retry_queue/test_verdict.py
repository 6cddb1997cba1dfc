"""From what a call ended in to what becomes of the delivery: the whole table."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.core import errors, model
from connectors.core.declaration import Idempotency
from mappings import errors as mapping_errors
from retry_queue.sync import backoff, verdict
from retry_queue.sync.verdict import Act


def of(error: BaseException, failures: int = 0, idempotent: Idempotency = Idempotency.KEY) -> verdict.Verdict:
    return verdict.of_error(error, failures=failures, idempotent=idempotent, jitter=0.5)


@pytest.mark.parametrize(
    ("outcome", "act", "reason"),
    [
        ({}, Act.DELIVERED, None),
        ({"already": True}, Act.DELIVERED, "already"),
        ({"warnings": ("userid 3 unknown",)}, Act.DELIVERED, "partial"),
        ({"waiting": True}, Act.WAIT, "waiting"),
        ({"waiting": True, "warnings": ("x",)}, Act.WAIT, "waiting"),
    ],
)
def test_what_came_back_well(outcome: dict[str, Any], act: Act, reason: str | None) -> None:
    found = verdict.of_outcome(model.Outcome(None, **outcome))
    assert (found.act, found.reason) == (act, reason)
    if act is Act.WAIT:
        assert found.delay > 0


def test_what_is_waited_for_is_told() -> None:
    found = verdict.of_outcome(model.Outcome(None, waiting=True, warnings=("退款中 (refunding)",)))
    assert "退款中" in found.words["zh"]
    assert "refunding" in found.words["en"]


def test_what_was_refused_in_part_is_told() -> None:
    found = verdict.of_outcome(model.Outcome(None, warnings=("userid 3", "userid 4")))
    assert "userid 3" in found.words["zh"]
    assert "userid 4" in found.words["en"]


@pytest.mark.parametrize(
    ("error", "act", "reason"),
    [
        (errors.Throttled("slow"), Act.WAIT, "throttled"),
        (errors.Unavailable("down"), Act.RETRY, "unavailable"),
        (errors.OutcomeUnknown("cut"), Act.RETRY, "unknown"),
        (errors.CredentialRefused("no"), Act.PAUSE, "credential"),
        (errors.Misdeclared("404"), Act.PARK, "misdeclared"),
        (errors.Rejected("bad"), Act.DEAD, "rejected"),
        (mapping_errors.MappingError("错", "wrong"), Act.PARK, "mapping"),
        (KeyError("bug"), Act.RETRY, "internal"),
    ],
)
def test_every_error_has_its_fate_and_words(error: BaseException, act: Act, reason: str) -> None:
    found = of(error)
    assert (found.act, found.reason) == (act, reason)
    assert found.words["zh"]
    assert found.words["en"]


def test_the_vendors_words_and_our_hint_are_both_shown() -> None:
    found = of(errors.Rejected("isv.invalid-parameter", code="41", hint={"zh": "请检查", "en": "check"}))
    assert found.words == {
        "zh": "请检查（对方回复：isv.invalid-parameter）",
        "en": "check (they said: isv.invalid-parameter)",
    }
    assert found.code == "41"


def test_throttling_never_burns_a_try_and_keeps_to_what_they_asked() -> None:
    for failures in (0, 5, 100):
        found = of(errors.Throttled("slow", retry_after=77), failures)
        assert (found.act, found.delay, found.banned) == (Act.WAIT, 77, None)
    assert of(errors.Throttled("slow")).delay == backoff.SCHEDULE[0]
    assert of(errors.Throttled("slow", retry_after=300, banned=True)).banned == 300
    assert of(errors.Throttled("slow", banned=True)).banned


def test_retries_follow_the_schedule_and_end_dead() -> None:
    for error in (errors.Unavailable("down"), errors.OutcomeUnknown("cut")):
        waits = [of(error, failures).delay for failures in range(len(backoff.SCHEDULE))]
        assert waits == list(backoff.SCHEDULE)
        last = of(error, len(backoff.SCHEDULE))
        assert (last.act, last.reason) == (Act.DEAD, of(error).reason)


@pytest.mark.parametrize("idempotent", [Idempotency.KEY, Idempotency.QUERY_FIRST])
def test_an_unknown_outcome_is_repeated_only_where_that_is_safe(idempotent: Idempotency) -> None:
    assert of(errors.OutcomeUnknown("cut"), idempotent=idempotent).act is Act.RETRY
    parked = of(errors.OutcomeUnknown("cut", code="c"), idempotent=Idempotency.NO)
    assert (parked.act, parked.reason, parked.code) == (Act.PARK, "outcome_unknown", "c")


def test_what_never_left_may_be_repeated_whatever_the_operation() -> None:
    assert of(errors.Unavailable("refused"), idempotent=Idempotency.NO).act is Act.RETRY


def test_refused_credentials_burn_nothing_however_often() -> None:
    assert {of(errors.CredentialRefused("no"), failures).act for failures in (0, 50)} == {Act.PAUSE}


def test_our_own_mistakes_are_retried_a_little_then_parked() -> None:
    assert [of(ValueError("x"), n).act for n in range(5)] == [Act.RETRY] * 3 + [Act.PARK] * 2
    assert "x" not in of(ValueError("13800000001")).words["en"].replace("ValueError", "")
    assert "13800000001" not in str(of(ValueError("13800000001")))
