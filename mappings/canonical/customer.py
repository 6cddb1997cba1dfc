"""Customer 客户: a person or company we sell to, with every identity we know."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from mappings.canonical.base import Address, Canonical, Id, Identity, Moment, Part


class CustomerKind(StrEnum):
    PERSON = "person"
    COMPANY = "company"


class LastOrder(Part):
    """The newest order of a customer, as CRMs show it."""

    id: Id | None = None
    number: str | None = None
    status: str | None = None
    tracking_number: str | None = None
    at: Moment | None = None


class Customer(Canonical):
    """A customer. ``owner`` is the id of the employee who looks after them, in the source system."""

    name: str
    short_name: str | None = None
    kind: CustomerKind = CustomerKind.PERSON
    gender: str | None = None
    phone: str | None = None
    email: str | None = None
    company: str | None = None
    tax_number: str | None = None
    address: Address | None = None
    identities: list[Identity] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    level: str | None = None
    owner: str | None = None
    channel: str | None = None
    note: str | None = None
    status: str | None = None
    last_order: LastOrder | None = None
