"""The simulated YonBIP: gateway lookup, token service and gateway under ``/yonyou``, one tenant, events to the hub.

Controls, under ``/_sim/yonyou``: ``POST approve|ship|close|oppose`` by ``number`` (the shop's) · ``POST workflow``
``{on}`` · ``POST customers|goods/{code}`` · ``POST levels/{code}`` ``{batch, warehouse?, status?, qty}`` · ``POST
check`` (saving the subscription) · ``POST expire_tokens`` · ``GET orders/{number}``.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import control, engine
from connectors.simulator import push as pushing
from connectors.yonyou.simulated import books, calls, events, gate

ZONE = timezone(timedelta(hours=8))


class Simulator(engine.Simulator):
    """See the module."""

    id = "yonyou"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "tenant_id": "hubtest1",
        "app_type": "own",
        "app_key": "41832a3d2df94989b500da6a22268747",
        "app_secret": "7d0b4d1c9a5e4f0e8c2b6a3f1d5e7c90",
        "aes_key": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
        "sales_org": "100",
        "transaction_type": "SO01",
        "customer": "CUST0001",
        "customer_class": "KH01",
        "delivery_type": "DN01",
        "warehouse": "2097145068851456001",
        "token_lifetime": 7200,
        "push_url": "",
        "generation": "new",
        "workflow": False,
        "data_center": "",  # the tenant's; where another one is asked, nobody is there (404)
        "plain_refusal": False,  # a refused token is answered in plain text, as some services do
        "forbidden": [],
    }
    # After a minute, after five, then every hour for a day.
    PUSH_RETRIES = (60, 300, *([3600] * 23))

    def seed(self) -> None:
        self.books = books.Books(self.local, self.now, self._final)
        self.gate = gate.Gate(self.settings, self.now)
        self.calls = calls.Calls(self.books)
        self.books.workflow = bool(self.settings["workflow"])
        self.waybills = 0
        codes = [(sku.code, f"{sku.title} {sku.spec}") for sku in self.world.skus]
        for code, name in [*codes, ("SKU-1001", "示例商品"), ("SKU-1002", "示例商品二")]:
            number = self.books.next()
            self.books.goods[code] = {
                "id": number,
                "code": code,
                "name": name,
                "unitCode": "PCS",
                "pubts": self.local(),
            }
            level = {
                "org": self.settings["sales_org"],
                "warehouse": self.settings["warehouse"],
                "warehouse_code": "CK001",
            }
            named = {"product": str(number), "product_code": code, "productsku": str(number), "productsku_code": code}
            # One SKU is kept by batch: its level has three rows.
            batches = {"B1": 70, "B2": 30, "B3": 20} if code == "SKU-1001" else {"": 120}
            for batch, quantity in batches.items():
                counts = dict.fromkeys(books.COUNTED, quantity)
                state = {"batchno": batch, "stockStatusDoc": books.SOUND, "preretailqty": 0}
                self.books.stock.append({**level, **named, **state, **counts})
        self._customer(str(self.settings["customer"]), "网店客户", "")
        for person in self.world.customers[:20]:
            self._customer(f"YY{person.index + 1:05d}", person.name, person.phone)

    def _customer(self, code: str, name: str, phone: str) -> None:
        self.books.customers[code] = {
            "id": self.books.next(),
            "code": code,
            "name": {"simplifiedName": name},
            "createOrgCode": self.settings["sales_org"],
            "customerClassCode": self.settings["customer_class"],
            "enterpriseNature": 1,
            "contactTel": phone,
            "stopStatus": False,
            "createTime": self.local(),
            "modifyTime": self.local(),
        }

    def configure(self, settings: dict[str, Any]) -> None:
        """A new callback address is checked with an event, as saving the subscription does."""
        super().configure(settings)
        self.books.workflow = bool(self.settings["workflow"])
        if settings.get("push_url"):
            self.tell("CHECK_URL", None)

    def local(self) -> str:
        """The tenant's clock, as it writes times."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")

    def _final(self, kind: str, key: str, data: Any) -> None:
        self.commit(kind, key, data)
        if kind == "sales_order":
            self._order_event("SAVE", next(reversed(self.books.orders.values())))

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.books.orders.values():
            states[order["nextStatus"]] = states.get(order["nextStatus"], 0) + 1
        return {"orders": states, "deliveries": len(self.books.deliveries), "logins": self.gate.logins}

    def throttled(self, request: Request) -> Response:
        return self.said("310046", "API调用次数超过限制，请稍后再试")

    def banned(self, request: Request) -> Response:
        return self.said("310041", "IP被限制访问")

    def broken(self, request: Request) -> Response:
        return self.said("310071", "后端服务异常")

    def acknowledged(self, response: httpx.Response) -> bool:
        return response.status_code == 200 and events.taken(self.settings, response.text)

    def said(self, code: str | int, words: str, data: Any = None, status: int = 200) -> Response:
        """The envelope; a sum that has no value is NaN, as in the vendor's own sample."""
        text = json.dumps({"code": code, "message": words, "data": data}, ensure_ascii=False, default=str)
        return Response(text, status, media_type="application/json")

    # The vendor's side.

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/open-auth/dataCenter/getGatewayAddress", self.places),
            *[
                route
                for place in ("", "/dc/{place}")
                for route in (
                    Route(f"{place}/iuap-api-auth/open-auth/{{kind}}/base/v1/getAccessToken", self.token),
                    Route(f"{place}/iuap-api-gateway/{{path:path}}", self.gateway, methods=["GET", "POST"]),
                )
            ],
        ]

    async def places(self, request: Request) -> Response:
        base = f"{request.url.scheme}://{request.url.netloc}/{self.id}"
        base += f"/dc/{self.settings['data_center']}" if self.settings["data_center"] else ""
        try:
            found = self.gate.places(request.query_params.get("tenantId", ""), base)
        except books.Refused as refused:
            return self.said(refused.code, refused.words)
        return self.said("00000", gate.OK, found)

    def _elsewhere(self, request: Request) -> bool:
        """Whether this is not the data centre where the tenant lives by now."""
        return bool(request.path_params.get("place", "") != self.settings["data_center"])

    async def token(self, request: Request) -> Response:
        isv = request.path_params["kind"] == "suiteApp"
        if self._elsewhere(request):
            return PlainTextResponse("404 Not Found", 404)
        try:
            made = self.gate.token(dict(request.query_params), isv=isv)
        except books.Refused as refused:
            return self.said(refused.code, refused.words)
        return self.said("00000", gate.OK, made)

    async def gateway(self, request: Request) -> Response:
        """Every business call: the path is looked at before the token."""
        path = "/" + request.path_params["path"]
        if self._elsewhere(request):
            return PlainTextResponse("404 Not Found", 404)
        if path not in self.calls.paths:
            return self.said("310404", f"网关上没有注册此API[{path}]", status=404)
        try:
            self.gate.admitted(path, request.query_params.get("access_token", ""))
            asked = request.method == "GET"
            body = dict(request.query_params) if asked else json.loads(await request.body() or b"{}")
            code, words, data = self.calls.paths[path](body if isinstance(body, dict) else {})
        except books.Refused as refused:
            if refused.code == "310036" and self.settings["plain_refusal"]:
                return PlainTextResponse("非法token")
            return self.said(refused.code, refused.words, refused.data)
        except ValueError:
            return self.said("999", "请求内容不是JSON")
        return self.said(code, words, data)

    # Events.

    def tell(self, kind: str, content: Any) -> None:
        """Push one event, sealed anew for each try."""
        event = {"type": kind, "eventId": f"e-{uuid.uuid4()}", "timestamp": int(self.now() * 1000)}
        event["tenantId"] = self.settings["tenant_id"]
        if content is not None:
            event["content"] = json.dumps(content, ensure_ascii=False)
        url = str(self.settings["push_url"])
        kinds = {"content-type": "application/json"}
        self.push(
            url,
            compose=lambda _number: pushing.Post(url, events.sealed(self.settings, event, self.now()), kinds),
            label=kind,
        )

    def _order_event(self, what: str, order: books.Row) -> None:
        named = {"billId": str(order["id"]), "billCode": order["code"], "billNo": "voucher_order"}
        self.tell(f"SALE_{what}ORDER_NOTIFY_SENT", {"BILL_INFO": named})

    # Controls: what people over there do.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            Route("/orders/{number}", control.guarded(self.show_order)),
            post("/approve", self.approve),
            post("/reject", self.reject),
            post("/ship", self.ship),
            post("/close", self.close),
            post("/customers/{code}", self.edit_customer),
            post("/goods/{code}", self.edit_goods),
            post("/levels/{code}", self.edit_level),
            post("/check", self.check),
            post("/expire_tokens", self.expire_tokens),
        ]

    def _found(self, number: Any) -> books.Row:
        for order in self.books.orders.values():
            if (order.get("headItem") or {}).get("define1") == str(number):
                return order
        raise LookupError(f"no order {number}")

    async def show_order(self, request: Request) -> Response:
        return control.answer(self._found(request.path_params["number"]))

    async def approve(self, request: Request) -> Response:
        order = self._found((await control.body(request)).get("number"))
        self.books.audit(order, people=True)
        self._order_event("AUDIT", order)
        return control.answer(order)

    async def reject(self, request: Request) -> Response:
        order = self._found((await control.body(request)).get("number"))
        self.books.touch(order, status=0, verifystate=4, nextStatus="CONFIRMORDER")
        self._order_event("UNAUDIT", order)
        return control.answer(order)

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        order = self._found(wish.get("number"))
        self.waybills += 1
        waybill = str(wish.get("waybill") or f"SF{self.waybills:013d}")
        delivery = self.books.ship(order, str(wish.get("carrier", "顺丰速运")), waybill)
        left = self.calls.outbounds.add(delivery)
        self._order_event("SAVE", order)
        told = {"delivery": str(delivery["id"]), "outbound": str(left["id"]), "code": delivery["code"]}
        return control.answer({**told, "waybill": waybill})

    async def close(self, request: Request) -> Response:
        order = self._found((await control.body(request)).get("number"))
        self.books.touch(order, status=2, nextStatus="ENDORDER")
        self._order_event("CLOSE", order)
        return control.answer(order)

    async def edit_customer(self, request: Request) -> Response:
        kept = self.books.customers.get(request.path_params["code"])
        if kept is None:
            raise LookupError(f"no customer {request.path_params['code']}")
        kept.update(await control.body(request), modifyTime=self.local())
        self.tell("YXYBASEDOC_AA_MERCHANT_UPDATE", {"id": kept["id"], "code": kept["code"]})
        return control.answer(kept)

    async def edit_goods(self, request: Request) -> Response:
        kept = self.books.goods.get(request.path_params["code"])
        if kept is None:
            raise LookupError(f"no material {request.path_params['code']}")
        kept.update(await control.body(request), pubts=self.local())
        self.tell("YXYBASEDOC_PC_PRODUCT_UPDATE", {"id": kept["id"], "code": kept["code"]})
        return control.answer(kept)

    async def edit_level(self, request: Request) -> Response:
        """So much is there of a batch, in a warehouse and a state: as in the material's first row where not told."""
        code, wish = request.path_params["code"], await control.body(request)
        named = {"warehouse": "warehouse", "stockStatusDoc": "status", "batchno": "batch"}
        told = {name: wish[key] for name, key in named.items() if key in wish}
        rows = [one for one in self.books.stock if one["product_code"] == code]
        if not rows:
            raise LookupError(f"no material {code}")
        found = next((one for one in rows if {**one, **told} == one), None)
        if found is None:
            found = {**rows[0], **told}
            self.books.stock.append(found)
        found.update(dict.fromkeys(books.COUNTED, wish["qty"]))
        return control.answer(found)

    async def check(self, _request: Request) -> Response:
        self.tell("CHECK_URL", None)
        return control.answer({"checking": self.settings["push_url"]})

    async def expire_tokens(self, _request: Request) -> Response:
        self.gate.tokens = dict.fromkeys(self.gate.tokens, 0.0)
        return control.answer({"expired": len(self.gate.tokens)})
