"""The schema of ``connector.yaml``: everything we know about one kind of system, as data.

Text in a declaration may hold placeholders ``${name|filter}``. A value that is one placeholder keeps
the type of what it names; inside longer text it is written out. Names: ``config.*`` and ``secret.*``
(the connection), ``token`` (the auth token), ``input`` / ``input.<path>`` (what the caller passes),
``window.start`` / ``window.end``, ``page.no`` / ``page.size`` / ``page.offset`` / ``page.cursor``,
``record.id`` / ``record.data`` (in a flow: what the steps before gave), ``now``, ``uuid``; for replies
``hook.query.<name>`` / ``hook.headers.<name>`` / ``hook.body`` and ``verified.<name>`` (what verification found:
``receive_id``, ``nonce``, ``id``, ...). ``token.<name>`` reads a token's extra parts (cookies of the login answer).
Filters: ``s`` and ``ms`` (Unix time), ``iso``, ``local`` (the declaration's ``time`` block), ``json``
(as JSON text), ``str``, ``int``, ``url`` (percent-encoded). A key whose value is a placeholder naming
something absent is left out. The key ``...`` puts the members of its value in its place.

Where paths begin: ``success``, ``found``, ``errors``, ``failure`` read the whole answer (``status``, ``headers``,
``body``, and ``text`` when the body could not be parsed); ``result``, ``partial``, ``paging`` and the token's members
read the parsed body (a leading ``body.`` is allowed); ``items`` and a record's ``id`` read the ``result``.
``confirm`` reads ``result`` (of the lookup) and ``input``. A boolean config field ``tls_verify`` set to false accepts
any certificate (self-signed servers on the customer's own ground).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from connectors.core import terms

Slug = terms.Slug
Path = terms.Path
Text = terms.Text
Category = terms.Category
FieldType = terms.FieldType
Choice = terms.Choice
FieldSpec = terms.FieldSpec
Condition = terms.Condition
ErrorClass = terms.ErrorClass
ErrorRule = terms.ErrorRule
Failure = terms.Failure
Basic = terms.Basic
PacingScope = terms.PacingScope
Pacing = terms.Pacing
Authorise = terms.Authorise
Partial = terms.Partial


class RequestSpec(terms.Part):
    """One HTTP request; at most one of ``json``, ``form``, ``text``, ``xml`` carries a body.

    ``xml`` is an object with one key, the root element: ``{request: {id: "${input.id}"}}``. A list repeats its element,
    ``@name`` writes an attribute, what is absent or null is left out.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    base: str = "${config.base_url}"
    path: str = ""
    query: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, Any] = Field(default_factory=dict)
    json_body: Any = Field(default=None, alias="json")
    form: dict[str, Any] | None = None
    text: str | None = None
    xml_body: dict[str, Any] | None = Field(default=None, alias="xml")
    basic: Basic | None = None
    timeout: float = Field(default=15.0, gt=0, le=60)


class TokenSpec(terms.Part):
    """How a shared token is got and kept; one refresher per connection at a time."""

    request: RequestSpec | None = None
    """Absent: the connector's ``signer.py`` has ``async def login(ctx) -> Token``."""
    value: Path | None = None
    expires_in: Path | None = None
    lifetime: float = 7200
    """Seconds, used when the answer does not say."""
    early: float = 300
    """Renew so many seconds before the end."""
    success: Condition | None = None
    refresh: RequestSpec | None = None
    """How the next token is got from a kept refresh token, ``${token.refresh_token}``; ``request`` is for the first."""
    refresh_value: Path | None = None
    """Where an answer carries the refresh token; one that carries none leaves the old one in force."""
    given: list[Slug] = Field(default_factory=list)
    """Secret fields with which the chain of refresh tokens began: other values begin a new one."""
    refusal: ErrorClass = ErrorClass.CREDENTIAL
    """What a refused token request means when no error rule fits."""


class Auth(terms.Part):
    """What every call carries besides its own content; several may apply, the first token of them is ``${token}``."""

    style: Literal["none", "static", "token"] = "none"
    token: TokenSpec | None = None
    operations: list[str] = Field(default_factory=list)
    """Shell-style patterns; empty means every operation."""
    query: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, Any] = Field(default_factory=dict)
    cookies: dict[str, Any] = Field(default_factory=dict)
    basic: Basic | None = None
    when: dict[str, str | list[str]] = Field(default_factory=dict)
    """Apply only when a config field has (one of) this value."""


