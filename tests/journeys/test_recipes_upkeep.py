"""Recipes that keep two systems equal and tell people when something is wrong, on one hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import current
from gateway.api import paging
from gateway.api import reconciliations as comparing
from gateway.trial import stage as stages
from retry_queue import replay
from retry_queue.ledger import configuration, deliveries, findings, reconciliations
from tests.journeys.casting import cast, connect
from tests.journeys.seeing import effects, reached, rows

ERPS = ("kingdee", "yonyou", "jdy")
ROBOTS = ("dingtalk", "wecom", "feishu")
FRESH, OVER = "新出现", "已恢复"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[stages.Stage]:
    """A hub with a CRM, three ERPs, a shop and three office apps; the customers of the CRM are known."""
    async with stages.running(folder, pace=0.05, introduced=False, time_scale=0.05) as place:
        await connect(place, "crm", *ERPS, "pdd", *ROBOTS, crm={"intake": "both"})
        everybody = len((await place.panel("crm/state"))["customers"])

        async def known() -> bool:
            text = "SELECT count(*) AS n FROM records WHERE connection_key = 'crm' AND entity = 'customer'"
            return int((await rows(place, text))[0].n) >= everybody and (await place.balance()).in_flight == 0

        await stages.until(known, 90, "customers")
        yield place


async def compared(place: stages.Stage, schedule: str) -> tuple[int, dict[str, list[str]]]:
    """Compares what a schedule compares, up to now; returns the run and, by kind of finding, the records."""
    async with place.ledger.write() as db:
        now = await place.ledger.now()
        window = {"since": paging.instant(now - 3600.0), "until": paging.instant(now + 5.0)}
        body = comparing.ReconciliationStart.model_validate({"schedule": schedule, **window})
        number = await reconciliations.create(db, comparing.asked(body, await current.load(db), now, "tester"), now)

    async def done() -> bool:
        (row,) = await rows(place, f"SELECT state, detail FROM reconciliations WHERE id = {number}")
        assert row.state != "failed", row.detail
        return bool(row.state == "done")

    await reached(place, done, 60, f"the comparison {schedule}")
    async with place.ledger.read() as db:
        found = await findings.search(db, findings.Filter(number), limit=1000)
    kinds: dict[str, list[str]] = {}
    for one in found:
        kinds.setdefault(one.kind, []).append(str(one.left_record or one.right_record))
    return number, {kind: sorted(records) for kind, records in kinds.items()}


async def mended(place: stages.Stage, number: int) -> None:
    """Mends everything a comparison found, as the button does."""
    async with place.ledger.write() as db:
        await findings.ask(db, findings.Filter(number))

    async def done() -> bool:
        found = await rows(place, f"SELECT state, detail FROM findings WHERE reconciliation_id = {number}")
        assert "failed" not in {one.state for one in found}, found
        return {one.state for one in found} == {"repaired"}

    await reached(place, done, 60, "the repairs")


async def at_once(place: stages.Stage) -> None:
    """Alerts as installed, but for the minute in which they gather what to say; waits until they are watched."""
    async with place.ledger.read() as db:
        installed = await configuration.setting(db, current.ALERTS)
    alerts = [{**one, "gather": 0} for one in installed]
    await place.apply(yaml.safe_dump({"apiVersion": "shuniu/v1", "alerts": alerts}))
    assert {(one["key"], one["to"][0]["connection"]) for one in alerts} == {(f"group-{key}", key) for key in ROBOTS}

    async def watched() -> bool:
        return bool(await rows(place, "SELECT 1 FROM cursors WHERE connection_key = '~alerts'"))

    await stages.until(watched, 30, "somebody who watches")


def texts(value: Any) -> Iterator[str]:
    """Every text anywhere in what a simulator noted."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


def told(place: stages.Stage, robot: str) -> Counter[tuple[str, str]]:
    """What a group was told, by heading and line, and how often."""
    out: Counter[tuple[str, str]] = Counter()
    for one in effects(place, robot, "group_message"):
        (text,) = [each for each in texts(one["data"]) if each.startswith("【枢纽告警】")]
        heading = ""
        for line in text.splitlines()[1:]:
            if line.startswith("• "):
                out[heading, line[2:]] += 1
            elif line:
                heading = line
    return out


def writes(place: stages.Stage, erp: str, customer: str) -> list[str]:
    """How an ERP was given a customer: the kinds of write, oldest first."""
    return [one["kind"] for one in effects(place, erp, "customer", "customer.update") if one["key"] == customer]


async def bears(place: stages.Stage, customer: str, name: str) -> bool:
    """Whether the ERP that everything is compared with shows a customer under this name."""
    (document,) = (await place.panel(f"kingdee/documents/BD_Customer?number={customer}"))["documents"]
    return name in texts(document["Name"])


