"""Two systems change the same records at once: they end up equal, by policy, and nothing goes round and round."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults import house, systems

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
@pytest.mark.parametrize("late", [0.0, 1.0])
async def test_both_sides_end_up_equal_with_the_newest_edits(
    folder: Path, postgres_url: str, valkey_url: str, full: bool, seed: int, late: float
) -> None:
    told, those, conflicts = await soak(
        folder, "{conflicts: newest}", edits=5000 if full else 300, records=300 if full else 30, seed=seed,
        push=systems.Push(late=late, copies=2), database_url=postgres_url, redis_url=valkey_url,
    )  # fmt: skip
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
    assert told["quiet_after"] <= 10.0 + late, told
    assert (told["dead"], told["parked"]) == (0, 0)
