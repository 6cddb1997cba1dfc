"""Who may do what: sign-in, sessions, tokens, the permission table, and the audit chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Depends
from sqlalchemy import delete, update

from gateway import security
from retry_queue.ledger import audit, tables
from tests.unit.gateway import desk as desks


@pytest.fixture
async def desk(sqlite_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        yield made


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


# --- signing in ---------------------------------------------------------------------------------


async def test_a_session_proves_itself_by_cookie_and_csrf(desk: desks.Desk) -> None:
    await desk.person("owner", "wang")
    browser = desk.anonymous()
    answer = await browser.post("/sessions", json={"name": "WANG", "password": desks.PASSWORD})
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie  # the public address is plain http here
    me = answer.json()
    assert (me["name"], me["role"]) == ("wang", "owner")
    assert (await browser.get("/sessions/current")).json()["csrf"] == me["csrf"]
    body = {"name": "li", "password": desks.PASSWORD}
    assert code(await browser.post("/users", json=body)) == (403, "csrf")
    assert code(await browser.post("/users", json=body, headers={"x-csrf-token": me["csrf"] + "x"})) == (403, "csrf")
    assert (await browser.post("/users", json=body, headers={"x-csrf-token": me["csrf"]})).status_code == 201


async def test_the_cookie_is_secure_behind_https(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path, "https://hub.example.com") as desk:
        await desk.person("viewer")
        answer = await desk.anonymous().post("/sessions", json={"name": "viewer", "password": desks.PASSWORD})
        assert "Secure" in answer.headers["set-cookie"]


async def test_signing_in_again_makes_a_new_session_and_ends_the_old(desk: desks.Desk) -> None:
    await desk.person("viewer")
    browser = await desk.browser("viewer")
    first = browser.cookies[security.COOKIE]
    await browser.post("/sessions", json={"name": "viewer", "password": desks.PASSWORD})
    assert browser.cookies[security.COOKIE] != first
    thief = desk.anonymous(cookie=f"{security.COOKIE}={first}")
    assert code(await thief.get("/sessions/current")) == (401, "unauthenticated")


async def test_an_attackers_cookie_is_never_taken_over(desk: desks.Desk) -> None:
    await desk.person("viewer")
    browser = desk.anonymous()
    browser.cookies.set(security.COOKIE, "planted", domain="hub.test")
    await browser.post("/sessions", json={"name": "viewer", "password": desks.PASSWORD})
    planted = desk.anonymous(cookie=f"{security.COOKIE}=planted")
    assert code(await planted.get("/sessions/current")) == (401, "unauthenticated")


async def test_signing_out_ends_the_session_on_the_server(desk: desks.Desk) -> None:
    await desk.person("viewer")
    browser = await desk.browser("viewer")
    cookie = browser.cookies[security.COOKIE]
    assert (await browser.delete("/sessions/current")).status_code == 204
    kept = desk.anonymous(cookie=f"{security.COOKIE}={cookie}")
    assert code(await kept.get("/sessions/current")) == (401, "unauthenticated")


async def test_sessions_end_by_idleness_and_by_age(desk: desks.Desk) -> None:
    await desk.person("viewer")
    browser = await desk.browser("viewer")
    for _ in range(20):
        desk.clock.ahead += security.IDLE - 60
        if desk.clock.ahead > security.LIFETIME:
            break
        assert (await browser.get("/sessions/current")).status_code == 200
    assert code(await browser.get("/sessions/current")) == (401, "unauthenticated")
    again = await desk.browser("viewer")
    desk.clock.ahead += security.IDLE + 1
    assert code(await again.get("/sessions/current")) == (401, "unauthenticated")


async def test_the_answer_is_the_same_whatever_is_wrong(desk: desks.Desk) -> None:
    await desk.person("viewer")
    user = await desk.person("viewer", "gone")
    owner = await desk.as_("owner")
    await owner.patch(f"/users/{user}", json={"disabled": True})
    browser = desk.anonymous()
    answers = [
        await browser.post("/sessions", json={"name": name, "password": password})
        for name, password in (("nobody", desks.PASSWORD), ("viewer", "wrong password"), ("gone", desks.PASSWORD))
    ]
    assert {code(one) for one in answers} == {(401, "wrong_credentials")}
    bodies = [{key: value for key, value in one.json().items() if key != "trace_id"} for one in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert not any("set-cookie" in one.headers for one in answers)


async def test_ten_wrong_passwords_lock_for_a_quarter_of_an_hour(desk: desks.Desk) -> None:
    await desk.person("viewer")
    browser = desk.anonymous()
    wrong = [browser.post("/sessions", json={"name": "viewer", "password": f"guess {i}"}) for i in range(10)]
    assert {code(one) for one in await asyncio.gather(*wrong)} == {(401, "wrong_credentials")}
    right = {"name": "viewer", "password": desks.PASSWORD}
    assert code(await browser.post("/sessions", json=right)) == (401, "wrong_credentials")
    desk.clock.ahead += security.LOCK_SECONDS + 1
    assert (await browser.post("/sessions", json=right)).status_code == 201


async def test_a_good_sign_in_forgets_failures(desk: desks.Desk) -> None:
    await desk.person("viewer")
    browser = desk.anonymous()
    for _ in range(2):
        for i in range(9):
            await browser.post("/sessions", json={"name": "viewer", "password": f"guess {i}"})
        right = await browser.post("/sessions", json={"name": "viewer", "password": desks.PASSWORD})
        assert right.status_code == 201


async def test_a_new_password_signs_out_everywhere(desk: desks.Desk) -> None:
    await desk.person("editor")
    here, there = await desk.browser("editor"), await desk.browser("editor")
    fresh = "another long password"
    wrong = await here.post("/sessions/current/password", json={"current": "no such", "password": fresh})
    assert code(wrong) == (422, "invalid")
    weak = await here.post("/sessions/current/password", json={"current": desks.PASSWORD, "password": "short"})
    assert weak.json()["errors"][0]["code"] == "weak_password"
    body = {"current": desks.PASSWORD, "password": fresh}
    assert (await here.post("/sessions/current/password", json=body)).status_code == 204
    assert code(await there.get("/sessions/current")) == (401, "unauthenticated")
    assert await desk.browser("editor", fresh)


# --- tokens -------------------------------------------------------------------------------------


async def test_tokens_are_long_shown_once_and_end(desk: desks.Desk) -> None:
    owner = await desk.as_("owner")
    made = (await owner.post("/tokens", json={"name": "grafana", "role": "viewer"})).json()
    assert made["token"].startswith("shn_")
    assert len(made["token"]) >= 4 + 27  # 160 bits in base64
    program = desk.anonymous(authorization=f"Bearer {made['token']}")
    assert (await program.get("/sessions/current")).json() == {
        "name": "token:grafana", "role": "viewer", "csrf": None, "expires_at": None,
    }  # fmt: skip
    listed = (await owner.get("/tokens")).text
    assert made["token"] not in listed
    async with desk.ledger.read() as connection:
        rows = [str(row) for row in await connection.execute(tables.api_tokens.select())]
    assert not any(made["token"] in row for row in rows)
    assert (await owner.delete(f"/tokens/{made['id']}")).status_code == 204
    assert code(await program.get("/sessions/current")) == (401, "unauthenticated")
    assert code(await owner.delete(f"/tokens/{made['id']}")) == (404, "not_found")


async def test_a_tokens_time_ends(desk: desks.Desk) -> None:
    owner = await desk.as_("owner")
    ends = "2199-01-01T00:00:00Z"
    made = (await owner.post("/tokens", json={"name": "t", "expires_at": ends})).json()
    program = desk.anonymous(authorization=f"Bearer {made['token']}")
    assert (await program.get("/ledger")).status_code == 200
    desk.clock.ahead += 200 * 366 * 86400
    assert code(await program.get("/ledger")) == (401, "unauthenticated")
    past = await owner.post("/tokens", json={"name": "t", "expires_at": "2001-01-01T00:00:00Z"})
    assert past.status_code in (401, 422)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer shn_", "Bearer nonsense", "Basic shn_x", "Bearer shn_" + "A" * 9000]
)
async def test_bad_tokens_are_nobody(desk: desks.Desk, header: str) -> None:
    assert code(await desk.anonymous(authorization=header).get("/ledger")) == (401, "unauthenticated")


# --- permissions --------------------------------------------------------------------------------


async def test_the_table_names_every_operation_and_nothing_else(desk: desks.Desk) -> None:
    named = {one["operationId"] for path in desk.app.openapi()["paths"].values() for one in path.values()}
    assert named == set(security.PERMISSIONS)


@pytest.mark.parametrize("role", ["anonymous", *desks.ROLES])
async def test_sweep_of_every_operation_by_role(desk: desks.Desk, role: str) -> None:
    """S-13: nobody gets a 2xx from what the table does not give them."""
    caller = desk.anonymous() if role == "anonymous" else await desk.as_(role)
    checked = 0
    for path, methods in desk.app.openapi()["paths"].items():
        address = (
            path.removeprefix("/api/v1").replace("{id}", "999999").replace("{key}", "x").replace("{code}", "invalid")
        )
        address = address.replace("{connector}", "crm").replace("{name}", "customer").replace("{link}", "999999")
        for method, operation in methods.items():
            least = security.PERMISSIONS[operation["operationId"]]
            if operation["operationId"] == "live_listen" and role != "anonymous":
                continue  # a stream without an end, open to every role
            answer = await caller.request(method, address, json={} if "requestBody" in operation else None)
            allowed = least is None or (role != "anonymous" and security.role(role) >= least)
            what = f"{method} {path} as {role}: {answer.status_code} {answer.text[:200]}"
            if not allowed:
                assert answer.status_code == (401 if role == "anonymous" else 403), what
            elif operation["operationId"] != "session_create":
                assert answer.status_code not in (401, 403), what
            assert answer.status_code < 500, what
            checked += 1
    assert checked > 40


async def test_an_operation_the_table_does_not_name_is_denied(desk: desks.Desk) -> None:
    stray = APIRouter(prefix="/api/v1", dependencies=[Depends(security.gate(desk.hub))])

    @stray.get("/stray", operation_id="stray_get")
    async def get() -> str:
        return "in"

    desk.app.include_router(stray)
    assert code(await desk.anonymous().get("/stray")) == (401, "unauthenticated")
    assert code(await (await desk.as_("owner")).get("/stray")) == (403, "forbidden")


async def test_the_last_owner_stays(desk: desks.Desk) -> None:
    only = await desk.person("owner")
    owner = await desk.as_("owner")
    assert code(await owner.delete(f"/users/{only}")) == (409, "conflict")
    assert code(await owner.patch(f"/users/{only}", json={"role": "viewer"})) == (409, "conflict")
    assert code(await owner.patch(f"/users/{only}", json={"disabled": True})) == (409, "conflict")
    await desk.person("owner", "second")
    assert (await owner.delete(f"/users/{only}")).status_code == 204


async def test_losing_a_role_ends_the_session(desk: desks.Desk) -> None:
    user = await desk.person("editor")
    browser = await desk.browser("editor")
    owner = await desk.as_("owner")
    await owner.patch(f"/users/{user}", json={"role": "viewer"})
    assert code(await browser.get("/ledger")) == (401, "unauthenticated")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", "x" * 300, "wang.li123"])
async def test_weak_passwords_are_refused(desk: desks.Desk, password: str) -> None:
    owner = await desk.as_("owner")
    answer = await owner.post("/users", json={"name": "wang.li", "password": password})
    assert code(answer) == (422, "invalid")
    assert password not in answer.text


# --- the audit chain ----------------------------------------------------------------------------


async def test_the_chain_tells_when_entries_were_touched(database_url: str, tmp_path: Path) -> None:
    async with desks.opened(database_url, tmp_path) as desk:
        owner = await desk.as_("owner")
        for name in ("a1", "b2", "c3", "d4"):
            await owner.post("/users", json={"name": name, "password": desks.PASSWORD})
        assert (await owner.post("/audit/verify")).json() == {"ok": True, "problems": []}
        entries = (await owner.get("/audit", params={"limit": 2})).json()
        assert [one["object"] for one in entries["items"]] == ["user/d4", "user/c3"]
        more = (await owner.get("/audit", params={"limit": 200, "cursor": entries["next_cursor"]})).json()
        assert more["items"][0]["object"] == "user/b2"

        async def wound(statement: object) -> list[str]:
            async with desk.ledger.engine.connect() as connection:
                await connection.execute(statement)  # type: ignore[call-overload]
                found = await audit.verify(connection, desk.hub.sealer)
                await connection.rollback()
                return found

        t = tables.audit
        third = int(more["items"][0]["id"])
        assert "altered" in (await wound(update(t).where(t.c.id == third).values(actor="somebody")))[0]
        assert "altered" in (await wound(update(t).where(t.c.id == third).values(detail="{}")))[0]
        assert "removed" in (await wound(delete(t).where(t.c.id == third)))[0]
        assert "cut off" in (await wound(delete(t).where(t.c.id > third)))[0]
        assert (await owner.post("/audit/verify")).json()["ok"]


async def test_concurrent_changes_keep_one_chain(database_url: str, tmp_path: Path) -> None:
    async with desks.opened(database_url, tmp_path) as desk:

        async def one(number: int) -> None:
            async with desk.ledger.write() as connection:
                await audit.append(connection, desk.hub.sealer, 1.5, "t", "x", f"n/{number}")

        await asyncio.gather(*(one(number) for number in range(20)))
        async with desk.ledger.read() as connection:
            assert await audit.verify(connection, desk.hub.sealer) == []
            assert len(await audit.search(connection, limit=100)) == 20


# --- scopes -------------------------------------------------------------------------------------


async def test_a_token_reaches_no_further_than_its_scopes(desk: desks.Desk) -> None:
    owner = await desk.as_("owner")
    body = {"name": "t", "role": "owner", "scopes": ["ledger:read", "quarantine", "token:read"]}
    made = (await owner.post("/tokens", json=body)).json()
    assert made["scopes"] == ["ledger:read", "quarantine", "token:read"]
    program = desk.anonymous(authorization=f"Bearer {made['token']}")
    assert (await program.get("/ledger")).status_code == 200
    assert (await program.get("/quarantine")).status_code == 200
    assert (await program.get("/tokens")).status_code == 200
    assert code(await program.post("/tokens", json={"name": "x", "role": "owner"})) == (403, "forbidden")
    assert code(await program.get("/users")) == (403, "forbidden")
    assert code(await program.get("/events")) == (403, "forbidden")
    small = (await owner.post("/tokens", json={**body, "role": "viewer", "scopes": ["token"]})).json()
    program = desk.anonymous(authorization=f"Bearer {small['token']}")
    assert code(await program.get("/tokens")) == (403, "forbidden"), "a scope gives nothing that the role does not"
    for scopes in (["nothing"], ["ledger:write"], [], [""]):
        assert (await owner.post("/tokens", json={**body, "scopes": scopes})).status_code == 422
