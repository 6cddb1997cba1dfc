"""What this process may connect to: the public network, and what the operator allowed of the private one.

Addresses come from people's settings and from strangers' answers (a login tells where to open a socket). Somebody who
may write one must not reach the machines behind the hub: the cloud's metadata service, the database, a printer. So the
*address* is judged right before connecting, not the name before resolving: what a name says may change in between.

The rule is one per process, like a umask: strict until ``allow`` was called at its start. A guard that each caller had
to be handed would sooner or later be forgotten by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import abc

from connectors.core import errors

SETTING = "SHUNIU_EGRESS_ALLOW"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int, int], Awaitable[list[tuple[Any, ...]]]]
"""Host, port and family to what ``getaddrinfo`` gives."""


def _all(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_PRIVATE_4 = _all(
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
)  # fmt: skip
_NEVER = _all("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")
"""Everybody and nobody: no allow-list opens these."""
_PUBLIC_6 = ipaddress.ip_network("2000::/3")
_PRIVATE_6 = _all("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
"""Parts of the public space that are special: Teredo and its neighbours, documentation, 6to4."""
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.0.23", "100.100.100.200", "100.100.100.100", "168.63.129.16",
        "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
    )
)  # fmt: skip
"""Where clouds tell a machine its credentials; opened only by naming exactly this address."""

_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_MAPPED = ipaddress.ip_network("::/96")


class Blocked(OSError):
    """Nothing was sent: the address is one that this hub does not call. ``hint`` says what allows it."""

    def __init__(self, host: str, address: Address) -> None:
        super().__init__(f"{host} is at {address}, which this hub does not call")
        self.host, self.address = host, address

    @property
    def hint(self) -> dict[str, str]:
        """Words for people, zh and en."""
        what = f"{self.host}（{self.address}）" if self.host != str(self.address) else self.host
        said = f"{self.host} ({self.address})" if self.host != str(self.address) else self.host
        if any(self.address in network for network in _NEVER if network.version == self.address.version):
            return {"zh": f"{what} 不是可以访问的地址", "en": f"{said} is no address that can be called"}
        example = f"{self.address}/{self.address.max_prefixlen}"
        return {
            "zh": f"{what} 是内网或保留地址，默认不允许访问；如确为本地部署的系统，"
            f"请管理员设置 {SETTING}（例如 {example}）后重启",
            "en": f"{said} is a private or reserved address, which is not called by default; if it is a system "
            f"of yours, the operator sets {SETTING} (for example {example}) and restarts",
        }

    def misdeclared(self) -> errors.Misdeclared:
        """As the end of a call: a person must mend the settings."""
        return errors.Misdeclared(str(self), code="egress", hint=self.hint)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to, whoever translates it."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address.is_loopback:
        return None
    if address in _MAPPED or any(address in one for one in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _stranger(address: Address) -> bool:
    """Whether an address is out in the public network."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in one for one in _PRIVATE_4)
    return address in _PUBLIC_6 and not any(address in one for one in _PRIVATE_6)


async def _getaddrinfo(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
    )
    return list(found)


@dataclass(frozen=True, slots=True)
class Rule:
    """Private networks that may be called, and who resolves names."""

    allowed: tuple[Network, ...] = ()
    lookup: Lookup = _getaddrinfo

    def permits(self, address: Address) -> bool:
        """Whether this very address may be connected to."""
        inner = _embedded(address) if isinstance(address, ipaddress.IPv6Address) else None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            return self.permits(address.ipv4_mapped)
        if any(address in one for one in _NEVER if one.version == address.version):
            return False
        if address in METADATA:
            return any(one.num_addresses == 1 and address in one for one in self._like(address))
        if inner is not None and not self.permits(inner):
            return False  # whoever allowed the translation did not allow everything behind it
        return _stranger(address) or any(address in one for one in self._like(address))

    def _like(self, address: Address) -> list[Network]:
        return [one for one in self.allowed if one.version == address.version]

    def judge(self, host: str, found: str) -> None:
        """Raises Blocked for an address that may not be connected to."""
        address = ipaddress.ip_address(found.partition("%")[0])
        if not self.permits(address):
            raise Blocked(host, address)

    async def addresses(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[tuple[Any, ...]]:
        """What a name resolves to; refused as a whole when any of it is private, for which one is tried is chance.

        Raises Blocked, OSError.
        """
        found = await self.lookup(host, port, family)
        for *_, place in found:
            self.judge(host, place[0])
        return found


_rule = Rule()


def rule() -> Rule:
    """The rule in force."""
    return _rule


def allow(networks: Iterable[Network | str]) -> None:
    """Sets what of the private network this process may call; called once, at its start."""
    global _rule
    _rule = Rule(tuple(ipaddress.ip_network(one) for one in networks))


def address(url: str) -> tuple[Network, ...]:
    """The one address that a URL names, to be allowed; none where it has a name, which is judged like every other."""
    try:
        return (ipaddress.ip_network(urlsplit(url).hostname or ""),)
    except ValueError:
        return ()


@contextlib.contextmanager
def only(given: Rule) -> Iterator[Rule]:
    """Another rule for a while, as for a rehearsal."""
    global _rule
    before, _rule = _rule, given
    try:
        yield given
    finally:
        _rule = before


class Resolver(abc.AbstractResolver):
    """Resolves for aiohttp, and refuses there already, so that no attempt is made at all."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[abc.ResolveResult]:
        """Raises Blocked, OSError."""
        made: list[abc.ResolveResult] = []
        for kind, _, proto, _, place in await _rule.addresses(host, port, family):
            scope = f"%{place[3]}" if kind == socket.AF_INET6 and len(place) > 3 and place[3] else ""
            made.append(
                {
                    "hostname": host, "host": place[0].partition("%")[0] + scope, "port": place[1], "family": kind,
                    "proto": proto, "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                }
            )  # fmt: skip
        return made

    async def close(self) -> None:
        """Nothing is kept."""


def opening(place: tuple[Any, ...]) -> socket.socket:
    """The socket for one address that is about to be connected to: the last look, which no way around can miss.

    ``place`` is as ``getaddrinfo`` gives it. Raises Blocked.
    """
    family, kind, proto, _, (found, *_more) = place
    _rule.judge(found, found)
    return socket.socket(family, kind, proto)


def connector(**more: Any) -> aiohttp.TCPConnector:
    """A connector for aiohttp under the rule."""
    return aiohttp.TCPConnector(resolver=Resolver(), socket_factory=opening, **more)


async def connected(host: str, port: int, seconds: float) -> socket.socket:
    """A connected socket for a protocol that is not HTTP. Raises Blocked, OSError, TimeoutError."""
    loop, last = asyncio.get_running_loop(), OSError(f"{host}: no address")
    async with asyncio.timeout(seconds):
        for family, kind, proto, name, place in await _rule.addresses(host, port):
            made = opening((family, kind, proto, name, place))
            made.setblocking(False)
            try:
                await loop.sock_connect(made, place)
            except OSError as error:
                made.close()
                last = error
            except BaseException:
                made.close()
                raise
            else:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return made
    raise last
