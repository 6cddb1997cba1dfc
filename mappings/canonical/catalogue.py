"""Product 商品 and inventory level 库存."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from mappings.canonical.base import Canonical, Id, Money, Part, Quantity


class ProductStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    DELETED = "deleted"


class Sku(Part):
    id: Id | None = None
    code: str | None = None
    barcode: str | None = None
    spec: str | None = None
    price: Money | None = None
    quantity: Quantity | None = None
    status: ProductStatus = ProductStatus.ACTIVE


class Product(Canonical):
    """Something sold, with its variants."""

    title: str
    status: ProductStatus = ProductStatus.ACTIVE
    unit: str | None = None
    category: str | None = None
    currency: str = "CNY"
    price: Money | None = None
    skus: list[Sku] = Field(default_factory=list)


class InventoryLevel(Canonical):
    """Stock of one SKU in one place; ``available`` is what may be sold. ``id`` is sku[@warehouse]."""

    sku: str
    sku_id: Id | None = None
    product_id: Id | None = None
    warehouse: str | None = None
    available: Quantity
    on_hand: Quantity | None = None
    reserved: Quantity | None = None
    unit: str | None = None
