"""A rehearsal by clicks: a connection without keys, one switched over and back; a hook's secret that changes."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import living, upkeep

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(180)]
LONG = 40_000
FRESH = "a-fresh-secret-of-the-shop-4711"


def test_a_connection_is_tried_without_keys_then_made_real(hub: living.Living, visit: Any) -> None:
    visitor = visit("editor")
    page = visitor.go("/connections/new/jushuitan")
    page.locator('[id="~key"]').fill("oms-try")
    page.get_by_role("switch", name="用模拟器试跑，先不填密钥").click()
    expect(page.locator("#base_url")).to_have_count(0)
    page.get_by_role("button", name="建立并试跑").click()
    expect(page.get_by_text("这个连接正在用模拟器，不是真实系统")).to_be_visible(timeout=LONG)
    expect(page.locator("h1 .sandbox-tag")).to_be_visible()
    expect(page.locator("h1").get_by_text("运行中")).to_be_visible()
    assert hub.api("POST", "/connections/oms-try/test")["ok"]
    visitor.go("/")
    expect(page.get_by_text(re.compile("个连接正在用模拟器"))).to_be_visible()
    expect(page.locator(".node-sandbox").filter(has_text="oms-try")).to_have_count(1)
    hub.quiet()
    visitor.go("/connections/oms-try")
    page.get_by_role("button", name="切回真实系统").click()
    page.get_by_role("dialog").get_by_role("button", name="切回真实系统").click()
    expect(page.get_by_text("已切回真实系统")).to_be_visible(timeout=LONG)
    expect(page.locator(".sandbox-tag")).to_have_count(0)
    expect(page.locator("h1").get_by_text("未启用")).to_be_visible()
    expect(page.get_by_text("项才能启用")).to_be_visible()
    assert not visitor.complaints, visitor.complaints[:3]


def test_an_invented_order_comes_in_like_a_real_one(hub: living.Living, visit: Any) -> None:
    visitor = visit("editor")
    page = visitor.go("/connections/new/youzan")
    page.locator('[id="~key"]').fill("try-orders-shop")
    page.get_by_role("switch", name="用模拟器试跑，先不填密钥").click()
    page.get_by_role("button", name="建立并试跑").click()
    expect(page.locator("h1").get_by_text("运行中")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="模拟一笔订单").click()
    expect(page.get_by_text("买家已下单并付款")).to_be_visible(timeout=LONG)
    upkeep.until(lambda: hub.api("GET", "/events?connection=try-orders-shop&entity=order")["items"], "the order")
    hub.quiet()
    page.get_by_role("button", name="切回真实系统").click()
    page.get_by_role("dialog").get_by_role("button", name="切回真实系统").click()
    expect(page.locator(".sandbox-tag")).to_have_count(0, timeout=LONG)
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_live_connection_goes_over_with_its_routes_stopped_and_comes_back(hub: living.Living, visit: Any) -> None:
    shop = {"key": "try-shop", "connector": "http", "config": {"verify_style": "token", "entity": "order"},
            "secrets": {"hook_secret": "a-real-secret-of-the-shop"}, "enable": True}  # fmt: skip
    route = {"key": "try-orders", "from": {"connection": "try-shop", "entity": "order"}, "enabled": True,
             "to": [{"connection": "warehouse", "operation": "record.put"}]}  # fmt: skip
    hub.api("POST", "/connections", shop)
    hub.api("POST", "/routes", route)
    visitor = visit("editor")
    page = visitor.go("/connections/try-shop")
    page.get_by_role("button", name="改用模拟器").click()
    page.get_by_role("dialog").get_by_role("button", name="改用模拟器").click()
    stop = page.get_by_role("dialog").filter(has_text="有路由连着另一类系统")
    expect(stop).to_contain_text("try-orders")
    stop.get_by_role("button", name="停用并切换").click()
    expect(page.get_by_text("这个连接正在用模拟器，不是真实系统")).to_be_visible(timeout=LONG)
    assert hub.api("GET", "/routes/try-orders")["enabled"] is False
    page.get_by_role("button", name="切回真实系统").click()
    page.get_by_role("dialog").get_by_role("button", name="切回真实系统").click()
    expect(page.locator(".sandbox-tag")).to_have_count(0, timeout=LONG)
    told = hub.api("GET", "/connections/try-shop")
    assert (told["state"], told["secrets"], told["config"]["verify_style"]) == ("enabled", ["hook_secret"], "token")


def test_a_hook_secret_is_changed_with_an_overlap(hub: living.Living, visit: Any) -> None:
    visitor = visit("editor")
    page = visitor.go("/connections/own-shop")
    expect(page.get_by_text("旧密钥继续接受")).to_have_count(0)
    page.locator("#hook_secret").fill(FRESH)
    hours = page.get_by_role("spinbutton", name="旧密钥继续接受")
    expect(hours).to_have_value("24")
    hours.fill("0")
    expect(page.get_by_text("旧密钥立即失效")).to_be_visible()
    hours.fill("2")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("正在更换密钥，旧密钥还没停用")).to_be_visible(timeout=LONG)
    expect(page.get_by_text(re.compile("hook_secret 的旧值接受到"))).to_be_visible()
    assert hub.push(living.order("WITH-OLD")) == 200
    assert hub.push(living.order("WITH-NEW"), secret=FRESH) == 200
    back = page.locator("#hook_secret")
    back.fill(living.HOOK_SECRET)
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("已保存").first).to_be_visible()
    assert hub.push(living.order("WITH-BACK")) == 200
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_secret_stays_where_the_operator_keeps_it(hub: living.Living, visit: Any) -> None:
    kept = hub.folder / "outside" / "own-shop"
    kept.parent.mkdir()
    kept.write_text(FRESH)
    visitor = visit("editor")
    page = visitor.go("/connections/own-shop")
    field = page.locator("#hook_secret")
    field.fill("file:/etc/hostname")
    expect(page.get_by_text("密钥会从那里读取")).to_be_visible()
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("SHUNIU_SECRET_SOURCES").first).to_be_visible()
    field.fill(f"file:{kept}")
    page.get_by_role("spinbutton", name="旧密钥继续接受").fill("0")
    page.get_by_role("button", name="保存").click()
    expect(field).to_have_attribute("placeholder", re.compile(f"读自 file:{re.escape(str(kept))}"), timeout=LONG)
    expect(page.get_by_text(FRESH)).to_have_count(0)
    assert hub.push(living.order("OUTSIDE-1"), secret=FRESH) == 200
    kept.write_text(living.HOOK_SECRET)
    until = time.monotonic() + 40.0
    while (said := hub.push(living.order("OUTSIDE-2"))) != 200 and time.monotonic() < until:
        time.sleep(0.2)
    assert said == 200, "what changed where it lives is taken up by the running processes"
    field.fill(living.HOOK_SECRET)
    page.get_by_role("button", name="保存").click()
    expect(field).to_have_attribute("placeholder", re.compile("已保存"), timeout=LONG)
    refused = [one for one in visitor.complaints if "422" not in one]
    assert not refused, refused[:3]