class Signing(terms.Part):
    """Outgoing proof. ``scheme`` names a stock scheme of core/signing.py, or ``custom`` (signer.py)."""

    scheme: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)


class TimeFormat(terms.Part):
    """How the vendor writes local times."""

    format: str = "%Y-%m-%dT%H:%M:%S%z"
    zone: str = "UTC"


class Paging(terms.Part):
    style: Literal["none", "page", "offset", "cursor", "has_more", "link"] = "none"
    size: int = 50
    first: int = 1
    total: Path | None = None
    has_next: Path | None = None
    cursor: Path | None = None
    """Where the answer carries the next cursor; empty or absent ends. For ``link``: a parameter of the next address."""
    next: Path | None = None  # for ``link``: where the body has the next address; else the header has it
    begin: int | str | None = None  # the cursor of the first page, where it must be sent (many say 0)
    end: list[Any] = Field(default_factory=list)  # cursors that mean the end (``nomore``)
    reverse: bool = False  # read the last page first (rows move while paging); needs ``total``
    short_ends: bool = True  # without total and has_next: a page that is not full is the last
    limit_pages: int = 1000


class Idempotency(StrEnum):
    KEY = "key"  # the vendor recognises our key: sending again is safe
    QUERY_FIRST = "query_first"  # look up by natural key before sending again
    NO = "no"  # neither: an unknown outcome parks


class Guard(terms.Part):
    """Asked before a record is sent: while ``when`` holds, somebody over there must decide first, and it waits."""

    operation: str
    """A ``get``; gets the same input."""
    when: Condition
    """Over its ``result`` and our ``input``."""
    hint: Text


class Ask(terms.Part):
    """What became of an accepted call: some systems say ok at once and drop the message later.

    ``operation`` (which only reads) is called with ``input`` (over ``${record.id}`` and ``${input.*}``) once the call
    has succeeded; its own ``partial`` says what did not work. That it cannot be asked does not undo the success.
    """

    operation: str
    input: dict[str, Any] = Field(default_factory=dict)
    after: float = Field(default=1.0, ge=0, le=10)
    """Seconds to wait first."""
    when: dict[str, str | list[str]] = Field(default_factory=dict)
    """Only when a config field has (one of) this value."""


class Step(terms.Part):
    """One step of a document's life: call ``operation`` while the state is one of ``when``."""

    operation: str
    when: list[str] = Field(default_factory=list)
    """States (as text); ``absent`` means the record is not there yet."""
    existing: bool = False
    """Brings a record that was there before this run up to date, also when its state is ``done`` already."""


class Flow(terms.Part):
    """A record that advances in steps (save, submit, audit); resumable by reading its state."""

    lookup: str
    state: Path
    """In the lookup's result."""
    steps: list[Step]
    done: list[str]
    waiting: list[str] = Field(default_factory=list)
    """States in which somebody else must act (a workflow): ask again later."""
    ask: bool = False
    """Look before the first step even when nothing was sent before: this system takes the same record twice."""


