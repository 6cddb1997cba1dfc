"""S-21: a hook's secret changes with an overlap: nothing is refused in it, the old one is worthless afterwards."""

from __future__ import annotations

from pathlib import Path

import orjson

from connectors.core import errors, model
from retry_queue import append
from retry_queue.ledger import keyring
from tests.unit.gateway import desk as desks
from webhooks import receive

OLD = desks.SHOP["secrets"]["hook_secret"]
NEW, NEWEST = "canary-the-second-hook-secret", "canary-the-third-hook-secret"


async def test_both_secrets_count_until_the_overlap_ends(database_url: str, tmp_path: Path) -> None:
    async with desks.opened(database_url, tmp_path) as desk:
        owner = await desks.configured(desk)
        appender = append.Appender(desk.ledger, lambda: None)

        def live(key: str):
            assert desk.site is not None
            return desk.site.live.get(key)

        receiver = receive.Receiver(live, appender, desk.clock, formers=lambda key: live(key).formers)
        sent = 0

        async def accepted(secret: str) -> bool:
            nonlocal sent
            sent += 1
            body = orjson.dumps({"id": str(sent)})
            call = model.RawHook("POST", {}, {"x-token": secret, "authorization": secret}, body)
            try:
                return (await receiver.accept(receiver.door("shop"), call)).status == 200
            except errors.HookRefused:
                return False

        async def change(secret: str, **more: float) -> dict[str, object]:
            now = (await owner.get("/connections/shop")).json()
            body = {"config": now["config"], "secrets": {"hook_secret": secret}, **more}
            answer = await owner.put("/connections/shop", json=body, headers={"if-match": now["etag"]})
            assert answer.status_code == 200, answer.text
            assert "canary" not in answer.text
            return dict(answer.json())

        async def counted() -> list[bool]:
            return [await accepted(one) for one in (OLD, NEW, NEWEST)]

        assert await counted() == [True, False, False]
        shown = await change(NEW, overlap_hours=2)
        assert [one["field"] for one in shown["former_secrets"]] == ["hook_secret"]  # type: ignore[union-attr,attr-defined]
        assert await counted() == [True, True, False]
        await desks_rotation(desk)  # keys may change meanwhile
        assert await counted() == [True, True, False]
        desk.clock.ahead += 2 * 3600 - 60
        assert await counted() == [True, True, False]
        desk.clock.ahead += 61
        assert await counted() == [False, True, False]
        assert (await owner.get("/connections/shop")).json()["former_secrets"] == []
        await change(NEWEST)
        assert await counted() == [False, False, True], "without an overlap the old one ends at once"
        await appender.close()


async def desks_rotation(desk: desks.Desk) -> None:
    async with desk.ledger.write() as connection:
        await keyring.begin(connection, desk.hub.sealer, 0.0, "test")
    for _ in range(9):
        await keyring.step(desk.ledger, desk.hub.sealer, 1.0, 0.0)
    await desk.reload()


async def test_leaving_an_overlap_early(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        owner = await desks.configured(desk)
        for hours, left in ((5, 1), (0, 0)):
            now = (await owner.get("/connections/shop")).json()
            body = {"config": now["config"], "secrets": {"hook_secret": f"{NEW}{hours}"}, "overlap_hours": hours}
            answer = await owner.put("/connections/shop", json=body, headers={"if-match": now["etag"]})
            assert len(answer.json()["former_secrets"]) == left
        body = {"config": now["config"], "secrets": {}, "overlap_hours": 721}
        assert (await owner.put("/connections/shop", json=body, headers={"if-match": "x"})).status_code == 422
