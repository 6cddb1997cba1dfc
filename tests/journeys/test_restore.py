"""A backup put back while the world went on: what happened since is not done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import backup
from gateway.trial import journey, stage, story
from retry_queue.ledger import session

BEFORE, AFTER = 12, 12


async def orders(place: stage.Stage, number: int) -> list[str]:
    made: list[str] = []
    for one in range(number):
        answer = await place.tell(place.story.order, {"place": one % place.story.people})
        made += [str(row[place.story.order.id]) for row in answer[place.story.order.rows]]
    return made


async def there(place: stage.Stage, made: list[str]) -> None:
    async def arrived() -> bool:
        return not await journey.missing(place, made, {})

    await stage.until(arrived, 90.0, "effects")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_happened_after_the_backup_is_not_done_again(folder: Path) -> None:
    async with stage.running(folder) as place:
        await place.meet()
        await place.apply(stage.shipped_hub_yaml())
        await place.tell(place.story.ship)
        made = await orders(place, BEFORE)
        await there(place, made)
        kept = folder / "kept.tar"
        made += await orders(place, 3)  # some are under way while the copy is made
        told = await backup.take(place.config.database_url, place.sealer, kept)
        assert told.size > 0
        made += await orders(place, AFTER)
        await there(place, made)
        before = place.effects()

        with pytest.raises(backup.Refused, match="running"):
            await backup.put_back(place.config.database_url, place.sealer, kept)
        place.stop()
        await place.ledger.close()
        done = await backup.put_back(place.config.database_url, place.sealer, kept)
        assert done.aside is not None
        assert done.aside.is_file()
        place.ledger = session.open_ledger(place.config.database_url, owner="stage", pool=2)
        await place.start()

        late = await orders(place, 3)
        await there(place, made + late)
        seen: list[int] = []

        async def still() -> bool:
            seen.append((await place.balance()).received)
            waiting = [one for one in await place.undelivered() if " retrying " in one and "link_missing" not in one]
            return len(seen) > 15 and len(set(seen[-15:])) == 1 and not waiting

        await stage.until(still, 90.0, "quiescence")
        # An echo is no double here: the ledger forgot that a change was ours, and writes equal values once more.
        doubles = [one for one in story.doubles(place.story, place.effects()) if not one.startswith("echo ")]
        assert doubles == [], await place.undelivered()
        assert len(place.effects()) > len(before), "orders of afterwards went through"
        balance = await place.balance()
        assert (balance.dead, balance.difference) == (0, 0), balance.line()
        # What the ledger could not see again (an order that was paid and is shipped by now) waits, and is told.
        allowed = {"restored", "outcome_unknown", "link_missing"}
        assert all(
            any(reason in one for reason in allowed) for one in await place.undelivered() if "skipped" not in one
        )
