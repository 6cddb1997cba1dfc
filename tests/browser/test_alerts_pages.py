"""An alert made by clicks: tested, told to a group robot, taken by a person, looked back at; what each role sees."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from gateway import hub as hubs
from gateway import hub_file
from tests.browser import living
from tests.conformance import messaging

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(240)]

DUTY = """
apiVersion: shuniu/v1
connections:
  - key: duty-group
    connector: wecom
    config: {base_url: "${SIM}/wecom", corp_id: "${CORP}", agent_id: 1000002}
    secrets: {app_secret: "${SECRET}", robot_key: "${ROBOT}", token: "${TOKEN}", encoding_aes_key: "${AES}"}
"""


@pytest.fixture(scope="module")
def duty(hub: living.Living) -> str:
    """A connection whose group robot can be told."""
    known = messaging.WECOM
    variables = {"SIM": hub.place.sim_url, "CORP": known["corp_id"], "SECRET": known["app_secret"],
                 "ROBOT": known["robot_key"], "TOKEN": known["token"], "AES": known["encoding_aes_key"]}  # fmt: skip
    draft = hub_file.read(DUTY, "hub.yaml", variables=variables)
    hub.run(lambda: hubs.apply(hub.place.ledger, hub.place.sealer, draft, actor="test"))
    return "duty-group"


def told(hub: living.Living) -> list[str]:
    return [str(one["data"]) for one in hub.place.effects() if "枢纽告警" in str(one.get("data"))]


def test_an_alert_is_made_tried_told_taken_and_looked_back_at(hub: living.Living, visit: Any, duty: str) -> None:
    visitor = visit("editor")
    page = visitor.go("/alerts")
    page.get_by_role("button", name="新建告警").first.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("告警名称").fill("值班群")
    drawer.locator("#to_0_channel").click()
    page.locator(".ant-select-dropdown:visible .ant-select-item-option").filter(has_text=f"{duty} · 群机器人").click()
    drawer.get_by_role("button", name="发送测试消息").click()
    expect(drawer.get_by_text(f"{duty}：已送达")).to_be_visible()
    assert any("值班群：测试" in one for one in told(hub))
    drawer.get_by_role("button", name="保存").click()
    expect(page.locator(".card").filter(has_text="值班群")).to_be_visible()
    firing = page.get_by_role("region", name="正在触发")
    expect(firing.get_by_text("warehouse", exact=False).first).to_be_visible(timeout=30_000)
    firing.get_by_role("button", name="我来处理").first.click()
    expect(firing.get_by_text("editor 在处理")).to_be_visible()
    page.get_by_role("tab", name="发出的消息").click()
    row = page.locator("tbody tr").filter(has_text="项需要处理").first
    expect(row).to_contain_text("已送达", timeout=30_000)
    row.locator("summary").click()
    expect(row.locator("pre")).to_contain_text("挂起")
    assert any("值班群" in one and "挂起" in one for one in told(hub))
    page.get_by_role("tab", name="触发记录").click()
    expect(page.locator("tbody tr").filter(has_text="warehouse").first).to_be_visible()
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_channel_that_is_wrong_says_why_before_it_is_saved(hub: living.Living, visit: Any, duty: str) -> None:
    page = visit("editor").go("/alerts")
    page.get_by_role("button", name="新建告警").first.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="保存").click()
    expect(drawer.get_by_text("请填写").first).to_be_visible()
    drawer.locator("#to_0_channel").click()
    page.locator(".ant-select-dropdown:visible .ant-select-item-option").filter(has_text=f"{duty} · 发送应用").click()
    drawer.get_by_role("button", name="发送测试消息").click()
    expect(drawer.get_by_text("这个渠道需要写明接收人")).to_be_visible()
    drawer.locator("#to_0_recipients").fill("nobody-of-this-corp")
    drawer.locator("#to_0_recipients").press("Enter")
    drawer.get_by_role("button", name="发送测试消息").click()
    expect(drawer.locator(".alert-outcome .ant-alert").first).to_be_visible()


@pytest.mark.parametrize("role", living.ROLES)
def test_each_role_sees_what_it_may(visit: Any, duty: str, role: str) -> None:
    page = visit(role).go("/alerts")
    changes = role in ("editor", "owner")
    page.locator("main h1").first.wait_for()
    new = page.get_by_role("button", name="新建告警")
    expect(new.first).to_be_visible() if changes else expect(new).to_have_count(0)
    assert page.locator(".card-button").count() == (page.locator("ul.cards > li").count() if changes else 0)
    if role == "viewer":
        expect(page.get_by_role("button", name="我来处理")).to_have_count(0)


def test_a_person_holds_a_system_back_and_lets_it_go_again(visit: Any, duty: str) -> None:
    visitor = visit("editor")
    page = visitor.go(f"/connections/{duty}")
    page.get_by_role("tab", name="停用与删除").click()
    page.get_by_role("button", name="断开").click()
    expect(page.get_by_text("已熔断：暂不调用这个系统")).to_be_visible()
    expect(page.get_by_text("由 editor 断开")).to_be_visible()
    visitor.go("/")
    todo = page.locator(".todo-breaker")
    expect(todo).to_contain_text(duty)
    todo.get_by_role("link").click()
    page.get_by_role("button", name="立即恢复").click()
    expect(page.get_by_text("已熔断：暂不调用这个系统")).to_have_count(0)
    assert not visitor.complaints, visitor.complaints[:3]
