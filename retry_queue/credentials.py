"""Tokens shared by all processes: kept sealed in the ledger, renewed by one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from connectors.core import auth, errors, grant, model
from retry_queue.ledger import secrets, session, tokens

RENEW_LEASE = 30.0
POLL = 0.2
GRANT_WARNING = 14 * 86400.0
"""Seconds before the end of a grant from which every renewal says so: only a person can give another one."""

log = structlog.get_logger()


class LedgerTokens:
    """A ``connectors.core.auth.TokenStore`` over the ledger, with a copy in memory for the common case."""

    def __init__(self, ledger: session.Ledger, sealer: secrets.Sealer, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._sealer = sealer
        self._now = now
        self._local = auth.MemoryTokens(now)
        self._seen: dict[str, model.Token] = {}
        """Tokens that other processes brought; a renewal here goes before them."""

    async def get(self, key: str, now: float) -> model.Token | None:
        kept = await self._local.get(key, now) or self._seen.get(key)
        if kept is not None and kept.expires_at > now:
            return kept
        stored = await self._stored(key)
        if stored is None or stored.expires_at <= now:
            return None
        self._seen[key] = _token(stored)
        return self._seen[key]

    async def renew(self, key: str, stale: str | None, login: Callable[[], Awaitable[model.Token]]) -> model.Token:
        """One login over all processes; the others wait for what it brings."""
        self._seen.pop(key, None)
        return await self._local.renew(key, stale, lambda: self._renewed(key, stale, login))

    async def _renewed(self, key: str, stale: str | None, login: Callable[[], Awaitable[model.Token]]) -> model.Token:
        until = self._now() + RENEW_LEASE
        while self._now() < until:
            stored = await self._stored(key)
            if stored is not None and stored.value != stale and stored.expires_at > self._now():
                return _token(stored)
            epoch = stored.epoch if stored is not None else 0
            async with self._ledger.write() as connection:
                ours = await tokens.lock(connection, key, epoch, RENEW_LEASE)
            if ours:
                return await self._log_in(key, epoch, login)
            await asyncio.sleep(POLL)
        raise errors.Unavailable("another process is renewing the token and does not finish")

    async def _log_in(self, key: str, epoch: int, login: Callable[[], Awaitable[model.Token]]) -> model.Token:
        try:
            token = await login()
        except BaseException:
            async with self._ledger.write() as connection:
                await tokens.unlock(connection, key, epoch)
            raise
        async with self._ledger.write() as connection:
            extra = dict(token.extra)
            stored = await tokens.put(connection, self._sealer, key, epoch, token.value, extra, token.expires_at)
            if not stored:  # the old refresh token is used up by now; only this one leads on
                await tokens.carry(connection, self._sealer, key, token.value, extra)
        until = grant.granted_until(token.extra)
        if until is not None and until - self._now() < GRANT_WARNING:
            log.warning("grant.ends_soon", connection=key, days=round((until - self._now()) / 86400, 1))
        return token

    async def _stored(self, key: str) -> tokens.Stored | None:
        async with self._ledger.read() as connection:
            return await tokens.get(connection, self._sealer, key)

    async def kept(self, key: str) -> model.Token | None:
        """The newest token stored, whether over or ended by a change of the connection."""
        stored = await self._stored(key)
        return _token(stored) if stored is not None else None

    def forget(self, key: str) -> None:
        """Drops the copy in memory, as when a connection's credentials change."""
        self._local.forget(key)
        self._seen.pop(key, None)


def _token(stored: tokens.Stored) -> model.Token:
    return model.Token(stored.value, stored.expires_at, stored.extra)
