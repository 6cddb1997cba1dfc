"""One simulated store: orders and their fulfilment orders, stock by location, refunds, as GraphQL shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.simulator import world

Record = dict[str, Any]
FIRST, LOCATION, ITEM = 820982911946154508, "487838322", 39072856
SECOND = "487838323"
"""Another place of this store that has stock of everything."""


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def page(rows: list[Record], given: Record) -> Record:
    """Rows changed in the time of ``q`` (``updated_at:>='…' updated_at:<='…'``), in that order."""
    begin, end = (part.split("'")[1] for part in str(given["q"]).split(" updated_at:"))
    rows = [one for one in rows if begin <= one["updatedAt"] <= end and _sought(one, str(given["q"]))]
    rows.sort(key=lambda one: (one["updatedAt"], one["legacyResourceId"]))
    first, size = int(given.get("after") or 0), min(int(given["n"]), 250)
    more = first + size < len(rows)
    return {"pageInfo": {"hasNextPage": more, "endCursor": str(first + size)}, "nodes": rows[first : first + size]}


def _sought(row: Record, text: str) -> bool:
    """Whether an order is one that the search is about."""
    if "-return_status:no_return" in text and row["returnStatus"] == "NO_RETURN":
        return False
    paid = {part.split(":")[1].strip(")").upper() for part in text.split() if "financial_status:" in part}
    return not paid or row["displayFinancialStatus"] in paid


def _money(amount: Decimal) -> Record:
    return {"shopMoney": {"amount": f"{amount:.1f}", "currencyCode": "CNY"}}


class Store:
    """State and rules. ``tell(topic, body)`` sends a webhook; ``commit`` journals an effect."""

    def __init__(
        self,
        people: world.World,
        now: Callable[[], float],
        commit: Callable[[str, str, Any], object],
        tell: Callable[[str, Record], None],
    ) -> None:
        self.people, self.now, self.commit, self.tell = people, now, commit, tell
        self.orders: dict[str, Record] = {}
        self.hooks: dict[str, str] = {}
        self.refunds = 0
        self.keys: dict[str, tuple[str, Record]] = {}
        self.stock = {str(ITEM + sku.index): 100 for sku in people.skus}
        self.far = dict.fromkeys(self.stock, 7)
        self.stock_at = moment(now())

    def place(
        self, person: world.Person, skus: list[world.Sku], count: int, away: Mapping[str, int] | None = None
    ) -> Record:
        """A paid order. ``away``: SKU -> how many pieces of it the second location sends."""
        number, now = str(FIRST + len(self.orders)), moment(self.now())
        lines = [self._line(sku, count, int(number) + 1 + place) for place, sku in enumerate(skus)]
        goods = sum((sku.price * count for sku in skus), Decimal(0))
        paid = {
            "id": f"gid://shopify/OrderTransaction/{number}",
            "kind": "SALE",
            "status": "SUCCESS",
            "gateway": "alipay",
        }
        order: Record = {
            "legacyResourceId": number,
            "name": f"#{1001 + len(self.orders)}",
            "createdAt": now,
            "updatedAt": now,
            "processedAt": now,
            "cancelledAt": None,
            "closedAt": None,
            "displayFinancialStatus": "PAID",
            "displayFulfillmentStatus": "UNFULFILLED",
            "returnStatus": "NO_RETURN",
            "note": None,
            "currencyCode": "CNY",
            "totalPriceSet": _money(goods),
            "totalDiscountsSet": _money(Decimal(0)),
            "totalShippingPriceSet": _money(Decimal(0)),
            "customer": {
                "legacyResourceId": str(207119551 + person.index),
                "displayName": person.name,
                "email": person.email,
                "phone": f"+86{person.phone}",
            },
            "shippingAddress": {
                "name": person.name,
                "phone": f"+86{person.phone}",
                "country": "China",
                "province": person.address.province,
                "city": person.address.city,
                "address1": person.address.street,
                "address2": "",
                "zip": person.address.zip,
            },
            "transactions": [{**paid, "processedAt": now, "amountSet": _money(goods)}],
            "lineItems": {"pageInfo": {"hasNextPage": False}, "nodes": lines},
            "fulfillments": [],
            "refunds": [],
            "returns": {"nodes": []},
            "fulfillmentOrders": {"nodes": _documents(number, lines, away or {})},
        }
        self.orders[number] = order
        self.tell("orders/create", {"id": int(number), "name": order["name"], "updated_at": now})
        return order

    def _line(self, sku: world.Sku, count: int, number: int) -> Record:
        return {
            "id": f"gid://shopify/LineItem/{number}",
            "sku": sku.code,
            "title": sku.title,
            "variantTitle": sku.spec,
            "quantity": count,
            "currentQuantity": count,
            "originalUnitPriceSet": _money(sku.price),
            "discountAllocations": [],
            "variant": {"legacyResourceId": str(49148385 + sku.index)},
            "product": {"legacyResourceId": "632910392"},
        }

    def hold(self, number: str, held: bool) -> Record:
        order = self.orders[number]
        order["displayFulfillmentStatus"] = "ON_HOLD" if held else "UNFULFILLED"
        for one in order["fulfillmentOrders"]["nodes"]:
            one["status"] = "ON_HOLD" if held else "OPEN"
        return self.changed(order)

    def changed(self, order: Record) -> Record:
        """The order changed: its time moves on, and a webhook says so."""
        order["updatedAt"] = moment(self.now())
        self.tell("orders/updated", {"id": int(order["legacyResourceId"]), "updated_at": order["updatedAt"]})
        return order

    def refund(self, number: str) -> Record:
        """The seller refunds the first line in full, over there."""
        line = self.orders[number]["lineItems"]["nodes"][0]
        amount = Decimal(line["originalUnitPriceSet"]["shopMoney"]["amount"]) * line["currentQuantity"]
        wanted = [{"lineItemId": line["id"], "quantity": line["currentQuantity"], "restockType": "RETURN"}]
        return self.refunded(number, amount, {"note": "不想要了", "refundLineItems": wanted})

    def refunded(self, number: str, amount: Decimal, wish: Record) -> Record:
        """What a refund leaves behind, and its webhook."""
        order, now = self.orders[number], moment(self.now())
        lines = {one["id"]: one for one in order["lineItems"]["nodes"]}
        rows = []
        for one in wish.get("refundLineItems") or []:
            line = lines[one["lineItemId"]]
            line["currentQuantity"] -= one["quantity"]
            price = Decimal(line["originalUnitPriceSet"]["shopMoney"]["amount"])
            rows.append({
                "line_item_id": int(line["id"].split("/")[4]), "quantity": one["quantity"],
                "restock_type": one["restockType"].lower(), "subtotal": float(price * one["quantity"]),
                "line_item": {"sku": line["sku"]},
            })  # fmt: skip
        self.refunds += 1
        told = {
            "id": 890088186047892319 + self.refunds, "order_id": int(number), "created_at": now, "processed_at": now,
            "note": wish.get("note"), "refund_line_items": rows,
            "transactions": [{"kind": "refund", "status": "success", "amount": f"{amount:.2f}", "currency": "CNY"}],
        }  # fmt: skip
        order["refunds"].append(_shown(told, lines))
        whole = not any(one["currentQuantity"] for one in order["lineItems"]["nodes"])
        order["displayFinancialStatus"] = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
        self.tell("refunds/create", told)
        self.changed(order)
        return told

    # The API: each takes the variables and gives the root field's value.

    def shop(self, _given: Record) -> Record:
        return {
            "name": "枢纽测试店",
            "myshopifyDomain": "shuniu-demo.myshopify.com",
            "currencyCode": "CNY",
            "ianaTimezone": "Asia/Shanghai",
        }

    def order(self, given: Record) -> Record | None:
        return self.orders.get(str(given["id"]).rpartition("/")[2])

    def one_refund(self, given: Record) -> Record | None:
        number = str(given["id"]).rpartition("/")[2]
        known = {one["legacyResourceId"]: one for order in self.orders.values() for one in order["refunds"]}
        return known.get(number)

    def list_orders(self, given: Record) -> Record:
        return page([*self.orders.values()], given)

    def fulfil(self, given: Record) -> Record:
        """Ships fulfilment orders, whole or by line; what is not open or exceeds what is left is a userError."""
        wish, parts, places = given["f"], [], set()
        groups = wish.get("lineItemsByFulfillmentOrder") or []
        known = {
            one["id"]: (order, one) for order in self.orders.values() for one in order["fulfillmentOrders"]["nodes"]
        }
        if not groups:
            return _refused("At least one fulfillment order is needed.")
        for group in groups:
            id = str(group["fulfillmentOrderId"])
            if id not in known or known[id][1]["status"] not in ("OPEN", "IN_PROGRESS"):
                return _refused(f"The fulfillment order {id.rpartition('/')[2]} is not in an open state.")
            document = known[id][1]
            places.add(document["assignedLocation"]["location"]["id"])
            rows = {one["id"]: one for one in document["lineItems"]["nodes"]}
            listed = group.get("fulfillmentOrderLineItems") or [
                {"id": one["id"], "quantity": one["remainingQuantity"]} for one in rows.values()
            ]
            for one in listed:
                if one["id"] not in rows or rows[one["id"]]["remainingQuantity"] < one["quantity"]:
                    return _refused("Quantity exceeds what is left of the fulfillment order.")
                parts.append((rows[one["id"]], one["quantity"]))
        if len(places) > 1:
            return _refused("All fulfillment orders must be assigned to the same location.")
        for line, quantity in parts:
            line["remainingQuantity"] -= quantity
        order = known[str(groups[0]["fulfillmentOrderId"])][0]
        documents = order["fulfillmentOrders"]["nodes"]
        for one in documents:
            if not any(row["remainingQuantity"] for row in one["lineItems"]["nodes"]):
                one["status"] = "CLOSED"
        whole = all(one["status"] == "CLOSED" for one in documents)
        order["displayFulfillmentStatus"] = "FULFILLED" if whole else "PARTIALLY_FULFILLED"
        number = str(255858046 + sum(len(one["fulfillments"]) for one in self.orders.values()))
        made = {"legacyResourceId": number, "status": "SUCCESS", "createdAt": moment(self.now())}
        order["fulfillments"].append({**made, "trackingInfo": [{"company": None, **wish["trackingInfo"]}]})
        self.commit("fulfillment", f"{order['legacyResourceId']}:{wish['trackingInfo']['number']}", wish)
        self.changed(order)
        return {"fulfillment": {"id": f"gid://shopify/Fulfillment/{number}", "status": "SUCCESS"}, "userErrors": []}

    def retrack(self, given: Record) -> Record:
        """Another waybill for a parcel that was sent."""
        number = str(given["f"]).rpartition("/")[2]
        for order in self.orders.values():
            for one in order["fulfillments"]:
                if one["legacyResourceId"] == number:
                    if one["trackingInfo"] != [{"company": None, **given["t"]}]:
                        one["trackingInfo"] = [{"company": None, **given["t"]}]
                        self.commit("tracking", f"{number}:{given['t']['number']}", given["t"])
                        self.changed(order)
                    return {"fulfillment": {"id": given["f"], "status": "SUCCESS"}, "userErrors": []}
        return _refused("Fulfillment does not exist.")

    def item(self, given: Record) -> Record | None:
        number = str(given["id"]).rpartition("/")[2]
        if number not in self.stock:
            return None
        level, at = None, str(given["at"]).rpartition("/")[2]
        if at in (LOCATION, SECOND):
            there = self.stock[number] if at == LOCATION else self.far[number]
            told = [{"name": name, "quantity": there} for name in ("available", "on_hand")]
            level = {"updatedAt": self.stock_at, "location": {"legacyResourceId": at}, "quantities": told}
        sku = self.people.skus[int(number) - ITEM].code
        product = {"product": {"legacyResourceId": "632910392"}}
        return {"legacyResourceId": number, "sku": sku, "variant": product, "inventoryLevel": level}

    def set_stock(self, given: Record) -> Record:
        """The same key gives the first answer again; with other variables it is refused."""
        key, text = str(given["k"]), json.dumps(given["i"], sort_keys=True)
        if key in self.keys:
            if self.keys[key][0] != text:
                return {
                    "inventoryAdjustmentGroup": None,
                    "userErrors": [
                        _problem("The idempotency key was used before.", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH")
                    ],
                }
            return self.keys[key][1]
        for one in given["i"]["quantities"]:
            number, place = str(one["inventoryItemId"]).rpartition("/")[2], str(one["locationId"]).rpartition("/")[2]
            if number not in self.stock or place != LOCATION:
                return {
                    "inventoryAdjustmentGroup": None,
                    "userErrors": [_problem("The item is not stocked here.", "ITEM_NOT_STOCKED_AT_LOCATION")],
                }
            if "changeFromQuantity" not in one or one["changeFromQuantity"] not in (None, self.stock[number]):
                return {
                    "inventoryAdjustmentGroup": None,
                    "userErrors": [_problem("The quantity has changed.", "CHANGE_FROM_QUANTITY_STALE")],
                }
        for one in given["i"]["quantities"]:
            number = str(one["inventoryItemId"]).rpartition("/")[2]
            self.stock[number], self.stock_at = int(one["quantity"]), moment(self.now())
            self.commit("stock", number, one)
            told = {"inventory_item_id": int(number), "location_id": int(LOCATION), "available": self.stock[number]}
            self.tell("inventory_levels/update", {**told, "updated_at": self.stock_at})
        made = {"inventoryAdjustmentGroup": {"createdAt": self.stock_at}, "userErrors": []}
        self.keys[key] = (text, made)
        return made

    def count(self, number: str, quantity: int) -> Record:
        """Somebody counts an item at the second location."""
        self.far[number] = quantity
        told = {"inventory_item_id": int(number), "location_id": int(SECOND), "available": quantity}
        self.tell("inventory_levels/update", {**told, "updated_at": moment(self.now())})
        return told

    def list_hooks(self, given: Record) -> Record:
        rows = [
            {"id": f"gid://shopify/WebhookSubscription/{n}", "topic": topic, "uri": uri}
            for n, (topic, uri) in enumerate(self.hooks.items())
        ]
        return {"pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": rows}

    def subscribe(self, given: Record) -> Record:
        topic, uri = str(given["t"]), str(given["s"]["uri"])
        if self.hooks.get(topic) == uri:
            told = _problem("Address for this topic has already been taken", None)
            return {"webhookSubscription": None, "userErrors": [told]}
        self.hooks[topic] = uri
        return {"webhookSubscription": {"id": f"gid://shopify/WebhookSubscription/{len(self.hooks)}"}, "userErrors": []}


def _shown(told: Record, lines: Mapping[str, Record]) -> Record:
    """A refund as GraphQL shows it, from what its webhook says."""
    rows = [
        {
            "quantity": one["quantity"], "restockType": one["restock_type"].upper(),
            "subtotalSet": _money(Decimal(str(one["subtotal"]))),
            "lineItem": {"id": (id := f"gid://shopify/LineItem/{one['line_item_id']}"), "sku": lines[id]["sku"]},
        }
        for one in told["refund_line_items"]
    ]  # fmt: skip
    moved = [
        {"kind": one["kind"].upper(), "status": one["status"].upper(), "amountSet": _money(Decimal(one["amount"]))}
        for one in told["transactions"]
    ]
    head = {"id": f"gid://shopify/Refund/{told['id']}", "legacyResourceId": str(told["id"]), "note": told["note"]}
    order = {"legacyResourceId": str(told["order_id"]), "currencyCode": "CNY"}
    dates = {"createdAt": told["created_at"], "updatedAt": told["processed_at"]}
    return {**head, **dates, "order": order, "refundLineItems": {"nodes": rows}, "transactions": {"nodes": moved}}


def _documents(number: str, lines: list[Record], away: Mapping[str, int]) -> list[Record]:
    """The fulfilment orders of an order: one per location that sends something of it."""
    found = []
    for place, (location, tail) in enumerate(((LOCATION, ""), (SECOND, "2"))):
        rows = []
        for line in lines:
            far = min(away.get(line["sku"], 0), line["quantity"])
            count = far if place else line["quantity"] - far
            id = f"gid://shopify/FulfillmentOrderLineItem/{line['id'].split('/')[4]}{tail}"
            item = {"id": line["id"], "sku": line["sku"]}
            rows += [{"id": id, "remainingQuantity": count, "lineItem": item}] if count else []
        assigned = {"location": {"id": f"gid://shopify/Location/{location}"}}
        document = {"id": f"gid://shopify/FulfillmentOrder/{number}{tail}", "status": "OPEN"}
        found += [{**document, "assignedLocation": assigned, "lineItems": {"nodes": rows}}] if rows else []
    return found


def _problem(message: str, code: str | None) -> Record:
    return {"field": ["input"], "message": message, "code": code}


def _refused(message: str) -> Record:
    return {"fulfillment": None, "userErrors": [{"field": ["fulfillment"], "message": message}]}
