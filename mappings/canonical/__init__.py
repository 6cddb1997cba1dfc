"""The canonical models 标准模型: one shape per entity, spoken by every room above."""

from mappings.canonical.after_sale import AfterSale
from mappings.canonical.base import Canonical
from mappings.canonical.catalogue import InventoryLevel, Product
from mappings.canonical.customer import Customer
from mappings.canonical.message import Approval, Message
from mappings.canonical.order import Order
from mappings.canonical.shipment import Shipment

MODELS: dict[str, type[Canonical]] = {
    "order": Order,
    "shipment": Shipment,
    "customer": Customer,
    "product": Product,
    "inventory": InventoryLevel,
    "after_sale": AfterSale,
    "message": Message,
    "approval": Approval,
}
"""Entity slug -> its canonical model."""

__all__ = ["MODELS", "Canonical"]
