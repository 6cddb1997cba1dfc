"""What the attempts of a flow tell its breaker: of each call whether it was answered, not only how the flow ended."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from retry_queue import gates
from retry_queue.ledger import breakers, lane
from retry_queue.ledger.states import DeliveryState
from retry_queue.sync import breaker
from retry_queue.sync import site as sites

ERP = ("erp", "")
SITE = cast(sites.Site, SimpleNamespace(live={}))
ROW = breakers.Row("erp", "", breakers.CLOSED, 0.0)


def attempt(*statuses: int | None, reason: str | None = None, **more: Any) -> lane.Result:
    """An attempt of a flow: the HTTP status of each of its calls, None where no answer came."""
    told = {"id": 1, "event_id": 1, "connection_key": "erp", "operation": "order.save", "probe": None} | more
    exchanges = orjson.dumps([{"status": one} for one in statuses]).decode() if statuses else None
    state = DeliveryState.RETRYING if reason else DeliveryState.DELIVERED
    delivery = cast(lane.ClaimedDelivery, SimpleNamespace(**told))
    return lane.Result(delivery, state, "retry" if reason else "delivered", 0.1, reason=reason, exchanges=exchanges)


def counted(found: gates.Gates, result: lane.Result) -> list[tuple[breakers.Place, bool | None]]:
    return [(place, call.ok) for place, call in found._calls(result, SITE)]


@pytest.fixture
def known() -> gates.Gates:
    """Something is being counted already, so that answers count as well."""
    made = gates.Gates()
    made._rows[ERP] = ROW
    return made


def test_a_lost_answer_does_not_make_the_answered_calls_before_it_bad(known: gates.Gates) -> None:
    lost = attempt(200, 200, None, reason="outcome_unknown")
    assert counted(known, lost) == [(ERP, True), (ERP, True), (ERP, False)]
    assert counted(known, attempt(200, None, 200, 200)) == [(ERP, True), (ERP, False), (ERP, True), (ERP, True)]


def test_what_it_answers_with_trouble_is_one_failed_call(known: gates.Gates) -> None:
    """Otherwise a system that takes everything but the last step would never be left alone."""
    assert counted(known, attempt(200, 200, 503, reason="unavailable")) == [(ERP, False)]
    assert counted(known, attempt(reason="unavailable")) == [(ERP, False)]


def test_health_is_not_counted_at_all() -> None:
    assert counted(gates.Gates(), attempt(200, 200, 200, 200)) == []


def test_the_last_call_of_a_flow_is_the_probe(known: gates.Gates) -> None:
    for result in (attempt(200, 200, probe=ERP), attempt(200, None, reason="unknown", probe=ERP)):
        calls = [call.probe for _, call in known._calls(result, SITE)]
        assert calls == [False, True]


def test_flows_at_a_system_that_loses_answers_all_the_time_go_on(known: gates.Gates) -> None:
    """Four calls each and 30 % of answers lost: three attempts of four fail, and the system is there all the same."""
    dice = random.Random(11)
    row, shut, at = ROW, 0, 0.0
    for _ in range(5_000):
        statuses: list[int | None] = []
        while len(statuses) < 4 and None not in statuses:
            statuses.append(None if dice.random() < 0.3 else 200)
        at += 0.2
        result = attempt(*statuses, reason="outcome_unknown" if None in statuses else None)
        calls = [call for _, call in known._calls(result, SITE)]
        row = breaker.decide(known.rule, row, calls, at) or ROW
        if row.shut:
            shut += 1
            row = breaker.closed_by(row, at)
    assert shut <= 2
    for _ in range(200):
        at += 0.2
        row = breaker.decide(known.rule, row, [breaker.Call(False)], at) or ROW
    assert row.shut, "it is down for all that"
