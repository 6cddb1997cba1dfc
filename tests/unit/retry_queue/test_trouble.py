"""When an alarm begins, is told, repeated, kept quiet and ended; how growth is counted. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pytest

from retry_queue.sync import alarm, alarm_words, trouble

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
TO = [{"connection": "duty", "operation": "robot.send"}]


def alert(*rules: Any, **more: Any) -> alarm.Alert:
    return alarm.Alert.model_validate({"key": "ops", "rules": list(rules) or ["dead"], "to": TO, **more})


def finding(kind: str = "needs_auth", subject: str = "erp", n: float = 1, **more: Any) -> alarm.Finding:
    return alarm.Finding(kind, subject, n, (subject,), **more)


def decide(
    given: alarm.Alert, at: float, held: list[trouble.Held], *found: alarm.Finding, last: float | None = None,
    growth: dict[tuple[str, str, float], float] | None = None,
) -> trouble.Ruling:  # fmt: skip
    return trouble.decide(given, at, held, trouble.fitting(given, found, growth or {}), last)


def numbered(ruling: trouble.Ruling) -> list[trouble.Held]:
    """As the ledger gives them back."""
    return [replace(one, id=one.id or place) for place, one in enumerate(ruling.kept, 1)]


def test_it_fires_is_told_once_repeated_and_ends_with_a_word() -> None:
    given = alert("needs_auth", repeat="1h")
    first = decide(given, NOON, [], finding())
    assert [(one.state, one.told_at) for one in first.kept] == [("firing", NOON)]
    assert [one.subject for one in first.fresh] == ["erp"]
    held = numbered(first)
    assert not decide(given, NOON + 600, held, finding(), last=NOON).tells
    again = decide(given, NOON + 3600, held, finding(), last=NOON)
    assert (len(again.fresh), len(again.lasting), again.kept[0].told_at) == (0, 1, NOON + 3600)
    over = decide(given, NOON + 4000, numbered(again), last=NOON + 3600)
    assert [(one.state, one.ended_at, one.end_told) for one in over.kept] == [("ended", NOON + 4000, True)]
    assert [one.subject for one in over.over] == ["erp"]


def test_what_must_last_waits_and_what_passes_by_itself_is_never_told() -> None:
    given = alert({"kind": "difference", "for": "1m"})
    found = alarm.Finding("difference", "", 2)
    first = decide(given, NOON, [], found)
    assert [one.state for one in first.kept] == ["waiting"]
    assert not first.tells
    gone = decide(given, NOON + 30, numbered(first))
    assert (gone.dropped, gone.kept, gone.tells) == ([1], [], False)
    fires = decide(given, NOON + 60, numbered(first), found)
    assert [one.state for one in fires.fresh] == ["firing"]


def test_messages_are_gathered_and_a_later_one_tells_how_all_stands() -> None:
    given = alert("needs_auth", gather="5m", repeat="4h")
    first = decide(given, NOON, [], finding())
    second = decide(given, NOON + 60, numbered(first), finding(), finding(subject="wms"), last=NOON)
    assert not second.tells
    third = decide(given, NOON + 300, numbered(second), finding(), finding(subject="wms"), last=NOON)
    assert ([one.subject for one in third.fresh], [one.subject for one in third.lasting]) == (["wms"], ["erp"])
    assert {one.told_at for one in third.kept} == {NOON + 300}, "what was in the message need not be repeated soon"


def test_outside_of_the_hours_only_what_is_always_told_goes_out_and_the_rest_at_the_opening() -> None:
    hours = {"from": "09:00", "to": "18:00"}
    given = alert("needs_auth", {"kind": "difference", "for": "0s", "always": True}, hours=hours)
    night = NOON + 10 * 3600
    off = alarm.Finding("difference", "", 1)
    first = decide(given, night, [], finding(), off)
    assert [one.kind for one in first.fresh] == ["difference"]
    morning = NOON + 21 * 3600
    opened = decide(given, morning, numbered(first), finding(), off, last=night)
    assert [one.kind for one in opened.fresh] == ["needs_auth"]
    mended = decide(given, morning, numbered(first), off, last=night)
    assert mended.over == [], "what nobody was told of ends without a word"


def test_an_acknowledged_alarm_is_not_repeated_but_its_end_is_told() -> None:
    given = alert("needs_auth", repeat="1h")
    (held,) = numbered(decide(given, NOON, [], finding()))
    taken = replace(held, acknowledged=True)
    assert not decide(given, NOON + 9000, [taken], finding(), last=NOON).tells
    assert [one.subject for one in decide(given, NOON + 9000, [taken], last=NOON).over] == ["erp"]


def test_without_the_resolved_message_an_end_is_silent() -> None:
    given = alert("needs_auth", resolved=False)
    ruling = decide(given, NOON + 99, numbered(decide(given, NOON, [], finding())), last=NOON)
    assert not ruling.tells
    assert [(one.state, one.end_told) for one in ruling.kept] == [("ended", True)]


def test_thresholds_connections_and_windows_choose() -> None:
    given = alert({"kind": "parked", "at_least": 3}, {"kind": "dead", "connections": ["erp"], "within": "10m"},
                  {"kind": "silent", "for": "2h"}, {"kind": "expiring", "within": "3d"})  # fmt: skip
    found = [
        finding("parked", n=2), finding("parked", "wms", 3), finding("dead", n=50), finding("dead", "wms", 50),
        finding("silent", n=7100), finding("silent", "shop", 7300), finding("expiring", "shop", 86400),
        finding("expiring", "mall", 9 * 86400),
    ]  # fmt: skip
    growth = {("dead", "erp", 600.0): 2.0, ("dead", "wms", 600.0): 50.0}
    fits = trouble.fitting(given, found, growth)
    assert set(fits) == {("parked", "wms"), ("dead", "erp"), ("silent", "shop"), ("expiring", "shop")}
    assert fits["dead", "erp"][1].n == 2, "told is how many came, not how many there are"


def test_growth_counts_what_came_in_the_window_also_when_something_was_mended() -> None:
    series: list[list[float]] = [[0.0, 5.0]]
    for at, n in ((100, 5), (200, 8), (300, 2), (400, 6)):
        series = trouble.recorded(series, at, 250.0, n)
    assert series == [[0.0, 5.0], [200, 8], [300, 2], [400, 6]]
    assert trouble.grown(series, 400, 250.0, 6) == 4
    assert trouble.grown(series, 400, 90.0, 6) == 4
    assert trouble.grown([[0.0, 5.0]], 400, 90.0, 5) == 0
    long: list[list[float]] = []
    for at in range(1000):
        long = trouble.recorded(long, at, 5000.0, at)
    assert len(long) <= trouble.SERIES + 1
    assert trouble.grown(long, 999, 5000.0, 999) == 999


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "fire"}, {"kind": "difference", "connections": ["erp"]}, {"kind": "drift", "within": "1h"},
        {"kind": "dead", "within": "2d"}, {"kind": "dead", "at_least": 0},
    ],
    ids=str,
)  # fmt: skip
def test_rules_that_say_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        alert(wrong)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_kind_has_its_words_and_long_lists_are_cut(language: str) -> None:
    for kind in alarm.KINDS:
        told = alarm_words.line(finding(kind, "erp", 7200, words={"zh": "原因", "en": "why"}))
        assert "{" not in told[language]
        assert ("原因" if language == "zh" else "why") in told[language]
    given = alert("needs_auth", language=language, label="值班")
    ruling = decide(given, NOON, [], *(finding(subject=f"c{n:03}") for n in range(50)))
    ruling.fresh = [replace(one, words={"zh": one.subject, "en": one.subject}) for one in ruling.fresh]
    body = alarm_words.message(given, ruling, "https://hub/alerts")
    assert body["text"].startswith(body["title"])
    assert "50" in body["title"]
    assert body["text"].count("•") == alarm_words.MOST
    assert "30" in body["text"].splitlines()[-1]
