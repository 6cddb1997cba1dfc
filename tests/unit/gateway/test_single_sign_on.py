"""Signing in through an OpenID provider: who may, as what, and every way in which it must not work (S-29)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway import api, oidc, problems, settings
from retry_queue.ledger import audit
from tests.unit.gateway import desk as desks
from tests.unit.gateway import idp as providers


@pytest.fixture(scope="module")
def provider() -> Iterator[providers.Idp]:
    with providers.running() as made:
        yield made


@pytest.fixture
def idp(provider: providers.Idp) -> providers.Idp:
    provider.keys, provider.spoil, provider.moved = provider.keys[:1], None, False
    provider.person = {"sub": "u-1", "preferred_username": "Wang.Li", "groups": ["staff", "hub-admins"]}
    return provider


@pytest.fixture
async def desk(sqlite_url: str, tmp_path: Path, idp: providers.Idp) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        config = settings.Settings(
            data_dir=tmp_path, public_url="http://hub.test", oidc_issuer=idp.url, oidc_client_id=providers.CLIENT,
            oidc_client_secret=providers.SECRET, oidc_roles="hub-admins=editor, sales=viewer",
        )  # fmt: skip
        made.hub = replace(made.hub, settings=config)
        made.app = FastAPI()
        problems.install(made.app)
        made.app.include_router(api.build(made.hub))
        yield made


async def begun(browser: httpx.AsyncClient, page: str = "/events") -> str:
    answer = await browser.get("/sessions/oidc/start", params={"page": page})
    assert answer.status_code == 303, answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    return str(answer.headers["location"])


async def back(browser: httpx.AsyncClient, code: str, state: str) -> httpx.Response:
    return await browser.get("/sessions/oidc/callback", params={"code": code, "state": state})


async def signed_in(
    desk: desks.Desk, idp: providers.Idp, page: str = "/events"
) -> tuple[httpx.AsyncClient, httpx.Response]:
    browser = desk.anonymous()
    return browser, await back(browser, *idp.authorize(await begun(browser, page)))


async def test_a_person_comes_in_as_their_groups_say(desk: desks.Desk, idp: providers.Idp) -> None:
    ways = (await desk.anonymous().get("/sessions/ways")).json()["items"]
    assert [one["id"] for one in ways] == ["password", "oidc"]
    browser, answer = await signed_in(desk, idp)
    assert (answer.status_code, answer.headers["location"]) == (303, "/events")
    me = (await browser.get("/sessions/current")).json()
    assert (me["name"], me["role"]) == ("wang.li", "editor")
    again, _ = await signed_in(desk, idp)
    owner = await desk.as_("owner")
    assert len((await owner.get("/users")).json()["items"]) == 1, "the same person, not another one"
    idp.person["groups"] = ["sales"]
    third, _ = await signed_in(desk, idp)
    assert (await third.get("/sessions/current")).json()["role"] == "viewer"
    assert (await again.get("/sessions/current")).status_code == 401, "who loses a role is signed out"
    body = {"name": "wang.li", "password": "!"}
    assert (await desk.anonymous().post("/sessions", json=body)).status_code == 401, "no password fits"
    async with desk.ledger.read() as db:
        said = [(one.actor, one.action) for one in await audit.search(db, limit=20)]
        assert ("oidc", "user.update") in said
        assert await audit.verify(db, desk.hub.sealer) == []


async def test_who_may_not(desk: desks.Desk, idp: providers.Idp) -> None:
    idp.person["groups"] = ["visitors"]
    _, answer = await signed_in(desk, idp)
    desks.problem(answer, 401, "sign_in_refused")
    idp.person["groups"] = ["sales"]
    await desk.person("owner", "wang.li")
    _, answer = await signed_in(desk, idp)
    desks.problem(answer, 409, "exists")
    idp.person = {"sub": "u-2", "email": "li@example.com", "groups": "sales"}
    browser, answer = await signed_in(desk, idp)
    assert (await browser.get("/sessions/current")).json()["name"] == "li@example.com"
    owner = await desk.as_("owner")
    (user,) = [one for one in (await owner.get("/users")).json()["items"] if one["name"] == "li@example.com"]
    await owner.patch(f"/users/{user['id']}", json={"disabled": True})
    _, answer = await signed_in(desk, idp)
    desks.problem(answer, 401, "sign_in_refused")


def _with(**changed: Any) -> Any:
    return lambda said, key: key.token({**said, **changed})


def _none(said: dict[str, Any], key: providers.Key) -> str:
    head = providers.b64(json.dumps({"alg": "none", "kid": key.kid}).encode())
    return f"{head}.{providers.b64(json.dumps(said).encode())}."


def _public_key_as_secret(said: dict[str, Any], key: providers.Key) -> str:
    text = ".".join(providers.b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": key.kid}, said))
    return f"{text}.{providers.b64(hmac.new(json.dumps(key.jwk).encode(), text.encode(), hashlib.sha256).digest())}"


def _tampered(said: dict[str, Any], key: providers.Key) -> str:
    head, _, proof = key.token(said).split(".")
    return f"{head}.{providers.b64(json.dumps({**said, 'groups': ['hub-admins'], 'sub': 'x'}).encode())}.{proof}"


STRANGER = providers.Key("k1")
WRONG: dict[str, Any] = {
    "not signed": _none,
    "the public key as a shared secret": _public_key_as_secret,
    "changed after signing": _tampered,
    "signed by a stranger under a known name": lambda said, _: STRANGER.token(said),
    "a key nobody knows": lambda said, _: providers.Key("k9").token(said),
    "another algorithm's name": lambda said, key: key.token(said, alg="ES256"),
    "critical extensions": lambda said, key: key.token(said, crit=["b64"]),
    "another issuer": _with(iss="https://evil.example"),
    "for somebody else": _with(aud="other"),
    "for several, not by us": _with(aud=[providers.CLIENT, "other"]),
    "made for another client": _with(azp="other"),
    "over": _with(exp=1_600_000_000),
    "not yet": _with(nbf=9_999_999_999),
    "without an end": _with(exp=None),
    "true as an end": _with(exp=True),
    "of another sign-in": _with(nonce="x"),
    "without a nonce": _with(nonce=None),
    "naming nobody": _with(sub=""),
    "no token": lambda said, key: "a.b",
    "not text": lambda said, key: 7,
    "garbage": lambda said, key: "!!.??.**",
    "huge": lambda said, key: key.token({**said, "x": "y" * 40_000}),
    "deep": lambda said, key: f"{providers.b64(b'[' * 20_000)}.e30.e30",
}


async def test_a_token_that_proves_nothing_opens_nothing(desk: desks.Desk, idp: providers.Idp) -> None:
    came_in = []
    for wrong, spoil in WRONG.items():
        idp.spoil = spoil
        browser, answer = await signed_in(desk, idp)
        if (answer.status_code, answer.json().get("code")) != (401, "sign_in_refused"):
            came_in.append(f"{wrong}: {answer.status_code} {answer.text[:200]}")
        if (await browser.get("/sessions/current")).status_code != 401:
            came_in.append(f"{wrong}: a session")
    assert not came_in


async def test_a_provider_that_rotates_its_keys_and_one_with_elliptic_ones(
    desk: desks.Desk, idp: providers.Idp
) -> None:
    assert (await signed_in(desk, idp))[1].status_code == 303
    idp.keys = [idp.keys[0], providers.Key("k2", "ES256")]
    assert (await signed_in(desk, idp))[1].status_code == 303, "a new key is asked for"
    idp.spoil = lambda said, key: key.token(said)[:-4] + "AAAA"
    desks.problem((await signed_in(desk, idp))[1], 401, "sign_in_refused")


async def test_only_the_browser_that_began_comes_back(desk: desks.Desk, idp: providers.Idp) -> None:
    browser, stranger = desk.anonymous(), desk.anonymous()
    code, state = idp.authorize(await begun(browser))
    desks.problem(await back(stranger, code, state), 401, "sign_in_refused")
    other = idp.authorize(await begun(stranger))
    desks.problem(await back(browser, *other), 401, "sign_in_refused")
    desks.problem(await back(browser, code, state + "x"), 401, "sign_in_refused")
    desks.problem(await back(browser, "", state), 401, "sign_in_refused")
    assert (await back(browser, code, state)).status_code == 303
    desks.problem(await back(browser, code, state), 401, "sign_in_refused")  # cookie and code are used up
    denied = await browser.get("/sessions/oidc/callback", params={"error": "access_denied", "state": state})
    desks.problem(denied, 401, "sign_in_refused")
    assert providers.SECRET not in denied.text


async def test_nobody_is_sent_elsewhere(desk: desks.Desk, idp: providers.Idp) -> None:
    for page in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb: c", ""):
        _, answer = await signed_in(desk, idp, page)
        assert answer.headers["location"] == "/", page
    assert oidc.inner("/events/7?x=1#y") == "/events/7?x=1#y"
    idp.moved = True
    desks.problem((await signed_in(desk, idp))[1], 401, "sign_in_refused")


async def test_without_a_provider_there_is_none(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        browser = desk.anonymous()
        assert [one["id"] for one in (await browser.get("/sessions/ways")).json()["items"]] == ["password"]
        desks.problem(await browser.get("/sessions/oidc/start"), 404, "not_found")
        desks.problem(await back(browser, "c", "s"), 404, "not_found")
