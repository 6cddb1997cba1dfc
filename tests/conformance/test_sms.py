"""SMS: three dialects by configuration alone, success that is declared, and a template that cannot leak or smuggle."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import answer, errors, model, registry
from connectors.sms import dialect, simulator
from tests.conformance import rehearsal

SPEC = registry.get("sms")
TEXT = "您的订单 SN1 已发货 & <快>"


@contextlib.asynccontextmanager
async def gateway(name: str) -> AsyncIterator[tuple[rehearsal.Stage, simulator.Simulator, model.Connection]]:
    async with rehearsal.stage("sms") as stage:
        found = stage.simulator
        assert isinstance(found, simulator.Simulator)
        yield stage, found, stage.connection(name)


def message(*phones: str, text: str = TEXT) -> dict[str, Any]:
    return {"id": "evt-1", "phones": list(phones or ["13800000001"]), "text": text}


@pytest.mark.parametrize("name", ["main", "gbk", "plain"])
async def test_every_dialect_carries_the_message_whole(name: str) -> None:
    async with gateway(name) as (stage, simulated, connection):
        found = await stage.caller.call(connection, "message.send", message("13800000001", "13800000002"))
        (sent,) = simulated.sent
        assert sent["phones"] == ["13800000001", "13800000002"]
        assert sent["text"].removeprefix("【示例】") == TEXT
        assert found.record_id == (None if name == "plain" else sent["id"])
        shown = repr(found.exchanges)
        assert "sms-demo-password" not in shown
        assert "13800000001" not in shown


@pytest.mark.parametrize("name", ["main", "gbk", "plain"])
async def test_refusals_are_told_apart_in_every_dialect(name: str) -> None:
    async with gateway(name) as (stage, _, connection):
        with pytest.raises(errors.Rejected) as word:
            await stage.caller.call(connection, "message.send", message(text="赌博"))
        assert word.value.hint["zh"]
        wrong = model.Connection("w", SPEC, connection.config, {"key": "another-password"})
        with pytest.raises(errors.CredentialRefused):
            await stage.caller.call(wrong, "message.send", message())
        for _number in range(5):
            await stage.caller.call(connection, "message.send", message())
        with pytest.raises(errors.Throttled):
            await stage.caller.call(connection, "message.send", message())


async def test_a_signature_is_hidden_from_people() -> None:
    async with gateway("gbk") as (stage, _, connection):
        found = await stage.caller.call(connection, "message.send", message())
        (seen,) = found.exchanges
        assert "sign=***" in seen.request
        assert "/sms/sms.aspx" in seen.url


async def test_the_connection_test_sends_nothing() -> None:
    for name in ("main", "gbk", "plain"):
        async with gateway(name) as (stage, simulated, connection):
            assert (await stage.caller.probe(connection)).exchanges
            assert simulated.sent == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"body": {"a": "${nothing|wrong}"}}, "filter"),
        ({"body": ["a"], "body_style": "form"}, "JSON object"),
        ({"body": {"a": 1, "b": 2}, "body_style": "xml"}, "root"),
        ({"headers": ["x"]}, "JSON object"),
        ({"sign_algorithm": "md5", "sign_text": "${config.missing}"}, "absent"),
        ({"charset": "gbk", "body_style": "form", "body": {"a": "\U0001f381"}}, "gbk"),
        ({"url": "${config.missing}"}, "absent"),
    ],
)
async def test_a_template_that_is_wrong_is_named_by_the_test_and_parks_nothing_silently(
    config: dict[str, Any], words: str
) -> None:
    async with gateway("main") as (stage, simulated, connection):
        wrong = model.Connection("w", SPEC, {**connection.config, **config}, connection.secrets)
        for attempt in (stage.caller.probe(wrong), stage.caller.call(wrong, "message.send", message())):
            with pytest.raises(errors.Misdeclared, match=words) as error:
                await attempt
            assert error.value.hint["zh"]
        assert simulated.sent == []


@pytest.mark.parametrize(
    "hostile", ['", "phone": "1', "${secret.key}", "\r\nX-Evil: 1", "</content>", "&pwd=x", "\x00"]
)
@pytest.mark.parametrize("name", ["main", "gbk", "plain"])
async def test_what_a_message_says_stays_what_it_says(name: str, hostile: str) -> None:
    async with gateway(name) as (stage, simulated, connection):
        await stage.caller.call(connection, "message.send", message(text=f"a{hostile}b"))
        assert simulated.sent[0]["text"].removeprefix("【示例】") == f"a{hostile}b"
        assert simulated.sent[0]["phones"] == ["13800000001"]


def judged(status: int, body: str, **config: Any) -> tuple[bool, str]:
    kind = "application/json" if body[:1] == "{" else "text/html"
    found = dialect.judge(answer.Answer(status, {"content-type": kind}, body.encode()), config)
    return found["ok"], found["class"]


@pytest.mark.parametrize(
    ("status", "body", "config", "meaning"),
    [
        (200, '{"code": 0}', {"success_values": "0"}, "ok"),
        (200, '{"code": "0"}', {"success_values": "0,200"}, "ok"),
        (200, '{"code": 1}', {"success_values": "0"}, "rejected"),
        (200, '{"status": "ok"}', {"success_values": "0"}, "unclear"),
        (200, "<html>down</html>", {"success_values": "0"}, "unclear"),
        (200, "<html>down</html>", {"success_style": "text", "success_values": "0"}, "unclear"),
        (200, "", {"success_values": "0"}, "unclear"),
        (200, "0,123", {"success_style": "text", "success_values": "0"}, "ok"),
        (200, "-3,余额不足", {"success_style": "text", "success_values": "0", "credential_codes": "-3"}, "credential"),
        (200, "30", {"success_style": "text", "success_values": "0", "credential_codes": "3"}, "rejected"),
        (201, "", {"success_style": "status"}, "ok"),
        (500, "", {}, "unclear"),
        (503, '{"code": "E1"}', {"code_path": "body.code", "unavailable_codes": "E1"}, "unavailable"),
        (429, "", {}, "throttled"),
        (401, "", {}, "credential"),
        (404, "", {}, "misdeclared"),
        (302, "", {}, "misdeclared"),
        (400, "", {}, "rejected"),
    ],
)
def test_success_is_what_the_admin_declared(status: int, body: str, config: dict[str, Any], meaning: str) -> None:
    assert judged(status, body, **{"code_path": "body.code", **config}) == (meaning == "ok", meaning)


def test_parts_and_a_list_of_numbers_for_gateways_with_templates() -> None:
    body = {"to": "${phones}", "args": ["${parts[0]}", "${parts[1]}"], "t": "${now|s}", "key": "${secret.key}"}
    connection = model.Connection("c", SPEC, {"url": "https://x/y", "body": body}, {"key": "k"})
    request = model.Request("POST", "")
    dialect.fill(request, connection, dialect.names(connection, message("1", "2", text="SN1|SF2"), 1782554400.0))
    assert request.body == b'{"to":["1","2"],"args":["SN1","SF2"],"t":1782554400,"key":"k"}'
