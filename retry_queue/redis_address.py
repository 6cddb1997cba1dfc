"""Where Redis is: one server, or the master that a group of Sentinels names at the moment.

``redis+sentinel://[user:password@]host:port,host:port/master[/db]``, with ``rediss+sentinel`` for TLS to both and
``?sentinel_username=…&sentinel_password=…`` where the Sentinels want their own. Every new connection asks them anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

SCHEMES = frozenset({"redis+sentinel", "rediss+sentinel"})
PORT = 26379


@dataclass(frozen=True, slots=True)
class Group:
    """Sentinels and what they watch over. Passwords are never shown."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int
    tls: bool
    login: dict[str, str] = field(repr=False)
    sentinel_login: dict[str, str] = field(repr=False)


def group(url: str) -> Group | None:
    """What a Sentinel address says; None for any other. Raises ValueError where it is not one."""
    scheme, _, rest = url.partition("://")  # urlsplit takes no several hosts with brackets
    if scheme not in SCHEMES:
        return None
    where, _, tail = rest.partition("/")
    path, _, query = tail.partition("?")
    user, _, places = where.rpartition("@")
    name, _, password = user.partition(":")
    master, _, database = path.strip("/").partition("/")
    hosts = tuple(_host(one) for one in places.split(",") if one)
    if not hosts or not master:
        raise ValueError("a Sentinel address names hosts and the master")
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    login = {key: unquote(value) for key, value in (("username", name), ("password", password)) if value}
    theirs = {key.removeprefix("sentinel_"): value for key, value in asked.items() if key.startswith("sentinel_")}
    if set(asked) - {"sentinel_username", "sentinel_password"}:
        raise ValueError("only sentinel_username and sentinel_password may be asked for")
    return Group(hosts, unquote(master), int(database or 0), scheme == "rediss+sentinel", login, theirs)


def _host(text: str) -> tuple[str, int]:
    found = urlsplit(f"//{text}")
    if not found.hostname:
        raise ValueError("a Sentinel has no name")
    return found.hostname, found.port or PORT


class _Following:
    """Closes its lines to the Sentinels as well, which redis-py leaves open."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Ends everything."""
        pool: Any = self.connection_pool  # type: ignore[attr-defined]
        await super().aclose(close_connection_pool)  # type: ignore[misc]
        for one in pool.sentinel_manager.sentinels:
            await one.aclose()


def client(url: str, kind: type[Any] | None = None, **options: Any) -> Any:
    """A client of the one server, or of whichever is master now. ``options`` are those of a connection."""
    from redis import asyncio as aioredis  # settings need the words of an address only
    from redis.asyncio import sentinel

    kind = aioredis.Redis if kind is None else kind
    found = group(url)
    if found is None:
        return kind.from_url(url, **options)
    patience = options.get("socket_connect_timeout", 2)
    more: dict[str, Any] = {"ssl": True} if found.tls else {}
    asking = {"socket_connect_timeout": patience, "socket_timeout": patience, **found.sentinel_login, **more}
    watchers: Any = sentinel.Sentinel(list(found.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    both = type(kind.__name__, (_Following, kind), {})
    return watchers.master_for(found.master, redis_class=both, db=found.database, **found.login, **more, **options)
