"""Installing a recipe: a look at what it would change, and doing it, all of it or nothing, with the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway import consistency, current, hub, hub_file
from gateway.problems import Fault
from gateway.recipes import making, recipe
from retry_queue.ledger import secrets, session


@dataclass(slots=True)
class Preview:
    """What an installation would do. ``faults`` stand in its way, ``warnings`` do not."""

    text: str = ""
    changes: list[hub.Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)


class Refused(Exception):
    """What was chosen cannot be installed; ``faults`` say why, with paths into the casting."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(one.en for one in self.faults))


def preview(wanted: recipe.Recipe, chosen: making.Casting, now: current.Current, sealer: secrets.Sealer) -> Preview:
    """What installing would change. Pure."""
    made = making.make(wanted, chosen, now)
    if made.faults:
        return Preview(faults=made.faults)
    draft = _draft(wanted, made)
    wrong = hub.check(draft, now)
    if wrong:
        return Preview(made.text, faults=_told(wrong))
    changes = hub.compare(draft, now, sealer)
    return Preview(made.text, changes, warnings=_told(consistency.doubts(draft, now)))


async def install(
    ledger: session.Ledger, sealer: secrets.Sealer, wanted: recipe.Recipe, chosen: making.Casting, *, actor: str
) -> list[hub.Change]:
    """Does it in one transaction; returns what changed. Raises Refused, hub_file.Broken."""

    def draft(now: current.Current) -> hub_file.Draft:
        made = making.make(wanted, chosen, now)
        if made.faults:
            raise Refused(made.faults)
        return _draft(wanted, made)

    return await hub.apply(ledger, sealer, draft, actor=actor, by=f"recipe/{wanted.id}")


def _draft(wanted: recipe.Recipe, made: making.Made) -> hub_file.Draft:
    return hub_file.read(made.text, f"recipe {wanted.id}")


def _told(problems: Iterable[hub_file.Problem]) -> list[Fault]:
    return [Fault(one.code, one.zh, one.en) for one in problems]
