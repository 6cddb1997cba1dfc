"""What only an owner looks after, by clicks: how long data is kept, a backup, a rotation of the keys; one's account."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gateway import backup
from tests.browser import living

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(180)]
LONG = 40_000


def test_data_is_kept_shorter_only_after_a_question(hub: living.Living, visit: Any) -> None:
    visitor = visit("owner")
    page = visitor.go("/settings?view=data")
    kept = page.get_by_role("region", name="数据保留多久")
    save = kept.get_by_role("button", name="保存")
    expect(save).to_be_disabled()
    kept.get_by_role("spinbutton", name="拒收记录").fill("20")
    save.click()
    sure = page.get_by_role("dialog")
    expect(sure).to_contain_text("拒收记录：超出新期限的内容会")
    sure.get_by_role("button", name=re.compile("取.*消")).click()
    assert hub.api("GET", "/settings/retention")["quarantine"] == 30
    kept.get_by_role("spinbutton", name="拒收记录").fill("60")
    kept.get_by_role("switch", name="对账报告：永久保留").click()
    save.click()
    expect(page.get_by_text("已保存").first).to_be_visible()
    told = hub.api("GET", "/settings/retention")
    assert (told["quarantine"], told["comparisons"], told["raw"]) == (60, None, 180)
    assert not visitor.complaints, visitor.complaints[:3]


def test_a_backup_is_taken_by_a_click(hub: living.Living, visit: Any) -> None:
    visitor = visit("owner")
    page = visitor.go("/settings?view=data")
    panel = page.get_by_role("region", name="备份")
    expect(panel.get_by_text("还没有备份过")).to_be_visible()
    panel.get_by_role("button", name="立即备份").click()
    expect(panel.get_by_text("上次备份", exact=True)).to_be_visible(timeout=LONG)
    file = Path(panel.locator("code").filter(has_text=".tar").inner_text())
    assert backup.read(file).size > 0
    assert not visitor.complaints, visitor.complaints[:3]


def test_the_keys_are_rotated_while_everything_runs(hub: living.Living, visit: Any) -> None:
    before = [one["id"] for one in hub.api("GET", "/keys")["keys"] if one["state"] == "current"]
    visitor = visit("owner")
    page = visitor.go("/settings?view=system")
    panel = page.get_by_role("region", name="加密密钥")
    panel.get_by_role("button", name="轮换密钥").click()
    page.get_by_role("dialog").get_by_role("button", name="轮换密钥").click()
    expect(panel.get_by_role("progressbar")).to_be_visible(timeout=LONG)
    expect(panel.get_by_role("button", name="轮换密钥")).to_be_enabled(timeout=90_000)
    after = hub.api("GET", "/keys")
    assert not after["rotating"]
    assert [one["id"] for one in after["keys"]] != before
    assert hub.push(living.order("AFTER-KEYS")) == 200, "what was sealed opens"
    assert not visitor.complaints, visitor.complaints[:3]


def test_others_see_their_account_only(visit: Any) -> None:
    page = visit("editor").go("/settings?view=data")
    expect(page.get_by_role("tab", name="账号与界面")).to_be_visible()
    expect(page.get_by_role("tab", name="数据与备份")).to_have_count(0)
    expect(page.get_by_role("button", name="立即备份")).to_have_count(0)
