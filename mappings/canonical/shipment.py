"""Shipment 发货: what left the warehouse for which order."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from mappings.canonical.base import Canonical, Contact, Id, Moment, Part, Quantity


class ShipmentStatus(StrEnum):
    CREATED = "created"
    SHIPPED = "shipped"
    SIGNED = "signed"
    CANCELLED = "cancelled"


class ShipmentLine(Part):
    id: Id | None = None
    order_line_id: Id | None = None
    sku: str | None = None
    quantity: Quantity


class Shipment(Canonical):
    """A parcel. ``order_id`` is the order's id in the system that reports the shipment."""

    REFS: ClassVar[dict[str, str]] = {"order_id": "order"}

    status: ShipmentStatus
    order_id: Id
    carrier_code: str | None = None
    carrier_name: str | None = None
    tracking_number: str | None = None
    shipped_at: Moment | None = None
    signed_at: Moment | None = None
    receiver: Contact | None = None
    lines: list[ShipmentLine] = Field(default_factory=list)
