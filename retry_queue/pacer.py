"""Pacing shared by all workers: one limit is one limit, however many processes call, and a ban is everybody's.

Turns are handed out in Redis by one script: in any stretch of a limit's period at most ``limit`` calls start, and
never all of them in one moment. While Redis is away the ledger hands them out, evenly spaced. Bans are kept in both:
Redis tells the other processes within hundredths of a second, the ledger outlives a Redis that lost everything.
Keys are digests: nothing of a connection can be read in Redis. Nobody waits inside a transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import structlog
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from connectors.core import model, pacing
from retry_queue import redis_address
from retry_queue.ledger import paces, session

PREFIX = "shuniu:{pace}:"
"""All keys in one slot, so that one script may touch several of them also on a cluster."""
HELD = PREFIX + "held"
"""A hash: digest -> ``kind:until`` (milliseconds by Redis' clock), ``ban`` or ``hold``."""
APART = 0.1
"""Seconds between two starts of one limit, at most: what is spread wider is no stampede."""
FRESH = 0.02
"""Seconds for which what Redis said about bans is believed."""
CHECK = 1.0
"""Seconds for which what the ledger said about bans is believed; a fifth of it while Redis is away."""
AWAY = 1.0
"""Seconds without asking Redis after it failed."""
TIMEOUT = 0.5
SPREAD = 0.5
"""Calls that were held go out within so many seconds after the end of that, not all at once."""

# Starts are kept in a sorted set per limit; the pointer beside it keeps two starts apart. A start that another
# limit pushed into the future takes its place there without moving the pointer, so it holds nobody else up.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local patience, member, fields = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local start = now
for i = 1, fields do
  local said = redis.call('HGET', KEYS[1], ARGV[3 + i])
  if said then
    local kind, till = string.match(said, '^(%a+):(.+)$')
    till = tonumber(till)
    if till <= now then redis.call('HDEL', KEYS[1], ARGV[3 + i])
    elseif kind == 'ban' then return {'ban', tostring(till - now)}
    elseif till > start then start = till + tonumber(ARGV[4 + fields]) end
  end
end
local own, at = {}, 5 + fields
for k = 2, #KEYS, 2 do
  local limit, per, apart = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now - per)
  local first = now
  if redis.call('ZCARD', KEYS[k]) >= limit then
    local edge = redis.call('ZREVRANGE', KEYS[k], limit - 1, limit - 1, 'WITHSCORES')
    first = math.max(first, tonumber(edge[2]) + per)
  end
  local pointer = redis.call('GET', KEYS[k + 1])
  if pointer then first = math.max(first, tonumber(pointer) + apart) end
  own[k] = first
  start = math.max(start, first)
  at = at + 3
end
if start - now > patience then return {'late', tostring(start - now)} end
at = 5 + fields
for k = 2, #KEYS, 2 do
  local life = math.ceil(tonumber(ARGV[at + 1]) + patience + 1000)
  redis.call('ZADD', KEYS[k], string.format('%.3f', start), member)
  redis.call('PEXPIRE', KEYS[k], life)
  redis.call('SET', KEYS[k + 1], string.format('%.3f', own[k]), 'PX', life)
  at = at + 3
