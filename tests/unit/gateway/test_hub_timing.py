"""Timing and matching in hub.yaml: there and back again, and every mistake named with its line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import current, hub, hub_export, hub_file
from retry_queue.ledger import secrets, session, upkeep
from retry_queue.sync import site as sites

SEALER = secrets.Sealer("a master key of the test that is long enough")
HEAD = """\
apiVersion: shuniu/v1
connections:
  - {key: shop, connector: http, config: {verify_style: token, entity: order}, secrets: {hook_secret: secret-of-shop}}
  - {key: people, connector: http, config: {verify_style: token, entity: customer}, secrets: {hook_secret: another-one}}
  - {key: notes, connector: http, config: {base_url: "http://127.0.0.1:9100/http"}, state: paused}
templates:
  - {key: remind, text: "{customer.name}", recipients: ["{contact.owner}"], quota: {per: week, limit: 2, over: skip}}
"""
GOOD = (
    HEAD
    + """\
entities:
  customer:
    match:
      rules:
        - {by: [unionid], confidence: 1}
        - {by: [masked_phone, name], confidence: 0.7}
      merge_at: 0.95
routes:
  - key: remind
    from: {connection: people, entity: customer}
    when: 'event.message == "record"'
    to: [{connection: notes, operation: send, template: remind, mapping: message, quota: {per: day, limit: 1}}]
    after: 3d
    unless:
      - {connection: shop, entity: order, when: 'order.status == "paid"'}
      - {entity: after_sale}
    hours: {days: [mon, fri], from: 09:30, to: "18:00", zone: Asia/Shanghai,
            holidays: [2026-10-01], extra: [2026-10-10]}
"""
)


@pytest.fixture
async def ledger(sqlite_url: str) -> AsyncIterator[session.Ledger]:
    async with session.opened(sqlite_url, owner="test", pool=2) as made:
        async with made.write() as connection:
            await connection.run_sync(upkeep.metadata.create_all)
        yield made


def problems(text: str) -> dict[int, str]:
    """Line -> code of what is wrong with a file on an empty hub."""
    found = hub.check(hub_file.read(text, "hub.yaml"), current.Current({}, {}, {}, {}, {}))
    return {one.line: one.code for one in found}


async def test_timing_survives_being_applied_and_exported(ledger: session.Ledger) -> None:
    await hub.apply(ledger, SEALER, hub_file.read(GOOD, "hub.yaml"), actor="test")
    site = await sites.load(ledger, SEALER)
    route = site.routes["remind"]
    assert route.after == 3 * 86400
    assert [one.entity for one in route.unless] == ["order", "after_sale"]
    assert route.hours is not None
    assert (route.hours.start, route.hours.end, len(route.hours.holidays)) == ("09:30", "18:00", 1)
    assert [one.limit for one in route.to[0].quota] == [1]
    assert [one.over for one in site.templates["remind"].quota] == ["skip"]
    assert [rule.by for rule in site.match.rules] == [["unionid"], ["masked_phone", "name"]]
    assert site.match.merge_at == 0.95
    text, needed = await hub_export.export(ledger, SEALER)
    given = {name: "secret-of-shop" if name.startswith("SHOP") else "another-one" for name in needed}
    assert await hub.diff(ledger, SEALER, hub_file.read(text, "out.yaml", variables=given), prune=True) == []


def test_without_rules_sound_ones_hold() -> None:
    assert problems(HEAD) == {}


@pytest.mark.parametrize(("line", "instead", "code"), [
    ("{entity: after_sale}", "{entity: aftersale}", "unknown_entity"),
    ("{entity: after_sale}", "{entity: shipment, connection: shp}", "unknown_connection"),
    ("{entity: after_sale}", "{entity: shipment, connection: shop}", "never_emitted"),
    ("{entity: after_sale}", "{entity: order, when: 'order.status ='}", "condition"),
    ("{entity: after_sale}", "{entity: order, when: 'customer.name == 1'}", "condition_name"),
    ("{entity: after_sale}", "{entity: order, wen: 'x'}", "unknown_key"),
])  # fmt: skip
def test_what_cancels_is_looked_up(line: str, instead: str, code: str) -> None:
    found = problems(GOOD.replace(line, instead))
    assert list(found.values()) == [code]
    assert GOOD.splitlines()[next(iter(found)) - 1].strip().startswith("- {entity: after_sale}")


@pytest.mark.parametrize(("was", "instead"), [
    ("zone: Asia/Shanghai", "zone: Asia/Shangai"), ("days: [mon, fri]", "days: [monday]"), ("limit: 1", "limit: 0"),
    ("per: day", "per: hour"), ("over: skip", "over: drop"), ("holidays: [2026-10-01]", "holidays: [2026-13-01]"),
    ("confidence: 0.7", "confidence: 0.97"), ("merge_at: 0.95", "merge_at: 95"),
])  # fmt: skip
def test_what_makes_no_sense_is_named_with_its_line(was: str, instead: str) -> None:
    found = problems(GOOD.replace(was, instead))
    assert found
    lines = [GOOD.splitlines()[line - 1] for line in found]
    assert any(was.split(":")[0] in line or "match:" in line for line in lines), lines


def test_a_quota_is_for_acts_and_matching_for_customers() -> None:
    write = GOOD.replace("operation: send, template: remind, mapping: message", "operation: record.put")
    assert "quota_of_write" in problems(write).values()
    assert list(problems(GOOD.replace("  customer:\n    match:", "  order:\n    match:")).values()) == [
        "match_of_things"
    ]


def test_the_file_of_this_test_is_a_real_one(tmp_path: Path) -> None:
    assert problems(GOOD) == {}