class Operation(RequestSpec):
    """One call a connector can make, or a flow of calls."""

    label: Text
    entity: str | None = None
    kind: Literal["list", "get", "write", "act", "call"] = "call"  # write: a record; act: once (message, approval)
    result: Path | list[Path] | None = None
    """Root of the useful part of the answer; of several, the first that is there (``.`` is the whole body)."""
    items: Path | None = None
    """For ``list``: the rows, relative to ``result``."""
    id: Path | None = None
    """The record's id in the vendor's answer, relative to ``result`` (or to the row for ``list``)."""
    id_input: Path | None = None  # instead: the record's id is in what we sent
    id_of: str | None = None  # the entity of the record that the id names, where it is not the one written
    found: Condition | None = None
    """For ``get``: holds when the record exists (over the whole answer); else the answer is absent."""
    success: Condition | None = None
    partial: list[Partial] = Field(default_factory=list)
    asked: list[Path] = Field(default_factory=list)  # in the input: everybody whom the call is for
    rest: Path | None = None  # in the answer: a part is still owed, and is sent later with this as ``input.rest``
    errors: list[ErrorRule] = Field(default_factory=list)
    """Looked at before the connector's own table."""
    paging: Paging = Paging()
    together: terms.Together | None = None  # for ``list``: rows that are one record are added up
    idempotent: Idempotency = Idempotency.NO
    lookup: str | None = None
    """Operation that finds the record by natural key; gets the same input."""
    confirm: Condition | None = None
    """Over the lookup's ``result``: holds when our write is already there."""
    guard: Guard | None = None
    """For a write or act that must not go out in some states of the record over there (an open refund)."""
    flow: Flow | None = None
    ask: Ask | None = None
    """For ``write`` and ``act``: the result is asked for after the success."""
    defaults: dict[str, Any] = Field(default_factory=dict)
    """Merged under the input."""
    auth: bool = True
    sign: bool = True
    mapping: str | None = None
    """Mapping file (without .yaml) under mappings/<connector>/ that makes the input; default: entity."""
    purpose: terms.Purpose | None = None  # where several operations take the same entity; recipes choose by it
    when: dict[str, str | list[str]] = Field(default_factory=dict)  # only with these settings (an edition)

    @model_validator(mode="after")
    def _sane(self) -> Operation:
        if self.idempotent is Idempotency.QUERY_FIRST and not (self.lookup or self.flow):
            raise ValueError("idempotent: query_first needs a lookup operation")
        if self.guard and (self.flow or self.kind not in ("write", "act")):
            raise ValueError("a guard is for a write or act that is no flow")
        if self.kind == "list" and not self.items:
            raise ValueError("a list operation needs items")
        if self.together and (why := self.together.unfit(self.kind, self.paging.reverse, str(self.model_dump()))):
            raise ValueError(why)
        return self


class Hydrate(terms.Part):
    """A push is mostly a hint: read the record again."""

    operation: str
    input: dict[str, Any] = Field(default_factory=dict)  # values may use ``${payload.<path>}``, here and below
    absent: dict[str, Any] | None = None  # what a record that is not there is taken for: a level of nothing


class MessageSpec(terms.Part):
    """One kind of native message and what it means.

    ``entity``, ``record``, ``dedupe``, ``time`` and ``body`` may be ``${config.<key>}``: the connection then names
    the entity or the path. A ``dedupe`` entry may be ``${hook.headers.<name>}``: that value itself, or
    ``${window.end|s}``: rows of a poll that are bare ids are news again in each window.
    """

    label: Text
    match: Condition | None = None
    entity: str | None = None
    """Absent: known, but nothing to sync; it is recorded as skipped."""
    mapping: str | None = None
    record: Path | None = None
    """The record's id in the payload."""
    dedupe: list[Path] = Field(default_factory=list)
    """What makes two deliveries the same; empty: a digest of the payload."""
    time: Path | None = None
    """When it happened, for people; format by the declaration's ``time``, or Unix s/ms."""
    hydrate: Hydrate | None = None
    body: Path | None = None
    """The record inside the payload, when it is complete."""
    unpack: list[Path] = Field(default_factory=list)
    """Members that are JSON texts and are parsed in place before anything else."""
    fast: bool = False
    """Business deadline of seconds: planned ahead of everything else."""
    occasion: bool = False
    """Tells that something happened (a contact was added) rather than how a record is now: acts follow it also when the
    record reads as before."""


class Verify(terms.Part):
    """Inbound proof: a stock scheme of core/verify.py or ``custom`` (signer.py ``verify``)."""

    scheme: str
    options: dict[str, Any] = Field(default_factory=dict)


class Reply(terms.Part):
    """The exact acknowledgement. ``body`` may use placeholders; ``style`` names a stock cipher reply."""

    status: int = 200
    body: Any = ""
    type: str = "text/plain; charset=utf-8"
    style: Literal["plain", "encrypted"] = "plain"


