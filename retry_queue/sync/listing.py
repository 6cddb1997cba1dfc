"""Listings 在售商品: which product and SKU of a target a stock level is about.

A warehouse knows goods by the merchant's own code, a shop wants its own ids. Every product that was read keeps the
codes of its SKUs as marks (``ledger.mentions``), so that a level finds the shop's ids without a person's help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import mentions, records, secrets

PRODUCT = "product"
STOCK = "inventory"
CODE = "~sku"
"""The kind of mark; like all that begin so it identifies nobody."""
IDS = frozenset({"product_id", "sku_id"})


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is known of the listings that a batch asks for."""

    found: Mapping[tuple[str, str], tuple[str, str | None]]
    """(connection key, code) -> (product id, SKU id)."""
    stocked: frozenset[str]
    """Connections of which any product is known."""


def codes(product: Mapping[str, Any]) -> dict[str, str | None]:
    """Merchant's code -> SKU id; a product without variants goes by its number."""
    skus = product.get("skus") or ()
    listed = {str(one["code"]): one.get("id") for one in skus if one.get("code")}
    return listed or ({str(product["number"]): None} if not skus and product.get("number") else {})


def marks(sealer: secrets.Sealer, connection_key: str, product: Mapping[str, Any]) -> list[mentions.Mark]:
    """What a product is found by."""
    return [_mark(sealer, connection_key, code) for code in codes(product)]


def _mark(sealer: secrets.Sealer, connection_key: str, code: str) -> mentions.Mark:
    return CODE, sealer.digest(CODE, f"{connection_key}/{code}")


async def find(connection: AsyncConnection, sealer: secrets.Sealer, wanted: Sequence[tuple[str, str]]) -> Shelf:
    """The listings of (connection key, code)s. Of several with one code the newest that is on sale counts."""
    asked = {_mark(sealer, *one): one for one in wanted}
    rows = await mentions.by(connection, asked)
    known = await records.rows(connection, {row for those in rows.values() for row in those})
    found: dict[tuple[str, str], tuple[str, str | None]] = {}
    for mark, those in rows.items():
        best: tuple[bool, int] = (False, 0)
        for row in sorted(those & known.keys()):
            product = orjson.loads(known[row].canonical or "{}")
            listed, rank = codes(product), (product.get("status") == "active", row)
            code = asked[mark][1]
            if code in listed and rank > best:
                best, found[asked[mark]] = rank, (known[row].record, listed[code])
    stocked = await records.holding(connection, {(key, PRODUCT) for key, _ in wanted})
    return Shelf(found, frozenset(key for key, _ in stocked))
