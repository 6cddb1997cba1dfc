"""Feishu's old card callbacks and its newer token API, judged by the vendor's SDK and by our doors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.core import client, errors, model, registry
from connectors.feishu.simulated import pushes
from connectors.simulator import engine, server
from mappings import library
from tests.conformance import feishu_stage as stage
from tests.conformance import messaging
from tests.unit.webhooks import door as doors

TOKEN = stage.DEFAULTS["verification_token"]


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["feishu"], time_scale=0.002) as base:
        yield base


def click(**changes: Any) -> dict[str, Any]:
    event = {
        "operator": {"open_id": "ou_sales01", "user_id": "sales01"},
        "token": "c-1",
        "action": {"tag": "button", "value": {"key": "agree"}},
        "context": {"open_message_id": "om_1", "open_chat_id": "oc_1"},
    }
    return {**pushes.old_card(event), **changes}


def called(event: dict[str, Any], *, signed: bool = True, **changes: Any) -> model.RawHook:
    settings = {**stage.DEFAULTS, "card_form": "plain", **changes}
    post = pushes.card_post("http://h", settings, event, stage.NOW, signed=signed)
    return model.RawHook("POST", {}, dict(post.headers), post.content)


def connection(**changes: Any) -> model.Connection:
    owner = stage.connection(old_cards=True, **changes)
    return model.Connection(owner.key, owner.declaration, owner.config, {"card_token": TOKEN, **owner.secrets})


@pytest.mark.parametrize("form", ["plain", "sealed"])
async def test_both_doors_of_one_connection_take_their_own(url: engine.Url, tmp_path: Path, form: str) -> None:
    """Events and old card callbacks come to one address, and a click comes again as the same event."""
    sim, owner = stage.tenant_of(url), connection()
    opened = doors.door(owner.key, dict(owner.config), dict(owner.secrets), connector="feishu")
    async with doors.front(tmp_path, opened) as front:
        taken: list[int] = []

        async def receive(request: Request) -> Response:
            hook = model.RawHook(request.method, {}, dict(request.headers), await request.body())
            try:
                answer = await front.receiver.accept(front.receiver.door(owner.key), hook)
                # Whoever heard no answer asks again: that is no second click.
                await front.receiver.accept(front.receiver.door(owner.key), hook)
            except errors.HookRefused as refusal:
                return Response(refusal.reason, 401)
            taken.append(answer.status)
            return Response(answer.body, answer.status, media_type=answer.content_type)

        site = Starlette(routes=[Route("/hook", receive, methods=["POST"])])
        async with server.running(site) as base, messaging.control(url, "feishu") as http:
            await http.post("/configure", json={"push_url": f"{base}/hook", "card_form": form})
            await http.post("/check")
            card = (await http.post("/cards")).json()["message_id"]
            for _ in range(2):
                clicked = await http.post(f"/cards/{card}/click", json={"sender": "sales01", "key": "agree"})
                assert clicked.status_code == 200
            await http.post("/ask", json={"text": "查订单"})
            await sim.settle()
        assert [one.state for one in sim.pushes] == ["acknowledged"] * 4
        stored = await front.stored()
        assert sorted(one.message for one in stored) == ["card_button_old", "card_button_old", "user_message"]
        told = next(json.loads(one.payload) for one in stored if one.message == "card_button_old")
        assert "token" not in told
        read = library.shipped("feishu", "card_click_old").from_native(told, {})
        assert (read["id"], read["text"], read["data"]["sender"]) == (card, "agree", "ou_sales01")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda: called(click(), signed=False), "unsigned"),
        (lambda: called(click(), verification_token="another"), "forged"),
        (lambda: called({"type": "url_verification", "token": "another", "challenge": "x"}, signed=False), "forged"),
        (lambda: called({"type": "url_verification", "challenge": "x"}, signed=False), "unsigned"),
        (lambda: called({"type": "url_verification", "token": TOKEN}, signed=False), "garbled"),
        (lambda: called(click(), card_form="sealed", encrypt_key="another"), "forged"),
    ],
)
def test_what_is_not_proven_is_refused(spoil: Callable[[], model.RawHook], reason: str) -> None:
    with pytest.raises(errors.HookRefused) as refused:
        stage.judged(spoil(), connection(), door="card")
    assert refused.value.reason == reason


def test_an_old_card_door_without_its_token_is_shut() -> None:
    for missing in ("", "  "):
        owner = connection()
        bare = model.Connection(owner.key, owner.declaration, owner.config, {**owner.secrets, "card_token": missing})
        with pytest.raises(errors.HookRefused) as refused:
            stage.judged(called(click(), verification_token=missing), bare, door="card")
        assert refused.value.reason == "misconfigured"


def test_clicks_without_a_token_of_their_own_are_told_apart() -> None:
    first, second = (stage.judged(called(click(token=None)), connection(), door="card").plaintext for _ in range(2))
    assert json.loads(first)["click"] != json.loads(second)["click"]


@pytest.mark.peers("lark_oapi")
async def test_peer_card_handler_judges_the_simulators_callbacks_as_we_do() -> None:
    hooks = [
        called(click()),
        called(click(), card_form="sealed"),
        called({"type": "url_verification", "token": TOKEN, "challenge": "c"}, signed=False),
        called(click(), verification_token="another"),
    ]
    given = [{"headers": dict(one.headers), "body": one.body.decode()} for one in hooks]
    told = await stage.peer("cards", encrypt_key=stage.DEFAULTS["encrypt_key"], token=TOKEN, hooks=given)
    assert [one["status"] for one in told] == [200, 200, 200, 500]
    assert [one["taken"] for one in told[:2]] == [["om_1"], ["om_1"]]
    ours = [stage.judged(one, connection(), door="card") for one in hooks[:3]]
    assert [json.loads(one.plaintext).get("open_message_id") for one in ours] == ["om_1", "om_1", None]
    assert json.loads(ours[2].handshake or b"") == json.loads(told[2]["body"])
    with pytest.raises(errors.HookRefused):
        stage.judged(hooks[3], connection(), door="card")


# The newer token API.


def newer(url: str, **changes: Any) -> model.Connection:
    return stage.connection(url, token_style="oauth", accounts_url=f"{url}/feishu", **changes)


async def test_the_newer_token_is_used_and_renewed(url: engine.Url, caller: client.Client) -> None:
    sim, owner = stage.tenant_of(url), newer(url)
    assert (await caller.probe(owner)).record_id == "ou_bot"
    (first,) = sim.tokens
    assert first.startswith("eyJ")
    assert len(first) > 1000
    sim.tokens[first] = 0.0
    outcome = await caller.call(owner, "user.find", {"mobiles": [sim.world.staff[0].phone]})
    assert outcome.record_id == "ou_sales01"
    assert len(sim.tokens) == 2
    seen = json.dumps([[one.request, one.response] for one in outcome.exchanges], default=str)
    assert not any(key in seen for key in (*sim.tokens, stage.DEFAULTS["app_secret"]))


@pytest.mark.parametrize("changes", [{"app_secret": "wrong"}, {"app_id": "cli_another0001"}])
async def test_the_newer_api_refuses_in_words(url: engine.Url, caller: client.Client, changes: dict[str, str]) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await caller.probe(newer(url, **changes))
    assert "App ID" in refused.value.hint["zh"]
    assert refused.value.code in ("20002", "20048")


async def test_the_newer_api_takes_one_way_of_proving_who_asks(url: engine.Url) -> None:
    who = (stage.DEFAULTS["app_id"], stage.DEFAULTS["app_secret"])
    form = {"grant_type": "client_credentials", "client_id": who[0], "client_secret": who[1]}
    async with httpx.AsyncClient(base_url=f"{url}/feishu") as http:
        both = await http.post("/oauth/v3/token", data=form, auth=who)
        basic = await http.post("/oauth/v3/token", data={"grant_type": "client_credentials"}, auth=who)
        other = await http.post("/oauth/v3/token", data={**form, "grant_type": "password"})
    assert (both.status_code, both.json()["code"], other.json()["code"]) == (400, "20070", "20036")
    assert basic.json()["token_type"] == "Bearer"


def test_the_form_asks_for_what_each_way_needs() -> None:
    fields = {one.key: one for one in registry.get("feishu").fields}
    assert fields["card_token"].when == {"old_cards": "true"}
    assert fields["accounts_url"].when == {"token_style": "oauth"}
