"""Products of the simulated store: one product with every SKU of the invented world as a variant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.shopify.simulated import store
from connectors.simulator import world

Record = dict[str, Any]
PRODUCT = "632910392"


class Goods:
    """``stock`` is the store's, by inventory item."""

    def __init__(self, folk: world.World, now: Callable[[], float], stock: dict[str, int]) -> None:
        self.skus, self.stock, self.now = folk.skus, stock, now
        self.changed = self.made = store.moment(now())

    def product(self, given: Record) -> Record | None:
        return self._shown() if str(given["id"]).rpartition("/")[2] == PRODUCT else None

    def list_rows(self, given: Record) -> Record:
        return store.page([self._shown()], given)

    def _shown(self) -> Record:
        variants = [
            {
                "sku": one.code, "barcode": None, "title": one.spec, "price": f"{one.price:.2f}",
                "inventoryQuantity": self.stock[str(store.ITEM + one.index)],
                "inventoryItem": {"legacyResourceId": str(store.ITEM + one.index)},
            }
            for one in self.skus
        ]  # fmt: skip
        return {
            "legacyResourceId": PRODUCT, "title": "明前龙井", "status": "ACTIVE", "productType": "茶叶",
            "createdAt": self.made, "updatedAt": self.changed, "variants": {"nodes": variants},
        }  # fmt: skip

    def touch(self) -> Record:
        """Somebody edits the product; what the webhook says."""
        self.changed = store.moment(self.now())
        return {"id": int(PRODUCT), "title": "明前龙井", "status": "active", "updated_at": self.changed}
