"""Official Account: followers who were there before the hub are read once each, when an admin wants that."""

from __future__ import annotations

from connectors.core import decode, registry, scope
from mappings import library
from tests.conformance import rehearsal


async def test_followers_there_were_are_rows_of_a_poll() -> None:
    spec = registry.get("wechat")
    source = spec.events["followers"]
    assert scope.applies(source.when, {"product": "official", "read_followers": "yes"})
    assert not scope.applies(source.when, {"product": "official", "read_followers": "no"})
    async with rehearsal.stage("wechat") as place:
        connected = place.connection()
        rows = [row async for page in place.caller.pages(connected, source.operation or "", {}) for row in page]
        assert len(rows) == len(set(rows)) > 0
        first, again = (decode.event(spec, "followers", rows[0], connected) for _ in range(2))
        assert (first.message, first.record, first.dedupe) == ("follower_row", rows[0], again.dedupe)
        found = await place.caller.call(connected, "user.get", {"openid": rows[0]})
        assert library.shipped("wechat", "customer").from_native(found.data, {})["status"] == "subscribed"
