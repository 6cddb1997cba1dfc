"""The turnstile before a SQLite file: who writes next, within this process and among all of them.

SQLite has one writer. Its own lock is found out by trying again after pauses that grow to a tenth of a second, and it
knows no order. Here those with patience (imported history, replays) let everybody else go first, for a moment also
after the last of those: one live event is a chain of small writes of two processes.

Three files beside the database, locked and never written: ``-turn`` by whoever writes, ``-wait`` by whoever waits for
another process to end its turn, ``-live`` by whoever must not wait and a moment longer. The kernel lets go what a dead
process held. SQLite's own lock stays what keeps the database whole: where these files cannot be had, or somebody does
not ask here, writers only wait longer.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from pathlib import Path

AFTER = 0.01
"""Seconds for which patience goes on after the last live write."""
PATIENCE = 0.25
"""Seconds that history lets others go first, at most: what it claimed has to be settled as well."""
LOOK, SLOWER = 0.001, 0.003
"""Seconds between two looks at what others have, of a writer whose turn it is in its process and of a patient one."""
POLITE = 0.01
"""Seconds that a process lets the others go first which waited while it wrote."""
LONGEST = 30.0
"""Seconds to wait for a turn; after that SQLite itself says whether the database is locked."""


Place = tuple[float, asyncio.Future[None]]
"""Since when somebody waits, and what tells him that it is his turn."""


class Locks:
    """What is locked beside one database file. ``path`` None: it is in memory, and no other process has it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._files: dict[str, int] = {}

    def put(self, name: str, how: int) -> bool:
        """Takes a lock without waiting; False: others have it. What has no files is always had."""
        if self._path is None:
            return True
        try:
            if name not in self._files:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._files[name] = os.open(f"{self._path}-{name.rstrip('?')}", flags, 0o600)
        except OSError:  # a full disk, a read-only one: SQLite says so itself
            return True
        try:
            fcntl.flock(self._files[name], how | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def free(self, name: str) -> bool:
        """Whether nobody has it, not even this process; asked through a descriptor of its own."""
        if not self.put(f"{name}?", fcntl.LOCK_EX):
            return False
        self.drop(f"{name}?")
        return True

    def drop(self, name: str) -> None:
        if name in self._files:
            fcntl.flock(self._files[name], fcntl.LOCK_UN)

    def close(self) -> None:
        for one in self._files.values():
            os.close(one)
        self._files.clear()


class Turnstile:
    """One per opened ledger: ``come``, ``take``, and always ``leave``."""

    def __init__(self, path: Path | None) -> None:
        self._locks = Locks(path)
        self._busy = False
        self._live: deque[Place] = deque()
        self._past: deque[Place] = deque()
        self._mark: asyncio.TimerHandle | None = None
        self._marked = 0.0
        self._left = 0.0
        """When this process wrote last: who waited meanwhile goes first."""

    async def come(self, *, patient: bool) -> None:
        """Returns when this process has no other writer; the patient only when nothing live is about, or in the end."""
        clock = asyncio.get_running_loop().time
        end = clock() + PATIENCE
        await self._first(patient=patient)
        while patient and clock() < end and not (self._locks.free("live") and self._locks.free("turn")):
            self.leave()
            await asyncio.sleep(SLOWER)
            await self._first(patient=True)
        if not patient:
            self._locks.put("live", fcntl.LOCK_SH)
            self._marked = clock()

    async def take(self) -> None:
        """Returns when no other process writes, those first that waited."""
        clock = asyncio.get_running_loop().time
        end = clock() + LONGEST
        while clock() < min(self._left + POLITE, end) and not self._locks.free("wait"):
            await asyncio.sleep(LOOK)
        if self._locks.put("turn", fcntl.LOCK_EX):
            return
        self._locks.put("wait", fcntl.LOCK_SH)
        try:
            while clock() < end and not self._locks.put("turn", fcntl.LOCK_EX):
                await asyncio.sleep(LOOK)
        finally:
            self._locks.drop("wait")

    def leave(self, *, wrote: bool = False, patient: bool = True) -> None:
        """Gives the turn on."""
        if wrote:
            self._locks.drop("turn")
            self._left = asyncio.get_running_loop().time()
        if not patient:
            self._linger()
        late = asyncio.get_running_loop().time() - PATIENCE
        overdue = bool(self._past) and self._past[0][0] < late
        for queue in (self._past, self._live) if overdue else (self._live, self._past):
            while queue:
                _, future = queue.popleft()
                if not future.done():
                    future.set_result(None)
                    return
        self._busy = False

    def close(self) -> None:
        """Lets go of the files."""
        if self._mark is not None:
            self._mark.cancel()
            self._mark = None
        self._locks.close()

    async def _first(self, *, patient: bool) -> None:
        if not self._busy:
            self._busy = True
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        (self._past if patient else self._live).append((loop.time(), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.leave()  # it was handed to us in the same moment
            raise

    def _linger(self) -> None:
        """Our mark stays for a moment after the last live write."""
        loop = asyncio.get_running_loop()
        self._marked = loop.time()
        if self._mark is None:
            self._mark = loop.call_later(AFTER, self._unmark)

    def _unmark(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._marked + AFTER - loop.time()
        if left > 0 or self._live:
            self._mark = loop.call_later(max(left, LOOK), self._unmark)
            return
        self._mark = None
        self._locks.drop("live")
