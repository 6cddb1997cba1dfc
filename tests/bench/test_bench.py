"""A very small bench: every figure is there, nothing is lost or delivered twice. Speed is not judged here."""

from __future__ import annotations

import asyncio

import pytest
from rich.console import Console

from gateway.bench import run

KEYS = {
    "ingress.per_s",
    "ingress.ratio",
    "end_to_end.per_s",
    "end_to_end.ratio",
    "end_to_end.idle_p50_ms",
    "end_to_end.cpu_ms_per_event",
    "embedded.end_to_end.per_s",
    "ceiling.end_to_end.per_s",
    "machine.cores",
}


@pytest.mark.postgres
@pytest.mark.timeout(240)
def test_the_bench_measures_and_nothing_is_lost() -> None:
    found = run.flat(asyncio.run(run.bench(run.Size(ingress=300, end_to_end=400, idle=10), Console(quiet=True))))
    assert set(found) >= KEYS
    assert found["duplicates"] == 0
    for database in ("postgres", "embedded"):
        assert found[f"{database}.ledger.difference"] == 0
        assert found[f"{database}.ledger.in_flight"] == 0
        assert found[f"{database}.end_to_end.refused"] == 0
    assert found["end_to_end.ratio"] > 0