class EventSource(terms.Part):
    """A door for events: HTTP push, long connection, or polling."""

    label: Text
    door: Literal["hook", "stream", "poll"]
    messages: list[str] = Field(default_factory=list)
    """Which message kinds come in here, tried in this order; empty means all."""
    when: dict[str, str | list[str]] = Field(default_factory=dict)
    """Open only when a config field has (one of) this value."""
    # hook
    verify: Verify | None = None
    format: Literal["json", "xml", "form", "any"] = "json"
    split: Path | None = None  # the payload is an array at this path (``.``: the whole), an event per element
    reply: Reply = Reply()
    refusal: Reply | None = None
    """The exact answer to a call whose proof does not hold (constant); absent: 401 in our own words."""
    # poll
    operation: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)  # what it is called with, over ``${config.*}``
    every: float = 60
    window: float = 1800
    overlap: float = 300
    lag: float = 0  # never read newer than now - lag seconds
    horizon: float = 86400  # how far back a first poll begins, seconds
    whole: bool = False  # ``together`` names all there is: what an earlier listing had and this one lacks is at 0
    order_by: Path | None = None  # the row's own modification time; the cursor follows it
    gap: Literal["read", "only", "never"] = "read"  # after nobody took anything in; only: then, though it is closed


class Declaration(terms.Part):
    """A whole connector."""

    apiVersion: Literal["shuniu/connector/v1"]
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    version: str
    label: Text
    category: Category
    aliases: list[str] = Field(default_factory=list)  # other names people search for, pinyin included
    docs_url: str
    fields: list[FieldSpec]
    time: TimeFormat = TimeFormat()
    auth: list[Auth] = Field(default_factory=list)
    authorise: Authorise | None = None
    sign_in: terms.SignIn | None = None
    ends: Slug | None = None  # the field in which a person writes when an authorisation ends that nothing renews
    signing: Signing = Signing()
    success: Condition
    failure: Failure = Failure()
    errors: list[ErrorRule] = Field(default_factory=list)
    pacing: Pacing = Pacing()
    probe: str
    prepare: list[terms.Prepare] = Field(default_factory=list)  # after the probe
    operations: dict[str, Operation]
    messages: dict[str, MessageSpec] = Field(default_factory=dict)
    events: dict[str, EventSource] = Field(default_factory=dict)
    unconfirmed: list[str] = Field(default_factory=list)  # what nobody could verify: ``shuniu check --unconfirmed``

    @model_validator(mode="after")
    def _references(self) -> Declaration:
        wrong: list[str] = []

        def need(name: str | None, where: str) -> None:
            if name is not None and name not in self.operations:
                wrong.append(f"{where}: no operation '{name}'")

        for named in (self.probe, *(one.operation for one in self.prepare)):
            need(named, "probe, prepare")
        for key, operation in self.operations.items():
            need(operation.guard.operation if operation.guard else None, f"operations.{key}.guard")
            need(operation.lookup, f"operations.{key}.lookup")
            need(operation.ask.operation if operation.ask else None, f"operations.{key}.ask")
            if operation.flow:
                need(operation.flow.lookup, f"operations.{key}.flow.lookup")
                for step in operation.flow.steps:
                    need(step.operation, f"operations.{key}.flow.steps")
        for read in self.sign_in.steps if self.sign_in else ():
            need(read.operation, "sign_in.steps")
        for key, message in self.messages.items():
            need(message.hydrate.operation if message.hydrate else None, f"messages.{key}.hydrate")
        for key, source in self.events.items():
            need(source.operation, f"events.{key}.operation")
            if source.door == "poll" and source.operation is None:
                wrong.append(f"events.{key}: a poll needs an operation")
            if source.door == "hook" and source.verify is None:
                wrong.append(f"events.{key}: a hook needs verify (fail closed)")
            wrong += [f"events.{key}: no message '{name}'" for name in source.messages if name not in self.messages]
            if source.whole and source.operation in self.operations:
                joined = self.operations[source.operation].together
                told = [self.messages[one].dedupe for one in source.messages if one in self.messages]
                wrong += terms.unfit_whole(f"events.{key}", joined, told)
        keys = [field.key for field in self.fields]
        wrong += [f"fields: '{key}' twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
        hidden = {field.key for field in self.fields if field.secret}
        wrong += [f"ends: no open field '{self.ends}'"] if self.ends not in {None, *keys} - hidden else []
        fills = set(self.authorise.fills) if self.authorise else set()
        wrong += [f"authorise.fills: no secret field '{key}'" for key in sorted(fills - hidden)]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self
