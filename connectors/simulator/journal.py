"""The journal of a simulator: every effect that really happened, so that a test can count.

An *effect* is a committed change of state (an order shipped, a message sent), written down before the
answer leaves. Two effects of one kind with one natural key are a double effect.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Effect:
    """One committed change. ``at`` is a Unix time of the simulator's clock."""

    seq: int
    simulator: str
    kind: str
    key: str
    data: Any
    at: float


def plain(value: Any) -> Any:
    """For ``json.dumps(default=...)``: decimals, times and sets as text or lists."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


KEPT = 200_000
"""Effects remembered; of more, the oldest are forgotten (the file keeps them)."""


class Journal:
    """Effects in the order they happened; also appended as JSON lines to ``file`` when given."""

    def __init__(self, simulator: str, clock: Callable[[], float], file: Path | None = None) -> None:
        self.simulator = simulator
        self.clock = clock
        self.file = file
        self.effects: list[Effect] = []
        self._seq = 0

    def append(self, kind: str, key: str, data: Any = None) -> Effect:
        if len(self.effects) >= KEPT:
            del self.effects[: KEPT // 2]
        self._seq += 1
        effect = Effect(self._seq, self.simulator, kind, str(key), data, self.clock())
        self.effects.append(effect)
        if self.file is not None:
            # One write per line in append mode: several simulators may share the file.
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(effect), ensure_ascii=False, default=plain) + "\n")
        return effect

    def find(self, kind: str | None = None, key: str | None = None, after: int = 0) -> list[Effect]:
        """Effects of one kind and key (both optional) with a sequence number above ``after``."""
        return [
            effect
            for effect in self.effects
            if effect.seq > after and kind in (None, effect.kind) and key in (None, effect.key)
        ]

    def totals(self) -> dict[str, Any]:
        """Per kind: how many effects, over how many keys, and which keys were hit more than once."""
        kinds: dict[str, Counter[str]] = {}
        for effect in self.effects:
            kinds.setdefault(effect.kind, Counter())[effect.key] += 1
        return {
            kind: {
                "total": counts.total(),
                "keys": len(counts),
                "repeated": {key: n for key, n in sorted(counts.items()) if n > 1},
            }
            for kind, counts in sorted(kinds.items())
        }

    def clear(self) -> None:
        """Forget what is in memory; the file keeps its lines and sequence numbers go on."""
        self.effects.clear()
