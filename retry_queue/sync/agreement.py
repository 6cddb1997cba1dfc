"""One comparison at work 对账: read both sides, pair what was read, ask again about whatever seems different.

Every step ends in one transaction that also notes how far it is, so another process goes on where this one
stopped. Nothing is called a difference before both records were read again: what changed meanwhile, what a
delivery is still on its way for, and what merely lay outside the window are no findings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from connectors.core import client
from mappings import errors as mapping_errors
from mappings import expression
from retry_queue.ledger import findings, reconciliations, records, secrets, session, sightings
from retry_queue.sync import carried, compare, draft, schedule, several, sides
from retry_queue.sync import site as sites

LEASE = 120.0
CHUNK = 200
"""Records compared in one transaction."""
ASKS = 8
"""Records read again at once."""
LEFT, RIGHT = sightings.LEFT, sightings.RIGHT

PHASES = {"left": (0.0, 0.4), "right": (0.4, 0.4), "pair": (0.8, 0.15), "alone": (0.95, 0.05)}
"""Where each phase begins, and how much of the whole it is."""


class Halted(Exception):
    """This process is stopping; whoever comes next goes on."""


@dataclass(slots=True)
class Doubt:
    """Something that seems different: what was listed of either side, to be read again."""

    left: sightings.Sighting | None
    right: sightings.Sighting | None
    links: set[int] = field(default_factory=set)
    here: sides.Seen | None = None
    there: sides.Seen | None = None
    counterparts: dict[int, list[str]] = field(default_factory=dict)
    """Side -> records there that the ledger knows to be the same."""


class Run:
    """One comparison, by one process. Raises what calls and the ledger raise; ``reconcile`` judges that."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: sites.Site,
        calls: client.Client,
        sealer: secrets.Sealer,
        row: reconciliations.Row,
        halt: asyncio.Event,
    ) -> None:
        """Raises sides.Unreadable when one of the two cannot be read, ExpressionError for a broken condition."""
        self._ledger, self._calls, self._sealer, self._row, self._halt = ledger, calls, sealer, row, halt
        self._spec = schedule.Comparison.model_validate(row.spec)
        left, right = (sides.find(site, one, row.entity) for one in (self._spec.left, self._spec.right))
        self._sides = (left, right)
        self._terms = self._spec.terms(*(carried.of(side.meaning.mapping) for side in self._sides))
        conditions = (self._spec.when, self._spec.when_right)
        self._holds = tuple(expression.condition(text) if text else None for text in conditions)
        self._counts: Counter[str] = Counter(row.counts)
        self.progress: dict[str, Any] = dict(row.progress)

    async def work(self) -> dict[str, int]:
        """Goes on to the end; returns the counts."""
        if "until" not in self.progress:
            self.progress = {"phase": "left", "until": await self._ledger.now()}
        if self.progress["phase"] == "left":
            await self._read(LEFT)
        if self.progress["phase"] == "right":
            await self._read(RIGHT)
        if self.progress["phase"] == "pair":
            await self._pair()
        if self.progress["phase"] == "alone":
            await self._alone()
        return dict(self._counts)

    # --- reading -----------------------------------------------------------------------------------

    async def _read(self, side: int) -> None:
        """Lists one side window after window, from a little before what is compared up to now."""
        one, phase = self._sides[side], ("left", "right")[side]
        first, last = self._row.window_start - schedule.MARGIN, float(self.progress["until"])
        at = float(self.progress.get("at", first))
        while True:
            end = min(at + one.step, last) if one.windowed else last
            async for page in one.pages(self._calls, (at, end) if one.windowed else None):
                await self._keep(side, page)
            at = end
            self.progress |= {"at": at, "share": (at - first) / max(last - first, 1.0)}
            if at >= last:
                break
            await self._note()
        counted = await self._listed(side)
        following = ("right", "pair")[side]
        self.progress = {"phase": following, "until": last}
        self._counts[phase] = counted
        await self._note()

    async def _keep(self, side: int, page: Sequence[sides.Seen]) -> None:
        key = self._sides[side].opened.key
        async with self._ledger.write() as db:
            known = await records.find(db, [(key, self._row.entity, seen.record) for seen in page])
            made = []
            for seen in page:
                before = known.get((key, self._row.entity, seen.record))
                made.append(self._sighting(side, seen, before.link_id if before else None))
            await sightings.put(db, self._row.id, side, made)
            await reconciliations.keep(db, self._row, self.progress, self._counts, LEASE)
        if self._halt.is_set():
            raise Halted

    def _sighting(self, side: int, seen: sides.Seen, link: int | None) -> sightings.Sighting:
        record, at = seen.record[:200], seen.at
        timely = at is None or self._row.window_start <= at < self._row.window_end
        if seen.canonical is None:
            return sightings.Sighting(record, link, None, None, at, timely, True, None)
        number = seen.canonical.get("number")
        named = compare.natural(self._row.entity, seen.canonical)
        return sightings.Sighting(
            record,
            link,
            str(number)[:200] if number else None,
            self._sealer.digest(*named) if named else None,
            at,
            timely,
            self._concerns(side, seen.canonical),
            draft.encode(compare.body(seen.canonical, self._terms.paths)),
        )

    def _concerns(self, side: int, canonical: Mapping[str, Any]) -> bool:
        """Whether the condition holds; one that fails on this record counts as false."""
        holds = self._holds[side]
        if holds is None:
            return True
        if _HELD in canonical:
            return bool(canonical[_HELD])
        try:
            return holds({self._row.entity: canonical})
        except mapping_errors.ExpressionError:
            return False

    async def _listed(self, side: int) -> int:
        async with self._ledger.read() as db:
            return (await sightings.count(db, self._row.id))[side]

    # --- pairing -----------------------------------------------------------------------------------

    async def _pair(self) -> None:
        """Every left record with its counterpart."""
        while True:
            async with self._ledger.read() as db:
                mine = await sightings.chunk(db, self._row.id, LEFT, self.progress.get("record", ""), CHUNK)
                # What is not compared takes no counterpart by its name: the same SKU in another warehouse has it too.
                asking = [one if one.holds else replace(one, named=None) for one in mine]
                theirs = await sightings.partners(db, self._row.id, RIGHT, asking)
                ours = await sightings.linked(db, self._row.id, LEFT, mine)
            if not mine:
                break
            doubts, counted = [], Counter[str]()
            for one in mine:
                others = theirs.get(one.record, [])
                recent = any(other.timely for other in others)
                alike = [each for each in ours.get(one.record) or [one] if each.holds and (each.timely or recent)]
                if one.record not in {each.record for each in alike}:
                    continue
                if not others:
                    doubts.append(Doubt(one, None))
                elif not self._compared(ours.get(one.record) or [one], others, counted):
                    if alike[0].record == one.record:  # once for all of them
                        doubts.append(Doubt(one, others[0]))
            found = await self._settled(doubts, counted)
            paired = [other.record for others in theirs.values() for other in others]
            paired += [record for doubt in doubts for record in doubt.counterparts.get(RIGHT, [])]
            self._counts.update(counted)
            seen = int(self.progress.get("seen", 0)) + len(mine)
            self.progress |= {"record": mine[-1].record, "seen": seen, "share": seen / max(self._counts["left"], 1)}
            await self._write(found, paired)
        self.progress = {"phase": "alone", "until": self.progress["until"]}
        await self._note()

    def _compared(
        self, mine: Sequence[sightings.Sighting], theirs: Sequence[sightings.Sighting], counted: Counter[str]
    ) -> bool:
        """Whether nothing of one thing needs a closer look, as it was listed."""
        left = [one.body for one in mine if one.body is not None]
        right = [one.body for one in theirs if one.body is not None]
        if len(left) < len(mine) or len(right) < len(theirs):
            counted["unreadable"] += 1
            return True
        if not self._differences([orjson.loads(one) for one in left], [orjson.loads(one) for one in right]):
            counted["matched"] += 1
            return True
        return False

    def _differences(self, left: Sequence[compare.Body], right: Sequence[compare.Body]) -> list[dict[str, Any]]:
        if len(left) == len(right) == 1:
            return compare.differences(left[0], right[0], self._terms)
        return several.differences(self._row.entity, left, right, self._terms)

    async def _alone(self) -> None:
        """Right records that nothing on the left was paired with."""
        while True:
            async with self._ledger.read() as db:
                after = self.progress.get("record", "")
                mine = await sightings.chunk(db, self._row.id, RIGHT, after, CHUNK, alone=True)
                others = await sightings.partners(db, self._row.id, LEFT, mine)
            if not mine:
                return
            known = {record for record, those in others.items() if not all(other.holds for other in those)}
            alone = [one for one in mine if one.timely and one.holds and one.record not in known]
            doubts, counted = [Doubt(None, one) for one in alone], Counter[str]()
            found = await self._settled(doubts, counted)
            self._counts.update(counted)
            self.progress |= {"record": mine[-1].record}
            await self._write(found, [])

    # --- what seems different ----------------------------------------------------------------------

    async def _settled(self, doubts: list[Doubt], counted: Counter[str]) -> list[findings.New]:
        """Reads again what seems different and says what truly is; everything else is counted."""
        if not doubts:
            return []
        quiet = await self._quiet(doubts)
        counted["under_way"] += len(doubts) - len(quiet)
        slots = asyncio.Semaphore(ASKS)

        async def again(doubt: Doubt) -> findings.New | str:
            async with slots:
                return await self._judged(doubt)

        found = []
        for one in await asyncio.gather(*(again(doubt) for doubt in quiet)):
            if isinstance(one, str):
                counted[one] += 1
            else:
                counted[one.kind] += 1
                found.append(one)
        return found

    async def _quiet(self, doubts: Sequence[Doubt]) -> list[Doubt]:
        """Those that nothing is under way for, with what the ledger knows to be their counterparts."""
        keys = [side.opened.key for side in self._sides]
        named = [(keys[LEFT if doubt.left else RIGHT], _own(doubt).record) for doubt in doubts]
        numbers = [number for doubt in doubts if (number := _own(doubt).number)]
        async with self._ledger.read() as db:
            refs = [(key, self._row.entity, record) for key, record in named]
            known = await records.find(db, refs)
            alike = await records.numbered(db, self._row.entity, keys, numbers)
            groups = await records.groups(db, [one.link_id for one in known.values()])
            for doubt, ref in zip(doubts, refs, strict=True):
                group = groups.get(known[ref].link_id, []) if ref in known else []
                group = group or alike.get(_own(doubt).number or "", [])
                doubt.links = {one.link_id for one in group} | {
                    one.link_id for one in (doubt.left, doubt.right) if one and one.link_id is not None
                }
                for side, key in enumerate(keys):
                    same = [r for r in group if r.connection_key == key and r.entity == self._row.entity]
                    doubt.counterparts[side] = [r.record for r in same]
            moving = await findings.under_way(db, {link for doubt in doubts for link in doubt.links})
            waiting = await findings.unplanned(db, [
                (key, record)
                for doubt in doubts
                for side, key in enumerate(keys)
                for record in [*doubt.counterparts[side], *_listed(doubt, side)]
            ])  # fmt: skip
        return [
            doubt
            for doubt in doubts
            if not doubt.links & moving
            and not any(
                (key, record) in waiting
                for side, key in enumerate(keys)
                for record in [*doubt.counterparts[side], *_listed(doubt, side)]
            )
        ]

    async def _judged(self, doubt: Doubt) -> findings.New | str:
        """A difference, or the slug of why it is none."""
        here, there = await self._again(LEFT, doubt), await self._again(RIGHT, doubt)
        both = [*here, *there]
        if not both:
            return "gone"
        if any(one.canonical is None for one in both):
            return "unreadable"
        if here and not any(self._concerns(LEFT, one.canonical or {}) for one in here):
            return "filtered"
        if any(one.at is not None and one.at >= self._row.window_end for one in both):
            # Changed while or just before it was compared: equal by now, or the next run's business.
            return "under_way" if not (here and there) or self._apart(here, there) else "matched"
        if here and there:
            if any(self._sides[side].gets is None and len(doubt.counterparts[side]) > 1 for side in (LEFT, RIGHT)):
                return "matched"  # the other parts cannot be read one by one
            apart = self._apart(here, there)
            return self._finding("different", doubt, here, there, apart) if apart else "matched"
        if here:
            return self._finding("missing", doubt, here, there)
        if not any(self._concerns(RIGHT, one.canonical or {}) for one in there):
            return "filtered"
        return self._finding("extra", doubt, here, there)

    async def _again(self, side: int, doubt: Doubt) -> list[sides.Seen]:
        """The record as it is now, and all the ledger knows to be parts of it; empty when nothing is there."""
        listed = doubt.left if side == LEFT else doubt.right
        one = self._sides[side]
        if one.gets is None:
            return [_as_listed(listed)] if listed is not None else []
        wanted = dict.fromkeys([*([listed.record] if listed else []), *doubt.counterparts.get(side, [])])
        found = [seen for record in wanted if (seen := await one.one(self._calls, record)) is not None]
        number = _own(doubt).number
        if not found and listed is None and number and number not in wanted:
            seen = await one.one(self._calls, number)  # many systems know a record by its number
            if seen is not None and (seen.canonical or {}).get("number") == number:
                doubt.counterparts.setdefault(side, []).append(seen.record)
                found.append(seen)
        return found

    def _apart(self, left: Sequence[sides.Seen], right: Sequence[sides.Seen]) -> list[dict[str, Any]]:
        both = [[_body(one.canonical or {}, self._terms.paths) for one in side] for side in (left, right)]
        return self._differences(*both)

    def _finding(
        self, kind: str, doubt: Doubt, here: Sequence[sides.Seen], there: Sequence[sides.Seen],
        apart: Sequence[Mapping[str, Any]] = (),
    ) -> findings.New:  # fmt: skip
        number = ((here or there)[0].canonical or {}).get("number")
        many = kind == "different" and (len(here), len(there)) != (1, 1)
        return findings.New(
            kind,
            str(number)[:200] if number else None,
            here[0].record if here else None,
            there[0].record if there else None,
            min(doubt.links) if doubt.links else None,
            apart,
            several.words(len(here), len(there)) if many else None,
        )

    # --- writing -----------------------------------------------------------------------------------

    async def _note(self) -> None:
        await self._write([], [])

    async def _write(self, found: Sequence[findings.New], paired: Sequence[str]) -> None:
        """What was found and how far it is, together. Raises reconciliations.Lost, Halted."""
        async with self._ledger.write() as db:
            await reconciliations.keep(db, self._row, self.progress, self._counts, LEASE)
            await findings.add(db, self._row.id, found)
            await sightings.pair(db, self._row.id, RIGHT, paired)
        if self._halt.is_set():
            raise Halted


