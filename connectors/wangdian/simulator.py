"""A pretend Wangdiantong tenant behind three doors, one per edition.

``/wangdian/openapi`` (flagship, query and JSON body), ``/wangdian/openapi2/<file>.php`` (enterprise) and
``/wangdian/y/<file>.php`` (web).

Controls under ``/_sim/wangdian``: ``POST ship`` ``{"tid": …, "oids": […]?, "carrier": "SF"?, "parcels": 2?}`` ·
``POST cancel`` ``{"tid": …}`` (its outbound order) · ``POST receive`` ``{"refund_no": …}`` (returned goods) ·
``POST stock`` ``{"spec_no": …, "change": -3}`` · ``POST trades`` ``{"tid": …, "platform": 1}`` (from a marketplace) ·
``POST stop`` ``{"spec_no": …}`` (a variant is stopped) · ``POST refunds/{number}`` ``{"status": 90}``.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import control, engine
from connectors.wangdian.simulated import books, flagship, forms, shapes

CARRIERS = {
    "SF": (8, "SF", "顺丰速运"),
    "YTO": (4, "YTO", "圆通速递"),
    "ZTO": (5, "ZTO", "中通快递"),
    "YUNDA": (9, "YUNDA", "韵达快递"),
}
TOO_MANY = "超过每分钟最大调用频率限制，请稍后重试"


class Simulator(engine.Simulator):
    """One tenant with one shop of its own."""

    id = "wangdian"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "sid": "hubdemo3",
        "appkey": "hubdemo3-app",
        "appsecret": "6f2e8d4c:5c1d7a9e0b3f2468",
        "shop_no": "mall01",
        "faulty": False,  # the flagship's passing fault, status 99
    }

    def seed(self) -> None:
        self.tenant = books.Books(self.now, self.commit)
        for sku in self.world.skus:
            row = {
                "goods_name": sku.title,
                "spec_name": sku.spec,
                "price": str(sku.price),
                "barcode": sku.barcode,
            }
            self.tenant.add_goods(sku.ids["product"], sku.code, row)
        self.flagship = flagship.Flagship(self.tenant, lambda: self.settings)
        self.forms = forms.Forms(self.tenant, lambda: self.settings)
        self.web = forms.Forms(self.tenant, lambda: self.settings, web=True)

    def snapshot(self) -> Any:
        tenant = self.tenant
        return {
            "orders": {tid: raw.head.get("trade_status") for tid, raw in tenant.raws.items()},
            "trades": {one.tid: one.status for one in tenant.trades.values()},
            "queue": [one.number for one in tenant.parcels.values() if one.state == 0],
            "to_show": [one.spec_no for one in tenant.to_show()],
            "stock": {one.spec_no: str(one.available) for one in tenant.stocks.values()},
            "refunds": {one.refund_no: one.erp for one in tenant.refunds.values()},
        }

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/openapi", self.by_method, methods=["POST"]),
            Route("/openapi2/{file}.php", self.by_file, methods=["GET", "POST"]),
            Route("/y/{file}.php", self.by_file, methods=["GET", "POST"]),
        ]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/ship", self.ship),
            post("/cancel", self.cancel),
            post("/receive", self.receive),
            post("/stock", self.change_stock),
            post("/trades", self.add_trade),
            post("/stop", self.stop_variant),
            post("/refunds/{number}", self.change_refund),
        ]

    async def by_method(self, request: Request) -> Response:
        query, body = dict(request.query_params), await request.body()
        try:
            flagship.check(query, body, self.settings, self.now())
            if self.settings["faulty"]:
                raise flagship.Denied(99, "系统异常，请稍后重试")
            try:
                given = json.loads(body, parse_float=Decimal)
            except ValueError:
                raise flagship.Denied(1, "argument type mismatch") from None
            return _said(self.flagship.answer(query.get("method", ""), query, given))
        except flagship.Denied as denied:
            return _said({"status": denied.status, "message": denied.message})
        except books.Refused as refused:
            return _said({"status": 100, "message": refused.message})

    async def by_file(self, request: Request) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        given = {**request.query_params, **dict(parse_qsl(body, keep_blank_values=True))}
        try:
            forms.check(given, self.settings, self.now())
            door = self.web if "/y/" in request.url.path else self.forms
            return _said(door.answer(request.path_params["file"], given))
        except forms.Denied as denied:
            return _said({"code": denied.code, "message": denied.message})
        except books.Refused as refused:
            return _said({"code": refused.code, "message": refused.message})

    def throttled(self, request: Request) -> Response:
        name = "status" if request.url.path.endswith("/openapi") else "code"
        return _said({name: 100, "message": TOO_MANY})

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        oids = [str(one) for one in wish["oids"]] if wish.get("oids") else None
        carrier, parcels = CARRIERS[wish.get("carrier", "SF")], int(wish.get("parcels", 1))
        parcel = self.tenant.ship(str(wish["tid"]), carrier, oids, parcels)
        return control.answer({"number": parcel.number, "waybill": parcel.waybill, "more": parcel.more})

    async def cancel(self, request: Request) -> Response:
        parcel = self.tenant.cancel(str((await control.body(request))["tid"]))
        return control.answer({"number": parcel.number})

    async def receive(self, request: Request) -> Response:
        arrival = self.tenant.receive(str((await control.body(request))["refund_no"]))
        return control.answer({"number": arrival.name, "refund": arrival.refund.name})

    async def change_stock(self, request: Request) -> Response:
        wish = await control.body(request)
        stock = self.tenant.stocks[str(wish["spec_no"])]
        stock.on_hand += Decimal(str(wish["change"]))
        stock.modified = self.now()
        waiting = [one for one in self.tenant.listings.values() if one.spec_no == stock.spec_no]
        for one in waiting:
            one.changes += 1
        return control.answer({"available": str(stock.available), "numbers": [one.number for one in waiting]})

    async def add_trade(self, request: Request) -> Response:
        wish = await control.body(request)
        buyer = self.world.customers[0]
        head = {
            "tid": str(wish["tid"]),
            "trade_time": shapes.local(self.now()),
            "pay_time": shapes.local(self.now()),
            "receivable": "64.00",
            "paid": "64.00",
            "receiver_name": buyer.name,
            "receiver_mobile": buyer.phone,
            "receiver_address": buyer.address.street,
            "buyer_nick": buyer.nick,
        }
        line = {"oid": f"{wish['tid']}-1", "spec_no": "TEA-01", "goods_name": "绿茶", "num": 1, "price": "64.00"}
        trade = self.tenant.add_trade(int(wish.get("platform", 1)), head, [line])
        return control.answer({"trade_no": trade.name})

    async def stop_variant(self, request: Request) -> Response:
        wish = await control.body(request)
        found = [one for one in self.tenant.listings.values() if one.spec_no == wish["spec_no"]]
        for one in found:
            one.status = 0
        return control.answer({"stopped": len(found)})

    async def change_refund(self, request: Request) -> Response:
        found = self.tenant.refunds[request.path_params["number"]]
        found.erp, found.modified = int((await control.body(request))["status"]), self.now()
        return control.answer({"refund_no": found.name})


def _said(answer: dict[str, Any]) -> Response:
    return Response(json.dumps(answer, ensure_ascii=False, default=str), media_type="application/json")
