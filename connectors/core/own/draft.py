"""What an importer makes: a declaration in the short form, and what a person should know before keeping it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from connectors.core.own import brief

_ENTITIES = (
    ("after_sale", ("refund", "return", "aftersale", "after_sale", "after-sale")),
    ("shipment", ("shipment", "parcel", "shipping", "delivery", "deliveries", "logistics", "waybill")),
    ("inventory", ("inventory", "inventories", "stock")),
    ("order", ("order", "trade")),
    ("customer", ("customer", "contact", "member", "buyer", "client")),
    ("product", ("product", "goods", "sku", "item")),
    ("message", ("message", "notification")),
    ("approval", ("approval",)),
)


@dataclass(frozen=True, slots=True)
class Offer:
    """An operation that could be taken."""

    key: str
    method: str
    path: str
    summary: str
    taken: bool


@dataclass(slots=True)
class Draft:
    """``spec`` is the declaration as data; ``remarks`` are (zh, en); ``secrets`` values by field, never in ``spec``."""

    spec: dict[str, Any]
    offers: list[Offer] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


def slug(text: str, fallback: str = "api") -> str:
    """Lower-case letters, digits and underscores, beginning with a letter."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    made = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
    made = re.sub(r"^[0-9_]+", "", made)
    return made[:40].strip("_") or fallback


def entity(words: Iterable[str]) -> str | None:
    """The business object that a path or tag speaks of, where a word says so; the last word counts most."""
    for text in reversed([*words]):
        plain = text.lower()
        for name, known in _ENTITIES:
            if any(word in plain for word in known):
                return name
    return None


def named(identifier: str | None, title: str, host: str) -> str:
    """The id of a drafted declaration."""
    return identifier or slug(title, slug(host))


def top(identifier: str, label: str, base_url: str) -> dict[str, Any]:
    """The head of a declaration."""
    words = label[:80] or identifier
    return {"apiVersion": brief.VERSION, "id": identifier, "label": {"zh": words, "en": words}, "base_url": base_url}