end
return {'go', tostring(start - now)}
"""
_HOLD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local till = now + tonumber(ARGV[3])
local said = redis.call('HGET', KEYS[1], ARGV[2])
local known = said and tonumber(string.match(said, ':(.+)$')) or 0
if till > known then redis.call('HSET', KEYS[1], ARGV[2], ARGV[1] .. ':' .. string.format('%.3f', till)) end
redis.call('PEXPIRE', KEYS[1], math.max(math.ceil(tonumber(ARGV[3])) + 1000, redis.call('PTTL', KEYS[1])))
return 1
"""
_TOLD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local found, said = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #said, 2 do
  local kind, till = string.match(said[i + 1], '^(%a+):(.+)$')
  if tonumber(till) <= now then redis.call('HDEL', KEYS[1], said[i])
  else found[#found + 1] = said[i]; found[#found + 1] = kind; found[#found + 1] = tostring(tonumber(till) - now) end
end
return found
"""

log = structlog.get_logger()
Turn = tuple[tuple[str, ...], float]
"""The keys of what was reserved, and seconds to wait for it."""


@lru_cache(maxsize=4096)  # asked for the same few with every call
def digest(text: str) -> str:
    """A key that says nothing about whose it is."""
    return hashlib.blake2s(text.encode(), digest_size=16).hexdigest()


def _hold_key(connection: model.Connection, operation: str) -> str:
    own = any(limit.scope == "method" for _, limit in pacing.limits_of(connection, operation))
    return digest(f"hold:{connection.key}/{operation if own else ''}")


class SharedPacer:
    """A ``connectors.core.pacing.Pacer`` for all processes of a hub; one per process."""

    def __init__(
        self,
        ledger: session.Ledger,
        url: str | None,
        *,
        patience: float = pacing.PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``url``: of Redis; None: the ledger does it all."""
        self._ledger = ledger
        self._patience, self._sleep = patience, sleep
        self._redis: Any = None
        if url is not None:
            how: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
            how |= {"max_connections": 16, "retry": Retry(NoBackoff(), 0)}
            if redis_address.group(url) is None:
                pool = aioredis.BlockingConnectionPool.from_url(url, timeout=TIMEOUT, **how)
                self._redis = aioredis.Redis(connection_pool=pool)
            else:
                self._redis = redis_address.client(url, **how)
            self._script, self._hold, self._told = map(self._redis.register_script, (_SCRIPT, _HOLD, _TOLD))
        self._away_until = 0.0
        self._held: dict[str, tuple[str, float]] = {}
        """Digest -> kind and until when, by our monotonic clock."""
        self._heard = self._read = -1e9
        self._asking = asyncio.Lock()
        self._queue: list[tuple[list[tuple[str, float]], asyncio.Future[float]]] = []
        self._taking: asyncio.Task[None] | None = None

    async def acquire(
        self, connection: model.Connection, operation: str, given: Mapping[str, Any] | None = None
    ) -> None:
        """Waits for the turn of this call. Raises errors.Throttled with the seconds to wait instead."""
        await self._refuse_banned(connection)
        limits = pacing.limits_of(connection, operation, given)
        hold = _hold_key(connection, operation)
        wait = self._holding(hold)
        if limits or wait > 0:
            wait = await self._turn(connection, operation, limits, hold, wait)
        if wait > self._patience:
            raise pacing.used_up(operation, wait)
        if wait > 0:
            await self._sleep(wait)
            await self._refuse_banned(connection)

    def _holding(self, hold: str) -> float:
        kind, until = self._held.get(hold, ("", 0.0))
        left = until - time.monotonic()
        return left + random.random() * SPREAD if kind == "hold" and left > 0 else 0.0

    async def banned(self, connection: model.Connection, seconds: float, scope: str = "shop") -> None:
        """Nothing of anybody whom the ban is for goes out for ``seconds``; a longer ban already known stays."""
        key = digest(pacing.ban_key(connection, scope))
        self._note(key, "ban", seconds)
        await self._tell(key, "ban", seconds)
        try:
            async with self._ledger.write() as db:
                await paces.ban(db, key, seconds, connection.key)
        except session.LedgerUnavailable as error:
            log.warning("pacer.ban_not_kept", error=str(error))  # the other processes may still have heard it

    async def throttled(self, connection: model.Connection, operation: str, seconds: float) -> None:
        """Calls like this one start after ``seconds`` only, in every process."""
        if seconds > 0:
            key = _hold_key(connection, operation)
            self._note(key, "hold", seconds)
            await self._tell(key, "hold", seconds)

    async def aclose(self) -> None:
        if self._redis is not None:
            await self._redis.aclose(close_connection_pool=True)

    # --- bans and holds -----------------------------------------------------------------------------

    def _note(self, key: str, kind: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        if until > self._held.get(key, ("", 0.0))[1]:
            self._held[key] = (kind, until)

    async def _tell(self, key: str, kind: str, seconds: float) -> None:
        if self._reachable():
            try:
                await self._hold(keys=[HELD], args=[kind, key, seconds * 1000])
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)

    async def _refuse_banned(self, connection: model.Connection) -> None:
        await self._known()
        now = time.monotonic()
        for key in pacing.ban_keys(connection):
            kind, until = self._held.get(digest(key), ("", 0.0))
            if kind == "ban" and until > now:
                raise pacing.refused(until - now)

    async def _known(self) -> None:
        """Hears what other processes were told, when the last time is too long ago."""
        if not self._stale():
            return
        async with self._asking:
            if not self._stale():
                return
            now = time.monotonic()
            if self._reachable() and now - self._heard > FRESH:
                try:
                    said = await self._told(keys=[HELD])
                except (RedisError, OSError, TimeoutError) as error:
                    self._lost(error)
                else:
                    self._heard = time.monotonic()
                    for key, kind, left in zip(said[::3], said[1::3], said[2::3], strict=True):
                        self._note(key.decode(), kind.decode(), float(left) / 1000)
            if now - self._read > self._check():
                try:
                    async with self._ledger.read() as db:
                        kept = await paces.bans(db)
                except session.LedgerUnavailable as error:
                    log.warning("pacer.waiting", error=str(error))
                else:
                    for key, left in kept.items():
                        self._note(key, "ban", left)
                self._read = time.monotonic()
                self._held = {key: one for key, one in self._held.items() if one[1] > self._read}

    def _stale(self) -> bool:
        now = time.monotonic()
        return (self._reachable() and now - self._heard > FRESH) or now - self._read > self._check()

    def _check(self) -> float:
        return CHECK if self._reachable() else CHECK / 5

    def _reachable(self) -> bool:
        return self._redis is not None and time.monotonic() >= self._away_until

    def _lost(self, error: Exception) -> None:
        if self._reachable():
            log.info("pacer.redis_away", kind=type(error).__name__)
        self._away_until = time.monotonic() + AWAY

    # --- turns --------------------------------------------------------------------------------------

    async def _turn(
        self, connection: model.Connection, operation: str, limits: Sequence[tuple[str, Any]], hold: str, held: float
    ) -> float:
        """Seconds until this call may start; reserved, unless that is too long. Raises Throttled for a ban."""
        if self._reachable():
            fields = [*(digest(key) for key in pacing.ban_keys(connection)), hold]
            keys, numbers = [HELD], []
            for key, limit in limits:
                name = PREFIX + digest(key)
                keys += [name, name + ":p"]
                apart = min(limit.per / limit.limit / 2, APART)
                numbers += [limit.limit, limit.per * 1000, apart * 1000]
            spread = random.random() * SPREAD * 1000
            args = [self._patience * 1000, uuid.uuid4().hex, len(fields), *fields, spread, *numbers]
            try:
                said, left = await self._script(keys=keys, args=args)
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
            else:
                if said == b"ban":
                    raise pacing.refused(float(left) / 1000)
                return float(left) / 1000
        if not limits:
            return held
        return max(held, await self._in_ledger([(digest(key), limit.per / limit.limit) for key, limit in limits]))

    async def _in_ledger(self, wanted: list[tuple[str, float]]) -> float:
        """The same by the ledger; what waits meanwhile is asked for together, in one transaction."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._queue.append((wanted, future))
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take(), name="pacer")
        return await future

    async def _take(self) -> None:
        while self._queue:
            group, self._queue = self._queue, []
            apart = {key: seconds for wanted, _ in group for key, seconds in wanted}
            count = Counter(key for wanted, _ in group for key, _ in wanted)
            try:
                async with self._ledger.write() as db:
                    turns = [(key, n, apart[key]) for key, n in count.items()]
                    first = await paces.take(db, turns, self._patience)
            except session.LedgerUnavailable as error:
                log.warning("pacer.waiting", error=str(error))
                self._none(group)
                continue
            except Exception:
                log.exception("pacer.failed")
                self._none(group)
                continue
            self._hand_out(group, first, apart)

    def _none(self, group: Sequence[tuple[list[tuple[str, float]], asyncio.Future[float]]]) -> None:
        """Nobody can tell whose turn it is: nothing goes out."""
        for _, future in group:
            if not future.done():
                future.set_result(self._patience + AWAY)

    def _hand_out(
        self,
        group: Sequence[tuple[list[tuple[str, float]], asyncio.Future[float]]],
        first: Mapping[str, float],
        apart: Mapping[str, float],
    ) -> None:
        given: Counter[str] = Counter()
        for wanted, future in group:
            wait = 0.0
            for key, _ in wanted:
                here = first[key] + given[key] * apart[key] if key in first else self._patience + apart[key]
                wait = max(wait, here)
                given[key] += 1
            if not future.done():
                future.set_result(wait)
