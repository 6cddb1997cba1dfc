"""Erasing a customer on request: who they are in every system, what names them, and what goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import privacy
from retry_queue.ledger import audit, erasure, links, mentions, records, secrets, tables
from retry_queue.ledger import customers as people
from retry_queue.sync import about

R = tables.records


async def belonging(
    db: AsyncConnection, sealer: secrets.Sealer, group: Sequence[records.Known]
) -> dict[int, list[records.Known]]:
    """Link -> records of everything about this customer: what names them, and what names that."""
    found: dict[int, list[records.Known]] = {}
    marks = _own(sealer, group)
    for named in (await mentions.of(db, [one.id for one in group])).values():
        marks |= {mark for mark in named if not mark[0].startswith("~")}
    for _ in range(2):  # orders, then what belongs to them
        more = await people.mentioning(db, marks)
        fresh = {link: those for link, those in more.items()
                 if link not in found and those and those[0].entity != about.PEOPLE}  # fmt: skip
        found |= fresh
        marks = _own(sealer, [one for those in fresh.values() for one in those])
    return found


def _own(sealer: secrets.Sealer, known: Iterable[records.Known]) -> set[mentions.Mark]:
    return {about.own(sealer, (one.connection_key, one.entity, one.record)) for one in known}


async def customer(
    db: AsyncConnection, sealer: secrets.Sealer, slot: int, link: int, actor: str, reason: str, now: float
) -> erasure.Erased | None:
    """Erases the customer whom ``link`` names, in the caller's transaction, and says so in the audit log.

    None: there is no such customer. Raises erasure.UnderWay. The audit entry holds numbers and the reason, no person.
    """
    name = (await links.current(db, [link])).get(link)
    group = (await records.groups(db, [name])).get(name, []) if name is not None else []
    if name is None or not group or group[0].entity != about.PEOPLE:
        return None
    things = [one for those in (await belonging(db, sealer, group)).values() for one in those]
    rows = sorted(one.id for one in (*group, *things))
    await db.execute(select(R.c.id).where(R.c.id.in_(rows)).order_by(R.c.id).with_for_update())
    done = await erasure.erase(db, slot, group, things, privacy.erased)
    told = {"reason": reason, "records": done.records, "events": done.events, "attempts": done.attempts}
    await audit.append(db, sealer, now, actor, "customer.erase", f"customer/{name}", told)
    return done
