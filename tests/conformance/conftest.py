"""What the tests of one system ask for: a client as the hub has one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.core import client


@pytest.fixture
async def calls() -> AsyncIterator[client.Client]:
    """A client that nobody else uses."""
    async with client.alone() as made:
        yield made


@pytest.fixture
def hub(calls: client.Client) -> client.Client:
    """The same, for tests that tell what the hub does to a system."""
    return calls


@pytest.fixture
def caller(calls: client.Client) -> client.Client:
    """The same, for tests in which the system calls back."""
    return calls
