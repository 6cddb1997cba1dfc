"""The arithmetic behind docs/scaling.md, and that the document shows what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.bench import sizing

ROOT = Path(__file__).resolve().parents[3]


def test_a_size_is_rate_times_cost() -> None:
    measured = sizing.Measured(1000, 500, 300, going_bytes=500, staying_bytes=500, body_bytes=1000)
    rules = sizing.Rules(load=0.5, server_cores=16, pool=10, keep_days=10)
    found = sizing.size(10_000, measured, rules)
    assert (found.api, found.workers) == (20, 40)
    assert found.postgres_cores == 6
    assert found.ledgers == 1
    assert found.connections == 600
    assert found.mb_per_s == 20.0
    assert found.tib_per_day == pytest.approx(10_000 * 2000 * 86400 / 2**40)
    assert found.tib_kept == pytest.approx(10_000 * 1500 * 86400 * 10 / 2**40)
    assert found.tib_staying_a_year == pytest.approx(10_000 * 500 * 86400 * 365 / 2**40)
    assert sizing.size(100_000, measured, rules).ledgers == 4
    assert sizing.size(1, measured, rules).api == 1


def test_what_costs_twice_wants_twice() -> None:
    dear = replace(sizing.MEASURED, postgres_us=2 * sizing.MEASURED.postgres_us)
    cheap, twice = sizing.size(100_000), sizing.size(100_000, dear)
    assert abs(twice.postgres_cores - 2 * cheap.postgres_cores) <= 1


def test_the_document_shows_this_table() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert "\n".join(sizing.rows()) in text
    for name in ("ingress_per_s", "worker_per_s", "postgres_us", "going_bytes", "staying_bytes", "body_bytes"):
        assert f"| {getattr(sizing.MEASURED, name):,.0f} " in text, name