@pytest.mark.timeout(400)
async def test_what_keeps_systems_equal_and_what_tells_of_trouble(folder: Path) -> None:
    async with opened(folder) as place:
        for robot in ROBOTS:
            await place.install("alert-to-group", cast(messenger=robot))
        await at_once(place)
        for erp in ERPS:
            await place.install("customer-to-erp", cast(crm="crm", erp=erp))
        for entity, left in (("customer", "crm"), ("order", "pdd")):
            casting = cast({"entity": entity, "at": "00:01", "window": "1h"}, left=left, right="kingdee")
            await place.install("daily-reconciliation", casting)
        await place.install("approval-to-erp", cast(office="wecom", erp="kingdee"))
        early = [one["order_sn"] for one in (await place.panel("pdd/orders", {"count": 2}))["orders"]]
        customer = await customers_follow(place)

        async def passed() -> bool:
            text = "SELECT count(*) AS n FROM inbox WHERE connection_key = 'pdd' AND reason = 'no_route'"
            return int((await rows(place, text))[0].n) >= len(early)

        await stages.until(passed, 60, "orders that nobody routes yet")
        await place.install("order-to-erp", cast(shop="pdd", erp="kingdee"))
        await differences_are_mended(place, customer, sorted(early))
        await trouble_is_told(place, customer)
        assert (await place.balance()).difference == 0


async def customers_follow(place: stages.Stage) -> str:
    """Made and changed in the CRM: so in every ERP, each change once; one declares that it only makes new ones."""
    made = str((await place.panel("crm/customers", {"name": "客户甲", "mobile": "13900001111"}))["id"])

    async def there() -> bool:
        return all(writes(place, erp, made) == ["customer"] for erp in ERPS) and await bears(place, made, "客户甲")

    await reached(place, there, 60, "a new customer in every ERP")
    await quiet(place)
    await place.panel(f"crm/customers/{made}", {"name": "客户乙"})

    async def changed() -> bool:
        return all(len(writes(place, erp, made)) > 1 for erp in ERPS if erp != "jdy")

    await reached(place, changed, 60, "the change in every ERP that takes changes")
    await quiet(place)
    assert await bears(place, made, "客户乙")
    told = {erp: writes(place, erp, made) for erp in ERPS}
    both = ["customer", "customer.update"]
    assert told == {"kingdee": both, "yonyou": both, "jdy": ["customer"]}
    return made


async def quiet(place: stages.Stage) -> None:
    async def still() -> bool:
        return (await place.balance()).in_flight == 0

    await reached(place, still, 60, "nothing under way")


async def differences_are_mended(place: stages.Stage, edited: str, missing: list[str]) -> None:
    """Orders that never arrived and a customer that somebody changed over there: found, and only those; mended."""
    await place.panel(f"kingdee/customers/{edited}", {"FName": "改错了"})
    orders, found = await compared(place, "orders-pdd-kingdee")
    assert found == {"missing": missing}
    people, found = await compared(place, "customer-crm-kingdee")
    assert found == {"different": [edited]}
    for number in (orders, people):
        await mended(place, number)
    assert sorted(one["key"] for one in effects(place, "kingdee", "sales_order.audit")) == missing
    assert await bears(place, edited, "客户乙")
    for schedule in ("orders-pdd-kingdee", "customer-crm-kingdee"):
        assert (await compared(place, schedule))[1] == {}


async def trouble_is_told(place: stages.Stage, customer: str) -> None:
    """A dead letter and a parked delivery: each group hears of each once, and once more when it is over."""
    lines = ("kingdee 出现 1 条死信", "kingdee 有 1 条数据挂起，等待人工处理")
    await place.panel("kingdee/configure", {"audited_edit": False})
    await place.panel(f"crm/customers/{customer}", {"name": "客户丙"})
    nameless = {"contents": [{"control": "Text", "id": "Text-1", "title": [{"text": "事由", "lang": "zh_CN"}],
                              "value": {"text": "没有写单据编号"}}]}  # fmt: skip
    await place.panel("wecom/approvals", {"sp_no": "1", "sp_status": 2, "sp_name": "审批", "apply_data": nameless})

    async def everybody_hears(heading: str) -> bool:
        return all(told(place, robot)[heading, line] for robot in ROBOTS for line in lines)

    await reached(place, lambda: everybody_hears(FRESH), 90, "every group told of both")
    assert not any(heading == OVER for robot in ROBOTS for heading, _ in told(place, robot))
    await place.panel("kingdee/configure", {"audited_edit": True})
    await replay.matching(place.ledger, deliveries.Filter(state="dead"), 10, dry_run=False, newest=False)
    parked = await rows(place, "SELECT id FROM deliveries WHERE state = 'parked'")
    async with place.ledger.write() as db:
        await deliveries.skip(db, [one.id for one in parked], replay.BY_PERSON)
    await reached(place, lambda: everybody_hears(OVER), 90, "every group told that both are over")
    assert await bears(place, customer, "客户丙")
    for robot in ROBOTS:
        heard = {place_: n for place_, n in told(place, robot).items() if place_[0] in (FRESH, OVER)}
        assert heard == {(heading, line): 1 for heading in (FRESH, OVER) for line in lines}, robot
