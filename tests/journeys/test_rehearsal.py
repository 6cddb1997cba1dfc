"""A great sale rehearsed in small, as ``./shuniu rehearse`` does it: real processes, simulators, a report."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from gateway.rehearsal import advice, page, recast, rehearsing, surge
from gateway.trial import stage

PLAN = rehearsing.Plan(rate=5, times=10, seconds=3, calm=1, drain=90, workers=1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets live below it."""
    with tempfile.TemporaryDirectory(prefix="sr-", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.timeout(300)
def test_a_small_sale_loses_and_doubles_nothing(folder: Path) -> None:
    told = asyncio.run(rehearsing.rehearse(folder, stage.shipped_hub_yaml(), PLAN, Console(quiet=True)))
    log = (folder / "hub.log").read_text(encoding="utf-8")[-3000:]
    assert told.sound, f"{told}\n{log}"
    assert told.accepted == sum(wave.sent for wave in told.waves) == 160
    assert (told.received, told.failed, told.owed) == (160, 0, 0), told.reasons
    assert told.states["k3"]["delivered"] == 160, "each order is one sales order"
    assert told.drained_after is not None
    shown = page.page(told)
    assert f"{told.accepted:,}" in shown
    assert not re.search(r"https?://|<script|src=", shown), "the report stands alone"


def test_what_cannot_be_played_is_named_and_no_secret_is_read() -> None:
    text = """
apiVersion: shuniu/v1
connections:
  - {key: shop, connector: taobao, config: {app_key: "1"}, secrets: {app_secret: "${NOT_SET_ANYWHERE}"}}
  - {key: erp, connector: kingdee, config: {server_url: "https://erp.example.com/k3cloud/", acct_id: a}}
  - {key: own, connector: own-office, config: {base_url: "https://own.example.com"}}
routes:
  - {key: a, from: {connection: shop, entity: order}, to: [{connection: erp, operation: sales_order.save}]}
  - {key: b, from: {connection: shop, entity: order}, to: [{connection: own, operation: x}]}
"""
    cast = recast.recast(text, recast.credentials(), "http://127.0.0.1:9")
    assert cast.doors == ["rehearsal-shop"]
    assert cast.left_out == ["own (own-office)", "b → own"]
    assert "example.com" not in cast.text, "nothing may reach the site's own systems"
    assert "NOT_SET_ANYWHERE" not in cast.text
    with pytest.raises(recast.NothingToRehearse):
        recast.recast("apiVersion: shuniu/v1\nconnections: []", {}, "http://127.0.0.1:9")


def outcome(**more: object) -> rehearsing.Outcome:
    wave = surge.Wave("burst", 50, 10, sent=500, accepted=500, waits=[0.01] * 500)
    cast = recast.Cast("", ["rehearsal-shop"], {"erp": "kingdee"}, [])
    made = rehearsing.Outcome(rehearsing.Plan(), [wave], cast, drained_after=3.0, received=500)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_verdict_and_the_advice_follow_the_figures() -> None:
    assert outcome().verdict == "ready"
    assert outcome(lost=1).verdict == outcome(double=2).verdict == outcome(difference=-1).verdict == "broken"
    assert outcome(drained_after=None, owed=7, states={"erp": {"pending": 7}}).verdict == "slow"
    assert outcome(states={"erp": {"dead": 1}}).verdict == "slow"
    slow = outcome()
    slow.waves[0].waits = [2.0] * 500
    assert slow.verdict == "slow"
    moments = [rehearsing.Moment(float(at), 0, 0, 1000 - 5 * at) for at in range(100)]
    late = outcome(owed=505, drained_after=None, moments=moments, states={"erp": {"pending": 505}, "crm": {}})
    assert late.ending == pytest.approx(101.0)
    words = " ".join(en for _zh, en in advice.of(late))
    assert "erp" in words
    assert "2 more minutes" in words
    assert "lost" not in " ".join(en for _zh, en in advice.of(outcome()))


def test_the_page_shows_foreign_words_as_text() -> None:
    bad = "<img src=x onerror=alert(1)>"
    told = outcome(states={bad: {"dead": 3}}, reasons=[(bad, 3)])
    shown = page.page(told, datetime(2026, 11, 11, tzinfo=UTC))
    assert "<img" not in shown
    assert "&lt;img" in shown
    assert "2026-11-11" in shown
