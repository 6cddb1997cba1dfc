"""What a mapping touches, read from its rules."""

from __future__ import annotations

from mappings import library
from retry_queue.sync import echo, meaning


def of(rules: str, entity: str = "order") -> meaning.Meaning:
    text = f"apiVersion: shuniu/mapping/v1\nconnector: http\nentity: {entity}\nrules:\n{rules}"
    return meaning.of(library.parse(text, "test.yaml"), "http/test@1")


BASE = """  - {native: id, canonical: id, required: true}
  - {native: status, canonical: status, required: true}
  - {native: total, canonical: total, codec: money, unit: yuan, as: string}
"""


def test_shared_is_what_travels_both_ways() -> None:
    found = of(
        BASE + "  - {native: memo, canonical: buyer_note, way: from}\n  - {native: shop, canonical: shop, way: to}\n"
    )
    assert found.shared == ("status", "total")
    assert {"id", "status", "total", "shop"} <= found.reads
    assert "buyer_note" not in found.reads


def test_lines_and_inner_objects_are_leaf_paths() -> None:
    found = of(
        BASE
        + """  - {native: addr.city, canonical: receiver.address.city}
  - native: rows
    canonical: lines
    each:
      - {native: sku, canonical: sku}
      - {native: qty, canonical: quantity, codec: number}
"""
    )
    assert {"receiver.address.city", "lines.sku", "lines.quantity"} <= set(found.shared)
    assert {"receiver", "lines"} <= found.reads


def test_expressions_and_roots_tell_what_to_fetch() -> None:
    found = of(
        BASE
        + """  - {native: FNote, expr: '"单号 " + number + shop', way: to}
  - {native: FOrg, value: "@config.org", way: to}
  - {native: FCust, value: "@contact.id", way: to}
  - {native: kept, canonical: shop, way: from}
"""
    )
    assert {"number", "shop"} <= found.reads
    assert found.roots == {"config", "contact"}


def test_what_must_be_written_is_needed_and_what_stands_in_is_not() -> None:
    rules = """  - {native: tid, canonical: order_id, required: true}
  - {native: no, value: "@order.number", way: to}
  - {native: no, canonical: number, way: to, when_absent: true, required: true}
  - {native: sid, canonical: tracking_number}
  - {native: state, canonical: status, way: from, required: true}
"""
    assert of(rules, "shipment").needs == {"order_id"}


def test_every_shipped_mapping_can_be_read_and_shares_nothing_the_other_side_gives_itself() -> None:
    for connector, name in library.names():
        found = meaning.of(library.shipped(connector, name), f"{connector}/{name}")
        for path in found.shared:
            assert path.partition(".")[0] not in echo.UNCOMPARED
            assert path.partition(".")[0] in found.reads
