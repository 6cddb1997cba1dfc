"""Authorising in the browser: to the platform, back with a code, into the connection, once; forged ways back fail."""

from __future__ import annotations

import html
import re
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.core import registry
from connectors.simulator import engine
from retry_queue.ledger import connections
from tests.unit.gateway import desk as desks
from tests.unit.gateway.desk import problem


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        yield made


@pytest.fixture
async def shop(desk: desks.Desk) -> AsyncIterator[tuple[engine.Url, httpx.AsyncClient]]:
    """A platform that works with codes, and a connection that lacks its code."""
    async with engine.serve(["kuaishou"], time_scale=0.01) as url:
        known = url.simulators["kuaishou"].settings
        editor = await desk.as_("editor")
        body: dict[str, Any] = {
            "key": "shop", "connector": "kuaishou",
            "config": {"base_url": f"{url}/kuaishou", "app_key": known["app_key"], "receive": "poll"},
            "secrets": {"app_secret": known["app_secret"], "sign_secret": known["sign_secret"]},
        }  # fmt: skip
        assert (await editor.post("/connections", json=body)).status_code == 201
        yield url, editor


async def begun(editor: httpx.AsyncClient) -> tuple[str, dict[str, str]]:
    answer = await editor.post("/connections/shop/authorise")
    assert answer.status_code == 200, answer.text
    page = urllib.parse.urlsplit(answer.json()["url"])
    return f"{page.scheme}://{page.netloc}{page.path}", dict(urllib.parse.parse_qsl(page.query))


async def back(desk: desks.Desk, **given: str) -> str:
    """The way back, as a browser that is nobody's; returns where it is led."""
    answer = await desk.anonymous().get("/authorisations/callback", params=given)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("http://hub.test")


async def test_a_code_comes_back_is_tried_at_once_and_the_connection_goes_on(
    desk: desks.Desk, shop: tuple[engine.Url, httpx.AsyncClient]
) -> None:
    url, editor = shop
    page, query = await begun(editor)
    assert page == "https://open.kwaixiaodian.com/oauth/authorize"
    assert query["redirect_uri"] == "http://hub.test/api/v1/authorisations/callback"
    assert query["app_id"] == url.simulators["kuaishou"].settings["app_key"]
    code = str(url.simulators["kuaishou"].settings["code"])
    assert await back(desk, code=code, state=query["state"]) == "/connections/shop?authorised=yes"
    shown = (await editor.get("/connections/shop")).json()
    assert shown["state"] == "enabled"
    assert "code" in shown["secrets"]
    assert code not in (await editor.get("/connections/shop")).text
    assert await back(desk, code="another", state=query["state"]) == "/connections/shop?authorised=expired", "once"
    async with desk.ledger.read() as db:
        row = await connections.get(db, "shop")
    assert row is not None
    assert row.opened(desk.hub.sealer)["code"] == code
    owner = await desk.as_("owner")
    entries = (await owner.get("/audit", params={"action": "connection.authorise"})).json()["items"]
    assert [(one["actor"], one["object"]) for one in entries] == [("token:test-editor", "connection/shop")]


async def test_what_the_platform_refuses_is_told_and_nothing_is_kept(
    desk: desks.Desk, shop: tuple[engine.Url, httpx.AsyncClient]
) -> None:
    _, editor = shop
    _, query = await begun(editor)
    assert await back(desk, error="access_denied", state=query["state"]) == "/connections/shop?authorised=refused"
    assert "code" not in (await editor.get("/connections/shop")).json()["secrets"]
    assert await back(desk, code="never-given", state=query["state"]) == "/connections/shop?authorised=failed"


@pytest.mark.parametrize("state", ["", "x", "AAAA", "c3RhdGU", "é"])
async def test_a_forged_or_old_way_back_leads_nowhere(
    desk: desks.Desk, shop: tuple[engine.Url, httpx.AsyncClient], state: str
) -> None:
    _, editor = shop
    assert await back(desk, code="x", state=state) == "/connections?authorised=expired"
    _, query = await begun(editor)
    desk.clock.ahead = 3600
    assert await back(desk, code="x", state=query["state"]) == "/connections?authorised=expired"
    assert "code" not in (await editor.get("/connections/shop")).json()["secrets"]


