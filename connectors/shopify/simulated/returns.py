"""Returns and refunds of the simulated store: a buyer asks, the seller approves or declines, money goes back once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from connectors.shopify.simulated import store

Record = dict[str, Any]
FIRST = 945000954


class Returns:
    """Stands on the store's orders; refunds under one key happen once."""

    def __init__(self, shop: store.Store) -> None:
        self.shop = shop
        self.known: dict[str, Record] = {}
        self.keys: dict[str, tuple[str, Record]] = {}

    def ask(self, number: str) -> Record:
        """The buyer asks to return the first line."""
        order = self.shop.orders[number]
        line = order["lineItems"]["nodes"][0]
        id = f"gid://shopify/Return/{FIRST + len(self.known)}"
        item = {"id": line["id"], "sku": line["sku"]}
        wanted = {
            "quantity": line["currentQuantity"],
            "returnReason": "UNWANTED",
            "returnReasonNote": "不想要了",
            "fulfillmentLineItem": {"lineItem": item},
        }
        made = {
            "id": id,
            "name": f"{order['name']}-R1",
            "status": "REQUESTED",
            "createdAt": store.moment(self.shop.now()),
        }
        lines = {"returnLineItems": {"nodes": [wanted]}, "refunds": {"nodes": []}}
        self.known[id] = {**made, "order": {"legacyResourceId": number, "currencyCode": "CNY"}, **lines}
        order["returnStatus"] = "RETURN_REQUESTED"
        order["returns"]["nodes"].insert(0, self.known[id])
        self._tell("returns/request", id)
        self.shop.changed(order)
        return self.known[id]

    def _tell(self, topic: str, id: str) -> None:
        order = {"admin_graphql_api_id": f"gid://shopify/Order/{self.known[id]['order']['legacyResourceId']}"}
        body = {"id": int(id.rpartition("/")[2]), "admin_graphql_api_id": id, "order": order}
        self.shop.tell(topic, {**body, "status": self.known[id]["status"].lower()})

    # The API.

    def one(self, given: Record) -> Record | None:
        return self.known.get(str(given["id"]))

    def approve(self, given: Record) -> Record:
        return self._answer(str(given["i"]["id"]), "OPEN", "IN_PROGRESS", "returns/approve")

    def decline(self, given: Record) -> Record:
        if given["i"].get("declineReason") not in ("FINAL_SALE", "OTHER", "RETURN_PERIOD_ENDED"):
            raise KeyError("declineReason")
        return self._answer(str(given["i"]["id"]), "DECLINED", "NO_RETURN", "returns/decline")

    def _answer(self, id: str, status: str, shown: str, topic: str) -> Record:
        one = self.known.get(id)
        if one is None or one["status"] != "REQUESTED":
            words = "Return does not exist" if one is None else "Return is not in a requested state."
            return {"return": None, "userErrors": [{"field": ["id"], "message": words, "code": "INVALID_STATE"}]}
        one["status"] = status
        order = self.shop.orders[one["order"]["legacyResourceId"]]
        order["returnStatus"] = shown
        self.shop.commit("return", f"{id}:{status}", one["status"])
        self._tell(topic, id)
        self.shop.changed(order)
        return {"return": one, "userErrors": []}

    def refund(self, given: Record) -> Record:
        """Money back: never more than was paid, and once under one key."""
        key, text = str(given["k"]), json.dumps(given["r"], sort_keys=True)
        if key in self.keys:
            if self.keys[key][0] != text:
                told = "The idempotency key was used before."
                return {"refund": None, "userErrors": [{"field": ["input"], "message": told}]}
            return self.keys[key][1]
        wish = given["r"]
        number = str(wish["orderId"]).rpartition("/")[2]
        order = self.shop.orders.get(number)
        if order is None:
            return {"refund": None, "userErrors": [{"field": ["orderId"], "message": "Order does not exist"}]}
        paid = {one["id"]: Decimal(one["amountSet"]["shopMoney"]["amount"]) for one in order["transactions"]}
        left = sum(paid.values()) - order.get("refunded", Decimal(0))
        amount = sum((Decimal(str(one["amount"])) for one in wish["transactions"]), Decimal(0))
        if any(one.get("parentId") not in paid or one.get("kind") != "REFUND" for one in wish["transactions"]):
            told = "Transactions must refer to a captured payment"
            return {"refund": None, "userErrors": [{"field": ["transactions"], "message": told}]}
        if amount > left:
            told = "Refund amount exceeds the amount that can be refunded"
            return {"refund": None, "userErrors": [{"field": ["transactions"], "message": told}]}
        order["refunded"] = order.get("refunded", Decimal(0)) + amount
        done = self.shop.refunded(number, amount, wish)
        made = {"refund": {"legacyResourceId": str(done["id"])}, "userErrors": []}
        self.shop.commit("refund", str(done["id"]), wish)
        self.keys[key] = (text, made)
        return made
