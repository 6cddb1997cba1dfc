"""A mall and its books without a connector: signed REST with cursors, and JSON-RPC, each in its own words."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from tests import web

SECRET, TOKEN = "canary-secret-of-the-mall", "canary-token-of-the-books"
PAGE = 2
CLOSED = "账期已关闭 period closed"


def now() -> str:
    """The vendor's clock: Beijing, without an offset."""
    return datetime.now(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S")


class Vendor:
    """What it knows. Orders whose number begins with ``X`` cannot be booked."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.parcels: dict[str, list[dict[str, Any]]] = {}
        self.booked: dict[str, list[dict[str, Any]]] = {}
        self.sent: list[dict[str, Any]] = []
        self.refused = 0
        self.lock = threading.Lock()

    def place(self, number: str, fen: int) -> None:
        with self.lock:
            lines = [{"sku": "TEA", "qty": 2}]
            self.orders[number] = {
                "order_no": number, "status": "PAID", "total_fen": fen, "updated_at": now(), "items": lines,
            }  # fmt: skip

    def listed(self, query: dict[str, str]) -> dict[str, Any]:
        with self.lock:
            known = sorted(self.orders.values(), key=lambda one: (one["updated_at"], one["order_no"]))
        rows = [one for one in known if query["updated_after"] <= one["updated_at"] <= query["updated_before"]]
        start = int(query.get("cursor", "c0")[1:])
        following = f"c{start + PAGE}" if start + PAGE < len(rows) else ""
        return {"orders": rows[start : start + PAGE], "next_cursor": following}

    def called(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        if method == "book.put":
            if given["no"].startswith("X"):
                return {"error": {"code": -32010, "message": CLOSED}}
            with self.lock:
                self.booked.setdefault(given["no"], []).append(given)
                self.sent.append({"no": given["no"], "waybill": f"SF-{given['no']}", "at": now()})
            return {"result": {"no": given["no"]}}
        if method == "parcels":
            with self.lock:
                return {"result": {"rows": [one for one in self.sent if one["at"] >= given["since"]]}}
        return {"error": {"code": -32601, "message": "no such method"}}


class Counter(web.Page):
    """Its one address."""

    vendor: ClassVar[Vendor]
    protocol_version = "HTTP/1.1"

    def _say(self, body: Any) -> None:
        self.say(200, json.dumps(body, ensure_ascii=False).encode(), {"content-type": "application/json"})

    def _signed(self) -> dict[str, str] | None:
        query = dict(parse_qsl(urlsplit(self.path).query))
        sign = query.pop("sign", "")
        text = "&".join(f"{key}={query[key]}" for key in sorted(query)) + f"&key={SECRET}"
        if hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == sign:
            return query
        self.vendor.refused += 1
        self._say({"errno": 9001, "errmsg": "签名不对"})
        return None

    def do_GET(self) -> None:
        query = self._signed()
        if query is not None:
            self._say({"errno": 0, "errmsg": "ok", "data": self.vendor.listed(query)})

    def do_PUT(self) -> None:
        body = json.loads(self.asked())
        if self._signed() is None:
            return
        number = urlsplit(self.path).path.split("/")[-2]
        if number not in self.vendor.orders:
            self._say({"errno": 4004, "errmsg": "订单不存在"})
            return
        with self.vendor.lock:
            self.vendor.parcels.setdefault(number, []).append(body)
        self._say({"errno": 0, "errmsg": "ok", "data": {"order_no": number}})

    def do_POST(self) -> None:
        asked = json.loads(self.asked())
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        said = self.vendor.called(asked["method"], asked["params"]) if known else {"error": {"code": 1, "message": "?"}}
        self._say({"jsonrpc": "2.0", "id": asked["id"], **said})


DOCUMENT = """
openapi: 3.0.3
info: {title: Unknown mall, version: "2"}
servers: [{url: "${ADDRESS}/v2"}]
components:
  securitySchemes: {app: {type: apiKey, in: query, name: app_key}}
security: [{app: []}]
paths:
  /orders:
    get:
      operationId: listOrders
      parameters:
        - {name: updated_after, in: query, schema: {type: string}}
        - {name: updated_before, in: query, schema: {type: string}}
        - {name: cursor, in: query, schema: {type: string}}
        - {name: sign, in: query, schema: {type: string}}
      responses:
        "200":
          description: ok
          content:
            application/json:
              schema:
                properties:
                  errno: {type: integer}
                  data:
                    properties:
                      orders:
                        type: array
                        items: {properties: {order_no: {type: string}, updated_at: {type: string}}}
                      next_cursor: {type: string}
  /orders/{order_no}/parcel:
    put:
      operationId: shipOrder
      tags: [shipment]
      parameters: [{name: order_no, in: path, required: true, schema: {type: string}}]
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses:
        "200":
          description: ok
          content: {application/json: {schema: {properties: {data: {properties: {order_no: {type: string}}}}}}}
"""
"""What the vendor publishes of its REST side: nothing of signatures, nor of errors that come with 200."""
