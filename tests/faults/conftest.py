"""Fault tests: a small run with the other tests, the full size by ``./shuniu faults``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FULL = os.environ.get("FAULTS") == "full"


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether this is the full run."""
    return FULL


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: unix sockets allow about a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp") as name:
        yield Path(name)


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
    again with more figures.
    """
    kept: dict[str, object] = {}

    def tell(name: str, size: str = "", **figures: object) -> None:
        kept.update(figures)
        record_property("trial", name)
        record_property("size", size)
        record_property("seed", str(kept.get("seed", "")))
        record_property("figures", ", ".join(f"{key} {value}" for key, value in kept.items() if key != "seed"))

    return tell
