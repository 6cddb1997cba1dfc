"""A pretend Qimen at ``/qimen/service``: gateway and warehouse in one, and an ERP on demand.

As a warehouse it takes delivery, inbound and outbound orders, returns, goods, cancellations and stock queries, and
confirms by pushes to ``push_url``, signed as the gateway signs. As an ERP it pushes orders and takes confirmations.
Controls under ``/_sim/qimen``: ``POST ship`` ``{"code": …, "parcels": 2?, "batch": true?}`` · ``POST sign``
``{"code": …}`` · ``POST receive`` ``{"code": …}`` (a return) · ``POST enter`` ``{"code": …}`` (an inbound order) ·
``POST stock`` ``{"item": …, "change": -2}`` · ``POST count`` ``{"item": …, "quantity": 5}`` (a stock take) ·
``POST progress`` ``{"code": …, "status": "REJECT", "words"?}`` · ``POST batch`` ``{"item": …, "quantity": 5,
"warehouse"?, "kind"?, "batch"?}`` (lies there beside the rest, unreported) · ``POST pick`` ``{"code": …}`` (too late to
cancel) · ``POST erp`` ``{"code": …, "method": "deliveryorder.create"?}``.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.core import xmltext
from connectors.qimen.simulated import warehouse
from connectors.simulator import control, engine
from connectors.simulator import push as pushing

ZONE = ZoneInfo("Asia/Shanghai")
SKEW = 600


class Simulator(engine.Simulator):
    """``push_url``: where the other side's calls go; ``push_sign_method`` as it travels."""

    id = "qimen"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "21000099",
        "secret": "qimen-demo-secret",
        "customer_id": "c1600000000001",
        "owner_code": "OWN1",
        "warehouse_code": "WH01",
        "push_url": "",
        "push_sign_method": "md5",
        "push_prefix": "",
        "every_kind": False,
    }
    PUSH_RETRIES = (60, 300, 900)

    def seed(self) -> None:
        codes = [sku.code for sku in self.world.skus]
        self.house = warehouse.Warehouse(codes, lambda: self.settings, self.commit, self.local)

    def snapshot(self) -> Any:
        house = self.house
        return {
            "orders": {code: one["status"] for code, one in house.orders.items()},
            "returns": {code: one["status"] for code, one in house.returns.items()},
            "items": list(house.items),
            "stock": house.stock,
            "confirmed": list(house.confirmed),
        }

    def routes(self) -> list[BaseRoute]:
        return [Route("/service", self.service, methods=["POST"])]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/ship", self.ship),
            post("/sign", self.signed_for),
            post("/receive", self.receive),
            post("/enter", self.enter),
            post("/stock", self.change_stock),
            post("/count", self.count),
            post("/progress", self.progress),
            post("/batch", self.lay),
            post("/pick", self.pick),
            post("/trouble", self.trouble),
            post("/erp", self.as_erp),
        ]

    # The door.

    async def service(self, request: Request) -> Response:
        query, body = dict(request.query_params), (await request.body()).decode("utf-8", "replace")
        try:
            self._check(query, body)
            method = query["method"].removeprefix("taobao.qimen.")  # house: vendor-word because methods begin so
            if method not in self.house.methods:
                raise warehouse.Refused("TOP15", f"method is not supported: {method}")
            try:
                given = xmltext.loads(body)
            except xmltext.XmlError:
                raise warehouse.Refused("S005", "报文不是合法的XML") from None
            return said({"flag": "success", "code": "0", "message": "ok", **self.house.methods[method](given)})
        except warehouse.Refused as refused:
            return said({"flag": "failure", "code": refused.code, "message": refused.message})

    def _check(self, query: dict[str, str], body: str) -> None:
        settings = self.settings
        for name in ("method", "timestamp", "format", "app_key", "v", "sign_method", "customerId", "sign"):
            if not query.get(name):
                raise warehouse.Refused("TOP60", f"Missing parameter {name}")
        if query["customerId"] != settings["customer_id"]:
            raise warehouse.Refused("TOP15", f"No route for customerId {query['customerId']}")
        if query["app_key"] != settings["app_key"]:
            raise warehouse.Refused("TOP60", "Invalid app_key")
        told = f"Signature is invalid, customerId is {query['customerId']}, fromAppkey is {query['app_key']}"
        if query["sign"].upper() != proof(query, body, str(settings["secret"])):
            raise warehouse.Refused("TOP60", told)
        try:
            at = datetime.strptime(query["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp()
        except ValueError:
            raise warehouse.Refused("TOP60", "Invalid timestamp") from None
        if abs(at - self.now()) > SKEW:
            raise warehouse.Refused("TOP60", "Timestamp is out of range")

    # What happens over there.

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        code = str(wish["code"])
        one = self.house.orders[code]
        if one["held"] or one["status"] in ("CANCELED", "CLOSED", "REJECT"):
            raise ValueError(f"{code} is held or cancelled")
        one["status"] = "DELIVERED"
        parcels, waybills = int(wish.get("parcels", 1)), []
        for number in range(parcels):
            waybills.append(f"SF{self.house.number():013d}")
            lines = one["lines"] if parcels == 1 else one["lines"][number : number + 1] or one["lines"]
            one.setdefault("parcels", []).append((waybills[-1], lines))
        for line in one["lines"]:
            self.house.stock[line["itemCode"]] -= int(line["planQty"])
        told = self.house.confirmation(code)
        if wish.get("batch"):
            self.call("deliveryorder.batchconfirm", {"orders": {"order": [told, self.house.confirmation(code, "B")]}})
        else:
            retail = one["head"]["orderType"] in ("JYCK", "HHCK", "BFCK", "QTCK")
            self.call("deliveryorder.confirm" if retail else "stockout.confirm", told)
        return control.answer({"waybills": waybills})

    async def signed_for(self, request: Request) -> Response:
        code = str((await control.body(request))["code"])
        waybill = self.house.orders[code]["parcels"][0][0]
        progress = {"processStatus": "SIGN", "operateTime": self.local(), "expressCode": waybill}
        self.call("orderprocess.report", {"order": {"orderCode": code, "orderType": "JYCK"}, "process": progress})
        return control.answer({"waybill": waybill})

    async def receive(self, request: Request) -> Response:
        code = str((await control.body(request))["code"])
        one = self.house.returns[code]
        one["status"] = "FULFILLED"
        head = {
            "returnOrderCode": code,
            "returnOrderId": one["id"],
            "outBizCode": f"OBC-{code}",
            "orderType": "THRK",
            "orderConfirmTime": self.local(),
            "confirmType": 0,
        }
        lines = [{**line, "actualQty": line["planQty"]} for line in one["lines"]]
        self.call("returnorder.confirm", {"returnOrder": head, "orderLines": {"orderLine": lines}})
        return control.answer({"received": code})

    async def enter(self, request: Request) -> Response:
        code = str((await control.body(request))["code"])
        self.call("entryorder.confirm", self.house.arrived(code))
        return control.answer({"entered": code})

    async def change_stock(self, request: Request) -> Response:
        wish = await control.body(request)
        items = wish.get("items") or [wish["item"]]
        changed = []
        for code in items:
            self.house.stock[code] += int(wish["change"])
            told = {"ownerCode": self.settings["owner_code"], "warehouseCode": self.settings["warehouse_code"]}
            told |= {"outBizCode": f"SC-{self.house.number()}", "itemCode": code, "inventoryType": "ZP"}
            changed.append({**told, "quantity": int(wish["change"]), "changeTime": self.local()})
        self.call("stockchange.report", {"items": {"item": changed}})
        return control.answer({code: self.house.stock[code] for code in items})

    async def count(self, request: Request) -> Response:
        """A stock take: the warehouse stands once at the root, and each row tells the difference."""
        wish = await control.body(request)
        found = []
        for code in wish.get("items") or [wish["item"]]:
            change = int(wish["quantity"]) - self.house.stock[code]
            self.house.stock[code] += change
            found.append({"itemCode": code, "inventoryType": "ZP", "quantity": change, "totalQty": wish["quantity"]})
        head = {"warehouseCode": self.settings["warehouse_code"], "ownerCode": self.settings["owner_code"]}
        head |= {"checkOrderCode": f"PD{self.house.number()}", "outBizCode": f"PD-{self.house.number()}"}
        self.call("inventory.report", {**head, "totalPage": 1, "currentPage": 1, "items": {"item": found}})
        return control.answer({"counted": len(found)})

    async def progress(self, request: Request) -> Response:
        """The warehouse tells where an order stands; some words end it."""
        wish = await control.body(request)
        code, status = str(wish["code"]), str(wish["status"])
        if status in ("CANCELED", "CLOSED", "REJECT"):
            self.house.orders[code]["status"] = status
        told = {"processStatus": status, "operateTime": self.local(), "operateInfo": str(wish.get("words", ""))}
        self.call("orderprocess.report", {"order": {"orderCode": code, "orderType": "JYCK"}, "process": told})
        return control.answer({"told": status})

    async def lay(self, request: Request) -> Response:
        """A batch lies in the warehouse from now on."""
        wish = await control.body(request)
        house = str(wish.get("warehouse") or self.settings["warehouse_code"])
        place = (str(wish["item"]), house, str(wish.get("kind", "ZP")), str(wish.get("batch", "B1")))
        self.house.batches[place] = int(wish["quantity"])
        return control.answer({"laid": place})

    async def trouble(self, request: Request) -> Response:
        """The warehouse reports what is wrong with an order: words, or goods that it lacks."""
        wish = await control.body(request)
        code = str(wish["code"])
        if wish.get("lacks"):
            rows = [{"itemCode": item, "lackQty": 1} for item in wish["lacks"]]
            self.call("itemlack.report", {"deliveryOrderCode": code, "items": {"item": rows}})
        else:
            told = {
                "deliveryOrderCode": code,
                "messageType": "ADDRESS",
                "messageDesc": str(wish.get("words", "地址不到")),
            }
            self.call("orderexception.report", told)
        return control.answer({"told": code})

    async def pick(self, request: Request) -> Response:
        self.house.orders[str((await control.body(request))["code"])]["status"] = "PICK"
        return control.answer({"picked": True})

    async def as_erp(self, request: Request) -> Response:
        wish = await control.body(request)
        code, buyer = str(wish["code"]), self.world.customers[0]
        method = str(wish.get("method", "deliveryorder.create"))
        where = {"province": buyer.address.province, "city": buyer.address.city, "area": buyer.address.district}
        person = {"name": buyer.name, "mobile": buyer.phone, **where, "detailAddress": buyer.address.street}
        line = {"ownerCode": self.settings["owner_code"], "sourceOrderCode": code, "itemCode": "TEA-01"}
        line |= {"subSourceOrderCode": f"{code}-1", "itemName": "绿茶", "planQty": 1, "actualPrice": "68.00"}
        if method == "order.cancel":
            given: dict[str, Any] = {"orderCode": code, "ownerCode": self.settings["owner_code"]}
        else:
            head: dict[str, Any] = {
                "deliveryOrderCode": code,
                "orderType": "JYCK",
                "warehouseCode": "WH01",
                "shopNick": "示例旗舰店",
            }
            head |= {"createTime": self.local(), "placeOrderTime": self.local(), "payTime": self.local()}
            head |= {"logisticsCode": "SF", "totalAmount": "68.00", "receiverInfo": person}
            given = {"deliveryOrder": head, "orderLines": {"orderLine": [line]}}
        self.call(method, given)
        return control.answer({"pushed": code})

    # Pushes.

    def local(self) -> str:
        return datetime.fromtimestamp(self.now(), ZONE).strftime("%Y-%m-%d %H:%M:%S")

    def call(self, method: str, given: dict[str, Any]) -> None:
        """Owe one call of the other side's to ``push_url``, signed anew on each try."""
        body = xmltext.dumps("request", given, declaration=True)

        def compose(_number: int) -> pushing.Post:
            query = {
                "method": str(self.settings["push_prefix"]) + method,
                "timestamp": self.local(),
                "format": "xml",
                "app_key": str(self.settings["app_key"]),
                "v": "2.0",
                "sign_method": str(self.settings["push_sign_method"]),
                "customerId": str(self.settings["customer_id"]),
            }
            query["sign"] = proof(query, body.decode(), str(self.settings["secret"]))
            headers = {"content-type": "text/xml;charset=utf-8"}
            return pushing.Post(str(self.settings["push_url"]), body, headers, query)

        self.push(str(self.settings["push_url"]), compose=compose, label=method)

    def acknowledged(self, response: httpx.Response) -> bool:
        """An XML answer whose flag is success. A question (may this be cancelled?) is over with either flag.

        So is a call of a method that the other side does not have.
        """
        try:
            told = xmltext.loads(response.content) if response.status_code == 200 else {}
            flag, code = told.get("flag"), told.get("code")
        except xmltext.XmlError:
            return False
        asked = response.request.url.params.get("method", "").endswith(("order.cancel", "order.pending"))
        return flag == "success" or (flag == "failure" and (asked or code == "unsupported-method"))

    def throttled(self, request: Request) -> Response:
        text = "<error_response><code>7</code><msg>App Call Limited</msg></error_response>"
        return Response(f'<?xml version="1.0" encoding="utf-8"?>{text}', media_type="text/xml;charset=utf-8")


def proof(query: dict[str, str], body: str, secret: str) -> str:
    """What the vendor signs: names and values in order, then the body; upper case."""
    text = "".join(name + query[name] for name in sorted(query) if name != "sign" and query[name]) + body
    way = query["sign_method"]
    if way == "md5":
        return hashlib.md5(f"{secret}{text}{secret}".encode(), usedforsecurity=False).hexdigest().upper()
    return hmac.digest(secret.encode(), text.encode(), "md5" if way == "hmac" else "sha256").hex().upper()


def said(answer: dict[str, Any]) -> Response:
    return Response(xmltext.dumps("response", answer, declaration=True), media_type="text/xml;charset=utf-8")
