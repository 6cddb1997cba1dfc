"""Connections 连接: one authorised account of a connector each, with its secrets sealed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import configuration, secrets, sql, tables
from retry_queue.ledger.states import ConnectionState

T = tables.connections
AT = "~at"
"""Behind a field's name, in the JSON of sealed texts: not the secret itself, but where it is (``file:/run/…``)."""
FORMER = "~former"
"""Behind a field's name, in the JSON of sealed texts: what the field was before."""
REFUSED = "~refused"
"""In the JSON of the reason: the digest of the secrets that were refused (``Row.proof``)."""
REAL = "~real"
"""In the JSON of config and of sealed texts while a simulator stands in (``sandbox``): what it really is."""
_PAUSE = sql.Statement(
    """
    UPDATE connections SET state = {2}, reason = {3}, updated_at = {now}
    WHERE key = {1} AND state = 'enabled' RETURNING key
    """
)
_GO_ON = sql.Statement(
    """
    UPDATE connections SET state = 'enabled', reason = NULL, updated_at = {now}
    WHERE key = {1} AND state = 'needs_auth' RETURNING key
    """
)


@dataclass(frozen=True, slots=True)
class Row:
    """A stored connection; ``sealed`` holds secrets as stored."""

    key: str
    connector: str
    config: dict[str, Any]
    sealed: dict[str, str]
    state: ConnectionState
    reason: dict[str, str] | None
    version: int
    created_at: float
    updated_at: float
    former: dict[str, str] = field(default_factory=dict)
    """Sealed as well: field -> JSON {value, until} of the secret before, which doors accept until then."""
    real: dict[str, Any] | None = None
    """While a simulator stands in: {config, secrets (names), state, reason, since} of the real system."""
    held: str | None = None
    """Sealed: what else is put aside for its return."""
    referred: frozenset[str] = frozenset()
    """Fields of ``sealed`` that hold where the secret is, not the secret."""
    switches: int = 0
    """How often it went over to a simulator or came back: what was read before belongs to the other one."""
    refused: str = ""
    """``proof`` of the secrets that the system refused, where they live outside."""

    def formers(self, sealer: secrets.Sealer, now: float) -> dict[str, tuple[str, float]]:
        """Field -> its secret before and until when it counts; raises SecretUnreadable."""
        found = {}
        for name, text in self.former.items():
            told = json.loads(sealer.open(text, place(self.key, name + FORMER)))
            if told["until"] > now:
                found[name] = (str(told["value"]), float(told["until"]))
        return found

    def opened(self, sealer: secrets.Sealer) -> dict[str, str]:
        """The secrets in clear, those that live elsewhere as they were read last; raises SecretUnreadable."""
        kept = self.kept(sealer)
        return {name: sealer.outside.value(text) if name in self.referred else text for name, text in kept.items()}

    def proof(self, sealer: secrets.Sealer, clear: Mapping[str, str]) -> str:
        """A keyed digest of the secrets that live outside, out of ``clear``; empty where none does.

        Hashed before, as the sealer's digests take upper and lower case for the same.
        """
        if self.real is not None or not self.referred:
            return ""
        text = json.dumps([self.key, [[name, clear[name]] for name in sorted(self.referred)]])
        return sealer.digest("refused", hashlib.sha256(text.encode()).hexdigest())

    def kept(self, sealer: secrets.Sealer) -> dict[str, str]:
        """What was entered: secrets in clear, references as references; raises SecretUnreadable."""
        return {
            name: sealer.open(text, place(self.key, name + AT if name in self.referred else name))
            for name, text in self.sealed.items()
        }

    def earlier(self, sealer: secrets.Sealer, name: str) -> str | None:
        """A secret as it counts now; None when it lives elsewhere and cannot be read there."""
        if name not in self.referred:
            return sealer.open(self.sealed[name], place(self.key, name))
        try:
            return sealer.outside.value(sealer.open(self.sealed[name], place(self.key, name + AT)))
        except secrets.SecretUnreadable:
            return None

    def references(self, sealer: secrets.Sealer) -> dict[str, str]:
        """Field -> where its secret is; raises SecretUnreadable. Nothing secret."""
        if self.real is not None:  # the simulator's secrets stand in the row
            return {}
        return {name: sealer.open(self.sealed[name], place(self.key, name + AT)) for name in sorted(self.referred)}

    def really(self) -> Row:
        """The connection as it is without the simulator; its secrets are named only."""
        if self.real is None:
            return self
        told = self.real
        sealed, state = dict.fromkeys(told["secrets"], ""), ConnectionState(told["state"])
        none: frozenset[str] = frozenset()
        reason, refused = _reason(told.get("reason"))
        return replace(self, config=told["config"], sealed=sealed, state=state, reason=reason, refused=refused,
                       real=None, held=None, referred=none)  # fmt: skip


def place(key: str, field: str) -> str:
    """Where a connection's secret stands, for sealing."""
    return f"connections/{key}/{field}"


