"""Drafts: an event on its way through planning, and the small pure things said about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mappings import errors as mapping_errors
from retry_queue.ledger import inbox, records, secrets
from retry_queue.ledger.states import EventState
from retry_queue.sync import meaning, plan


@dataclass(slots=True)
class Draft:
    """An event on its way through planning."""

    event: inbox.ClaimedEvent
    entity: str = ""
    ref: records.Ref = ("", "", "")
    canonical: Mapping[str, Any] | None = None
    text: str = ""
    native: str | None = None
    """The record as it was read, JSON text, where the event only named it."""
    version: float | None = None
    arrival: int | None = None
    """The event's id, when its arrival tells the age of the state in it."""
    meaning: meaning.Meaning | None = None
    plan: plan.Plan | None = None
    decided: bool = False
    """Its plan was decided by what is known of the record, and is decided again when that has moved."""
    before: records.Known | None = None
    """The record as it was known when this event was decided."""
    read_at: float | None = None
    """When reading the record behind a hint began, Unix seconds."""
    delay: float = 0.0
    failed: bool = False

    @property
    def past(self) -> bool:
        """It is imported history, which waits for everything live."""
        return self.event.priority >= inbox.BACKFILL


def encode(value: Any) -> str:
    """A canonical record as JSON text: exact decimals as text, times with their zone."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a whole number of more than 64 bits
        return orjson.dumps(_digits(value), default=str).decode()


def _digits(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _digits(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_digits(inner) for inner in value]
    return str(value) if isinstance(value, int) and value.bit_length() > 63 else value


def has_nul(value: Any) -> bool:
    """Whether any text in it holds the character that most databases refuse."""
    if isinstance(value, Mapping):
        return any(has_nul(inner) for pair in value.items() for inner in pair)
    if isinstance(value, list | tuple):
        return any(has_nul(inner) for inner in value)
    return isinstance(value, str) and "\x00" in value


def normal(kind: str, value: str) -> str:
    """An identifier in one spelling: a phone without spaces, dashes and the country's 86."""
    if kind != "phone":
        return value.strip()
    digits = re.sub(r"[\s\-()+]", "", value)
    bare = re.sub(r"^(0086|86)(?=1\d{10}$)", "", digits)
    return bare or value.strip()


def marks(sealer: secrets.Sealer, canonical: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """(kind, digest) of everything that identifies a person; masked values identify nobody."""
    given = [(one["kind"], one["value"]) for one in canonical.get("identities") or () if one.get("value")]
    given += [(kind, canonical[kind]) for kind in ("phone", "email") if canonical.get(kind)]
    return [(kind, sealer.digest(kind, normal(kind, value))) for kind, value in given if "*" not in value]


def words_of(error: Exception) -> dict[str, str]:
    """An error in both languages, with its place."""
    if isinstance(error, mapping_errors.MappingError):
        return {"zh": error.text("zh"), "en": error.text("en")}
    return {"zh": f"报文无法解析：{error}", "en": f"the payload cannot be read: {error}"}


def internal(error: Exception) -> plan.Plan:
    """Ours to mend: the event is kept for a replay after that."""
    name = type(error).__name__
    said = {"zh": f"内部错误 {name}，修复后可重放", "en": f"internal error {name}; replay it when that is mended"}
    return plan.Plan(EventState.PARKED, "internal", said)


def ruling(one: Draft) -> inbox.Ruling:
    """What the ledger is told of it."""
    decided = one.plan
    if decided is None:
        return inbox.Ruling(one.event.id, one.event.fence, EventState.PARKED, "internal")
    detail = orjson.dumps(decided.words).decode() if decided.words else None
    again = decided.ruling is EventState.RECEIVED and one.event.replay
    reason = "replay" if again else decided.reason  # a replay stays one until it is planned
    return inbox.Ruling(one.event.id, one.event.fence, decided.ruling, reason, detail, one.delay, one.failed)
