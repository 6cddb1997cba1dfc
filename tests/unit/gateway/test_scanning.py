"""Signing in by scanning with an office's app, against the simulators: who may, as what, and what must fail."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from connectors.simulator import engine
from gateway import api, problems, settings
from retry_queue.ledger import audit
from tests.conformance import rehearsal, ruling
from tests.unit.gateway import desk as desks

OFFICES = [id for id in ruling.IDS if ruling.folder(id).spec.sign_in is not None]
ROLES = "office/sales01=operator, office/*=viewer"
every_office = pytest.mark.parametrize("id", OFFICES)


@dataclass
class Lobby:
    """A hub whose people sign in by one office."""

    desk: desks.Desk
    id: str
    panel: httpx.AsyncClient
    config: dict[str, Any]
    code: str

    async def begun(self, browser: httpx.AsyncClient, page: str = "/events") -> dict[str, str]:
        """What the system's page is asked with."""
        answer = await browser.get("/sessions/scan/office/start", params={"page": page})
        assert answer.status_code == 303, answer.text
        assert "HttpOnly" in answer.headers["set-cookie"]
        told = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        assert told["redirect_uri"] == "http://hub.test/api/v1/sessions/scan/office/callback"
        return told

    async def scanned(self, who: str) -> str:
        answer = await self.panel.post(f"/_sim/{self.id}/scan", json={"userid": who})
        return str(answer.raise_for_status().json()[self.code])

    async def back(self, browser: httpx.AsyncClient, code: str, state: str) -> httpx.Response:
        return await browser.get("/sessions/scan/office/callback", params={self.code: code, "state": state})

    async def signed_in(self, who: str) -> tuple[httpx.AsyncClient, httpx.Response]:
        browser = self.desk.anonymous()
        told = await self.begun(browser)
        return browser, await self.back(browser, await self.scanned(who), told["state"])


@contextlib.asynccontextmanager
async def lobby(id: str, url: str, tmp_path: Path) -> AsyncIterator[Lobby]:
    async with (
        engine.serve([id]) as sims,
        httpx.AsyncClient(base_url=str(sims), trust_env=False) as panel,
        desks.opened(url, tmp_path) as desk,
    ):
        config = settings.Settings(
            data_dir=tmp_path, public_url="http://hub.test", scan_login="office, gone", scan_roles=ROLES
        )
        desk.hub = replace(desk.hub, settings=config)
        desk.app = FastAPI()
        problems.install(desk.app)
        desk.app.include_router(api.build(desk.hub))
        known, hidden = rehearsal.fitting(id, str(sims), sims.simulators[id])
        needed = {one.key for one in ruling.folder(id).spec.fields if one.required}
        plain = {key: value for key, value in known.items() if key in needed}
        owner = await desk.as_("owner")
        body = {"key": "office", "connector": id, "config": plain, "secrets": hidden, "enable": True}
        answer = await owner.post("/connections", json=body)
        assert answer.status_code == 201, answer.text
        spec = ruling.folder(id).spec.sign_in
        assert spec is not None
        yield Lobby(desk, id, panel, plain, spec.code)


def test_there_are_offices_to_sign_in_by() -> None:
    assert len(OFFICES) >= 2


@every_office
async def test_a_member_comes_in_as_the_operator_said(id: str, sqlite_url: str, tmp_path: Path) -> None:
    async with lobby(id, sqlite_url, tmp_path) as place:
        ways = (await place.desk.anonymous().get("/sessions/ways")).json()["items"]
        assert [(one["id"], one["start"]) for one in ways[1:]] == [("scan", "/api/v1/sessions/scan/office/start")]
        browser, answer = await place.signed_in("sales01")
        assert (answer.status_code, answer.headers.get("location")) == (303, "/events"), answer.text
        me = (await browser.get("/sessions/current")).json()
        assert (me["name"], me["role"]) == ("sales01@office", "operator")
        other, _ = await place.signed_in("sales02")
        assert (await other.get("/sessions/current")).json()["role"] == "viewer"
        await place.signed_in("sales01")
        owner = await place.desk.as_("owner")
        names = [one["name"] for one in (await owner.get("/users")).json()["items"]]
        assert names == ["sales01@office", "sales02@office"], "the same person comes back as the same user"
        async with place.desk.ledger.read() as db:
            assert ("scan", "user.create") in [(one.actor, one.action) for one in await audit.search(db, limit=20)]


