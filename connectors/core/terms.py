"""The words that every declaration is made of: texts, form fields, tests on data, classes of recovery."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=80)]
Path = Annotated[str, Field(min_length=1, max_length=200)]
"""Dotted path into parsed data: ``a.b[0].c``; ``[-1]`` is the last element, ``[*]`` every element; ``.`` everything.
A key that holds a dot is quoted: ``rows[0]["cust.number"]``."""


class Part(BaseModel):
    """A piece of a declaration: no unknown keys, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Category = Literal["marketplace", "mall", "erp", "wms", "crm", "messaging", "oa", "generic"]
Purpose = Literal["staff", "contact", "welcome", "group", "refund", "stop"]
"""Messages to a colleague, to a customer, as the first words to one, to a chat group; the refund itself; telling who
took an order that it is closed or held."""


class Text(Part):
    """Words for people, in both languages."""

    zh: str
    en: str


class FieldType(StrEnum):
    STRING = "string"
    TEXT = "text"
    URL = "url"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    JSON = "json"


class Choice(Part):
    value: str
    label: Text


class FieldSpec(Part):
    """One field of the connection form; ``secret`` fields are encrypted and never read back."""

    key: Slug
    label: Text
    type: FieldType = FieldType.STRING
    secret: bool = False
    required: bool = False
    default: Any = None
    pattern: str | None = None
    choices: list[Choice] = Field(default_factory=list)
    help: Text | None = None
    when: dict[str, str | list[str]] = Field(default_factory=dict)
    """Show and require only when another field has (one of) this value."""


class Condition(Part):
    """A test on parsed data; every part that is given must hold. ``path`` absent means nested tests."""

    path: Path | None = None
    equals: Any = None
    one_of: list[Any] | None = None
    matches: str | None = None
    """Shell-style pattern, case-sensitive (``trade_*``)."""
    contains: str | None = None
    """Text that holds this part; a list or object that holds this value, at any depth."""
    present: bool | None = None
    all: list[Condition] = Field(default_factory=list)
    any: list[Condition] = Field(default_factory=list)
    negate: bool = False


class ErrorClass(StrEnum):
    THROTTLED = "throttled"  # slow down; retry_after if known
    BANNED = "banned"  # no call at all until retry_after is over
    UNAVAILABLE = "unavailable"  # try later
    NOT_YET = "not_yet"  # the system is well, and does not know of it yet: try later
    UNKNOWN = "unknown"  # may have happened: look it up before sending again
    TOKEN = "token"  # token ended: refresh once and repeat the call
    CREDENTIAL = "credential"  # a person must re-authorise or mend the credentials
    REJECTED = "rejected"  # this record will never be taken as it is
    DONE = "done"  # already so: success (confirmed by the lookup, where there is one)
    MISDECLARED = "misdeclared"  # our declaration or the connection's settings are wrong


class ErrorRule(Part):
    """Vendor code -> class of recovery. The first rule that fits wins."""

    match: list[str] = Field(default_factory=list)
    """Shell-style patterns over every code found by ``failure.codes`` (as text)."""
    text: str | None = None
    """A part of the vendor's message."""
    status: list[int] = Field(default_factory=list)
    """HTTP status codes."""
    becomes: ErrorClass
    retry_after: float | None = None
    """Seconds to wait."""
    retry_after_pattern: str | None = None
    """Regular expression over the message; its group 1 is the seconds to wait."""
    scope: Literal["shop", "app", "ip"] = "shop"
    """Whom a ban is for: this connection, every one of the same app, or every one from this address (as ``pacing``
    tells them apart)."""
    hint: Text | None = None


class Failure(Part):
    """Where an answer carries codes and words when it failed."""

    codes: list[Path] = Field(default_factory=list)
    message: list[Path] = Field(default_factory=list)
    retry_after: list[Path] = Field(default_factory=list)


class Basic(Part):
    """HTTP basic authentication; the header is written last and never shown."""

    user: str
    password: str


class PacingScope(Part):
    """At most ``limit`` calls per ``per`` seconds; scopes of one vendor add up."""

    scope: Literal["app", "shop", "ip", "method", "receiver"]
    limit: int = Field(gt=0)
    per: float = Field(gt=0)
    operations: list[str] = Field(default_factory=list)
    """Shell-style patterns; empty means every operation."""
    by: Slug | None = None
    """Config field whose value tells one app or address from another (``app_key``): connections with the same
    value share the limit. Absent: ``ip`` is shared by the whole connector, the others are per connection."""
    receivers: list[Path] = Field(default_factory=list)
    """For ``receiver``: where the input says whom the call is for; each of them has this limit."""

    @model_validator(mode="after")
    def _named(self) -> PacingScope:
        if (self.scope == "receiver") != bool(self.receivers):
            raise ValueError("scope: receiver needs receivers, and only it has some")
        return self


