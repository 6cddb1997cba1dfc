"""The plain values that pass between rooms and connectors. No behaviour, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.core import declaration


@dataclass(frozen=True, slots=True)
class Connection:
    """One authorised account of a connector, opened for use: secrets are in clear here and only here."""

    key: str
    declaration: declaration.Declaration
    config: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    switches: int = 0
    """How often it went over to a simulator or came back; what is read carries it (``inbox.NewEvent``)."""
    proof: str = field(default="", repr=False)
    """A keyed digest of those secrets that live outside; a refusal keeps it, to know them from the next ones."""
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from the other fields alone, worked out once: they never change."""


@dataclass(frozen=True, slots=True)
class Token:
    """A credential got by login. ``expires_at`` is a Unix time; ``extra`` holds e.g. cookies."""

    value: str = field(repr=False)
    expires_at: float
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Request:
    """A rendered HTTP request on its way through auth and signing; parts are changed in place."""

    method: str
    url: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    body: bytes = b""
    timeout: float = 15.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange as people may see it: secrets masked, bodies capped."""

    operation: str
    method: str
    url: str
    request: str
    status: int | None
    response: str
    duration: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that succeeded. ``data`` is the useful part, ``record_id`` the vendor's id of the record."""

    data: Any
    record_id: str | None = None
    warnings: tuple[str, ...] = ()
    """Pieces refused inside an accepted call, in the vendor's words."""
    exchanges: tuple[Exchange, ...] = ()
    already: bool = False
    """True when the system said it was already so."""
    rest: Any = None
    """Not None: a part is still owed and must be sent again later; what is then given back as ``rest``."""
    waiting: bool = False
    """True when somebody else must act first (an asynchronous approval, a guard): ask again later."""


@dataclass(frozen=True, slots=True)
class RawHook:
    """An inbound call, untrusted until verified. ``body`` is the raw bytes."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


@dataclass(frozen=True, slots=True)
class VerifiedHook:
    """An inbound call whose proof held. ``plaintext`` is the decrypted body (or the body itself)."""

    plaintext: bytes
    context: Mapping[str, Any] = field(default_factory=dict)
    """What the reply needs: nonce, owner key, ..."""
    handshake: bytes | None = None
    """Set for a handshake call: answer with exactly this, append nothing."""


@dataclass(frozen=True, slots=True)
class HookReply:
    """The exact answer an external system waits for."""

    status: int
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One fact taken in, ready for the inbox."""

    message: str
    """Message kind of the declaration, or ``unknown``."""
    entity: str | None
    record: str | None
    dedupe: str
    payload: bytes
    """JSON text, exact digits kept."""
    occurred_at: datetime | None = None
    fast: bool = False