def _reason(kept: dict[str, str] | None) -> tuple[dict[str, str] | None, str]:
    """The words for people, and the digest of the secrets that were refused."""
    words = dict(kept) if kept else None
    return words, words.pop(REFUSED, "") if words else ""


def _row(row: Any) -> Row:
    stored, config = json.loads(row.secrets), json.loads(row.config)
    held, real = stored.pop(REAL, None), config.pop(REAL, None)
    reason, refused = _reason(json.loads(row.reason) if row.reason else None)
    plain = {name: text for name, text in stored.items() if not name.endswith(FORMER)}
    return Row(
        key=row.key,
        connector=row.connector,
        config=config,
        real=real,
        held=held,
        sealed={name.removesuffix(AT): text for name, text in plain.items()},
        referred=frozenset(name.removesuffix(AT) for name in plain if name.endswith(AT)),
        former={name.removesuffix(FORMER): text for name, text in stored.items() if name.endswith(FORMER)},
        state=ConnectionState(row.state),
        reason=reason,
        refused=refused,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        switches=row.switches,
    )


async def all_rows(connection: AsyncConnection) -> list[Row]:
    """Every connection, by key."""
    return [_row(row) for row in await connection.execute(select(T).order_by(T.c.key))]


async def get(connection: AsyncConnection, key: str) -> Row | None:
    row = (await connection.execute(select(T).where(T.c.key == key))).first()
    return None if row is None else _row(row)


async def put(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    key: str,
    connector: str,
    config: Mapping[str, Any],
    clear: Mapping[str, str],
    state: ConnectionState,
    now: float,
    *,
    overlap: float = 0.0,
    referred: Collection[str] = (),
) -> Row:
    """Creates or changes a connection. Secrets that are not given stay as they are; an empty one goes.

    ``overlap``: for so many seconds the door goes on taking what is proven with a secret that changes here.
    ``referred``: those of ``clear`` that say where the secret is.
    Raises ValueError while a simulator stands in for it: what was put aside would be lost.
    """
    before = await get(connection, key)
    if before is not None and before.real is not None:
        raise ValueError(f"a simulator stands in for {key}")
    same = before is not None and before.connector == connector
    sealed = dict(before.sealed) if before and same else {}
    former = dict(before.former) if before and same else {}
    elsewhere = set(before.referred) if before and same else set()
    for name, value in clear.items():
        earlier = before.earlier(sealer, name) if before is not None and overlap > 0 and name in sealed else None
        if earlier is not None:
            kept = json.dumps({"value": earlier, "until": now + overlap})
            former[name] = sealer.seal(kept, place(key, name + FORMER))
        elif name in sealed:
            former.pop(name, None)  # changed without an overlap: what was before counts no more
        elsewhere.discard(name)
        if value == "":
            sealed.pop(name, None)
        elif name in referred:
            elsewhere.add(name)
            sealed[name] = sealer.seal(value, place(key, name + AT))
        else:
            sealed[name] = sealer.seal(value, place(key, name))
    stored_as = {name + AT if name in elsewhere else name: text for name, text in sealed.items()}
    stored_as |= {name + FORMER: text for name, text in former.items()}
    values = {
        "connector": connector,
        "config": json.dumps(dict(config), ensure_ascii=False, sort_keys=True),
        "secrets": json.dumps(stored_as, sort_keys=True),
        "state": str(state),
        "reason": None,
        "updated_at": now,
    }
    if before is None:
        await connection.execute(insert(T).values(key=key, created_at=now, version=1, **values))
    else:
        await connection.execute(update(T).where(T.c.key == key).values(version=before.version + 1, **values))
    stored = await get(connection, key)
    if stored is None:
        raise LookupError(key)
    return stored


async def set_state(
    connection: AsyncConnection, key: str, state: ConnectionState, reason: dict[str, str] | None, now: float
) -> None:
    """Enables, pauses or disables."""
    text = json.dumps(reason, ensure_ascii=False) if reason else None
    await connection.execute(
        update(T).where(T.c.key == key).values(state=str(state), reason=text, updated_at=now, version=T.c.version + 1)
    )


async def refuse(connection: AsyncConnection, key: str, reason: dict[str, str], proof: str = "") -> bool:
    """Marks refused credentials and tells every process; ``proof`` says which they were (``Row.proof``).

    True only for the first to notice, so that one alert goes out.
    """
    text = json.dumps({**reason, REFUSED: proof} if proof else reason, ensure_ascii=False)
    first = bool(await _PAUSE.run(connection, (), key, str(ConnectionState.NEEDS_AUTH), text))
    if first:
        await configuration.touch(connection)
    return first


async def go_on(connection: AsyncConnection, key: str) -> bool:
    """Takes up a connection whose credentials were refused, because they are others now; True only for the first."""
    first = bool(await _GO_ON.run(connection, (), key))
    if first:
        await configuration.touch(connection)
    return first


async def remove(connection: AsyncConnection, key: str) -> None:
    await connection.execute(delete(T).where(T.c.key == key))
