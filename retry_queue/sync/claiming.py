"""Claiming: judges the claims of planned events against the merged records, in the planning transaction.

Only entities that travel both ways have merged records; for all others nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import merged, records, unsettled
from retry_queue.ledger.states import EventState
from retry_queue.sync import draft, merge, plan, route
from retry_queue.sync import site as sites

_NO_RULE = route.EntityRule()


Places = dict[records.Ref, tuple[int, int]]
"""Record -> (row id, link id)."""


async def judge(
    connection: AsyncConnection, site: sites.Site, drafts: Sequence[draft.Draft], kept: Places
) -> tuple[Places, dict[int, plan.Leg]]:
    """Takes in what the events claim; returns where records are, and event id -> the leg that writes it back.

    An overtaken event of which a field is still the newest word is planned after all; one that only brings
    round what was said before, time and again, is stopped.
    """
    those = [one for one in drafts if one.plan is not None and one.plan.legs and site.merging(one.entity)]
    if not those:
        return kept, {}
    now = await records.find(connection, {one.ref for one in those})
    places = {ref: (known.id, known.link_id) for ref, known in now.items()} | kept
    those = [one for one in those if one.ref in now]
    links = {places[one.ref][1]: one.entity for one in those}
    held: dict[int, merge.Fields] = await merged.hold(connection, links)
    # After the lock: a write that is under way read what counted before these claims, and may go over them.
    busy = await unsettled.busy(connection, {one.ref[0] for one in those})
    changed: set[int] = set()
    notes: list[merged.Note] = []
    agreed: list[tuple[int, str, str | None, str, Mapping[str, str] | None]] = []
    back: dict[int, plan.Leg] = {}
    for one in those:
        assert one.plan is not None
        assert one.canonical is not None
        link = places[one.ref][1]
        source = _source(one, now[one.ref])
        made = merge.claims(one.canonical, site.merging(one.entity), source, held[link])
        said = merge.judge(held[link], made, source, site.entities.get(one.entity, _NO_RULE))
        if source.stale and said.news:
            one.text = now[one.ref].canonical or one.text  # the rest of it is as it has become since
            one.plan = plan.Plan(EventState.PLANNED, None, {}, None, one.plan.legs, one.plan.hop)
        elif not source.stale and one.plan.hop > (plan.HOP_FAR if said.fresh else plan.HOP_LIMIT):
            one.plan = plan.skip("hop_limit", one.plan.state)
            continue
        if said.changed:
            held[link] = said.fields
            changed.add(link)
        notes += [
            merged.Note(link, one.entity, each.path, each.policy, each.sides, each.winner, one.event.id)
            for each in said.disputes
        ]
        agreed += [(link, path, None, "agreed", None) for path in said.settled]
        crossing = said.news and plan.lane(one.ref[0], one.entity, link) in busy
        if (said.restore or crossing) and one.plan.ruling is EventState.PLANNED:
            leg = _back(site, one)
            if leg is not None:
                back[one.event.id] = leg
    await merged.keep(connection, {link: held[link] for link in changed})
    await merged.note(connection, notes)
    await merged.close(connection, agreed)
    return places, back


def _source(one: draft.Draft, now: records.Known) -> merge.Source:
    """``now``: the record's row, which this transaction holds."""
    stale = one.plan is not None and one.plan.reason == "stale"
    before = now if stale else one.before
    return merge.Source(
        connection=one.ref[0],
        record=one.ref[2],
        at=one.version if one.version is not None else one.event.occurred_at or one.event.received_at,
        before=orjson.loads(before.canonical) if before is not None and before.canonical else None,
        before_at=before.version if before is not None else None,
        wrote=orjson.loads(now.wrote) if now.wrote else {},
        wrote_at=now.wrote_at,
        reread=one.read_at is not None,
        stale=stale,
    )


def _back(site: sites.Site, one: draft.Draft) -> plan.Leg | None:
    edge = site.writer(one.ref[0], one.entity)
    if edge is None:
        return None
    found = site.routes[edge.route]
    return plan.Leg(found, edge.position + plan.RESTORE, found.targets[edge.position].target, "state")


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
