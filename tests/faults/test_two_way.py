"""Two systems change the same records at once: they end up equal, by policy, and nothing goes round and round."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults import conftest, house, systems

FIELDS = ("name", "phone", "note", "level", "company")


async def soak(
    folder: Path, rule: str, *, edits: int, records: int, seed: int, push: systems.Push, **how: Any
) -> tuple[dict[str, Any], list[systems.System], list[Any]]:
    """Edits on both sides at once; returns what came of it, the systems, and the conflicts."""
    chance = random.Random(seed)
    async with house.pair(folder, rule, (push, push), seed=seed, **how) as (hub, those):
        for number in range(records):
            those[number % 2].edit(f"c{number}", **{name: f"{name} {number}" for name in FIELDS})
        await hub.quiet(those, 60.0)
        for number in range(edits):
            record, name = f"c{chance.randrange(records)}", chance.choice(FIELDS)
            chance.choice(those).edit(record, **{name: f"{name} e{number}"})
            if chance.random() < 0.3:  # the same field over there, in the same moment
                those[chance.randrange(2)].edit(record, **{name: f"{name} x{number}"})
            await asyncio.sleep(0.004)
        took = await hub.quiet(those, 90.0)
        conflicts = await hub.rows("SELECT field, policy, state, sides, winner FROM conflicts")
        balance = await hub.balance()
        told = {
            "edits": sum(len(one.edits) for one in those),
            "writes": sum(one.writes for one in those),
            "conflicts": len(conflicts),
            "quiet_after": round(took, 1),
            "dead": balance.dead,
            "parked": balance.parked,
        }
        return told, those, conflicts


def differences(those: list[systems.System]) -> list[tuple[str, str, Any, Any]]:
    """(record, field, here, there) wherever the two systems disagree."""
    one, two = those
    return [
        (key, name, one.records.get(key, {}).get(name), two.records.get(key, {}).get(name))
        for key in sorted({*one.records, *two.records})
        for name in FIELDS
        if one.records.get(key, {}).get(name) != two.records.get(key, {}).get(name)
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("late", "callback"), [(0.0, True), (1.0, True), *([(0.5, False)] if conftest.FULL else [])])
async def test_both_sides_end_up_equal_with_the_newest_edits(
    folder: Path,
    postgres_url: str,
    valkey_url: str,
    full: bool,
    seed: int,
    late: float,
    callback: bool,
    trial: Callable[..., None],
) -> None:
    told, those, conflicts = await soak(
        folder, "{conflicts: newest}", edits=5000 if full else 300, records=300 if full else 30, seed=seed,
        push=systems.Push(late=late, copies=2, callback=callback), database_url=postgres_url, redis_url=valkey_url,
    )  # fmt: skip
    name = "two-way soak, both sides edit at once" + ("" if callback else ", silent about our writes")
    trial(name, f"{told['edits']:,} edits", seed=seed, late=late, **told)
    assert differences(those) == [], told
    wrong = [
        (key, edit, those[0].records[key[0]].get(key[1]))
        for key, edit in systems.newest(those).items()
        if those[0].records[key[0]].get(key[1]) != edit.value
    ]
    assert wrong == [], told
    for row in conflicts:
        sides = {one["from"]: one["at"] for one in orjson.loads(row.sides)}
        assert row.winner == max(sides, key=lambda key: sides[key]), row
    assert told["writes"] <= 4 * told["edits"], f"something goes round: {told}"
    # The small one runs beside the rest of the suite.
    assert told["quiet_after"] <= (10.0 if full else 40.0) + late, told
    assert (told["dead"], told["parked"]) == (0, 0)


async def test_a_person_settles_what_both_changed(folder: Path, postgres_url: str, valkey_url: str, seed: int) -> None:
    """Manual: both keep their own until somebody decides over the API; then both have it."""
    push = systems.Push()
    rule = "{conflicts: manual, owners: {level: one}}"
    how = {"database_url": postgres_url, "redis_url": valkey_url}
    async with house.pair(folder, rule, (push, push), seed=seed, **how) as (hub, those):
        one, two = those
        one.edit("c1", name="first", phone="1", level="gold")
        await hub.quiet(those, 30.0)
        one.edit("c1", name="mine")
        two.edit("c1", name="yours", phone="2", level="silver")
        await hub.quiet(those, 30.0)
        assert (one.records["c1"]["name"], two.records["c1"]["name"]) == ("mine", "yours")
        assert (one.records["c1"]["phone"], two.records["c1"]["phone"]) == ("2", "2"), "nobody else changed the phone"
        assert (one.records["c1"]["level"], two.records["c1"]["level"]) == ("gold", "gold"), "the owner's word"
        async with hub.client("operator") as api:
            listed = (await api.get("/conflicts?state=open")).json()["items"]
            assert [(row["field"], row["policy"]) for row in listed] == [("name", "manual")]
            answer = await api.post(f"/conflicts/{listed[0]['id']}/settle", json={"connection": "two"})
            assert (answer.status_code, answer.json()["written"]) == (200, 2)
            again = await api.post(f"/conflicts/{listed[0]['id']}/settle", json={"connection": "two"})
            assert again.status_code == 409
        await hub.quiet(those, 30.0)
        assert differences(those) == []
        assert one.records["c1"]["name"] == "yours"
        two.edit("c1", name="later")
        await hub.quiet(those, 30.0)
        assert one.records["c1"]["name"] == "later", "settled is settled; what comes after is an ordinary change"
