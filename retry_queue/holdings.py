"""What a process has claimed and not settled yet, and where it cannot know: the answer to a claim was lost.

A claim whose answer never came may have been committed all the same; its lanes would wait for the end of their lease.
Whoever claims next for that target gives back every lane of its own that it does not know of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from retry_queue.ledger import lane

UNHEARD = 7.0
"""Seconds without a heartbeat of our own after which nothing more is sent: others may take us for dead any moment."""


class Seat:
    """Whether what a process claimed is surely still its own: nobody can have taken it for dead since."""

    def __init__(self, now: float) -> None:
        self._heard = self._seated = now

    def heard(self, at: float) -> None:
        """The ledger confirmed a heartbeat that was sent at ``at``."""
        self._heard = at

    def anew(self, at: float) -> None:
        """We had been taken for dead: what was claimed before is somebody else's."""
        self._seated = at

    def covers(self, claimed_at: float, now: float) -> bool:
        """Whether a claim of then may still be acted on."""
        return claimed_at >= self._seated and now - self._heard < UNHEARD


class Holdings:
    """Per target: lane -> fence of what is held, and whether there may be more."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, int]] = {}
        self._doubtful: set[str] = set()

    def claiming(self, target: str) -> tuple[Mapping[str, int], bool]:
        """Before a claim: what is held, and whether an earlier claim is in doubt. This one is, until ``claimed``."""
        doubtful = target in self._doubtful
        self._doubtful.add(target)
        return self._held.setdefault(target, {}), doubtful

    def claimed(self, target: str, deliveries: Iterable[lane.ClaimedDelivery]) -> None:
        """A claim was answered."""
        self._doubtful.discard(target)
        self.took(target, deliveries)

    def took(self, target: str, deliveries: Iterable[lane.ClaimedDelivery]) -> None:
        """These are held too, beside the claims: a probe's lane is nobody's to give back."""
        self._held.setdefault(target, {}).update({one.lease.lane: one.lease.fence for one in deliveries if one.lease})

    def let_go(self, delivery: lane.ClaimedDelivery) -> None:
        """Its lane is not ours any more."""
        held, lease = self._held.get(delivery.connection_key, {}), delivery.lease
        if lease is not None and held.get(lease.lane) == lease.fence:
            del held[lease.lane]

    def leave(self, delivery: lane.ClaimedDelivery) -> None:
        """Given up as it is: the next claim of its target gives the lane back, and its head counts as interrupted."""
        self.let_go(delivery)
        self._doubtful.add(delivery.connection_key)
