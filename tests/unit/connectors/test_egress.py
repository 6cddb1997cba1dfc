"""What the hub may connect to: everything private is refused at the moment of connecting, however it is spelled.

No request leaves this machine: public addresses are only judged, and every socket here is on loopback.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.core import channel, client, egress, errors, line, model
from tests.unit.connectors import conftest, shop

# Each of these leads, on some machine, to something that is not the public network.
TARGETS = [
    # loopback and "this host", in every spelling that a resolver takes
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "localhost", "localhost.", "LOCALHOST", "0.0.0.0", "0",
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "017700000001", "0177.0.0.1", "0177.1", "127.0.0.1.",
    "127.000.000.001", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]",
    "１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①",
    # private networks
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.255.1", "0xc0a80001",
    "3232235521", "0300.0250.0.1", "100.64.0.1", "100.127.255.254",
    # link-local and metadata of the clouds
    "169.254.0.1", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
    "100.100.100.200", "0x646464c8", "1684301000", "168.63.129.16", "192.0.0.192", "169.254.170.2", "169.254.0.23",
    # documentation, benchmarks, reserved, multicast, broadcast
    "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "192.88.99.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    # IPv6: unique local, link-local, site-local, multicast, documentation, discard
    "[fc00::1]", "[fd00:ec2::254]", "[fd12:3456:789a::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]",
    "[100::1]",
    # IPv6 that leads to IPv4: mapped, compatible, 6to4, NAT64, Teredo
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::ffff:10.0.0.1]", "[::ffff:6464:64c8]",
    "[::127.0.0.1]", "[2002:7f00:1::1]", "[2002:a9fe:a9fe::1]", "[2002:808:808::1]", "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]", "[64:ff9b::808:808]", "[64:ff9b:1::a00:1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "47.100.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1",
          "192.167.1.1", "2400:3200::1", "2606:4700:4700::1111"]  # fmt: skip


@pytest.fixture(autouse=True)
def strict() -> Iterator[egress.Rule]:
    """As a hub whose operator allowed nothing."""
    with egress.only(egress.Rule()) as rule:
        yield rule


@asynccontextmanager
async def listening(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that notes every connection it gets; says 200 to anything."""
    seen: list[str] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(str(writer.get_extra_info("sockname")[0]))
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(met, host, port)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        await server.wait_closed()


async def get(url: str) -> Any:
    """One exchange over a fresh line, as any connector's call goes."""
    way = line.Line(model.Connection("shop", shop.SPEC, {}, {}))
    try:
        return await way.http(model.Request("GET", url, timeout=5.0))
    finally:
        await way.aclose()


async def test_every_private_target_is_refused_and_nothing_connects() -> None:
    assert len(TARGETS) >= 60
    wrong = []
    async with listening() as (port, seen):
        for target in TARGETS:
            for scheme, around in (("http", ""), ("https", "user:secret@")):
                try:
                    got = await get(f"{scheme}://{around}{target}:{port}/")
                    wrong.append(f"{target}: answered {got.status}")
                except errors.Misdeclared:
                    continue
                except line.NotSent as error:  # a spelling that this machine's resolver does not know is no way in
                    if "Name or service" not in str(error) and "DNS" not in str(error):
                        wrong.append(f"{target}: {error}")
        assert not seen
    assert not wrong, "\n".join(wrong)


def test_the_rule_by_address() -> None:
    rule = egress.Rule()
    for text in PUBLIC:
        assert rule.permits(ipaddress.ip_address(text)), text
    for target in TARGETS:
        try:
            address = ipaddress.ip_address(target.strip("[]"))
        except ValueError:
            continue
        assert not rule.permits(address), target


def test_the_operator_allows_networks_but_metadata_only_by_name() -> None:
    def permits(address: str, *networks: str) -> bool:
        return egress.Rule(tuple(ipaddress.ip_network(one) for one in networks)).permits(ipaddress.ip_address(address))

    assert permits("10.1.2.3", "10.0.0.0/8")
    assert permits("::ffff:10.1.2.3", "10.0.0.0/8")
    assert permits("fd12::1", "fd00::/8")
    assert permits("::1", "::1/128")
    assert not permits("::2", "::/0")
    assert not permits("10.1.2.3", "192.168.0.0/16")
    assert not permits("fd12::1", "10.0.0.0/8")
    for metadata in ("100.100.100.200", "169.254.169.254", "168.63.129.16"):
        assert not permits(metadata, "0.0.0.0/0")
        assert permits(metadata, f"{metadata}/32")
    assert not permits("fd00:ec2::254", "::/0")
    for never in ("0.0.0.0", "255.255.255.255", "224.0.0.1"):
        assert not permits(never, "0.0.0.0/0")
    assert not permits("::", "::/0")
    assert not permits("64:ff9b::7f00:1", "64:ff9b::/96"), "the translation is allowed, what is behind it is not"
    assert permits("64:ff9b::808:808", "64:ff9b::/96")
    assert permits("2002:a00:1::1", "2002::/16", "10.0.0.0/8")


