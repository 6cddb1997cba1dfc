"""Every operation of every connector, called through the client against the connector's own simulator."""

from __future__ import annotations

import pytest

from connectors.core import declaration
from tests.conformance import rehearsal, rules_declared, ruling
from tests.conformance.ruling import Problem, dynamic

WORKS = dynamic("operations_work")
OPERATIONS = [(id, name) for id in ruling.IDS for name in ruling.folder(id).spec.operations]
CONNECTIONS = [(id, name) for id in ruling.IDS for name in rehearsal.of(id).connections]
every_operation = pytest.mark.parametrize(("id", "operation"), OPERATIONS, ids=[f"{a}-{b}" for a, b in OPERATIONS])


@pytest.mark.parametrize(("id", "name"), CONNECTIONS, ids=[f"{a}-{b}" for a, b in CONNECTIONS])
async def test_every_connection_of_the_rehearsal_probes(id: str, name: str) -> None:
    async with rehearsal.stage(id) as stage:
        connection = stage.connection(name)
        outcome = await stage.caller.probe(connection)
        assert outcome.exchanges
        shown = repr(outcome.exchanges)
        assert not [key for key, secret in connection.secrets.items() if secret in shown]


def _problems(operation: declaration.Operation, outcome_of: rehearsal.Ran) -> list[str]:
    """What an answer that was taken for a success lacks."""
    outcome, found = outcome_of.outcome, []
    if operation.kind in ("get", "list") and not outcome.data:
        found.append("the simulator has nothing to show: prepare it in rehearsal.yaml")
    if operation.kind in ("write", "act") and not outcome_of.effects:
        found.append("a success, but nothing happened over there")
    if operation.kind != "list" and (operation.id or operation.id_input) and not outcome.record_id:
        found.append("no record id where the declaration says it is")
    if outcome.warnings:
        found.append(f"refused in part: {outcome.warnings}")
    if operation.entity is None and operation.kind in ("write", "act") and not rules_declared.inputs(operation):
        found.append("sends nothing of what the mapping makes")
    return found


@every_operation
async def test_every_operation_works_against_the_simulator(id: str, operation: str) -> None:
    async with rehearsal.stage(id) as stage:
        ran = await stage.rehearse(operation)
        seen = {one.operation for one in ran.outcome.exchanges}
        spec = stage.spec.operations[operation]
        problems = [Problem(operation, text) for text in _problems(spec, ran)]
        if spec.kind != "list" and spec.flow is None and operation not in seen:
            problems.append(Problem(operation, f"was not called, only {sorted(seen)}"))
        doubled = {one for one in ran.effects if ran.effects.count(one) > 1}
        problems += [Problem(operation, f"happened twice: {one}") for one in sorted(doubled)]
        ruling.settle(id, WORKS, problems, about=operation)
