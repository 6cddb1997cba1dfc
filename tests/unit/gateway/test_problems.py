"""Problems: every error is problem+json in the caller's language and repeats nothing that was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from gateway import problems
from retry_queue.ledger import session
from tests.unit.gateway import desk as desks


class Inner(BaseModel):
    number: int


class Body(BaseModel):
    name: str
    inner: list[Inner] = []


@pytest.fixture
async def bare() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(openapi_url=None)
    problems.install(app)

    @app.post("/take", name="take")
    async def take(body: Body) -> dict[str, str]:
        return {"name": body.name}

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("a secret of the inside")

    @app.get("/away")
    async def away() -> None:
        raise session.LedgerUnavailable("OperationalError: no route to host")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as made:
        yield made


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"] == f"/api/v1/problems/{code}"
    assert len(str(body["trace_id"])) == 32
    return body


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "zh"),
        ("en", "en"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh-CN;q=0.7, en;q=0.3", "zh"),
        ("fr", "zh"),
        ("en;q=0, zh;q=0.1", "zh"),
        ("en;q=banana", "en"),
    ],
)
def test_the_language_follows_the_header(accept: str, expected: str) -> None:
    assert problems.language(accept) == expected


def test_every_code_has_words_in_both_languages() -> None:
    for code, kind in problems.KINDS.items():
        assert kind.zh
        assert kind.en, code
        assert any("一" <= letter <= "鿿" for letter in kind.zh), code
        assert 400 <= kind.status < 600


async def test_what_frameworks_raise_becomes_a_problem(bare: httpx.AsyncClient) -> None:
    is_problem(await bare.get("/nowhere"), 404, "not_found")
    is_problem(await bare.get("/take"), 405, "method_not_allowed")
    is_problem(await bare.post("/take", content=b'{"name":', headers={"content-type": "application/json"}), 400,
               "malformed_json")  # fmt: skip
    away = await bare.get("/away")
    is_problem(away, 503, "unavailable")
    assert away.headers["retry-after"] == "2"
    assert "route to host" not in away.text
    broken = await bare.get("/boom")
    is_problem(broken, 500, "internal")
    assert "secret" not in broken.text


async def test_each_wrong_field_has_its_pointer_and_its_value_is_not_repeated(bare: httpx.AsyncClient) -> None:
    sent = {"inner": [{"number": 1}, {"number": "hunter2"}]}
    answer = await bare.post("/take", json=sent, headers={"accept-language": "en"})
    body = is_problem(answer, 422, "invalid")
    assert "hunter2" not in answer.text
    assert answer.headers["content-language"] == "en"
    assert body["errors"] == [
        {"pointer": "/name", "code": "missing", "detail": "required"},
        {"pointer": "/inner/1/number", "code": "int_parsing", "detail": "must be a whole number"},
    ]
    chinese = (await bare.post("/take", json=sent)).json()
    assert chinese["title"] == "请求内容不符合要求"
    assert chinese["errors"][0]["detail"] == "必填"


async def test_a_form_is_not_taken_for_json(bare: httpx.AsyncClient) -> None:
    answer = await bare.post("/take", content=b'{"name": "x"}', headers={"content-type": "text/plain"})
    is_problem(answer, 415, "unsupported_media_type")


async def test_the_callers_trace_is_kept(bare: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await bare.get("/nowhere", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.json()["trace_id"] == trace
    forged = await bare.get("/nowhere", headers={"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"})
    assert forged.json()["trace_id"] != "0" * 32


def test_pointers_escape_what_rfc_6901_reserves() -> None:
    assert problems.Fault("x", "", "", ("a/b", "c~d", 0)).pointer == "/a~1b/c~0d/0"


async def test_a_body_past_the_limit_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        large = {"name": "a", "password": "x" * (desk.hub.settings.max_body + 10)}
        answer = await desk.anonymous().post("/sessions", json=large)
        is_problem(answer, 413, "too_large")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b" " * 32768

        untold = await desk.anonymous().post(
            "/sessions", content=chunks(), headers={"content-type": "application/json"}
        )
        is_problem(untold, 413, "too_large")


async def test_a_type_address_explains_its_code(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        browser = desk.anonymous()
        for code, kind in problems.KINDS.items():
            found = (await browser.get(f"/problems/{code}")).json()
            assert (found["status"], found["title"]["zh"]) == (kind.status, kind.zh)
        is_problem(await browser.get("/problems/nonsense"), 404, "not_found")


async def test_the_document_says_so_too(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        document = desk.app.openapi()
        assert document["openapi"].startswith("3.1")
        problem = document["components"]["schemas"]["Problem"]
        assert problem["properties"]["code"]["enum"] == sorted(problems.KINDS)
        assert "HTTPValidationError" not in document["components"]["schemas"]
        twins = [name for name in document["components"]["schemas"] if "__" in name]
        assert twins == [], "two models of one name get long names in every client"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                assert operation["operationId"], (path, method)
                assert operation["summary"], (path, method)
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        assert list(answer["content"]) == [problems.MEDIA], (path, method, status)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"key": "k", "connector": "http", "config": {"send_path": "/\\u0000"}}', "/config/send_path"),
        (b'{"key": "k", "connector": "http", "secrets": {"hook_secret": "\\ud800"}}', "/secrets/hook_secret"),
        (b'{"key": "k", "connector": "http", "config": {"headers": [0, {"a": NaN}]}}', "/config/headers/1/a"),
        (b'{"key": "k", "connector": "http", "config": {"headers": [1e999]}}', "/config/headers/0"),
        (b'{"key": "k", "connector": "http", "config": {"headers": {"\\udfff": 1}}}', "/config/headers"),
    ],
)
async def test_what_cannot_be_kept_is_refused_at_the_door(
    database_url: str, tmp_path: Path, body: bytes, pointer: str
) -> None:
    async with desks.opened(database_url, tmp_path) as desk:
        owner = await desk.as_("owner")
        answer = await owner.post("/connections", content=body, headers={"content-type": "application/json"})
        said = is_problem(answer, 422, "invalid")
        assert [one["pointer"] for one in said["errors"]] == [pointer]  # type: ignore[attr-defined]
        for path in ("/events?q=%00", "/links?q=a%00", "/connections/%00", "/deliveries?route=%00"):
            is_problem(await owner.get(path), 422, "invalid")
        emoji = b'{"key": "k", "connector": "http", "config": {"send_path": "/\\ud83d\\ude00"}}'
        good = await owner.post("/connections", content=emoji, headers={"content-type": "application/json"})
        assert good.json()["config"]["send_path"] == "/\U0001f600"


async def test_nesting_without_end_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        owner = await desk.as_("owner")
        for depth in (900, 50_000):
            deep = (
                b'{"connector": "http", "name": "order", "way": "from", "record": ' + b"[" * depth + b"]" * depth + b"}"
            )
            answer = await owner.post("/mappings/preview", content=deep, headers={"content-type": "application/json"})
            assert answer.status_code in (200, 400, 422), answer.text
