"""A shop is connected without typing a code: saved, sent to the platform, back, tried, and counted down."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from connectors.kuaishou import simulator
from tests.browser import living

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(180)]
KNOWN = simulator.Simulator.SETTINGS
PLATFORM = "https://open.kwaixiaodian.com/oauth/authorize*"


def test_a_shop_is_authorised_by_going_there_and_back(hub: living.Living, visit: Any) -> None:
    visitor = visit("editor")
    page = visitor.page
    answers = [{"error": "access_denied"}, {"code": str(KNOWN["code"])}]

    def platform(route: Route) -> None:
        """The platform's page, on which the shop's owner answers at once."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(route.request.url).query))
        way = urllib.parse.urlencode({**answers.pop(0), "state": asked["state"]})
        route.fulfill(status=302, headers={"location": f"{asked['redirect_uri']}?{way}"})

    page.route(PLATFORM, platform)
    visitor.go("/connections/new/kuaishou")
    page.locator('[id="~key"]').fill("snack-shop")
    for key, value in {
        "base_url": f"{hub.place.sim_url}/kuaishou", "app_key": KNOWN["app_key"], "app_secret": KNOWN["app_secret"],
        "sign_secret": KNOWN["sign_secret"], "message_key": KNOWN["message_key"],
    }.items():  # fmt: skip
        page.locator(f"#{key}").fill(str(value))
    page.get_by_role("button", name="保存并去授权").click()
    expect(page.get_by_text("对方没有给出授权")).to_be_visible(timeout=20_000)
    panel = page.get_by_role("region", name="网页授权")
    expect(panel.get_by_text("/api/v1/authorisations/callback")).to_be_visible()
    panel.get_by_role("button", name="去授权").click()
    expect(page.get_by_text("授权成功")).to_be_visible(timeout=40_000)
    expect(page.locator("h1").get_by_text("运行中")).to_be_visible()
    expect(panel.get_by_text("授权还有")).to_be_visible()
    assert not answers
    assert not [one for one in visitor.strangers if "kwaixiaodian.com/oauth" not in one]