@every_office
async def test_what_must_not_open_a_session(id: str, sqlite_url: str, tmp_path: Path) -> None:
    """S-29: a stranger, a code twice, another browser's state, none, a code out of nowhere, a page elsewhere."""
    async with lobby(id, sqlite_url, tmp_path) as place:
        _browser, answer = await place.signed_in("somebody-else")
        desks.problem(answer, 401, "sign_in_refused")
        browser = place.desk.anonymous()
        told, code = await place.begun(browser, "https://evil.test/"), await place.scanned("sales01")
        desks.problem(await place.back(place.desk.anonymous(), code, told["state"]), 401, "sign_in_refused")
        desks.problem(await place.back(browser, code, told["state"][:-1] + "!"), 401, "sign_in_refused")
        desks.problem(await place.back(browser, code, ""), 401, "sign_in_refused")
        desks.problem(await place.back(browser, "", told["state"]), 401, "sign_in_refused")
        desks.problem(await place.back(browser, "x" * 3000, told["state"]), 401, "sign_in_refused")
        answer = await place.back(browser, code, told["state"])
        assert (answer.status_code, answer.headers.get("location")) == (303, "/"), "never a page of somebody else"
        again = place.desk.anonymous()
        told = await place.begun(again)
        desks.problem(await place.back(again, code, told["state"]), 401, "sign_in_refused")
        for key in ("gone", "shop"):
            desks.problem(await again.get(f"/sessions/scan/{key}/start"), 404, "not_found")
        assert (await again.get("/sessions/current")).status_code == 401


@every_office
async def test_a_person_at_a_browser_was_shown_json_instead_of_why(id: str, sqlite_url: str, tmp_path: Path) -> None:
    """Who may not come in goes back to the sign-in page with a word of a closed list; no query is echoed."""
    async with lobby(id, sqlite_url, tmp_path) as place:
        config = place.desk.hub.settings.model_copy(update={"scan_roles": {"office/sales01": "operator"}})
        place.desk.hub = replace(place.desk.hub, settings=config)
        place.desk.app = FastAPI()
        problems.install(place.desk.app)
        place.desk.app.include_router(api.build(place.desk.hub))
        browser = place.desk.anonymous()
        browser.headers["accept"] = "text/html,application/xhtml+xml,*/*;q=0.8"
        state = (await place.begun(browser))["state"]

        async def why(code: str, state: str = state) -> str:
            answer = await place.back(browser, code, state)
            assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store"), answer.text
            to = str(answer.headers["location"])
            assert ("set-cookie" in answer.headers) == (to == "/events"), "a forged way back ends none under way"
            return to

        code = await place.scanned("sales01")
        assert await why(code, state + "<script>") == "/?sign_in=stale"
        assert await why("") == "/?sign_in=nothing"
        assert await why("out-of-nowhere") == "/?sign_in=code"
        assert await why(await place.scanned("somebody-else")) == "/?sign_in=stranger"
        assert await why(await place.scanned("sales03")) == "/?sign_in=role"
        (await place.panel.post(f"/_sim/{id}/faults", json={"error_rate": 1.0})).raise_for_status()
        assert await why(code) == "/?sign_in=away"
        (await place.panel.post(f"/_sim/{id}/faults", json={"error_rate": 0})).raise_for_status()
        assert (await browser.get("/sessions/scan/gone/start")).headers["location"] == "/?sign_in=gone"
        assert await why(code) == "/events", "the way that was begun is still open"


async def test_only_an_owner_moves_the_connection_people_sign_in_by(sqlite_url: str, tmp_path: Path) -> None:
    """An editor who could point it at a server of their own would be whoever they like."""
    async with lobby(OFFICES[0], sqlite_url, tmp_path) as place:
        editor, owner = await place.desk.as_("editor"), await place.desk.as_("owner")
        read = await editor.get("/connections/office")
        tag = {"If-Match": read.headers["etag"]}
        body = {"config": {**place.config, "base_url": "https://evil.test"}, "secrets": {}}
        desks.problem(await editor.put("/connections/office", json=body, headers=tag), 403, "forbidden")
        desks.problem(await editor.delete("/connections/office", headers=tag), 403, "forbidden")
        fresh = {"key": "gone", "connector": OFFICES[0], "config": place.config, "secrets": {}}
        desks.problem(await editor.post("/connections", json=fresh), 403, "forbidden")
        body["config"] = place.config
        assert (await owner.put("/connections/office", json=body, headers=tag)).status_code == 200
