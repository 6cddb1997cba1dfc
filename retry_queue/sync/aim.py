"""Aim: which targets of the routes an event may reach. A live event reaches all; a repair or history does not.

A repair is meant for one connection, and neither it nor imported history may send anybody a message: both only
bring records up to date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from retry_queue.ledger import inbox
from retry_queue.sync import plan


def of_event(event: inbox.ClaimedEvent, candidates: tuple[plan.Candidate, ...]) -> tuple[plan.Candidate, ...]:
    """The routes of an event with the targets it may not reach closed."""
    aim = event.aim
    if aim is None and event.priority != inbox.BACKFILL:
        return candidates
    return tuple(states(candidates, aim))


def states(candidates: Iterable[plan.Candidate], target: str | None) -> Iterable[plan.Candidate]:
    """The routes with only those targets open that keep a record up to date, in ``target`` if one is named."""
    for one in candidates:
        wanted = [
            kind == "state" and target in (None, to.connection)
            for to, kind in zip(one.route.to, one.kinds, strict=True)
        ]
        open_ = tuple(was and may for was, may in zip(one.open, wanted, strict=True))
        yield one if open_ == one.open else replace(one, open=open_)


def reaches(candidates: Iterable[plan.Candidate], target: str) -> bool:
    """Whether some route keeps records of ``target`` up to date."""
    return any(any(one.open) for one in states(candidates, target))
