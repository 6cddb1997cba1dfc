"""A call that was accepted and did not reach everybody, or nobody."""

from __future__ import annotations

import pytest

from connectors.core import errors
from tests.unit.connectors.conftest import answer, connected
from tests.unit.connectors.shop import SPEC, failing


@pytest.fixture
def shop(peer):
    return connected(SPEC, peer.url)


async def test_partial_success_is_a_warning(calls, shop, peer):
    peer.decide = lambda seen: answer({"errcode": 0, "bad": "u1|u2"})
    assert (await calls.call(shop, "order.save", {"no": "1"})).warnings == ("无效 (invalid): u1|u2",)
    peer.decide = lambda seen: answer({"errcode": 0, "bad": ""})
    assert (await calls.call(shop, "order.save", {"no": "1"})).warnings == ()


async def test_a_success_that_reached_nobody_is_none(calls, shop, peer):
    """Regression: a message whose every receiver was refused counted as delivered."""
    peer.decide = lambda seen: answer({"errcode": 0, "bad": "u1|u2"})
    everybody = await failing(calls, shop, "order.tell", {"to": ["u2", "u1"]})
    assert isinstance(everybody, errors.Rejected)
    assert everybody.hint["zh"] == "没有送到任何人：无效"
    assert (await calls.call(shop, "order.tell", {"to": ["u1", "u3"]})).warnings == ("无效 (invalid): u1|u2",)
    assert (await calls.call(shop, "order.tell", {})).warnings, "nobody was named, so nobody can be missing"
    peer.decide = lambda seen: answer({"errcode": 0, "bad": "u1", "later": ["u2"]})
    busy = await failing(calls, shop, "order.tell", {"to": "u1|u2"})
    assert isinstance(busy, errors.Throttled)
    assert busy.retry_after == 60.0
