"""The schema of a mapping file: one declaration read in both directions.

A rule pairs a ``native`` path (the vendor's record) with a ``canonical`` path (ours) and a codec that
turns one into the other and back. ``from`` means native -> canonical, ``to`` canonical -> native. What
cannot be inverted (constants, context, expressions, conditions) is one-way: give only the side that is
written, or say ``way``. Strings beginning with ``@`` in ``value`` and ``default`` read the context
(``@config.org_number``); ``@@`` writes a plain ``@``.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PathText = Annotated[str, Field(min_length=1, max_length=200)]
Scalar = str | int | bool | Decimal
Part = Literal["country", "province", "city", "district", "town", "street", "zip"]

CODECS = (
    "text", "number", "money", "datetime", "enum", "boolean", "split", "join", "address", "json",
)  # fmt: skip
"""Every codec there is. The list is closed: each one inverts and is bounded."""


class Way(StrEnum):
    FROM = "from"
    TO = "to"
    BOTH = "both"


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Rule(_Piece):
    """One field, list or object. What may stand together is said in ``coherence``."""

    native: PathText | None = None
    canonical: PathText | None = None
    way: Way = Way.BOTH
    note: str | None = None
    """Words for the next reader; no effect."""

    # what is written, when it is not simply the other side
    value: Any = None
    """A constant, or context by ``@``. Without a codec it is written as it is."""
    expr: str | None = None
    """An expression over the side that is read; the codec, when given, is applied to its result."""

    # when
    when: str | None = None
    when_absent: bool = False
    """Only when the target has not been set by a rule above."""
    only: str | None = None
    """With ``each``: take only the elements for which this expression holds."""
    default: Any = None
    """Used when the value is missing; in canonical terms, or context by ``@``."""
    required: bool = False
    null_when_absent: bool = False
    """To native: write null instead of leaving the member out."""
    absent: list[Scalar] = Field(default_factory=list)
    """Native values that mean "nothing here" (``0``, ``"0000-00-00 00:00:00"``)."""

    # nesting
    each: list[Rule] | None = None
    """Rules for every element of a list; their paths are relative to the element."""
    inside: list[Rule] | None = None
    """Rules for the members of an object; with ``codec: json`` the object travels as JSON text."""

    # codec and its options
    codec: (
        Literal["text", "number", "money", "datetime", "enum", "boolean", "split", "join", "address", "json"] | None
    ) = None
    native_type: Literal["string", "number", "integer"] | None = Field(default=None, alias="as")
    """How the native side writes it."""
    trim: bool = False
    unit: Literal["yuan", "fen"] | None = None
    """Money: major units (yuan, dollars) or hundredths (fen, cents)."""
    places: int | None = Field(default=None, ge=0, le=10)
    rounding: Literal["exact", "half_up", "half_even"] = "exact"
    """What to do with more decimals than ``places``: ``exact`` refuses."""
    format: str | list[str] | None = None
    """Datetime: strftime pattern, ``unix_s``, ``unix_ms`` or ``iso``; of a list the first is written."""
    zone: str | None = None
    table: str | None = None
    yes: Scalar | list[Scalar] | None = Field(default=None, alias="true")
    no: Scalar | list[Scalar] | None = Field(default=None, alias="false")
    by: str | None = Field(default=None, min_length=1, max_length=10)
    style: Literal["structured", "joined"] | None = None
    separator: str | None = Field(default=None, max_length=10)
    parts: list[Part] | dict[Part, str] | None = None
    """Address: which parts, in order (joined), or part -> native member (structured)."""

    @property
    def reads(self) -> bool:
        """Whether the rule works from native to canonical."""
        return self.way is not Way.TO

    @property
    def writes(self) -> bool:
        """Whether the rule works from canonical to native."""
        return self.way is not Way.FROM

    @property
    def fixed(self) -> bool:
        """Whether the value comes from a constant, the context or an expression."""
        return self.expr is not None or "value" in self.model_fields_set

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, data: Any) -> Any:
        """A constant or expression that names one side only is read in that direction."""
        if isinstance(data, dict) and "way" not in data and ("value" in data or "expr" in data):
            if "native" in data and "canonical" not in data:
                return {**data, "way": "to"}
            if "canonical" in data and "native" not in data:
                return {**data, "way": "from"}
        return data


class Table(_Piece):
    """An enum table. ``to`` may be left out where the inverse of ``from`` is unique."""

    to_canonical: dict[Scalar, Scalar] = Field(default_factory=dict, alias="from")
    to_native: dict[Scalar, Scalar] = Field(default_factory=dict, alias="to")
    default_from: Scalar | None = None
    default_to: Scalar | None = None


class Example(_Piece):
    """One entry of ``tests:``. ``out`` is compared as a subset: what it does not name may be anything."""

    name: str
    way: Literal["from", "to"]
    sample: str | None = None
    """File in connectors/<connector>/samples/."""
    at: PathText = "."
    """Where in the sample the record is."""
    given: Any = Field(default=None, alias="in")
    context: dict[str, Any] = Field(default_factory=dict)
    out: Any = None
    without: list[PathText] = Field(default_factory=list)
    """Paths that must not be in the result."""
    error: str | None = None
    """Instead of ``out``: a part of the error's text."""

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if (self.sample is None) == (self.given is None):
            raise ValueError("a test needs exactly one of sample and in")
        if (self.out is None) == (self.error is None):
            raise ValueError("a test needs exactly one of out and error")
        return self


class Spec(_Piece):
    """A whole mapping file."""

    apiVersion: Literal["shuniu/mapping/v1"]
    connector: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    entity: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    note: str | None = None
    rules: Annotated[list[Rule], Field(min_length=1, max_length=500)]
    tables: dict[str, Table] = Field(default_factory=dict)
    tests: list[Example] = Field(default_factory=list)


def schema() -> dict[str, Any]:
    """JSON Schema of a mapping file, for editors."""
    return Spec.model_json_schema(by_alias=True)


__all__ = ["CODECS", "Example", "Rule", "Scalar", "Spec", "Table", "Way", "schema"]
