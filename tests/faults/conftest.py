"""Fault tests: a small run with the other tests, the full size by ``./shuniu faults``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
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
