"""The recipe contact-sop over real processes: welcome, coupon, and a reminder unless the customer ordered meanwhile.

Days are written as seconds here; nothing else is different from a real site.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.trial import stage
from retry_queue.ledger import timers
from tests.journeys.casting import cast

SITE = """
entities:
  customer:
    owners: {tags: crm}
"""
"""What this site adds to the connections of the demo, before it installs the recipe."""
TERMS = {
    "welcome": "您好 {customer.name}，欢迎", "coupon": "{customer.name}，送您一张优惠券", "coupon_after": "2s",
    "remind": "客户 {customer.name} 三天还没有下单", "remind_after": "12s", "from": "00:00", "to": "23:59",
}  # fmt: skip
PEOPLE, BUYERS = 12, 5


def _told(effects: list[dict[str, Any]], kind: str, words: str) -> Counter[str]:
    """Texts of one kind of effect that hold these words."""
    return Counter(str(one["data"]) for one in effects if one["kind"] == kind and words in str(one["data"]))


@pytest.mark.timeout(240)
def test_contact_added_welcome_coupon_and_a_reminder_unless_an_order_arrived(folder: Path) -> None:
    asyncio.run(_story(folder))


async def _quiet(place: stage.Stage) -> bool:
    return (await place.balance()).in_flight == 0


async def _story(folder: Path) -> None:
    async with stage.running(folder, time_scale=0.05) as place:
        shipped = stage.shipped_hub_yaml(routes=False)
        await place.apply(shipped[: shipped.index("\ntemplates:")] + SITE)
        await place.install("contact-sop", cast(TERMS, messenger="wecom"))
        people = (await place.panel("world"))[:PEOPLE]

        async def imported() -> bool:  # the CRM knows who is who; its poll brings them
            async with place.ledger.read() as connection:
                rows = await connection.exec_driver_sql(
                    "SELECT count(*) AS n FROM records WHERE connection_key = 'crm' AND entity = 'customer'"
                )
                return int(rows.one().n) >= PEOPLE

        await stage.until(imported, 60.0, "import of CRM customers")
        for one in people:
            await place.panel(f"wecom/contacts/{one['ids']['wecom.external_userid']}/add", {})

        async def welcomed() -> bool:
            return len(_told(place.effects(), "welcome", "欢迎")) >= PEOPLE

        await stage.until(welcomed, 20.0, "welcome messages while their codes are good")
        for number in range(BUYERS):
            await place.panel("taobao/orders", {"count": 1, "customer": number})

        async def reminded() -> bool:
            return sum(_told(place.effects(), "message", "还没有下单").values()) >= PEOPLE - BUYERS

        await stage.until(reminded, 120.0, "reminders")  # a minute of the day is closed
        await asyncio.sleep(3.0)  # one too many would show up now
        effects = place.effects()
        assert sum(_told(effects, "welcome", "欢迎").values()) == PEOPLE
        assert sum(_told(effects, "message", "还没有下单").values()) == PEOPLE - BUYERS
        coupons = [one for one in effects if "优惠券" in str(one["data"]) and one["kind"] == "customer_message"]
        assert len({one["key"] for one in coupons}) == PEOPLE
        reminders = str(_told(effects, "message", "还没有下单"))
        for one in people[:BUYERS]:
            assert f"客户 {one['name']} 三天" not in reminders, "who ordered must not be reminded of"
        async with place.ledger.read() as connection:
            found = await connection.exec_driver_sql("SELECT state, count(*) AS n FROM timers GROUP BY state")
            states = {row.state: row.n for row in found}
        assert states == {"fired": 2 * PEOPLE - BUYERS, "cancelled": BUYERS}
        again = people[0]["ids"]["wecom.external_userid"]  # added once more: nothing about the contact is new
        await place.panel(f"wecom/contacts/{again}/add", {})

        async def welcomed_again() -> bool:
            return sum(_told(place.effects(), "welcome", "欢迎").values()) == PEOPLE + 1

        await stage.until(welcomed_again, 20.0, "a second welcome")
        async with place.ledger.read() as connection:
            found = await connection.exec_driver_sql("SELECT delivery_id FROM timers WHERE state = 'waiting'")
            waiting = [row.delivery_id for row in found]
        assert len(waiting) <= 2
        async with place.ledger.write() as connection:
            await timers.cancel(connection, [(one, None) for one in waiting], timers.BY_PERSON)
        await stage.until(lambda: _quiet(place), 20.0, "quiescence")
        balance = await place.balance()
        assert (balance.in_flight, balance.dead, balance.difference) == (0, 0, 0), balance.line()
