"""Made-up requests to every operation of the OpenAPI document, right and wrong ones: never a 5xx, never another
error body than a problem, and no answer the document does not know."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from connectors.simulator import server
from gateway import problems
from tests.unit.gateway import desk as desks

EXAMPLES = 6
UNFUZZED = {"session_create", "token_delete", "live_listen"}
"""Slow by design (argon2); the token in use must live; a stream that does not end."""


def fuzz(base: str, token: str) -> tuple[int, list[str]]:
    """Calls made, and what was wrong with an answer."""
    schema = schemathesis.openapi.from_url(f"{base}/api/openapi.json")
    wrong: list[str] = []
    calls = 0

    def one(case: schemathesis.Case) -> None:
        nonlocal calls
        calls += 1
        answer = case.call(base_url=base, headers={"authorization": token})
        media = str(answer.headers.get("content-type"))
        what = f"{case.method} {case.path} {answer.status_code} {answer.text[:200]}"
        if answer.status_code >= 500 or (answer.status_code >= 400 and problems.MEDIA not in media):
            wrong.append(what)
        if str(answer.status_code) not in case.operation.definition.raw["responses"] and answer.status_code != 405:
            wrong.append(f"not in the document: {what}")

    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] in UNFUZZED:
            continue
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            run = settings(
                max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(hypothesis.given(case=operation.as_strategy(generation_mode=mode))(one))  # fmt: skip
            try:
                run()
            except hypothesis.errors.Unsatisfiable:
                continue  # nothing wrong can be sent to an operation that takes anything
    return calls, wrong


@pytest.mark.slow
async def test_no_request_gets_anything_but_an_answer_or_a_problem(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        owner = await desks.configured(desk)
        (number,) = await desk.receive(desks.event("shop", json.dumps(desks.ORDER), "d1", record="1001"))
        await desk.plan(number, desks.ORDER, desks.owed("notes", "order/1"))
        async with server.running(desk.app) as base:
            calls, wrong = await asyncio.to_thread(fuzz, base, owner.headers["authorization"])
        assert not wrong, "\n".join(sorted(set(wrong))[:30])
        assert calls > 300
