"""What every canonical model shares: strict shapes, exact money, aware time, string ids."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field


def _text(value: Any) -> Any:
    """Ids arrive as numbers above 2^53 from many vendors; we keep the exact digits as text."""
    if isinstance(value, bool):
        raise ValueError("an id is text, not a boolean")
    return str(value) if isinstance(value, int) else value


Id = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=200)]
"""A record's id in the system it comes from, always text."""

Money = Annotated[Decimal, Field(max_digits=24, decimal_places=10)]
"""An amount in major units (yuan, dollars) of the model's ``currency``."""

Quantity = Annotated[Decimal, Field(max_digits=24, decimal_places=10)]
Moment = AwareDatetime


class Part(BaseModel):
    """A nested piece of a canonical model."""

    model_config = ConfigDict(extra="forbid")


class Identity(Part):
    """One way a person is known somewhere; ``kind`` is a slug such as ``unionid`` or ``phone``."""

    kind: str = Field(min_length=1, max_length=60)
    value: str = Field(min_length=1, max_length=200)


class Address(Part):
    """A postal address; vendors mask ``street``, so it may hold asterisks."""

    country: str | None = None
    province: str | None = None
    city: str | None = None
    district: str | None = None
    town: str | None = None
    street: str | None = None
    zip: str | None = None


class Contact(Part):
    """Whom a parcel goes to. ``cipher`` carries a vendor's token for the unmasked data (OAID)."""

    name: str | None = None
    phone: str | None = None
    address: Address | None = None
    cipher: str | None = None


class Canonical(BaseModel):
    """A record in our one shape.

    ``id`` is the id in the source system, ``number`` what people read on paper, ``updated_at`` the
    source's own modification time (newest wins), ``extra`` what a site adds beyond the model.
    """

    model_config = ConfigDict(extra="forbid")

    REFS: ClassVar[dict[str, str]] = {}
    """Field path -> entity it points to, in the *source* system's id space; links translate it."""

    id: Id
    number: str | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


__all__ = ["Address", "Canonical", "Contact", "Id", "Identity", "Moment", "Money", "Part", "Quantity"]
