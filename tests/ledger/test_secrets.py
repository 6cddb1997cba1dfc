"""Secrets at rest: sealed to their place, readable with older master keys, useless without one."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_queue.ledger import configuration, connections, secrets, session
from retry_queue.ledger.states import ConnectionState
from tests.ledger import making

OLD, NEW = "the first master key", "the second master key"


def test_what_is_sealed_opens_in_its_place_only() -> None:
    sealer = secrets.Sealer(OLD)
    sealed = sealer.seal("密钥 s3cret", "connections/k3/app_secret")
    assert "s3cret" not in sealed
    assert sealer.open(sealed, "connections/k3/app_secret") == "密钥 s3cret"
    for place in ("connections/k4/app_secret", "connections/k3/token", "tokens/k3/value"):
        with pytest.raises(secrets.SecretUnreadable, match=place):
            sealer.open(sealed, place)


def test_the_same_secret_never_looks_the_same() -> None:
    sealer = secrets.Sealer(OLD)
    assert sealer.seal("x", "p") != sealer.seal("x", "p")


def test_a_new_master_changes_nothing_until_keys_are_rotated() -> None:
    """Processes that know only the old one must go on reading what those write that know both."""
    old, both, new = secrets.Sealer(OLD), secrets.Sealer(NEW, OLD), secrets.Sealer(NEW)
    assert both.open(old.seal("x", "p"), "p") == "x"
    assert old.open(both.seal("x", "p"), "p") == "x"
    with pytest.raises(secrets.SecretUnreadable):
        new.open(old.seal("x", "p"), "p")


def test_digests_of_people_outlive_a_rotation() -> None:
    old, both = secrets.Sealer(OLD), secrets.Sealer(NEW, OLD)
    assert old.digest("phone", " 13800000001 ") == both.digest("phone", "13800000001")
    assert old.digest("phone", "A@x") == old.digest("phone", "a@X")
    assert old.digest("phone", "1") != old.digest("email", "1")
    assert old.digest("phone", "1") != secrets.Sealer(NEW).digest("phone", "1")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(place: int, flip: int) -> None:
    sealer = secrets.Sealer(OLD)
    form, kid, text = sealer.seal("a secret", "p").split(".")
    data = bytearray(base64.b64decode(text))
    data[place % len(data)] ^= flip
    with pytest.raises(secrets.SecretUnreadable):
        sealer.open(f"{form}.{kid}.{base64.b64encode(bytes(data)).decode()}", "p")


@pytest.mark.parametrize("text", ["", "x", "s1.", "s1.kid.", "s2.a.b", "s1.00000000.AAAA", "s1.zzz.***", "a.b.c.d"])
def test_garbage_does_not_open(text: str) -> None:
    with pytest.raises(secrets.SecretUnreadable):
        secrets.Sealer(OLD).open(text, "p")


@pytest.mark.parametrize("masters", [(), ("short",), (OLD, "short"), ("",)])
def test_a_weak_master_key_is_refused(masters: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="16"):
        secrets.Sealer(*masters)


async def _connected(
    ledger: session.Ledger, sealer: secrets.Sealer, key: str, clear: dict[str, str]
) -> connections.Row:
    async with ledger.write() as connection:
        return await connections.put(
            connection, sealer, key, "http", {"a": 1}, clear, ConnectionState.ENABLED, time.time()
        )


async def test_ciphertext_moved_to_another_row_does_not_open(ledger: session.Ledger) -> None:
    sealer = secrets.Sealer(OLD)
    one = await _connected(ledger, sealer, "one", {"app_secret": "mine", "session": "also"})
    assert one.opened(sealer) == {"app_secret": "mine", "session": "also"}
    await _connected(ledger, sealer, "two", {})
    await making.change(
        ledger,
        "UPDATE connections SET secrets = (SELECT o.secrets FROM connections o WHERE o.key = 'one') WHERE key = 'two'",
    )
    async with ledger.read() as connection:
        two = await connections.get(connection, "two")
    assert two is not None
    with pytest.raises(secrets.SecretUnreadable, match="connections/two/"):
        two.opened(sealer)


async def test_nothing_in_the_database_holds_a_secret_in_clear(ledger: session.Ledger) -> None:
    await _connected(ledger, secrets.Sealer(OLD), "one", {"app_secret": "canary-9f8e7d"})
    rows = await making.rows(ledger, "SELECT * FROM connections")
    assert rows
    assert "canary" not in repr(rows)


async def test_secrets_not_given_stay_and_empty_ones_go(ledger: session.Ledger) -> None:
    sealer = secrets.Sealer(OLD)
    await _connected(ledger, sealer, "one", {"a": "1", "b": "2"})
    changed = await _connected(ledger, sealer, "one", {"b": "", "c": "3"})
    assert (changed.opened(sealer), changed.version) == ({"a": "1", "c": "3"}, 2)


async def test_only_the_first_to_notice_refused_credentials_is_told_so(ledger: session.Ledger) -> None:
    await _connected(ledger, secrets.Sealer(OLD), "one", {})
    async with ledger.write() as connection:
        before = await configuration.epoch(connection)
        told = [
            await connections.refuse(connection, "one", {"code": "credential", "zh": "错", "en": "no"}) for _ in "abc"
        ]
        row = await connections.get(connection, "one")
        assert await configuration.epoch(connection) == before + 1, "every process must hear of it, once"
    assert told == [True, False, False]
    assert row is not None
    assert (row.state, row.reason) == (ConnectionState.NEEDS_AUTH, {"code": "credential", "zh": "错", "en": "no"})
