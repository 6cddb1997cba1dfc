"""S-18, S-19: secrets and people are nowhere they do not belong, after a day in which much went wrong.

A real hub of several processes takes in, delivers, is refused by its target in words that repeat what it was told, is
attacked at its door and asked by everybody; then its logs, metrics, Redis, exports, status and answers are searched.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from redis import asyncio as aioredis

from tests import hooks
from tests.faults import house
from tests.ledger import target

HOOK, API, WRONG = "canary-hook-secret-9f8e", "canary-api-key-77aa", "canary-of-a-wrong-secret"
TYPED, PASSWORD = "canary-password-typed-wrong", "canary-password-of-wang-1"
PHONE, NAME, STREET, MAIL = "13812349876", "司马测试甲", "文三路九百九十九号八室", "canary.person@example.com"
SECRETS, PEOPLE = (HOOK, API, WRONG, TYPED, PASSWORD), (PHONE, NAME, STREET, MAIL)

HUB = """
apiVersion: shuniu/v1
connections:
  - key: shop
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: order}
    secrets: {hook_secret: "${HOOK}"}
  - key: erp
    connector: http
    config: {verify_style: closed, base_url: "${URL}", record_path: /orders, send_path: /notes, auth_style: bearer}
    secrets: {auth_secret: "${API}"}
routes:
  - key: book
    from: {connection: shop, entity: order}
    to: [{connection: erp, operation: record.put}]
