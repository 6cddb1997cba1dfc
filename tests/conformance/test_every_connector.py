"""Every connector folder, found by presence: its declaration, words, README, samples, vectors and waivers.

A new connector needs no line here: put the folder in place and this suite names what it still lacks.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.core import grade
from connectors.simulator import engine
from tests.conformance import proving, rehearsal, rules_declared, rules_samples, rules_words, ruling
from tests.conformance.ruling import Problem, Waiver

MODULES = (rules_declared, rules_samples, rules_words)
SHOPS = ("marketplace", "mall")
VECTORS: list[tuple[str, Any]] = [(id, one) for id in ruling.IDS for one in rules_samples.vectors(ruling.folder(id))]


@pytest.mark.parametrize("name", sorted(ruling.RULES))
@pytest.mark.parametrize("id", ruling.IDS)
def test_every_rule_holds(id: str, name: str) -> None:
    ruling.settle(id, name, ruling.RULES[name](ruling.folder(id)))


@pytest.mark.parametrize(("id", "vector"), VECTORS, ids=[f"{id}-{one['name']}" for id, one in VECTORS])
def test_every_vector_is_reproduced(id: str, vector: Any) -> None:
    assert proving.made(id, vector) == vector["expected"]


@pytest.mark.parametrize("id", ruling.IDS)
def test_every_rehearsal_names_what_exists(id: str) -> None:
    spec, plan = ruling.folder(id).spec, rehearsal.of(id)
    assert set(plan.calls) <= set(spec.operations)
    assert {one.source for one in plan.pushes} <= set(spec.events)
    named = {one.connection for one in [*plan.calls.values(), *plan.pushes]} - {None}
    assert named <= set(plan.connections)
    assert plan.expire or not any(one.token for one in spec.auth), "tokens that nobody can end"


@pytest.mark.parametrize("id", [id for id in ruling.IDS if ruling.folder(id).spec.category in SHOPS])
async def test_invented_buyers_order_at_every_simulated_shop(id: str) -> None:
    """What the button of a sandboxed connection needs."""
    async with engine.serve([id], time_scale=0.01) as url, httpx.AsyncClient(base_url=f"{url}/_sim/{id}") as panel:
        before = (await panel.get("/state")).json()
        made = await panel.post("/orders", json={"count": 2})
        assert made.status_code == 200, made.text
        assert (await panel.get("/state")).json() != before


@pytest.mark.parametrize("id", ruling.IDS)
def test_no_shipped_connector_is_below_silver(id: str) -> None:
    found = grade.of(id)
    assert found.level >= grade.Level.SILVER, [one.en for one in found.missing]


def test_every_waiver_is_about_something_that_exists() -> None:
    for one in ruling.waivers():
        assert one.connector in ruling.IDS, one
        assert one.rule in ruling.RULES or one.rule in ruling.DYNAMIC, one
    keys = [(one.connector, one.rule, one.about) for one in ruling.waivers()]
    assert len(keys) == len(set(keys))


def test_a_problem_fails_unless_waived_and_a_waiver_fails_unless_needed() -> None:
    problem = Problem("x", "is wrong")
    waiver = Waiver(connector="c", rule="r", about="x", reason="known, and mended with the next release")
    ruling.settle("c", "r", [problem], known=(waiver,))
    ruling.settle("c", "r", [], known=())
    with pytest.raises(AssertionError, match="is wrong"):
        ruling.settle("c", "r", [problem], known=())
    with pytest.raises(AssertionError, match="no longer needed"):
        ruling.settle("c", "r", [], known=(waiver,))
    with pytest.raises(AssertionError, match="is wrong"):
        ruling.settle("other", "r", [problem], known=(waiver,))
    ruling.settle("c", "r", [], about="y", known=(waiver,))


def test_there_is_something_to_check() -> None:
    assert len(ruling.IDS) >= 6
    assert len(VECTORS) >= 30
    assert len(ruling.RULES) >= 20
