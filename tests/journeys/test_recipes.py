"""Every recipe at work against the simulators, installed as an admin does it, in several casts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.trial import stage as stages
from tests.journeys.casting import cast, connect
from tests.journeys.seeing import effects, ended, reached, rows

CASTS = [
    ("douyin", "wangdian"), ("kuaishou", "qimen"), ("shopify", "jdy"), ("wechat", "jushuitan"),
    ("xiaohongshu", "jdy"), ("youzan", "wangdian"), ("taobao", "qimen"),
]  # fmt: skip
ORDERS = 2


@pytest.mark.timeout(400)
async def test_paid_orders_reach_seven_casts_once(folder: Path) -> None:
    async with stages.running(folder, pace=0.05, introduced=False) as place:
        await connect(place, *dict.fromkeys(name for pair in CASTS for name in pair))
        for shop, erp in CASTS:
            await place.install("order-to-erp", cast(shop=shop, erp=erp))
        placed = {shop: [await place.panel(f"{shop}/orders", {"count": 1}) for _ in range(ORDERS)] for shop, _ in CASTS}
        wanted = Counter({f"order-{shop}-to-{erp}": ORDERS for shop, erp in CASTS})

        async def arrived() -> bool:
            done = Counter({key: n for (key, state, reason), n in (await ended(place)).items()
                            if (state, reason) == ("delivered", "")})  # fmt: skip
            return all(done[key] >= n for key, n in wanted.items())

        await reached(place, arrived, 150, "every order in its ERP")
        counts = Counter((one["simulator"], one["kind"], one["key"]) for one in place.effects())
        assert max(counts.values()) == 1
        await a_return_goes_round(place, str(placed["kuaishou"][0]["orders"][0]["id"]))
        await levels_are_shown(place)


async def a_return_goes_round(place: stages.Stage, sold: str) -> None:
    """Sent back, taken in by the warehouse, paid back by the shop: once each."""
    await place.install("refund-loop", cast(shop="kuaishou", desk="qimen", receiver="qimen"))
    back = (await place.panel(f"kuaishou/orders/{sold}/refund", {"way": 1}))["id"]
    for what in ("agree", "send_back"):
        await place.panel(f"kuaishou/refunds/{back}/{what}", {})

    async def expected() -> bool:
        return bool(effects(place, "qimen", "return.create"))

    await reached(place, expected, 90, "the return in the warehouse")
    (code,) = [one["key"] for one in effects(place, "qimen", "return.create")]
    await place.panel("qimen/receive", {"code": code})

    async def paid() -> bool:
        return {"answer": "confirm"} in [one["data"] for one in effects(place, "kuaishou", "after_sale")]

    await reached(place, paid, 90, "the refund")
    assert [one["data"]["answer"] for one in effects(place, "kuaishou", "after_sale")] == ["approve_return", "confirm"]


async def levels_are_shown(place: stages.Stage) -> None:
    """What the warehouse has, less the safety stock, by the share of this shop."""
    await place.install("stock-out", cast({"safety": 7, "share": 50}, warehouse="qimen", shop="youzan"))
    goods = (await place.panel("youzan/goods"))["goods"][0]
    left = (await place.panel("qimen/stock", {"item": goods["sku_no"], "change": -3}))[goods["sku_no"]]

    async def shown() -> bool:
        levels = [one["data"]["quantity"] for one in effects(place, "youzan", "stock") if one["key"] == goods["sku_id"]]
        return levels == [(left - 7) * 50 // 100]

    await reached(place, shown, 90, "the level in the shop")


@pytest.mark.timeout(600)
async def test_the_other_recipes_do_what_they_say(folder: Path) -> None:
    """One hub, ten recipes: each is looked at by what happened at the simulators."""
    office = {"approval_process_code": "PROC-TEST-0001", "push": "stream"}
    async with stages.running(folder, pace=0.05, introduced=False, time_scale=0.05) as place:
        await connect(
            place, "pdd", "jd", "xiaohongshu", "kingdee", "jushuitan", "crm", "wecom", "dingtalk", "feishu",
            dingtalk=office, crm={"intake": "both"},
        )  # fmt: skip
        for long in ("dingtalk", "feishu"):  # no address to push to: they use the long connections
            await place.panel(f"{long}/configure", {"push_url": ""})
        await place.panel("jushuitan/configure", {"auto_ship": True})
        await place.panel("kingdee/configure", {"workflow": ["SAL_SaleOrder"]})
        people = (await place.panel("world"))[:6]
        before = len((await place.panel("crm/state"))["customers"])

        async def known() -> bool:
            found = await rows(
                place, "SELECT connection_key, entity, count(*) AS n FROM records GROUP BY connection_key, entity"
            )
            counts = {(one.connection_key, one.entity): one.n for one in found}
            return counts.get(("crm", "customer"), 0) > 0 and counts.get(("jd", "product"), 0) >= 5

        await stages.until(known, 120, "customers and goods")
        for recipe, casting in [
            ("order-to-erp", cast(shop="xiaohongshu", erp="jushuitan")),
            ("order-to-erp", cast(shop="pdd", erp="kingdee")),
            ("ship-back", cast(warehouse="jushuitan", shop="xiaohongshu,pdd")),
            ("stock-out", cast({"safety": 10, "share": 60}, warehouse="jushuitan", shop="jd")),
            ("refund-loop", cast(shop="xiaohongshu", desk="jushuitan", receiver="jushuitan")),
            ("customer-to-crm", cast(source="wecom", crm="crm")),
            ("contact-sop", cast({"coupon_after": "1s", "remind_after": "3s", "from": "00:00", "to": "23:59"},
                                 messenger="wecom")),
            ("approval-to-erp", cast(office="dingtalk", erp="kingdee")),
            ("approval-to-erp", cast(office="wecom", erp="kingdee")),
            ("approval-to-erp", cast(office="feishu", erp="kingdee")),
            ("shipped-tell", cast({"recipients": "sales01"}, warehouse="jushuitan", messenger="dingtalk")),
            ("daily-reconciliation", cast({"at": "00:01"}, left="pdd", right="kingdee")),
        ]:  # fmt: skip
            await place.install(recipe, casting)
        placed = (await place.panel("xiaohongshu/orders", {"count": 1}))["orders"][0]["id"]
        bought = [one["order_sn"] for one in (await place.panel("pdd/orders", {"count": 3}))["orders"]]
        goods = (await place.panel("jd/goods"))["goods"][0]
        await place.panel("jushuitan/stock", {"sku": goods["outerId"], "qty": 110})
        for one in people:
            await place.panel(f"wecom/contacts/{one['ids']['wecom.external_userid']}/add", {})

        async def first() -> bool:
            return all([
                effects(place, "xiaohongshu", "shipment"),
                any(one["key"] == goods["skuId"] for one in effects(place, "jd", "stock")),
                len(effects(place, "kingdee", "sales_order.submit")) == len(bought),
                len(effects(place, "wecom", "welcome")) == len(people),
                len(effects(place, "wecom", "message")) >= len(people),
                effects(place, "dingtalk", "message"),
                len(effects(place, "crm", "customer.update")) >= len(people),
            ])  # fmt: skip

        await reached(place, first, 120, "orders, stock, messages")
        levels = {one["data"]["stockNum"] for one in effects(place, "jd", "stock") if one["key"] == goods["skuId"]}
        assert levels == {60}, "(110 - 10) * 60 %"
        told = await ended(place)
        assert told["shipped-jushuitan-to-pdd", "skipped", "elsewhere"] == 1, told
        # A return: the buyer sends goods back, the warehouse takes them in, the shop pays.
        back = (await place.panel(f"xiaohongshu/orders/{placed}/refund", {"kind": 1}))["id"]
        for what in ("agree", "send_back"):
            await place.panel(f"xiaohongshu/refunds/{back}/{what}", {})

        async def uploaded() -> bool:
            known = "SELECT canonical FROM records WHERE connection_key = 'jushuitan' AND entity = 'after_sale'"
            told = [one for one in await rows(place, known) if one.canonical]
            return bool(effects(place, "jushuitan", "refund.upload")) and bool(told)

        await reached(place, uploaded, 120, "the return in the warehouse")
        await place.panel(f"jushuitan/refunds/{placed}/confirm", {})

        async def refunded() -> bool:
            return any("receive" in one["data"] for one in effects(place, "xiaohongshu", "after_sale"))

        await reached(place, refunded, 120, "the refund")
        # People decide in three offices, each about one document.
        await place.panel("wecom/approvals", {"sp_no": "1", "sp_status": 2, "sp_name": "订单审批", "apply_data": {
            "contents": [{"control": "Text", "id": "Text-1", "title": [{"text": "单据编号", "lang": "zh_CN"}],
                          "value": {"text": bought[0]}}]}})  # fmt: skip
        form = (await place.panel("dingtalk/approvals", {"form": {"单据编号": bought[1]}}))["instanceId"]
        await place.panel(f"dingtalk/approvals/{form}/agree", {})
        await place.panel("feishu/subscribe", {})
        form = (await place.panel("feishu/approvals", {"form": {"widget1": bought[2]}}))["instance_code"]
        await place.panel(f"feishu/approvals/{form}/reject", {})

        async def decided() -> bool:
            audited = {one["key"] for one in effects(place, "kingdee", "sales_order.audit")}
            (third,) = (await place.panel(f"kingdee/documents/SAL_SaleOrder?number={bought[2]}"))["documents"]
            return audited == set(bought[:2]) and third["DocumentStatus"] == "D"

        await reached(place, decided, 60, "the approvals on the documents")
        # Contacts that the CRM knew by another system: each brought up to date once, nobody made twice.
        updated = sorted(one["key"] for one in effects(place, "crm", "customer", "customer.create", "customer.update"))
        assert updated == sorted(one["ids"]["wecom.external_userid"] for one in people)
        assert len((await place.panel("crm/state"))["customers"]) == before
        made = await rows(place, "SELECT state FROM reconciliations")
        assert made
        dead = await rows(place, "SELECT detail FROM deliveries WHERE state = 'dead'")
        assert all("状态 D" in one.detail for one in dead), "only an order that people refused may end like this"
