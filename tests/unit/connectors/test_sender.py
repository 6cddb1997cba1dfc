"""A connector's own way out: what it is given, and that everything around it stays as it is for HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.core import answer, auth, client, errors, line, model, pacing, registry
from tests.unit.connectors import conftest

SPEC = conftest.declared(
    """
errors:
  - {match: ["450"], becomes: throttled, retry_after: 7, hint: {zh: 慢, en: slow}}
probe: look
operations:
  look: {label: {zh: 看, en: look}, kind: get, method: GET, base: "own://box", path: /look}
  put:
    label: {zh: 放, en: put}
    kind: act
    base: "own://box"
    path: "/put/${input.no}"
    json: "${input}"
    timeout: 0.5
    id: no
"""
)

Send = Callable[[model.Request, line.Line], Any]


def told(**body: Any) -> answer.Answer:
    return answer.Answer(200, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Send], client.Client]:
    def made(send: Send) -> client.Client:
        monkeypatch.setattr(registry, "sender", lambda connector: SimpleNamespace(send=send))
        return client.Client(auth.MemoryTokens(), pacing.LocalPacer(), files=tmp_path)

    return made


def connection() -> model.Connection:
    return conftest.connected(SPEC, "http://unused", key="box-1")


async def test_the_rendered_request_and_the_connections_own_folder(own: Any, tmp_path: Path) -> None:
    seen: list[Any] = []

    async def send(request: model.Request, way: line.Line) -> answer.Answer:
        seen.append((request.method, request.url, json.loads(request.body), way.room, way.connection.key))
        return told(errcode=0, no="7", secret="s3cret-of-the-shop")

    calls = own(send)
    found = await calls.call(connection(), "put", {"no": "7"})
    assert seen == [("POST", "own://box/put/7", {"no": "7"}, tmp_path / "box-1", "box-1")]
    assert found.record_id == "7"
    assert "s3cret" not in repr(found.exchanges), "the answer is masked as any other"
    await calls.aclose()


async def test_the_declared_tables_read_its_answers(own: Any) -> None:
    async def send(request: model.Request, way: line.Line) -> answer.Answer:
        return told(errcode=450, errmsg="later")

    with pytest.raises(errors.Throttled) as slow:
        await own(send).call(connection(), "put", {"no": "7"})
    assert slow.value.retry_after == 7


@pytest.mark.parametrize(
    ("raised", "reading", "writing"),
    [
        (line.NotSent("no socket"), errors.Unavailable, errors.Unavailable),
        (line.NoAnswer("cut"), errors.Unavailable, errors.OutcomeUnknown),
        (ConnectionResetError("gone"), errors.Unavailable, errors.OutcomeUnknown),
    ],
)
async def test_what_it_raises_decides_whether_something_may_have_happened(
    own: Any, raised: Exception, reading: type[Exception], writing: type[Exception]
) -> None:
    async def send(request: model.Request, way: line.Line) -> answer.Answer:
        raise raised

    calls = own(send)
    with pytest.raises(writing):
        await calls.call(connection(), "put", {"no": "7"})
    with pytest.raises(reading):
        await calls.call(connection(), "look", {})


async def test_it_is_bounded_in_time(own: Any) -> None:
    async def send(request: model.Request, way: line.Line) -> answer.Answer:
        await asyncio.sleep(30)
        raise AssertionError

    async with asyncio.timeout(5):
        with pytest.raises(errors.OutcomeUnknown, match=r"0\.5 s"):
            await own(send).call(connection(), "put", {"no": "7"})


async def test_it_may_go_by_http_after_all(own: Any, peer: Any) -> None:
    peer.decide = lambda seen: conftest.answer({"errcode": 0, "no": "http"})

    async def send(request: model.Request, way: line.Line) -> answer.Answer:
        request.url = f"{peer.url}/elsewhere"
        return await way.http(request)

    calls = own(send)
    found = await calls.call(connection(), "put", {"no": "7"})
    assert (found.record_id, peer.seen[0].path) == ("http", "/elsewhere")
    await calls.aclose()


def test_a_folder_without_a_sender_goes_by_http() -> None:
    assert registry.sender("http") is None
