"""Taobao: signatures and frames against published vectors and independent code, and the simulator's gateway."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytaobao.apis import trade as peer_trade
from pytaobao.auth import Auth as PeerAuth
from tmcpy import message as peer_message
from tmcpy import messageio as peer_frames
from tmcpy import utils as peer_tools

from connectors.core import errors, model
from connectors.simulator import engine
from connectors.taobao import signer, tmc
from tests.conformance import panel, taobao_peer

control = functools.partial(panel.control, "taobao")
SAMPLES = resources.files("connectors.taobao").joinpath("samples")
VECTORS = {one["name"]: one for one in json.loads(SAMPLES.joinpath("vectors.json").read_text("utf-8"))}
OURS = taobao_peer.SETTINGS


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["taobao"]) as base:
        yield base


@pytest.fixture
def beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The vendor's local time, for peers that write their own clock."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# Frames (the vectors themselves are reproduced by test_every_vector.py)


FRAMES = {
    "tmc_frame_connectack_flag_token": tmc.Frame(
        tmc.Message.CONNECTACK, flag=1, token="32e88d28-20b1-40dd-8e2d-abec197277fe"
    ),
    "tmc_frame_pull_request": tmc.pull("tok-1"),
    "tmc_frame_confirm": tmc.confirm("tok-1", 4171301100123456789),
}


@pytest.mark.parametrize("name", FRAMES)
def test_captured_frames_both_ways(name: str) -> None:
    captured = bytes.fromhex(VECTORS[name]["expected"])
    assert tmc.encode(FRAMES[name]) == captured
    assert tmc.decode(captured) == FRAMES[name]


# Signatures


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz_ABC019", min_size=1),
        st.text(min_size=1).filter(lambda text: text.isprintable()),
    ),
    st.text("0123456789abcdef", min_size=1),
)
def test_signature_as_an_independent_client_makes_it(params: dict[str, str], secret: str) -> None:
    params.pop("sign", None)
    assert signer.digest("md5", secret, params) == PeerAuth("1", secret, "md5").generate_sign_code(params)


def test_empty_values_and_sign_are_not_signed() -> None:
    full = {"a": "1", "b": "", "sign": "X", "": "y"}
    assert signer.digest("hmac", "s", full) == signer.digest("hmac", "s", {"a": "1"})


def test_an_unknown_sign_method_or_no_secret_is_our_mistake() -> None:
    with pytest.raises(errors.Misdeclared):
        signer.digest("sha1", "s", {})
    with pytest.raises(errors.Misdeclared):
        signer.digest("md5", "", {})


# Frames

values = st.one_of(
    st.just(tmc.Value(tmc.Format.VOID, None)),
    st.builds(tmc.Value, st.just(tmc.Format.TEXT), st.text(st.characters(exclude_categories=["Cs"]))),
    st.builds(tmc.Value, st.just(tmc.Format.BYTE), st.integers(0, 255)),
    st.builds(tmc.Value, st.just(tmc.Format.INT16), st.integers(-(2**15), 2**15 - 1)),
    st.builds(tmc.Value, st.just(tmc.Format.INT32), st.integers(-(2**31), 2**31 - 1)),
    st.builds(tmc.Value, st.just(tmc.Format.INT64), st.integers(-(2**63), 2**63 - 1)),
    st.builds(tmc.Value, st.just(tmc.Format.DATE), st.integers(0, 2**50)),
    st.builds(tmc.Value, st.just(tmc.Format.BYTES), st.binary()),
)
words = st.text(st.characters(exclude_categories=["Cs"]))
frames = st.builds(
    tmc.Frame,
    st.sampled_from(list(tmc.Message)),
    st.dictionaries(words, values, max_size=8),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | words,
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | words,
)


@settings(max_examples=200, deadline=None)
@given(frames)
def test_frames_come_back_as_they_went(frame: tmc.Frame) -> None:
    assert tmc.decode(tmc.encode(frame)) == frame


@settings(max_examples=50, deadline=None)
@given(frames)
def test_a_frame_cut_off_anywhere_is_refused(frame: tmc.Frame) -> None:
    whole = tmc.encode(frame)
    for end in range(len(whole)):
        with pytest.raises(tmc.FrameError):
            tmc.decode(whole[:end])


@given(st.binary(max_size=300))
def test_noise_is_refused_or_read_but_never_breaks(noise: bytes) -> None:
    with contextlib.suppress(tmc.FrameError):
        tmc.content(tmc.decode(b"\x02" + noise))


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(tmc.FrameError):
        tmc.encode(tmc.confirm("t", 2**63))


def test_tmcpy_reads_our_frames() -> None:
    hello = peer_frames.reader(tmc.encode(tmc.connect("12129701", "default", 1700000000000, "testsecret")))
    assert hello.message_type == 0
    assert hello.content["sign"] == VECTORS["tmc_connect_sign"]["expected"]
    assert (hello.content["app_key"], hello.content["timestamp"]) == ("12129701", "1700000000000")
    pulled = peer_frames.reader(tmc.encode(tmc.pull("tok-1")))
    assert (pulled.message_type, pulled.token, pulled.content) == (2, "tok-1", {"__kind": 1})
    confirmed = peer_frames.reader(tmc.encode(tmc.confirm("tok-1", 4171301100123456789)))
    assert confirmed.content == {"__kind": 2, "id": 4171301100123456789}


def test_we_read_tmcpys_frames() -> None:
    confirmed = tmc.decode(peer_tools.confirm_message(4171301100123456789, "tok-1"))
    assert (confirmed.get("__kind"), confirmed.get("id"), confirmed.token) == (2, 4171301100123456789, "tok-1")
    assert tmc.decode(peer_tools.query_message(token="tok-1")) == tmc.pull("tok-1")
    said = {"app_key": "12129701", "sdk": "top-sdk-java-201403304", "big": 2**40, "small": 300}
    hello = tmc.decode(peer_frames.writer(peer_message.Message(2, 0, flag=1, content=said)))
    assert (hello.message, hello.flag) == (tmc.Message.CONNECT, 1)
    assert {name: hello.get(name) for name in said} == said


# The simulator's gateway


def signed(method: str, sign_method: str = "md5", secret: str = OURS["app_secret"], **params: str) -> dict[str, str]:
    request = model.Request("POST", "http://127.0.0.1/", form={"method": method, "session": OURS["session"], **params})
    connection = taobao_peer.connection("http://127.0.0.1", sign_method=sign_method, secrets={"app_secret": secret})
    signer.sign(request, connection, time.time())
    assert request.form is not None
    return request.form


async def post(url: str, **more: Any) -> Any:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/taobao/router/rest", **more)
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("sign_method", ["md5", "hmac", "hmac-sha256"])
async def test_every_sign_method_and_every_transport(url: engine.Url, sign_method: str) -> None:
    form = signed("taobao.shop.seller.get", sign_method, fields="sid,title")
    parts = {name: (None, value) for name, value in form.items()}
    for sent in ({"data": form}, {"files": parts}, {"params": form}):
        answer = await post(url, **sent)
        assert answer["shop_seller_get_response"]["shop"]["title"], sent
    async with httpx.AsyncClient() as client:
        got = await client.get(f"{url}/taobao/router/rest", params=form)
    assert got.json()["shop_seller_get_response"]


async def test_the_gateway_refuses_what_the_vendor_refuses(url: engine.Url) -> None:
    async def code(form: dict[str, str]) -> tuple[int, str]:
        problem = (await post(url, data=form))["error_response"]
        return problem["code"], problem.get("sub_code", "")

    good = signed("taobao.shop.seller.get", fields="sid")
    assert (await code(signed("taobao.shop.seller.get", secret="wrong")))[0] == 25
    for name, value in good.items():
        if name not in ("sign", "format", "app_key", "v", "timestamp", "sign_method"):
            assert (await code({**good, name: f"{value}x"}))[0] == 25, name
    assert (await code({**good, "sign": good["sign"].lower()}))[0] == 25
    assert (await code({**good, "app_key": "1"}))[0] == 29
    assert (await code({**good, "timestamp": "2020-01-01 00:00:00"}))[0] == 31
    assert (await code(signed("taobao.item.get", fields="x")))[0] == 22
    assert (await code(signed("taobao.trade.fullinfo.get", tid="1")))[0] == 40
    assert (await code(signed("taobao.shop.seller.get", session="")))[0] == 26
    assert await code(signed("taobao.shop.seller.get", session="stolen")) == (27, "invalid-sessionkey")
    for name, wanted in (("method", 21), ("sign", 24), ("timestamp", 30), ("v", 32), ("app_key", 28)):
        assert (await code({key: value for key, value in good.items() if key != name}))[0] == wanted


async def test_xml_is_the_default_format(url: engine.Url) -> None:
    form = {name: value for name, value in signed("taobao.shop.seller.get").items() if name != "format"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/taobao/router/rest", data=form)
    assert answer.text.startswith('<?xml version="1.0" encoding="utf-8" ?><error_response><code>25</code>')


async def test_an_independent_client_works_against_the_simulator(url: engine.Url, beijing: None) -> None:
    shop = url.simulators["taobao"]
    await control(url, "orders", count=3)
    api = peer_trade.TradeApi(
        OURS["app_key"], OURS["app_secret"], OURS["session"], endpoint=f"{url}/taobao/router/rest"
    )
    listed = await asyncio.to_thread(api.get_sold_trade, fields="tid,status,orders.title", page_size=2)
    assert listed["trades_sold_get_response"]["has_next"] is True
    rows = listed["trades_sold_get_response"]["trades"]["trade"]
    assert [row["status"] for row in rows] == ["WAIT_SELLER_SEND_GOODS"] * 2
    assert set(rows[0]["orders"]["order"][0]) == {"title"}
    fields = "tid,receiver_name,receiver_address,receiver_mobile,receiver_phone,created,oaid"
    detail = await asyncio.to_thread(api.get_trade_full_info, fields=fields, tid=rows[0]["tid"])
    trade = detail["trade_fullinfo_get_response"]["trade"]
    assert trade["oaid"]
    assert len(str(trade["tid"])) == 19
    assert "*" in trade["receiver_name"]
    assert "*" in trade["receiver_mobile"]
    assert shop.snapshot()["trades"] == {"WAIT_SELLER_SEND_GOODS": 3}
