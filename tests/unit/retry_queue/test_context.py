"""What a delivery's mapping may read beside the record itself: choosing, without the database."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from connectors.core import model, registry
from retry_queue.ledger import lane, records
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import context, meaning, route, site


def known(number: int, key: str, entity: str = "order", canonical: Any = None, **more: Any) -> records.Known:
    given: dict[str, Any] = {field.name: None for field in dataclasses.fields(records.Known)}
    text = None if canonical is None else orjson.dumps(canonical).decode()
    return records.Known(**given | {
        "id": number, "connection_key": key, "entity": entity, "record": f"{key}-{number}", "link_id": 1, "hop": 0,
        "canonical": text,
    } | more)  # fmt: skip


def job(entity: str, canonical: dict[str, Any], *, template: bool = False, means: Any = None) -> context.Job:
    fields = dict.fromkeys(lane.ClaimedDelivery.__dataclass_fields__)
    delivery = lane.ClaimedDelivery(
        **fields | {"entity": entity, "kind": "act", "link_id": 1, "position": 0, "stage": 0}
    )  # type: ignore[arg-type]
    live = site.Live("k3", "http", ConnectionState.ENABLED, None, None)
    target = route.Target(connection="k3", operation="put")
    words = route.Template(key="t", text="x", recipients=["y"]) if template else None
    return context.Job(delivery, live, target, "put", means, words, canonical)


def means(reads: set[str], roots: set[str], needs: set[str] | None = None) -> Any:
    made = object.__new__(meaning.Meaning)
    for name, value in {
        "mapping": None,
        "name": "m",
        "reads": frozenset(reads),
        "roots": frozenset(roots),
        "shared": (),
        "needs": frozenset(needs or ()),
    }.items():
        object.__setattr__(made, name, value)
    return made


def test_the_member_of_a_link_is_the_newest_of_that_connection_and_entity() -> None:
    group = [known(1, "shop"), known(2, "k3"), known(3, "k3", "shipment"), known(4, "k3")]
    found = context.member(group, "k3", "order")
    assert found is not None
    assert found.id == 4
    assert context.member(group, "crm", "order") is None


def test_the_snapshot_is_what_the_first_reporter_tells() -> None:
    group = [
        known(1, "k3"),
        known(2, "shop", canonical={"id": "T1", "lines": [1]}),
        known(3, "crm", canonical={"id": "9"}),
    ]
    assert context.snapshot(group) == {"id": "T1", "lines": [1]}
    assert context.snapshot([known(1, "k3")]) is None


def test_only_references_that_are_read_are_fetched() -> None:
    shipment = {"id": "S1", "order_id": "T1"}
    assert job("shipment", shipment, means=means({"id"}, set())).refs() == []
    wanted = [("order_id", "order", "T1")]
    assert job("shipment", shipment, means=means({"order_id"}, set())).refs() == wanted
    assert job("shipment", shipment, means=means({"id"}, {"order"})).refs() == wanted
    assert job("shipment", shipment, means=means({"id"}, {"customer"})).refs() == wanted
    assert job("shipment", shipment, template=True).refs() == wanted
    assert job("shipment", {"id": "S1", "order_id": None}, template=True).refs() == []
    assert job("nonsense", shipment, template=True).refs() == []


def test_the_order_of_another_shop_is_not_shipped_here() -> None:
    """An ERP shipped for three shops; a mapping that also read the joined order sent each order's id to all of them."""
    shipment = {"id": "S1", "order_id": "SO-1"}
    ref = ("k3", "order", "SO-1")
    ours, theirs = known(1, "k3"), known(2, "shop-a", canonical={"id": "T1", "lines": []})

    def filled(target: str, **more: Any) -> context.Job:
        made = job("shipment", dict(shipment), means=means({"order_id"}, {"order"}, **more))
        made.delivery = dataclasses.replace(made.delivery, source_key="k3", connection_key=target, event_id=1)
        context._fill(made, {ref: ours}, {1: [ours, theirs]})
        return made

    assert filled("shop-b", needs={"order_id"}).missing == ["order SO-1"]
    here = filled("shop-a", needs={"order_id"})
    assert (here.missing, here.canonical["order_id"]) == ([], "shop-a-2")
    told = filled("crm")
    assert (told.missing, told.scope["order"]["lines"]) == ([], []), "who only tells of an order needs no id of it"


def test_a_template_may_read_everything() -> None:
    assert job("order", {}, template=True).wants("contact")
    assert not job("order", {}).wants("contact")
    assert job("order", {}, means=means(set(), {"contact"})).wants("contact")


def test_a_message_that_overtakes_the_link_of_our_own_write_waits_for_it() -> None:
    """A shipment came before the ERP order was bound: nobody was found to tell, and 42 messages were skipped."""
    shipment = {"id": "S1", "order_id": "T1"}
    ref = ("k3", "order", "T1")

    def asked(found: dict[records.Ref, records.Known], groups: dict[int, list[records.Known]], **scope: Any) -> Any:
        made = job("shipment", shipment, template=True)
        made.delivery = dataclasses.replace(made.delivery, source_key="k3")
        made.scope |= scope
        context.await_links(made, found, groups)
        return made.awaited

    ours, theirs = known(1, "k3"), known(2, "shop")
    assert asked({}, {}) == ["order T1"]
    assert asked({ref: ours}, {1: [ours]}) == ["order T1"]
    assert asked({ref: ours}, {1: [ours, theirs]}) == []
    assert asked({}, {}, contact={"id": "x"}) == []


def test_an_idempotency_key_belongs_to_one_delivery_and_to_no_number_of_the_ledger() -> None:
    one = job("order", {}).delivery
    one.trace, one.route_key, one.position, one.id, one.attempt = "t1", "r", 0, 7, 1
    first = context.key(one)
    one.id, one.event_id, one.attempt = 99, 98, 5
    assert context.key(one) == first
    assert len(first) == 36
    others = [("t2", "r", 0), ("t1", "s", 0), ("t1", "r", 1)]
    for trace, route_key, position in others:
        one.trace, one.route_key, one.position = trace, route_key, position
        assert context.key(one) != first


def test_nobody_waits_for_a_counterpart_that_cannot_be() -> None:
    def live(connector: str) -> site.Live:
        opened = model.Connection("t", registry.get(connector), {}, {})
        return site.Live("t", connector, ConnectionState.ENABLED, opened, None)

    assert not context.possible(live("feishu"), "order")
    assert context.possible(live("feishu"), "approval")
    assert context.possible(live("kingdee"), "order")
    assert context.possible(live("http"), "order"), "the connection names the entity"
    assert context.possible(site.Live("t", "http", ConnectionState.ENABLED, None, None), "order")
    one = job("after_sale", {"order_id": "T1"}, means=means({"order_id"}, set()))
    one.live = live("feishu")
    assert one.refs() == []
    one.live = live("kingdee")
    assert one.refs() == [("order_id", "order", "T1")]
