"""People sign in by scanning: the buttons, the way there and back, who is turned away, and what they are told then."""

from __future__ import annotations

import html
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from connectors.dingtalk import simulator as dingtalk
from connectors.wecom import simulator as wecom
from gateway.trial import processes
from tests.browser import living

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(180)]
WECOM, DING = wecom.Simulator.SETTINGS, dingtalk.Simulator.SETTINGS
PAGES = {"login.work.weixin.qq.com": ("wecom", "code"), "login.dingtalk.com": ("dingtalk", "authCode")}
"""Host of a vendor's page -> the simulator that knows who scanned, and what the code is called on the way back."""
SEALED = (
    f"{{app_secret: {WECOM['app_secret']}, token: {WECOM['token']}, encoding_aes_key: {WECOM['encoding_aes_key']}}}"
)
OFFICES = f"""
apiVersion: shuniu/v1
connections:
  - key: office
    connector: wecom
    config: {{base_url: "${{SIM}}/wecom", corp_id: {WECOM["corp_id"]}, agent_id: {WECOM["agent_id"]}}}
    secrets: {SEALED}
  - key: ding
    connector: dingtalk
    config:
      {{base_url: "${{SIM}}/dingtalk", legacy_url: "${{SIM}}/dingtalk", robot_url: "${{SIM}}/dingtalk", push: http,
       app_key: {DING["app_key"]}, corp_id: {DING["corp_id"]}, agent_id: {DING["agent_id"]}}}
    secrets: {{app_secret: {DING["app_secret"]}, token: {DING["token"]}, aes_key: "{DING["aes_key"]}"}}
"""
AWAY = f"""
apiVersion: shuniu/v1
connections:
  - key: away
    connector: wecom
    config: {{base_url: "http://127.0.0.1:%d", corp_id: {WECOM["corp_id"]}, agent_id: {WECOM["agent_id"]}}}
    secrets: {SEALED}
"""


@pytest.fixture
def offices(hub: living.Living) -> Iterator[None]:
    """Connections that the operator trusts with signing in; gone afterwards, buttons and all."""
    hub.apply(OFFICES)
    _offered(hub, 2)
    yield
    for key in ("office", "ding", "away"):
        tag = hub.api("GET", f"/connections/{key}")["etag"]
        hub.api("DELETE", f"/connections/{key}", headers={"if-match": tag})
    _offered(hub, 0)


def _offered(hub: living.Living, count: int) -> None:
    end = time.monotonic() + 20
    while len(found := hub.api("GET", "/sessions/ways")["items"]) != count + 1:
        assert time.monotonic() < end, found
        time.sleep(0.1)


class Phone:
    """The vendors' sign-in pages, on which ``who`` scans and agrees by a click; ``back`` is the last way back."""

    def __init__(self, hub: living.Living, page: Page) -> None:
        self.hub, self.who, self.back = hub, "", ""
        for host in PAGES:
            page.route(f"https://{host}/**", self._shown)

    def _shown(self, route: Route) -> None:
        url = urllib.parse.urlsplit(route.request.url)
        asked = dict(urllib.parse.parse_qsl(url.query))
        simulator, name = PAGES[url.netloc]
        code = self.hub.panel(f"{simulator}/scan", {"userid": self.who})[name]
        self.back = f"{asked['redirect_uri']}?{urllib.parse.urlencode({name: code, 'state': asked['state']})}"
        text = f'<title>scan</title><a id="agree" href="{html.escape(self.back)}">agree</a>'
        route.fulfill(content_type="text/html", body=text)


def _scans(page: Page, phone: Phone, button: str, who: str) -> None:
    phone.who = who
    page.get_by_role("link", name=button).click()
    page.locator("#agree").click()


def _signed_out(page: Page) -> None:
    page.locator(".person-button").click()
    page.get_by_role("menuitem", name="退出登录").click()
    page.locator("#name").wait_for()


@pytest.mark.usefixtures("offices")
def test_who_scans_is_signed_in_and_who_may_not_reads_why(hub: living.Living, visit: Any) -> None:
    visitor = visit("owner")
    page, told = visitor.page, visitor.page.get_by_role("alert")
    phone = Phone(hub, page)
    page.get_by_role("link", name="事件").first.click()
    _signed_out(page)
    _scans(page, phone, "企业微信扫码登录", "sales01")
    expect(page.locator(".person")).to_contain_text("sales01@office运维")
    assert urllib.parse.urlsplit(page.url).path == "/events", "where they were before they were asked who they are"
    used = phone.back
    _signed_out(page)
    _scans(page, phone, "钉钉扫码登录", "sales02")
    expect(page.locator(".person")).to_contain_text("sales02@ding配置")
    _signed_out(page)

    _scans(page, phone, "企业微信扫码登录", "somebody-else")
    expect(told).to_contain_text("扫码的人不是本企业成员")
    expect(page).to_have_url(f"{visitor.url}/")  # told once: nothing of it stays in the address
    _scans(page, phone, "钉钉扫码登录", "sales03")
    expect(told).to_contain_text("没有使用枢纽的权限")
    page.get_by_text("English").click()
    expect(told).to_contain_text("Your account was given no role here")

    phone.who = "sales01"
    page.get_by_role("link", name="Scan with WeCom").click()
    page.locator("#agree").wait_for()
    mine, old = (dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(one).query)) for one in (phone.back, used))
    page.goto(phone.back.replace(mine["state"], old["state"]))  # our code, the state of another way
    expect(told).to_contain_text("This browser did not begin the sign-in")
    hub.apply(AWAY % processes.free_port())
    _offered(hub, 3)
    page.goto(phone.back.replace(mine["code"], old["code"]))  # our state, a code that was used
    expect(told).to_contain_text("it was used before or is too old")
    expect(page.get_by_role("link", name="Scan with WeCom (office)")).to_be_visible()  # or nobody could tell them apart
    _scans(page, phone, "Scan with WeCom (away)", "sales01")
    expect(told).to_contain_text("cannot be reached now")
    assert not visitor.complaints
    assert {urllib.parse.urlsplit(one).netloc for one in visitor.strangers} == set(PAGES)
