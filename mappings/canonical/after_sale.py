"""After-sale 售后: refund, return or exchange of an order."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from mappings.canonical.base import Canonical, Id, Moment, Money, Part, Quantity


class AfterSaleKind(StrEnum):
    REFUND = "refund"
    RETURN = "return"
    EXCHANGE = "exchange"
    REPAIR = "repair"


class AfterSaleStatus(StrEnum):
    REQUESTED = "requested"  # the seller must answer
    ACCEPTED = "accepted"  # the buyer must send goods back
    RETURNING = "returning"  # goods on their way to the seller
    REFUSED = "refused"
    DONE = "done"  # refunded or exchanged
    CLOSED = "closed"  # withdrawn


class AfterSaleLine(Part):
    order_line_id: Id | None = None
    sku: str | None = None
    quantity: Quantity | None = None
    amount: Money | None = None


class AfterSale(Canonical):
    REFS: ClassVar[dict[str, str]] = {"order_id": "order"}

    kind: AfterSaleKind
    status: AfterSaleStatus
    order_id: Id
    phase: str | None = None
    reason: str | None = None
    note: str | None = None
    currency: str = "CNY"
    amount: Money | None = None
    requested_at: Moment | None = None
    answer_before: Moment | None = None
    carrier_code: str | None = None
    tracking_number: str | None = None
    lines: list[AfterSaleLine] = Field(default_factory=list)