async def test_what_is_refused_says_which_setting_allows_it() -> None:
    with pytest.raises(errors.Misdeclared) as refused:
        await get("http://10.20.30.40/k3cloud")
    assert refused.value.code == "egress"
    for words in refused.value.hint.values():
        assert "SHUNIU_EGRESS_ALLOW" in words
        assert "10.20.30.40/32" in words
    with pytest.raises(errors.Misdeclared) as refused:
        await get("http://0.0.0.0/")
    assert "SHUNIU_EGRESS_ALLOW" not in str(refused.value.hint)


class Names:
    """A resolver of this test's own: each look at a name gives the next answer, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found
        ]


ALLOWED = (ipaddress.ip_network("127.0.0.2/32"),)
"""Plays the public network: a socket that may be reached, beside 127.0.0.1, which may not."""


async def test_a_name_that_changes_its_mind_gets_nowhere() -> None:
    """DNS rebinding: good when it was looked at first, private when it counts."""
    async with listening("127.0.0.2") as (port, public), listening("127.0.0.1", port) as (_, private):
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        with egress.only(egress.Rule(ALLOWED, names)):
            assert (await get(f"http://shop.example.test:{port}/")).status == 200
            for _ in range(3):
                with pytest.raises(errors.Misdeclared):
                    await get(f"http://shop.example.test:{port}/")
        assert (public, private, names.asked) == (["127.0.0.2"], [], 4)


async def test_one_private_address_among_many_refuses_the_name() -> None:
    async with listening("127.0.0.2") as (port, public), listening("127.0.0.1", port) as (_, private):
        for found in (["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "::ffff:127.0.0.1"]):
            with egress.only(egress.Rule(ALLOWED, Names(found))), pytest.raises(errors.Misdeclared):
                await get(f"http://shop.example.test:{port}/")
        assert not public
        assert not private


async def test_the_address_connected_to_is_the_one_that_was_judged() -> None:
    """Between judging and connecting nobody asks the resolver again."""
    async with listening("127.0.0.2") as (port, public), listening("127.0.0.1", port) as (_, private):
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        with egress.only(egress.Rule(ALLOWED, names)):
            (await egress.connected("mail.example.test", port, 5.0)).close()
            assert names.asked == 1
            with pytest.raises(egress.Blocked):
                await egress.connected("mail.example.test", port, 5.0)
        await asyncio.sleep(0.05)
        assert (len(public), len(private)) == (1, 0)


async def test_a_redirect_into_the_private_network_is_not_followed() -> None:
    async with listening("127.0.0.1") as (port, private):
        told = f"HTTP/1.1 302 Found\r\nlocation: ws://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n".encode()

        async def sends_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(told)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(sends_on, "127.0.0.2", 0)
        door = server.sockets[0].getsockname()[1]
        with egress.only(egress.Rule(ALLOWED)):
            assert (await get(f"http://127.0.0.2:{door}/")).status == 302
            with pytest.raises(Exception, match="cannot follow redirect"):
                async with channel.reached(f"ws://127.0.0.2:{door}/"):
                    pass
        server.close()
        await server.wait_closed()
        assert not private


async def test_long_connections_keep_to_the_rule() -> None:
    async with listening() as (port, seen):
        with pytest.raises(egress.Blocked):
            async with channel.reached(f"ws://127.0.0.1:{port}/"):
                pass
        with pytest.raises(channel.Refused, match="SHUNIU_EGRESS_ALLOW"):
            async with channel.opened(f"ws://localhost:{port}/", "http://vendor.example.test"):
                pass
        assert not seen


async def test_a_call_ends_as_misdeclared_with_its_exchange_kept(tmp_path: Path) -> None:
    async with client.alone(tmp_path) as calls:
        with pytest.raises(errors.Misdeclared) as refused:
            await calls.call(conftest.connected(shop.SPEC, "http://169.254.169.254"), "order.get", {"id": "1"})
    assert refused.value.exchange
    assert "169.254.169.254" in refused.value.exchange[0].url
