"""Order 订单: what a buyer bought, what was paid, where it goes."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from mappings.canonical.base import Canonical, Contact, Id, Identity, Moment, Money, Part, Quantity


class OrderStatus(StrEnum):
    CREATED = "created"  # placed, not paid
    PAID = "paid"  # paid, to be shipped
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CLOSED = "closed"  # cancelled or fully refunded


class RefundStatus(StrEnum):
    """What a line's refund means for its goods. Absent: nothing does."""

    OPEN = "open"  # asked for or under way: not to be shipped for now
    REFUNDED = "refunded"  # the whole line is paid back: never to be shipped


class Buyer(Part):
    """The person who bought; names and phones are usually masked by the vendor."""

    id: Id | None = None
    nick: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    identities: list[Identity] = Field(default_factory=list)


class OrderLine(Part):
    """One line; amounts in the order's currency, ``paid`` is after every discount."""

    id: Id
    sku: str | None = None
    sku_id: Id | None = None
    product_id: Id | None = None
    title: str | None = None
    spec: str | None = None
    quantity: Quantity
    unit: str | None = None
    unit_price: Money | None = None
    discount: Money | None = None
    total: Money | None = None
    paid: Money | None = None
    tax_rate: Quantity | None = None
    status: str | None = None
    refund_status: RefundStatus | None = None


class Payment(Part):
    id: Id | None = None
    method: str | None = None
    amount: Money
    paid_at: Moment | None = None


class Order(Canonical):
    """An order. ``hold`` true means: paid, but shipping is forbidden for now."""

    REFS: ClassVar[dict[str, str]] = {"customer_id": "customer"}

    status: OrderStatus
    hold: bool = False
    hold_reason: str | None = None
    kind: str | None = None
    shop: str | None = None
    currency: str = "CNY"
    goods_total: Money | None = None
    discount_total: Money | None = None
    freight: Money | None = None
    total: Money
    paid_at: Moment | None = None
    shipped_at: Moment | None = None
    completed_at: Moment | None = None
    ship_before: Moment | None = None
    customer_id: Id | None = None
    buyer: Buyer | None = None
    receiver: Contact | None = None
    lines: list[OrderLine] = Field(default_factory=list)
    payments: list[Payment] = Field(default_factory=list)
    buyer_note: str | None = None
    seller_note: str | None = None
    seller_flag: str | None = None
    document_status: str | None = None
