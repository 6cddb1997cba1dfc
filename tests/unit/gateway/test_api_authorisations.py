"""Authorising in the browser: to the platform, back with a code, into the connection, once; forged ways back fail."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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


EXCHANGING = {
    "jd": {
        "page": "/jd/oauth2/to_login", "client": "app_key", "secrets": ["access_token", "app_secret", "refresh_token"],
        "config": {"base_url": "{url}/jd/routerjson", "oauth_url": "{url}/jd/oauth2"}, "ends": "token_expires",
    },
    "taobao": {
        "page": "/taobao/oauth/authorize", "client": "client_id", "secrets": ["app_secret", "session"],
        "config": {"base_url": "{url}/taobao/router/rest", "oauth_url": "{url}/taobao/oauth", "receive": "poll-only"},
        "ends": "session_ends",
    },
}  # fmt: skip


@pytest.mark.parametrize("connector", sorted(EXCHANGING))
async def test_a_code_is_exchanged_while_the_person_waits(desk: desks.Desk, connector: str) -> None:
    told = EXCHANGING[connector]
    async with engine.serve([connector], time_scale=0.01) as url:
        known = url.simulators[connector].settings
        editor = await desk.as_("editor")
        config = {name: str(text).format(url=url) for name, text in dict(told["config"]).items()}  # type: ignore[call-overload]
        body = {"key": "shop", "connector": connector, "config": {**config, "app_key": known["app_key"]},
                "secrets": {"app_secret": "a wrong one"}}  # fmt: skip
        assert (await editor.post("/connections", json=body)).status_code == 201
        page, query = await begun(editor)
        assert page == f"{url}{told['page']}"
        assert query[str(told["client"])] == known["app_key"]
        code = str(known["code"])
        way = await back(desk, code=code, state=query["state"])
        assert way == "/connections/shop?authorised=unexchanged", "the application's secret is wrong"
        assert (await editor.get("/connections/shop")).json()["secrets"] == ["app_secret"], "nothing is kept of it"
        shown = (await editor.get("/connections/shop")).json()
        change = {"config": shown["config"], "secrets": {"app_secret": known["app_secret"]}}
        answer = await editor.put("/connections/shop", json=change, headers={"if-match": shown["etag"]})
        assert answer.status_code == 200
        assert await back(desk, code=code, state=query["state"]) == "/connections/shop?authorised=expired"
        _, query = await begun(editor)
        assert await back(desk, code=code, state=query["state"]) == "/connections/shop?authorised=yes"
        found = await editor.get("/connections/shop")
        assert found.json()["state"] == "enabled"
        assert found.json()["secrets"] == told["secrets"]
        counted = found.json()["authorised_until"] is not None
        assert counted == (connector == "taobao"), "what nothing renews is counted down"
        assert found.json()["config"][told["ends"]]
        assert code not in found.text
