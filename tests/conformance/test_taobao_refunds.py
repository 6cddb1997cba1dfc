"""Taobao after the sale: refunds and returns agreed to, products on and off the shelf."""

from __future__ import annotations

import base64
import functools
from collections.abc import AsyncIterator

import pytest

from connectors.core import client, decode, errors, model
from connectors.simulator import engine
from connectors.taobao import simulator
from mappings import library
from tests.conformance import panel, taobao_peer

control = functools.partial(panel.control, "taobao")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["taobao"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def shop(url: engine.Url) -> simulator.Simulator:
    return taobao_peer.shop_of(url)


@pytest.fixture
def connection(url: engine.Url) -> model.Connection:
    return taobao_peer.connection(url, return_address_id="95251")


async def ordered(url: str) -> str:
    """The tid of one paid order."""
    return str((await control(url, "orders"))["orders"][0]["tid"])


async def test_a_refund_is_agreed_to_once_and_only_as_the_platform_knows_it(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    mapping = library.shipped("taobao", "decision")
    tid = await ordered(url)
    made = await control(url, f"orders/{tid}/refund")
    record = {"id": made["refund_id"], "kind": "refund", "status": "done", "order_id": tid, "amount": "0.01"}
    with pytest.raises(errors.Rejected):  # another amount than the buyer asked for
        await calls.call(connection, "refund.agree", mapping.to_native(record, {}))
    given = mapping.to_native({**record, "amount": made["refund_fee"]}, {})
    await control(url, "faults", drop_reply=1)
    with pytest.raises(errors.OutcomeUnknown):
        await calls.call(connection, "refund.agree", given)
    assert (await calls.call(connection, "refund.agree", given, fresh=False)).already
    assert len(shop.journal.find("refund", made["refund_id"])) == 1


async def test_goods_come_back_before_the_money_goes(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    mapping = library.shipped("taobao", "decision")
    tid = await ordered(url)
    made = await control(url, f"orders/{tid}/refund", returning=True)
    given = mapping.to_native(
        {
            "id": made["refund_id"],
            "kind": "return",
            "status": "accepted",
            "order_id": tid,
            "amount": made["refund_fee"],
        },
        {},
    )
    await calls.call(connection, "return.agree", given)
    assert (await calls.call(connection, "return.agree", given)).already
    assert (await calls.call(connection, "refund.agree", given)).waiting
    await control(url, f"refunds/{made['refund_id']}", status="WAIT_SELLER_CONFIRM_GOODS")
    assert not (await calls.call(connection, "refund.agree", given)).waiting
    assert [one.kind for one in shop.journal.effects] == ["return_agreed", "refund"]


async def test_tmall_agrees_to_what_was_reviewed(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    shop.configure({"tmall": True})
    tid = await ordered(url)
    made = await control(url, f"orders/{tid}/refund")
    record = {"id": made["refund_id"], "kind": "refund", "status": "done", "order_id": tid}
    given = library.shipped("taobao", "decision").to_native({**record, "amount": made["refund_fee"]}, {})
    with pytest.raises(errors.Rejected):
        await calls.call(connection, "refund.agree", given)
    assert not (await calls.call(connection, "refund.agree_reviewed", given)).already
    assert (await calls.call(connection, "refund.agree_reviewed", given)).already
    assert len(shop.journal.find("refund", made["refund_id"])) == 1


async def test_a_deleted_product_is_not_there(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    number = shop.world.skus[0].ids["taobao.num_iid"]
    await control(url, f"goods/{number}/delete")
    assert (await calls.call(connection, "product.get", {"num_iid": number})).data is None
    assert (await calls.call(connection, "product.get", {"num_iid": "1"})).data is None


async def test_a_product_off_the_shelf_is_seen_by_message_and_by_polling(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    number = shop.world.skus[0].ids["taobao.num_iid"]
    await control(url, f"goods/{number}/off")
    rows = (await calls.call(connection, "product.list_off", {})).data
    assert [str(row["num_iid"]) for row in rows] == [number]
    native = (await calls.call(connection, "product.get", {"num_iid": number})).data
    seen = library.shipped("taobao", "product").from_native(native)
    assert (seen["status"], seen["skus"][0]["code"]) == ("inactive", shop.world.skus[0].code)
    (message,) = (await calls.call(connection, "tmc.consume", {"quantity": 10})).data
    event = decode.event(connection.declaration, "tmc", message)
    assert (event.message, event.record) == ("goods", number)


async def test_a_refund_is_refused_once_with_words_and_a_lost_answer_doubles_nothing(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    made = await control(url, f"orders/{tid}/refund")
    record = {"id": made["refund_id"], "kind": "refund", "status": "refused", "order_id": tid, "note": "商品已发出"}
    given = library.shipped("taobao", "refusal").to_native(record, {})
    with pytest.raises(errors.Rejected) as wordless:
        await calls.call(connection, "refund.refuse", {**given, "message": "不"})
    assert "拒绝说明" in wordless.value.message
    await control(url, "faults", drop_reply=1)
    with pytest.raises(errors.OutcomeUnknown):
        await calls.call(connection, "refund.refuse", given)
    assert (await calls.call(connection, "refund.refuse", given, fresh=False)).already
    assert len(shop.journal.find("refund_refused", made["refund_id"])) == 1
    told = (await calls.call(connection, "refund.get", {"refund_id": made["refund_id"]})).data
    assert library.shipped("taobao", "after_sale").from_native(told, {})["status"] == "refused"


# A one-pixel picture, with bytes that no text has.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


async def test_a_tmall_shop_refuses_with_the_picture_that_was_given(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    shop.configure({"tmall": True})
    tid = await ordered(url)
    made = await control(url, f"orders/{tid}/refund")
    record = {"id": made["refund_id"], "kind": "refund", "status": "refused", "order_id": tid, "note": "商品已发出"}
    mapping = library.shipped("taobao", "refusal")
    with pytest.raises(errors.Rejected) as bare:
        await calls.call(connection, "refund.refuse", mapping.to_native(record, {}))
    assert "凭证图片" in bare.value.message
    large = base64.b64decode(DOT) + bytes(range(256)) * 500
    given = mapping.to_native({**record, "extra": {"refuse_proof": base64.b64encode(large).decode()}}, {})
    outcome = await calls.call(connection, "refund.refuse", given)
    (effect,) = shop.journal.find("refund_refused", made["refund_id"])
    assert effect.data["picture"] == len(large)
    shown = repr(outcome.exchanges)
    assert not [secret for secret in connection.secrets.values() if secret and secret in shown]
    assert "sign=***" in shown


@pytest.mark.parametrize(
    "proof", ["no base64!", base64.b64encode(b"text").decode(), base64.b64encode(b"GIF8" + bytes(130_000)).decode()]
)
async def test_what_is_no_picture_is_never_sent(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator, proof: str
) -> None:
    tid = await ordered(url)
    made = await control(url, f"orders/{tid}/refund")
    with pytest.raises(errors.Misdeclared):
        await calls.call(
            connection, "refund.refuse", {"refund_id": made["refund_id"], "message": "商品已发出", "proof": proof}
        )
    assert not shop.journal.find("refund_refused", made["refund_id"])
