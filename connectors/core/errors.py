"""What a call to a system can end in, named by what must happen next.

ConnectorError
├─ Throttled(retry_after)   slow down; ``banned`` means no call at all until then
├─ Unavailable              try later
├─ OutcomeUnknown           it may have happened: look it up before sending again
├─ Rejected(code, hint)     this record will never be taken as it is
├─ CredentialRefused        a person must re-authorise; the connection pauses
└─ Misdeclared              our declaration or the connection's settings are wrong
"""

from __future__ import annotations

from typing import Any


class ConnectorError(Exception):
    """A call that did not succeed. ``message`` is the vendor's own words, ``hint`` ours (zh/en)."""

    kind = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: dict[str, str] | None = None,
        operation: str | None = None,
        exchange: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint or {}
        self.operation = operation
        self.exchange = exchange
        """The masked request and response (``client.Exchange``), for the attempt row."""


class Throttled(ConnectorError):
    """Too many calls. ``retry_after`` seconds; ``banned``: nothing may be sent before.

    ``scope``: whom a ban is for (shop, app, ip).
    """

    kind = "throttled"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        banned: bool = False,
        scope: str = "shop",
        **more: Any,
    ) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after
        self.banned = banned
        self.scope = scope


class Unavailable(ConnectorError):
    """The system is down, or the call never left this machine."""

    kind = "unavailable"


class OutcomeUnknown(ConnectorError):
    """Sent, but no trustworthy answer came back."""

    kind = "unknown"


class NotYet(Unavailable):
    """The system is well and does not know of something yet that it will know soon. No sign of trouble."""

    kind = "not_yet"


class Rejected(ConnectorError):
    """The system refused this record for a reason of its own."""

    kind = "rejected"


class CredentialRefused(ConnectorError):
    """Token, secret, permission or licence refused."""

    kind = "credential"


class Misdeclared(ConnectorError):
    """The declaration, the settings or the mapping's output is not what the system expects."""

    kind = "misdeclared"


class HookRefused(Exception):
    """An inbound call failed its proof. ``reason`` is a slug for metrics and the quarantine view."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
