"""Keeping systems in step, by clicks: a difference repaired, a conflict settled, a customer merged and un-merged."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser import living, upkeep

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(240)]
LONG = 40_000
PHONES = ("13100131001", "13100131002")


def choose(page: Page, scope: Locator, label: str, words: str) -> None:
    """Opens one list of choices and takes the first that has these words; a long list draws only what is in sight."""
    box = scope.get_by_label(label)
    box.click()
    if words and box.get_attribute("readonly") is None:
        box.fill(words)
    listed = page.locator(f"[id='{box.get_attribute('aria-controls')}']")
    options = page.locator(".ant-select-dropdown").filter(has=listed).locator(".ant-select-item-option")
    wanted = options.filter(has_text=words).first
    for last in (False, False, True):  # what was chosen before may draw the list anew, and that shuts it
        try:
            wanted.click(timeout=20_000 if last else 6_000)
        except PlaywrightTimeout:
            if last:
                raise
            box.click()
        else:
            return


def tab(page: Page, name: str) -> Locator:
    """Opens a tab; returns its panel. What looked the same in the tab before is hidden by then."""
    page.get_by_role("tab", name=re.compile(name)).click()
    panel = page.get_by_role("tabpanel", name=re.compile(name))
    expect(panel).to_be_visible()
    return panel


def shown(page: Page) -> Locator:
    """The rows of the tab that is open."""
    return page.get_by_role("tabpanel").locator("tr.ant-table-row:visible")


def test_a_comparison_is_made_read_and_repaired(hub: living.Living, visit: Any) -> None:
    upkeep.spoil(hub, hub.panel("world"))
    visitor = visit("operator")
    page = visitor.go("/reconciliations")
    expect(page.get_by_role("article", name="客户资料每晚核对")).to_contain_text("每天 02:30")
    page.get_by_role("button", name="立即对账").click()
    dialog = page.get_by_role("dialog")
    for label, choice in (("核对什么", "客户"), ("以这边为准", "crm"), ("核对这边", "k3")):
        choose(page, dialog, label, choice)
    dialog.get_by_text("最近 7 天").click()
    dialog.get_by_role("button", name="更多设置").click()
    dialog.get_by_label("给在途数据留出").fill("0")
    dialog.get_by_role("button", name="开始对账").click()
    expect(page.locator("main h1")).to_contain_text("crm 与 k3 的客户")
    expect(page.locator(".state").filter(has_text="已完成").first).to_be_visible(timeout=LONG)
    repair = tab(page, "漏单").get_by_role("button", name=re.compile("修复全部"))
    missing = int(re.sub(r"\D", "", repair.inner_text()))
    assert missing >= 3
    tab(page, "字段不一致")
    expect(shown(page).filter(has_text="待处理").first).to_be_visible()
    opened = page.locator(".differences:visible").first
    closed = shown(page).first.locator(".ant-table-row-expand-icon-collapsed")
    expect(opened.or_(closed).first).to_be_visible()
    if not opened.is_visible():  # a handful of rows is open from the beginning, more are not
        closed.click()
    expect(opened).to_contain_text("电话")
    with page.expect_download() as told:
        page.get_by_role("button", name="导出").click()
        page.get_by_role("link", name="导出 Excel").first.click()
    assert zipfile.is_zipfile(io.BytesIO(told.value.path().read_bytes()))
    one = shown(page).filter(has_text="待处理").first
    one.get_by_role("button", name="修复").click()
    expect(page.get_by_text("修复进度").or_(page.get_by_text("全部修复完成"))).to_be_visible(timeout=LONG)
    tab(page, "漏单").get_by_role("button", name=f"修复全部 {missing} 条").click()
    page.locator(".ant-popconfirm").get_by_role("button", name=re.compile("确.*定|OK")).click()
    expect(shown(page).filter(has_text="已修复")).to_have_count(missing, timeout=LONG)
    hub.quiet()
    again = hub.api("GET", f"/reconciliations/{upkeep.compared(hub)}")
    assert "missing" not in again["found"], again["found"]
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_conflict_is_settled_by_choosing_a_side_and_by_typing(hub: living.Living, visit: Any) -> None:
    people = hub.panel("world")
    hub.quiet()
    visitor = visit("operator")
    page = visitor.go("/conflicts")
    first = page.locator(".conflict").first
    expect(first).to_contain_text("需要人工决定")
    expect(first).to_contain_text("*")
    first.get_by_role("button", name="显示完整").click()
    side = first.locator(".conflict-side").filter(has_text="crm 说")
    expect(side.locator(".conflict-value")).not_to_contain_text("*")
    phone = side.locator(".conflict-value").inner_text()
    side.get_by_role("button", name="以此为准").click()
    settled = hub.api("GET", "/conflicts?state=settled&limit=1")
    upkeep.until(
        lambda: hub.api("GET", "/conflicts?state=settled&limit=1") != settled or settled["items"], "a decision"
    )
    hub.quiet()
    (found,) = hub.api("GET", f"/customers?q={phone}")["items"]
    assert {"crm", "k3"} <= set(found["connections"])
    number = upkeep.conflict(hub, people)
    page = visitor.go("/conflicts")
    card = page.locator(".conflict").first
    card.get_by_role("button", name="都不对").click()
    card.get_by_label("填写正确的值").fill("13500135000")
    card.get_by_role("button", name="采用这个值").click()
    expect(page.get_by_text("没有待处理的冲突")).to_be_visible(timeout=LONG)
    hub.quiet()
    told = hub.api("GET", f"/conflicts/{number}")
    assert (told["winner"], told["settled_by"]) == ("person", "operator")
    page.get_by_text("已处理", exact=True).click()
    expect(page.locator(".conflict").first).to_contain_text("由 operator 处理")
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_customer_is_found_merged_and_unmerged(hub: living.Living, visit: Any) -> None:
    for name, phone in (("合并测试甲", PHONES[0]), ("合并测试乙", PHONES[1])):
        hub.panel("crm/customers", {"name": name, "mobile": phone})
    upkeep.until(lambda: all(hub.api("GET", f"/customers?q={phone}")["items"] for phone in PHONES), "new customers")
    hub.quiet()
    visitor = visit("operator")
    page = visitor.go("/customers")
    box = page.get_by_role("searchbox", name="姓名、手机号").first
    box.fill(PHONES[0])
    box.press("Enter")
    expect(page.locator("tr.ant-table-row")).to_have_count(1)
    page.locator("tr.ant-table-row").click()
    expect(page.get_by_role("heading", name="各系统里的资料")).to_be_visible()
    page.get_by_role("button", name="合并另一个客户").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("searchbox").fill(PHONES[1])
    dialog.get_by_role("searchbox").press("Enter")
    dialog.get_by_role("radio").first.check()
    dialog.get_by_label("原因").fill("同一位买家用了两个手机号")
    dialog.get_by_role("button", name="合并", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("由这些合并而成")).to_be_visible(timeout=LONG)
    expect(page.locator(".joins")).to_contain_text("operator")
    (merged,) = {one["link"] for one in hub.api("GET", f"/customers?q={PHONES[1]}")["items"]}
    assert page.url.endswith(merged)
    page.get_by_role("button", name="拆回去").last.click()
    page.locator(".ant-popconfirm").get_by_role("button", name=re.compile("确.*定|OK")).click()
    expect(page.get_by_text("由这些合并而成")).to_have_count(0, timeout=LONG)
    links = [{one["link"] for one in hub.api("GET", f"/customers?q={phone}")["items"]} for phone in PHONES]
    assert links[0].isdisjoint(links[1])
    assert not visitor.complaints, visitor.complaints[:3]


def test_what_waits_is_sent_now_or_cancelled_and_history_goes_on(visit: Any) -> None:
    visitor = visit("operator")
    page = visitor.go("/timers")
    rows = page.locator("tr.ant-table-row")
    expect(rows.first).to_contain_text("还要等")
    before = rows.count()
    assert before >= 2
    for button in ("取消", "立即发送"):
        row = rows.first
        row.get_by_role("button", name=button).click()
        page.locator(".ant-popconfirm:visible").get_by_role("button", name=re.compile("确.*定|OK")).click()
        before -= 1
        expect(rows).to_have_count(before, timeout=LONG)
    page.get_by_text("已取消", exact=True).first.click()
    expect(rows.first).to_contain_text("由人取消")
    page = visitor.go("/backfills")
    row = page.locator("tr.ant-table-row").filter(has_text="已暂停").first
    row.get_by_role("button", name="继续").click()
    expect(page.locator("tr.ant-table-row").filter(has_text="已暂停")).to_have_count(0, timeout=LONG)
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_route_gets_a_step_and_hours_and_a_field_an_owner(visit: Any) -> None:
    visitor = visit("editor")
    page = visitor.go("/routes/remind-unpaid")
    expect(page.locator(".flow-strip")).to_contain_text("等 3 天")
    page.get_by_role("button", name="再加一步").click()
    step = page.locator(".step-part")
    for label, choice in (("目标连接", "wecom"), ("接口操作", "应用消息")):
        choose(page, step, label, choice)
    choose(page, step, "消息模板", "")
    expect(page.locator(".flow-strip .flow-target")).to_have_count(2)
    page.get_by_text("等新状态替代").click()
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("已保存").first).to_be_visible()
    page.reload()
    expect(page.locator(".step-part")).to_contain_text("第 2 步")
    expect(page.get_by_role("radio", name=re.compile("等新状态替代"))).to_be_checked()
    page = visitor.go("/entities?entity=customer")
    page.get_by_role("radio", name="邮箱: 以 crm 为准").check()
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("已保存").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("radio", name="邮箱: 以 crm 为准")).to_be_checked()
    assert not visitor.complaints, visitor.complaints[:3]
