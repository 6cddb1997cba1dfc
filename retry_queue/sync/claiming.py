"""Claiming: judges the claims of planned events against the merged records, in the planning transaction.

Only entities that travel both ways have merged records; for all others nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import merged, records
from retry_queue.sync import draft, merge, plan, route
from retry_queue.sync import site as sites

_NO_RULE = route.EntityRule()


async def judge(
    connection: AsyncConnection,
    site: sites.Site,
    planned: Sequence[draft.Draft],
    kept: Mapping[records.Ref, tuple[int, int]],
) -> dict[int, plan.Leg]:
    """Takes in what the events claim; returns event id -> the leg that writes their own system back."""
    those = [one for one in planned if one.canonical is not None and site.merging(one.entity)]
    if not those:
        return {}
    links = {kept[one.ref][1]: one.entity for one in those}
    held: dict[int, merge.Fields] = await merged.hold(connection, links)
    changed: set[int] = set()
    notes: list[merged.Note] = []
    agreed: list[tuple[int, str, str | None, str, Mapping[str, str] | None]] = []
    back: dict[int, plan.Leg] = {}
    for one in those:
        link = kept[one.ref][1]
        fields = held[link]
        source = _source(one)
        assert one.canonical is not None
        made = merge.claims(one.canonical, site.merging(one.entity), source, fields)
        rule = site.entities.get(one.entity, _NO_RULE)
        said = merge.judge(fields, made, source, rule)
        if said.changed:
            held[link] = said.fields
            changed.add(link)
        notes += [
            merged.Note(link, one.entity, each.path, each.policy, each.sides, each.winner, one.event.id)
            for each in said.disputes
        ]
        agreed += [(link, path, None, "agreed", None) for path in said.settled]
        if said.restore:
            leg = _back(site, one)
            if leg is not None:
                back[one.event.id] = leg
    await merged.keep(connection, {link: held[link] for link in changed})
    await merged.note(connection, notes)
    await merged.close(connection, agreed)
    return back


def _source(one: draft.Draft) -> merge.Source:
    before = one.before
    return merge.Source(
        connection=one.ref[0],
        record=one.ref[2],
        at=one.version if one.version is not None else one.event.occurred_at or one.event.received_at,
        event=one.event.id,
        before=orjson.loads(before.canonical) if before is not None and before.canonical else None,
        wrote=orjson.loads(before.wrote) if before is not None and before.wrote else {},
        wrote_at=before.wrote_at if before is not None else None,
        reread=one.read_at is not None,
    )


def _back(site: sites.Site, one: draft.Draft) -> plan.Leg | None:
    edge = site.writer(one.ref[0], one.entity)
    if edge is None:
        return None
    found = site.routes[edge.route]
    return plan.Leg(found, edge.position + plan.RESTORE, found.to[edge.position], "state")


async def join(connection: AsyncConnection, entity: str, pairs: Sequence[tuple[int, int]]) -> None:
    """Merged records of links that turned out to be one thing become one: the newer value of each field."""
    if not pairs:
        return
    found = await merged.find(connection, {link for pair in pairs for link in pair})
    touched = sorted({became for was, became in pairs if was in found or became in found})
    if not touched:
        return
    held = await merged.hold(connection, dict.fromkeys(touched, entity))
    for was, became in pairs:
        if was in found:
            held[became] = merge.combined(held[became], found[was])
    await merged.keep(connection, held)
    await merged.relink(connection, [pair for pair in pairs if pair[0] in found])