def share(progress: Mapping[str, Any]) -> float:
    """How much of a comparison is done, 0 to 1."""
    begins, whole = PHASES.get(str(progress.get("phase", "left")), (0.0, 0.4))
    return round(begins + whole * min(max(float(progress.get("share", 0.0)), 0.0), 1.0), 4)


def _own(doubt: Doubt) -> sightings.Sighting:
    one = doubt.left or doubt.right
    assert one is not None
    return one


def _listed(doubt: Doubt, side: int) -> list[str]:
    one = doubt.left if side == LEFT else doubt.right
    return [one.record] if one is not None else []


_KEPT = "\x00body"
"""A record of which only what is compared was kept stands under this name."""
_HELD = "\x00holds"
"""And whether the condition held when it was whole."""


def _as_listed(listed: sightings.Sighting) -> sides.Seen:
    if listed.body is None:
        return sides.Seen(listed.record, None, listed.at)
    kept = {"number": listed.number, _KEPT: orjson.loads(listed.body), _HELD: listed.holds}
    return sides.Seen(listed.record, kept, listed.at)


def _body(canonical: Mapping[str, Any], wanted: Sequence[str]) -> compare.Body:
    kept = canonical.get(_KEPT)
    return kept if isinstance(kept, dict) else compare.body(canonical, wanted)