class Pacing(Part):
    concurrency: int = Field(default=8, gt=0, le=256)
    """Calls in flight per connection and worker process."""
    scopes: list[PacingScope] = Field(default_factory=list)


class Partial(Part):
    """Success in part: where the refused pieces of an accepted call are listed.

    ``later``: they are refused for now only. Where everybody whom the operation ``asked`` for is listed, nobody got
    anything: a refusal, or with ``later`` a call to be made again.
    """

    path: Path
    label: Text
    later: bool = False


class Prepare(Part):
    """A call that the system needs once before it tells anything, such as a subscription; safe to repeat.

    Made after a connection test that went well, where ``when`` holds and every value of ``input`` (over
    ``${config.*}``) is there.
    """

    operation: str
    input: dict[str, Any] = Field(default_factory=dict)
    when: dict[str, str | list[str]] = Field(default_factory=dict)


class Together(Part):
    """Several rows of a ``list`` are one record, such as a stock level by batch or bin: the first row, with sums.

    The listing must bring all rows of a record. One by the time of change brings only those that changed, so a
    ``window`` is refused; so is reading backwards, which shows rows twice.
    """

    by: list[Path] = Field(min_length=1)
    """What tells one record from another, in the row; rows without any of it are left as they are."""
    add: list[Path] = Field(min_length=1)
    """The quantities to add up, exactly: numbers, or texts of numbers. What is absent, null or empty adds nothing."""
    once: list[Path] = Field(default_factory=list)
    """What names a row among those of its record: one that is met again (rows move while pages are read) counts once.
    A row without it counts whenever it is met."""

    def unfit(self, kind: str, backwards: bool, request: str) -> str | None:
        """Why an operation cannot have this; ``request`` is all of it as text."""
        if kind != "list":
            return "together is for lists"
        if backwards:
            return "together reads forwards, or rows that move would be added twice"
        if "${window." in request:
            return "together needs all rows of a record, and a list of a window brings only those that changed"
        both = sorted({*self.add} & {*self.by, *self.once})
        return f"together: '{both[0]}' is a quantity and names rows" if both else None


def unfit_whole(where: str, joined: Together | None, told: list[list[str]]) -> list[str]:
    """Why a poll cannot be ``whole``; ``told`` is the ``dedupe`` of each of its messages."""
    if joined is None:
        return [f"{where}: a whole listing needs together, which names its records and their quantities"]
    if not told or not all(any("${window." in path for path in paths) for paths in told):
        # Else a record that comes back as it was before it went is taken for its old message, and stays at 0.
        return [f"{where}: a whole listing names its messages, and their dedupe has ${{window.end|s}}"]
    return []


class Authorise(Part):
    """A person agrees in a browser, and the platform sends them back with a code: how it begins and what comes of it.

    ``url`` and ``query`` may name ``${config.*}``, ``${redirect}`` (where the platform sends people back to) and
    ``${state}`` (which it must give back).
    """

    url: str
    query: dict[str, Any] = Field(default_factory=dict)
    fills: dict[Slug, Slug]
    """Secret field -> the parameter of the way back that it is filled from."""
    when: dict[str, str | list[str]] = Field(default_factory=dict)
    """Only when a config field has (one of) this value."""


class SignInStep(Part):
    """One read on the way from the code to the person.

    ``input`` may name ``${code}`` and ``${told.*}``, what the step before answered.
    """

    operation: str
    input: dict[str, Any]


class SignIn(Part):
    """Members of this system may sign in to the hub on the system's own page, such as by scanning a code.

    ``url`` and ``query`` may name ``${config.*}``, ``${redirect}`` and ``${state}`` (which must come back).
    """

    label: Text
    url: str
    query: dict[str, Any] = Field(default_factory=dict)
    code: str = "code"
    """The parameter of the way back that holds the code; it is good for once."""
    steps: list[SignInStep] = Field(min_length=1, max_length=5)
    tenant: str
    """Whose members they are: ``${config.*}``; part of who somebody is."""
    subject: Path
    """The member's id in the last answer; absent for whoever is no member."""