"""


def order(number: int) -> bytes:
    person = {"name": NAME, "phone": PHONE, "email": MAIL}
    address = {"province": "浙江省", "city": "杭州市", "street": STREET}
    return json.dumps({
        "id": f"T{number}", "number": f"T{number}", "status": "paid", "total": "9.90", "buyer": person,
        "receiver": {**person, "address": address}, "updated_at": "2024-11-11T00:00:00+00:00",
    }, ensure_ascii=False).encode()  # fmt: skip


def found(text: str, canaries: tuple[str, ...]) -> list[str]:
    """Which canaries are in a text, in the spellings of JSON and Python too."""
    spelled = {one: {one, json.dumps(one)[1:-1], repr(one.encode())[2:-1]} for one in canaries}
    return [one for one, marks in spelled.items() if any(mark in text for mark in marks)]


async def _redis(url: str) -> str:
    client = aioredis.Redis.from_url(url)
    seen = []
    try:
        async for key in client.scan_iter():
            seen.append(repr(key) + repr(await client.dump(key)))
    finally:
        await client.aclose()
    return "\n".join(seen)


@pytest.mark.redis
@pytest.mark.slow
async def test_no_canary_gets_out(folder: Path) -> None:
    system = target.Target()
    await system.up()
    echoes = {
        "T1": (500, "500"), "T2": (400, "400"), "T3": (401, "401"), "T4": (429, "429"),
    }  # fmt: skip

    def judge(body: object) -> target.Answer | str | None:
        name = str(body.get("id")) if isinstance(body, dict) else ""
        if name == "T5":
            return target.DROP
        if name in echoes:  # vendors repeat what they were told in their errors
            said = {"message": f"{PHONE} Bearer {API}", "sent": body}
            return target.Answer(echoes[name][0], json.dumps(said, ensure_ascii=False).encode())
        return None

    system.judge = judge
    answers: list[str] = []
    async with house.standing(folder) as hub:
        await hub.apply(HUB, {"HOOK": HOOK, "API": API, "URL": system.url})
        async with httpx.AsyncClient(base_url=hub.url, timeout=20.0) as outside:

            async def push(body: bytes, secret: str = HOOK, **headers: str) -> int:
                proof = hooks.proof(body, secret)
                answer = await outside.post("/hooks/shop", content=body, headers={"x-signature": proof, **headers})
                answers.append(answer.text)
                return answer.status_code

            for _ in range(100):
                if await push(order(0)) == 200:
                    break
                await asyncio.sleep(0.1)
            assert [await push(order(number)) for number in range(1, 9)] == [200] * 8
            assert await push(order(9), WRONG) == 401
            assert await push(b'{"phone": "' + PHONE.encode() + b'", broken') in (400, 401)
            assert await push(b"[" * 50_000, HOOK) == 400
            assert await push(b" " * (2 * 1024**2)) == 413
            assert (await outside.get(f"/hooks/shop?token={WRONG}")).status_code in (400, 401, 405)
            assert (await outside.post(f"/hooks/{API}", content=b"{}")).status_code == 404
            for password in (TYPED, TYPED):
                said = await outside.post("/api/v1/sessions", json={"name": "wang", "password": password})
                assert said.status_code == 401
                answers.append(said.text)
            async with hub.client("owner") as owner, hub.client("viewer") as viewer:
                made = await owner.post("/users", json={"name": "wang", "password": PASSWORD, "role": "viewer"})
                answers.append(made.text)
                bad = {"key": "x", "connector": "http", "secrets": {"hook_secret": WRONG, "nothing": WRONG}}
                answers.append((await owner.post("/connections", json=bad)).text)
                answers.append((await owner.post("/connections/erp/test")).text)
                await asyncio.sleep(3.0)
                token = str(owner.headers["authorization"]).removeprefix("Bearer ")
                (outside_shown,) = [await outside.get("/metrics")]
                metrics = outside_shown.text
                assert "shuniu_ledger_events" in metrics
                for path in ("/events", "/deliveries", "/customers", "/quarantine", "/connections", "/overview",
                             "/failures", "/audit", "/tokens", "/users", "/routes", "/ledger"):  # fmt: skip
                    shown = await (owner if path in ("/audit", "/tokens", "/users") else viewer).get(path)
                    assert shown.status_code == 200, path
                    answers.append(shown.text)
                for one in (await viewer.get("/events")).json()["items"]:
                    for what in ("", "/timeline", "/explanation"):
                        answers.append((await viewer.get(f"/events/{one['id']}{what}")).text)
                for one in (await viewer.get("/deliveries")).json()["items"]:
                    answers.append((await viewer.get(f"/deliveries/{one['id']}")).text)
            redis = await _redis(hub.config.redis)
            exported = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-P", "-m", "gateway.cli", "export"], env=hub.config.environment(),
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert exported.returncode == 0, exported.stderr
            kept = await hub.rows("SELECT exchanges, message FROM attempts")
            sealed = await hub.rows("SELECT secrets FROM connections")
        states = {str(row.state) for row in await hub.rows("SELECT DISTINCT state FROM deliveries")}
        assert {"delivered"} < states, "some went well and some did not"
        log = hub.log.read_text(encoding="utf-8", errors="replace")
    await system.down()
    disk = "\n".join(
        path.read_bytes().decode("latin-1")
        for path in sorted((folder / "data").rglob("*"))
        if path.is_file() and "sqlite" not in path.name and path.stat().st_size < 16 * 1024**2
    )
    everywhere = (*SECRETS, token)
    assert found(log + hub.tail(), (*everywhere, *PEOPLE)) == []
    assert found(metrics, (*everywhere, *PEOPLE)) == []
    assert found(redis, (*everywhere, *PEOPLE)) == []
    assert found(exported.stdout + exported.stderr, (*everywhere, *PEOPLE)) == []
    assert found(disk, (*everywhere, *PEOPLE)) == [], "files beside the database"
    leaked = {one: text[:300] for text in answers for one in found(text, (*everywhere, *PEOPLE))}
    assert leaked == {}, "what people without need see is masked"
    assert found(repr([tuple(row) for row in kept]), everywhere) == [], "exchanges are kept without secrets"
    assert found(repr([tuple(row) for row in kept]), (PHONE,)) == [], "and without phone numbers"
    assert found(repr([tuple(row) for row in sealed]), everywhere) == []
