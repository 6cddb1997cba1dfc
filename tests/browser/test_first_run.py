"""The admin's story by clicks alone: an empty hub, four systems, recipes, and an order that reaches everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from gateway.trial import stage
from tests.browser import conftest, living

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def empty(built: Path, folder: Path) -> Iterator[living.Living]:
    """A hub that nobody has configured yet."""
    made = living.Living(folder).start()
    try:
        yield made
    finally:
        made.stop()


def _wanted(hub: living.Living) -> list[dict[str, Any]]:
    """The demo's connections with what an admin would type."""
    text = stage.shipped_hub_yaml(routes=False)
    known = {"SIM": hub.place.sim_url, "SIM_WS": hub.place.sim_url.replace("http", "ws"), **hub.place.story.credentials}
    for name, value in known.items():
        text = text.replace(f"${{{name}}}", value)
    return list(yaml.safe_load(text)["connections"])


def _connect(page: Page, url: str, one: dict[str, Any]) -> None:
    page.goto(f"{url}/connections/new")
    page.get_by_role("textbox", name="搜索").fill(one["connector"])
    page.locator(f'a[href="/connections/new/{one["connector"]}"]').click()
    page.locator('[id="~key"]').fill(one["key"])
    for key, value in {**one["config"], **one.get("secrets", {})}.items():
        field = page.locator(f"#{key}")
        if field.count() and field.get_attribute("role") != "combobox":
            field.fill(str(value))
        elif field.count():
            _choose(page, key, str(value))
    page.get_by_role("button", name="测试连接").click()
    expect(page.get_by_text("连接成功")).to_be_visible(timeout=40_000)
    page.get_by_role("button", name="保存并启用").click()
    expect(page.locator("h1").get_by_text("运行中")).to_be_visible(timeout=20_000)


def _choose(page: Page, key: str, value: str) -> None:
    """Walks a list of choices by keyboard until the one that is wanted is stored."""
    spec = page.evaluate(
        "(id) => fetch('/api/v1/connectors/' + id).then((one) => one.json())", page.url.rsplit("/", 1)[1]
    )
    choices = next(one["choices"] for one in spec["fields"] if one["key"] == key)
    label = next(one["label"]["zh"] for one in choices if str(one["value"]) == value)
    page.locator(f"#{key}").click()
    page.locator(".ant-select-dropdown:visible .ant-select-item-option").filter(has_text=label).first.click()


def _install(page: Page, url: str, title: str) -> None:
    page.goto(f"{url}/routes/recipes")
    card = page.locator(".card").filter(has_text=title)
    card.get_by_role("button", name="使用这个方案").click()
    expect(page.get_by_role("dialog").get_by_text("将建立或修改")).to_be_visible(timeout=20_000)
    page.get_by_role("dialog").get_by_role("button", name="启用", exact=True).click()
    expect(page).to_have_url(re.compile(r"/routes(/[a-z0-9_-]+)?$"), timeout=20_000)


def test_from_an_empty_hub_to_a_live_route_by_clicks(empty: living.Living, browser: Browser) -> None:
    context = browser.new_context(locale="zh-CN", viewport={"width": 1360, "height": 860}, timezone_id="Asia/Shanghai")
    try:
        visitor = conftest.Visitor(context, empty.url).sign_in("owner")
        page = visitor.go("/")
        expect(page.get_by_text("四步跑通第一条数据")).to_be_visible()
        for one in _wanted(empty):
            _connect(page, empty.url, one)
        for title in ("付款订单自动进 ERP", "发货信息回传店铺", "发货后更新 CRM 并通知同事", "客户资料同步到 ERP"):
            _install(page, empty.url, title)
        empty.run(lambda: empty.place.tell(empty.place.story.ship))
        empty.orders(2)
        visitor.go("/")
        expect(page.locator(".edge")).to_have_count(5)  # four recipes; a closed order is told to the ERP as well
        visitor.go("/events?entity=shipment")
        row = page.locator("tbody tr.opens").filter(has_text="已计划").first
        for _ in range(20):  # the warehouse ships when it likes
            if row.count():
                break
            page.get_by_role("button", name="刷新").click()
            page.wait_for_timeout(500)
        row.click()
        expect(page.locator(".step").filter(has_text="已送达").first).to_be_visible(timeout=30_000)
        visitor.go("/")
        expect(page.get_by_text("四步跑通第一条数据")).to_have_count(0)
        expect(page.get_by_text("账平")).to_be_visible()
        told = [str(one["kind"]) for one in empty.place.effects()]
        assert any("shipment" in one for one in told), told[-10:]
        assert not visitor.complaints, visitor.complaints[:3]
    finally:
        context.close()
