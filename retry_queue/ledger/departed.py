"""Departed records: a record that is gone from its system leaves its link, so that it can be made there anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import records, sql

_MOVE = sql.Statement(
    "UPDATE records SET link_id = src.became FROM {src} WHERE records.id = src.id", "id int, became int"
)
_HISTORY = sql.Statement(
    """
    INSERT INTO link_history (record_id, was, became, cause, at) SELECT id, was, became, cause, {now} FROM {src}
    """,
    "id int, was int, became int, cause text",
)


async def leave(connection: AsyncConnection, gone: Iterable[records.Known], cause: str = "gone") -> int:
    """Takes records that no longer exist out of their links; returns how many left one.

    A group is named by one of its rows: where that row is the one that goes, the others get a new name.
    """
    wanted = {one.id: one for one in gone}
    groups = await records.groups(connection, [one.link_id for one in wanted.values()])
    moves: list[tuple[int, int, int]] = []
    for link, group in sorted(groups.items()):
        stay = [one for one in group if one.id not in wanted]
        if not stay:
            continue
        moves += [(one.id, link, one.id) for one in group if one.id in wanted]
        if link in wanted:
            name = min(one.id for one in stay)
            moves += [(one.id, link, name) for one in stay]
    await _write(connection, moves, cause)
    return sum(number in wanted for number, _, _ in moves)


async def _write(connection: AsyncConnection, moves: Sequence[tuple[int, int, int]], cause: str) -> None:
    await _MOVE.run(connection, [(number, became) for number, _, became in moves])
    await _HISTORY.run(connection, [(number, was, became, cause) for number, was, became in moves])
