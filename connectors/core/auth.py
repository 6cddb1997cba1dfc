"""Shared tokens: kept by a store, fetched by one refresher at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from connectors.core import model

Login = Callable[[], Awaitable[model.Token]]


class TokenStore(Protocol):
    """Where tokens live between calls; one instance may serve many clients and, behind it, many workers."""

    async def get(self, key: str, now: float) -> model.Token | None:
        """The token kept under ``key``, unless it is over at ``now`` (Unix seconds)."""

    async def renew(self, key: str, stale: str | None, login: Login) -> model.Token:
        """A token other than ``stale`` (the value seen refused; None when there was none).

        Only one caller runs ``login``; the others wait for its result, also when it is an exception. Somebody who
        comes with a stale value that has been replaced meanwhile gets the newer token without a login.
        """

    async def kept(self, key: str) -> model.Token | None:
        """The newest token ever stored under ``key``, also one that is over: its ``extra`` may be what renews it."""


class MemoryTokens:
    """A TokenStore for one process."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._tokens: dict[str, model.Token] = {}
        self._running: dict[str, asyncio.Task[model.Token]] = {}

    async def get(self, key: str, now: float) -> model.Token | None:
        kept = self._tokens.get(key)
        return kept if kept is not None and kept.expires_at > now else None

    async def renew(self, key: str, stale: str | None, login: Login) -> model.Token:
        kept = self._tokens.get(key)
        if kept is not None and kept.expires_at > self._now() and kept.value != stale:
            return kept
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._log_in(key, login))
        # Shielded: one caller giving up must not end the login that the others wait for.
        return await asyncio.shield(task)

    async def _log_in(self, key: str, login: Login) -> model.Token:
        try:
            token = await login()
            self._tokens[key] = token
            return token
        finally:
            del self._running[key]

    async def kept(self, key: str) -> model.Token | None:
        return self._tokens.get(key)

    def forget(self, key: str) -> None:
        """Drop the token, as when a connection's credentials change."""
        self._tokens.pop(key, None)
