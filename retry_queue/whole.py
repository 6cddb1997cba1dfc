"""Whole listings 全量列表: what an earlier one had and this one lacks has nothing left, and nobody else would say so.

An ERP's list of stock leaves out what is at zero, or whose bin was emptied: without this the shops would go on selling
the last quantity they were told. Believed is only a listing that was read to its end, and what a second reading lacks
too, because rows that move between pages can be missed once; and never one that lacks much of what there was: a list
that comes back empty is a missing permission or a wrong filter more often than an empty house.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.core import decode, errors, jsontext, model, plan, scope, template, together
from retry_queue import append
from retry_queue.ledger import inbox, listed, session

FEW = 4
"""So many records may always go at once."""
SHARE = 3
"""And beyond that one in so many."""
ASKED = "asked"
"""In the cursor: a digest of what was asked for."""


class Listing:
    """One whole listing of a poll source, from its first row to what is missing in it."""

    def __init__(self, ledger: session.Ledger, connection: model.Connection, source: str) -> None:
        """Raises KeyError for a source whose operation adds nothing up; declarations are checked for that."""
        self._ledger, self._connection, self._source = ledger, connection, source
        operation = connection.declaration.events[source].operation or ""
        joined = connection.declaration.operations[operation].together
        if joined is None:
            raise KeyError(operation)
        self.operation, self._spec = operation, joined
        self._seen: set[str] = set()
        self._at = (connection.key, source)

    def asked(self, given: Mapping[str, Any]) -> str:
        """What this listing is of, as a digest: another warehouse or status makes it another listing."""
        config = {"config": scope.settings(self._connection)}
        named = plan.of(self._connection.declaration, self.operation).names
        used = {one: template.render(f"${{{one}}}", config) for one in sorted(named) if one.startswith("config.")}
        return hashlib.sha256(jsontext.dumps([dict(given), used])).hexdigest()[:32]

    async def take(self, rows: Sequence[Any]) -> None:
        """Some of its rows, before they are told: so nothing is told that would not be missed."""
        full: list[tuple[str, str]] = []
        bare: list[str] = []
        for row in rows:
            name = together.name(self._spec, row)
            if name is None:
                continue
            self._seen.add(name)
            if self._bare(row):
                bare.append(name)
            else:
                full.append((name, jsontext.dumps(together.emptied(self._spec, row)).decode()))
        async with self._ledger.write() as db:
            await listed.put(db, *self._at, full)
            await listed.drop(db, *self._at, bare)

    def _bare(self, row: Any) -> bool:
        try:
            return together.bare(self._spec, row)
        except ValueError:
            return False  # its mapping says what is wrong with it

    async def missing(self, *, believe: bool) -> list[str]:
        """The names of what was there before and was not met. Raises errors.Unavailable when that is too much.

        ``believe``: a person said that it is so.
        """
        found: list[str] = []
        after = ""
        async with self._ledger.read() as db:
            known = await listed.count(db, *self._at)
            while names := await listed.names(db, *self._at, after):
                found += [name for name in names if name not in self._seen]
                after = names[-1]
        if not believe and len(found) > max(FEW, known // SHARE):
            raise self._shrunk(len(found), known)
        return found

    def _shrunk(self, gone: int, known: int) -> errors.Unavailable:
        key = self._connection.key
        return errors.Unavailable(
            f"{self.operation}: {gone} of {known} records are missing",
            operation=self.operation,
            hint={
                "zh": f"列表里少了 {known} 条中的 {gone} 条，没有按清零同步；请检查权限和过滤条件，"
                f"确实没有库存了就运行 ./shuniu believe {key}",
                "en": f"{gone} of {known} records are missing in the list, and were not told as empty; check "
                f"permissions and filters, and if there truly is nothing left run ./shuniu believe {key}",
            },
        )

    async def ends(self, names: Sequence[str], at: float) -> list[inbox.NewEvent]:
        """Events that tell these records with nothing in them; ``at`` is the end of the listing, Unix seconds."""
        async with self._ledger.read() as db:
            rows = await listed.rows(db, *self._at, names)
        return [self._end(row, at) for row in rows]

    def _end(self, text: str, at: float) -> inbox.NewEvent:
        row = jsontext.loads(text)
        found = decode.event(self._connection.declaration, self._source, row, self._connection)
        name = f"#gone:{int(at * 1000)}:{together.name(self._spec, row)}"
        told = model.SourceEvent(found.message, found.entity, found.record, name, found.payload, found.occurred_at)
        return append.new_event(self._connection, self._source, told, reread=True)

    async def told(self, names: Sequence[str]) -> None:
        """These were told, and are known no more."""
        async with self._ledger.write() as db:
            await listed.drop(db, *self._at, names)

    async def forget(self) -> None:
        """Another thing is asked for from now on: what was in the listing before says nothing about it."""
        async with self._ledger.write() as db:
            await listed.forget(db, *self._at)
