"""People at work in a real browser: a failure mended, a mapping dragged, each role, two editors at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import living

MAPPING = "/mappings/taobao/order"
pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_wrong_password_is_told_and_the_right_one_opens(visit: Any) -> None:
    visitor = visit(None)
    page = visitor.page
    page.goto(f"{visitor.url}/events")
    page.locator("#name").fill("owner")
    page.locator("#password").fill("not the password")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_contain_text("用户名或密码不正确")
    page.locator("#password").fill(living.PASSWORD)
    page.get_by_role("button", name="登录").click()
    expect(page.locator("main h1")).to_have_text("事件")
    cookie = next(one for one in visitor.context.cookies() if one["name"] == "shuniu_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("main h1")).to_have_text("事件")
    page.locator(".person-button").click()
    page.get_by_role("menuitem", name="退出登录").click()
    expect(page.locator("#name")).to_be_visible()


def test_each_role_sees_what_it_may_do(visit: Any) -> None:
    def there(page: Page, name: str) -> bool:
        return page.get_by_role("button", name=name).count() > 0

    seen = {}
    for role in living.ROLES:
        visitor = visit(role)
        page = visitor.go("/connections/own-shop")
        pause = there(page, "暂停")
        save = there(page, "测试连接")
        page = visitor.go("/failures")
        page.locator(".failure").first.wait_for()
        replay = page.get_by_role("button", name=re.compile("重放全部")).count() > 0
        users = page.get_by_role("link", name="用户与令牌").count() > 0
        visitor.go("/connections")
        seen[role] = (pause, save, replay, users)
        page.goto(f"{visitor.url}/users")
        page.locator(".ant-result, main h1").first.wait_for()
        assert (page.get_by_text("不能做这一步").count() > 0) == (role != "owner")
    assert seen == {
        "viewer": (False, False, False, False),
        "operator": (True, False, True, False),
        "editor": (True, True, True, False),
        "owner": (True, True, True, True),
    }


def test_a_failure_is_mended_and_replayed(hub: living.Living, visit: Any) -> None:
    for number in range(5):
        assert hub.push(living.order(f"FIX-{number}")) == 200
    hub.quiet()
    visitor = visit("owner")
    page = visitor.go("/failures?route=own-orders")
    group = page.locator(".failure").filter(has_text="warehouse").first
    expect(group).to_contain_text("请检查连接设置")
    group.get_by_role("button", name="检查连接").click()
    address = page.locator("#base_url")
    expect(address).to_have_value(re.compile("nowhere"))
    address.fill(f"{hub.place.sim_url}/http")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("已保存").first).to_be_visible()
    page = visitor.go("/failures?route=own-orders")
    group = page.locator(".failure").filter(has_text="warehouse").first
    count = int(group.locator(".failure-count b").inner_text())
    assert count >= 5
    group.get_by_role("button", name=re.compile("重放全部")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"将重放 {count} 条")
    dialog.get_by_role("button", name="开始重放").click()
    expect(dialog).to_contain_text(f"完成：重放了 {count} 条", timeout=20_000)
    dialog.get_by_role("button", name="完成").click()
    expect(page.get_by_text("没有失败")).to_be_visible(timeout=20_000)
    hub.quiet()
    told = [str(one) for one in hub.place.effects()]
    assert any("FIX-4" in one for one in told), told[-3:]
    assert not visitor.complaints, visitor.complaints[:3]


def test_an_event_is_edited_compared_and_replayed(hub: living.Living, visit: Any) -> None:
    """What could not be read is mended by hand: what changes is shown before, and kept with who did it and why."""
    assert hub.push({"id": "EDIT-1", "status": "paid", "total": "much", "lines": []}) == 200
    hub.quiet()
    (found,) = hub.api("GET", "/events?q=EDIT-1")["items"]
    visitor = visit("operator")
    page = visitor.go(f"/events/{found['id']}")
    page.get_by_role("button", name="修改并重放").click()
    dialog = page.get_by_role("dialog")
    text = dialog.get_by_label("原始报文")
    expect(text).to_have_value(re.compile('"total": "much"'))
    dialog.get_by_role("button", name="比较改动").click()
    expect(dialog).to_contain_text("没有改动")
    text.fill(text.input_value().replace("much", "188.00"))
    dialog.get_by_role("button", name="比较改动").click()
    expect(dialog.locator(".differences")).to_contain_text("much")
    expect(dialog.locator(".differences")).to_contain_text("188.00")
    expect(dialog.get_by_role("button", name="修改并重放")).to_be_disabled()
    dialog.get_by_label("为什么修改").fill("金额写成了文字")
    dialog.get_by_role("button", name="修改并重放").click()
    expect(dialog).to_be_hidden()
    hub.quiet()
    page.get_by_role("tab", name="数据").click()
    expect(page.get_by_role("region", name="修改记录")).to_contain_text("金额写成了文字")
    assert hub.api("GET", f"/events/{found['id']}")["state"] == "planned"
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_mapping_is_made_by_dragging_and_published(visit: Any) -> None:
    visitor = visit("owner")
    page = visitor.go(MAPPING)
    expect(page.get_by_text("转换成功")).to_be_visible(timeout=20_000)
    source = page.locator('[data-left="|title"] .dot')
    target = page.locator('[data-right="|buyer.name"]')
    expect(target).not_to_have_class(re.compile("joined"))
    page.locator(".map-body").evaluate("(one) => one.scrollTo(0, 0)")
    start = source.bounding_box()
    assert start is not None
    page.mouse.move(start["x"] + 8, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(start["x"] + 200, start["y"] + 60, steps=4)
    target.evaluate("(one) => one.scrollIntoView({block: 'center'})")
    end = target.bounding_box()
    assert end is not None
    page.mouse.move(end["x"] + 30, end["y"] + 14, steps=6)
    expect(page.locator(".wire-pull")).to_be_visible()
    page.mouse.up()
    expect(target).to_have_class(re.compile("joined"))
    expect(target).to_contain_text("枢纽测试旗舰店", timeout=15_000)  # the live preview shows the sample's value there
    page.get_by_text("YAML", exact=True).click()
    expect(page.get_by_role("textbox", name="YAML")).to_have_value(re.compile(r"native: title, canonical: buyer\.name"))
    page.get_by_role("button", name="发布").click()
    page.get_by_role("dialog").get_by_role("button", name="发布").click()
    expect(page.get_by_text("本站版本 1")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="恢复内置映射").click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("确.*定|OK")).click()
    expect(page.locator("h1").get_by_text("内置")).to_be_visible(timeout=20_000)
    assert not visitor.complaints, visitor.complaints[:3]


def test_the_same_pair_is_made_by_keyboard_alone(visit: Any) -> None:
    visitor = visit("editor")
    page = visitor.go(MAPPING)
    page.locator('[data-left="|title"] .dot').focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("已选中「title」")).to_be_visible()
    page.locator('[data-right="|buyer.name"] .dot').focus()
    page.keyboard.press("Enter")
    expect(page.locator('[data-right="|buyer.name"]')).to_have_class(re.compile("joined"))


def test_language_and_appearance_are_chosen_and_kept(visit: Any) -> None:
    visitor = visit("viewer")
    page = visitor.go("/settings")
    page.get_by_text("English", exact=True).first.click()
    expect(page.locator("main h1")).to_have_text("Settings")
    page.get_by_text("Dark", exact=True).first.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("main h1")).to_have_text("Settings")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_what_happens_shows_by_itself(hub: living.Living, visit: Any) -> None:
    visitor = visit("viewer")
    page = visitor.go("/")
    received = page.locator(".term-all b")
    before = int(received.inner_text().replace(",", ""))
    assert hub.push(living.order("LIVE-1")) == 200
    expect(received).not_to_have_text(f"{before:,}", timeout=10_000)


def test_two_editors_do_not_overwrite_each_other(visit: Any) -> None:
    pages = [visit(role).go("/routes/ship-to-crm") for role in ("editor", "owner")]
    for place, page in enumerate(pages):
        page.locator("#label").fill(f"出库 {place}")
    pages[0].get_by_role("button", name="保存").click()
    expect(pages[0].get_by_text("已保存").first).to_be_visible()
    expect(pages[0].locator("h1")).to_contain_text("出库 0")
    # The other is told, what is typed stays, and saving over it is refused.
    expect(pages[1].get_by_text("内容已被他人修改").first).to_be_visible(timeout=15_000)
    expect(pages[1].locator("#label")).to_have_value("出库 1")
    pages[1].get_by_role("button", name="保存").click()
    expect(pages[1].get_by_text("内容已被他人修改")).to_have_count(2)
    pages[1].get_by_role("button", name="刷新").click()
    expect(pages[1].locator("#label")).to_have_value("出库 0")
