"""Fault tests: a small run with the other tests, the full size by ``./shuniu faults``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

FULL = os.environ.get("FAULTS") == "full"


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether this is the full run."""
    return FULL


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed with a failure; SEED in the environment repeats a run."""
    made = int(os.environ.get("SEED", "0")) or int.from_bytes(os.urandom(3), "big")
    print(f"seed {made}")
    return made


@pytest.fixture
def trial(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """``trial(name, size, **figures)``: what stands in the table of ``./shuniu faults`` for this test.

    Figures are told as they are written (``lost=0``); a ``seed`` among them has its own column. May be called
    again with more figures; another name begins another row.
    """
    kept: dict[str, dict[str, object]] = {}
    since = time.monotonic()

    def tell(name: str, size: str = "", **figures: object) -> None:
        nonlocal since
        if name not in kept:
            kept[name] = {"begun": since}
        seconds = time.monotonic() - float(str(kept[name]["begun"]))
        since = time.monotonic()
        kept[name].update(figures)
        record_property("trial", name)
        record_property("size", size)
        record_property("seconds", f"{seconds:.0f}")
        record_property("seed", str(kept[name].get("seed", "")))
        said = [f"{key} {value}" for key, value in kept[name].items() if key not in ("seed", "begun")]
        record_property("figures", ", ".join(said))

    return tell
