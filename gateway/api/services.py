"""What the admin API is handed: the few parts of a running hub it may touch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import client
from gateway import settings
from retry_queue.ledger import audit, configuration, secrets, session
from retry_queue.sync import site as sites


@dataclass(frozen=True, slots=True)
class Services:
    """The parts.

    ``site`` gives the configuration in force, ``reload`` takes over a changed one, ``ring`` wakes workers.
    """

    ledger: session.Ledger
    sealer: secrets.Sealer
    calls: client.Client
    site: Callable[[], sites.Site]
    reload: Callable[[], Awaitable[None]]
    settings: settings.Settings
    ring: Callable[[], None]
    clock: Callable[[], float] = time.time
    stopping: Callable[[], bool] = lambda: False
    """Whether the server is on its way down: long answers then end by themselves."""

    @asynccontextmanager
    async def change(self, *, touch: bool = True) -> AsyncIterator[AsyncConnection]:
        """One change of the configuration: alone while it lasts, and taken over everywhere once committed."""
        async with self.ledger.write() as connection:
            await audit.lock(connection)
            yield connection
            if touch:
                await configuration.touch(connection)
        if touch:
            await self.reload()


def of(request: Request) -> Services:
    """The services of the hub that serves this request; put there by the gate."""
    found = request.state.services
    assert isinstance(found, Services)
    return found