async def test_who_may_and_what_is_authorised_otherwise(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    assert (await editor.post("/connections", json=desks.SHOP)).status_code == 201
    problem(await editor.post("/connections/shop/authorise"), 409, "conflict")
    problem(await editor.post("/connections/nobody/authorise"), 404, "not_found")
    problem(await (await desk.as_("operator")).post("/connections/shop/authorise"), 403, "forbidden")
    ways = {name: (await editor.get(f"/connectors/{name}")).json()["authorise"] for name in ("http", "xiaohongshu")}
    assert ways["http"] is None
    assert ways["xiaohongshu"]["fills"] == ["code"]


PAGES: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "jushuitan": ({"app_type": "isv", "authorise_url": "/auth"}, ("app_secret",), "auth_code"),
    "shopify": ({"authorisation": "code"}, ("client_secret",), "code"),
    "weibo": ({}, ("app_secret",), "code"),
    "youzan": ({"app_type": "tool", "authorise_url": "/oauth/authorize"}, ("client_secret",), "code"),
}
"""Connector -> settings and secrets of a connection that lacks its consent, and the field that the way back fills.

A path is below the simulator's own address.
"""


async def walked(page: str, decision: str) -> dict[str, str]:
    """What a person brings back who looked at the simulated page and made up their mind."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        shown = await browser.get(page)
        assert shown.status_code == 200, shown.text
        (link,) = re.findall(f'id="{decision}" href="([^"]+)"', shown.text)
        led = await browser.get(urllib.parse.urljoin(page, html.unescape(link)))
    assert led.status_code == 302, led.text
    address, _, query = led.headers["location"].partition("?")
    assert address == "http://hub.test/api/v1/authorisations/callback"
    return dict(urllib.parse.parse_qsl(query))


@pytest.mark.parametrize("id", PAGES)
async def test_a_person_agrees_on_the_platforms_page_and_calls_begin(desk: desks.Desk, id: str) -> None:
    wish, secrets, field = PAGES[id]
    async with engine.serve([id], time_scale=0.01) as url:
        known = url.simulators[id].settings
        console = {"callback": "http://hub.test/api/v1/authorisations/callback", "app_type": wish.get("app_type")}
        url.simulators[id].configure({name: value for name, value in console.items() if name in known})
        config = {key: f"{url}/{id}{value}" if str(value).startswith("/") else value for key, value in wish.items()}
        asked = {one.key for one in registry.get(id).fields if not one.secret} & known.keys()
        body = {"key": "shop", "connector": id, "secrets": {name: str(known[name]) for name in secrets},
                "config": {"base_url": f"{url}/{id}", **{name: known[name] for name in asked}, **config}}  # fmt: skip
        editor = await desk.as_("editor")
        assert (await editor.post("/connections", json=body)).status_code == 201
        page = (await editor.post("/connections/shop/authorise")).json()["url"]
        assert await back(desk, **(await walked(page, "refuse"))) == "/connections/shop?authorised=refused"
        brought = await walked((await editor.post("/connections/shop/authorise")).json()["url"], "agree")
        if {"sign", "hmac"} & brought.keys():
            assert await back(desk, **{**brought, "code": "another"}) == "/connections/shop?authorised=refused"
        assert await back(desk, **brought) == "/connections/shop?authorised=yes"
        shown = (await editor.get("/connections/shop")).json()
        assert (shown["state"], field in shown["secrets"]) == ("enabled", True)
        assert await back(desk, **brought) == "/connections/shop?authorised=expired", "once"


async def test_a_code_that_comes_encrypted_is_opened_and_a_forged_one_leads_nowhere(desk: desks.Desk) -> None:
    async with engine.serve(["youzan"], time_scale=0.01) as url:
        known = url.simulators["youzan"].settings
        url.simulators["youzan"].configure({"code_in_message": True})
        config = {"base_url": f"{url}/youzan", "authorise_url": f"{url}/youzan/oauth/authorize", "app_type": "tool"}
        body = {"key": "shop", "connector": "youzan", "secrets": {"client_secret": known["client_secret"]},
                "config": {**config, "client_id": known["client_id"], "kdt_id": known["kdt_id"]}}  # fmt: skip
        editor = await desk.as_("editor")
        assert (await editor.post("/connections", json=body)).status_code == 201
        brought = await walked((await editor.post("/connections/shop/authorise")).json()["url"], "agree")
        assert "code" not in brought
        forged = {**brought, "message": brought["message"][:-4] + "AAAA"}
        assert await back(desk, **forged) == "/connections/shop?authorised=refused"
        assert await back(desk, **brought) == "/connections/shop?authorised=yes"


async def test_nobody_is_led_to_what_is_no_web_page_or_on_without_a_secret(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    config = {"app_type": "isv", "app_key": "a", "shop_id": 1}
    for key, change, secrets in (
        ("script", {"authorise_url": "javascript://x%0aalert(1)"}, {"app_secret": "s"}),
        ("bare", {}, {}),
    ):
        body = {"key": key, "connector": "jushuitan", "config": {**config, **change}, "secrets": secrets}
        assert (await editor.post("/connections", json=body)).status_code == 201
        problem(await editor.post(f"/connections/{key}/authorise"), 409, "conflict")
