"""The simulated Youzan: calls at ``/youzan/api``, tokens at ``/youzan/auth/token``, pushes to ``push_url``.

A shop authorises a tool at ``/youzan/oauth/authorize``.

Controls, under ``/_sim/youzan``: ``POST orders`` ``{count, customer?, skus?, paid?, express_type?}`` ·
``GET orders/{tid}`` · ``POST orders/{tid}/{pay|wait|finish|close|refund}`` · ``POST refunds/{id}`` ``{status}`` ·
``POST refunds/{id}/touch`` · ``POST customers`` ``{mobile, …}`` · ``GET goods`` · ``POST test_push`` ·
``POST subscribe`` · ``POST expire_token``.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import consent, control, engine, push, world
from connectors.youzan import callback
from connectors.youzan.simulated import calls, people, refunds, shop, tokens

MINUTES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30)


class Simulator(engine.Simulator):
    """See the module. ``push_kdt_id``: whose shop the pushes are from, when it is another than ours.

    ``code_in_message``: the way back from the authorisation page carries its code encrypted.
    """

    id = "youzan"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "client_id": "demo_client_id",
        # The cipher of callbacks takes sixteen characters of a secret: the rest of a longer one proves nothing there.
        "client_secret": "simulated-secret",
        "kdt_id": "160001",
        "refresh_token": "simulated-refresh-token",
        "code": "",
        "code_in_message": False,
        "push_url": "",
        "push_kdt_id": "",
    }
    PUSH_RETRIES = (10.0, 30.0, *(60.0 * one for one in MINUTES), 3600.0, 7200.0)

    def seed(self) -> None:
        self.sold = [_goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(self.sold, lambda: int(self.settings["kdt_id"]), self.now, self.commit, self._tell)
        self.calls = calls.Calls(self.shop)
        self._permit()
        self._versions: dict[str, int] = {}

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        if "refresh_token" in settings:
            self._permit()
        elif settings.get("code"):
            self.tokens.codes.give(str(settings["code"]))

    def _permit(self) -> None:
        self.tokens = tokens.Tokens(self.now, str(self.settings["refresh_token"]))
        if self.settings["code"]:
            self.tokens.codes.give(str(self.settings["code"]))

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/auth/token", self.auth, methods=["POST"]),
            Route("/oauth/authorize", self.consent, methods=["GET"]),
            Route("/api/{name}/{version}", self.call, methods=["POST", "GET"]),
        ]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{tid}", control.guarded(self.show_order)),
            post("/orders/{tid}/{what}", self.change_order),
            post("/refunds/{number}", self.change_refund),
            post("/refunds/{number}/touch", self.touch_refund),
            post("/customers", self.add_customer),
            Route("/goods", control.guarded(self.show_goods)),
            post("/test_push", self.try_push),
            post("/subscribe", self.subscribe),
            post("/expire_token", self.expire_token),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for tid in self.shop.orders:
            state = self.shop.info(tid)["status"]
            states[state] = states.get(state, 0) + 1
        return {"orders": states, "refunds": len(self.shop.refunds), "customers": len(self.shop.customers)}

    def throttled(self, request: Request) -> Response:
        return _refusal(shop.Refused(4101, "api call frequency limited", gateway=True))

    def banned(self, request: Request) -> Response:
        return _refusal(shop.Refused(4101, "api call package used up", gateway=True))

    def broken(self, request: Request) -> Response:
        return _refusal(shop.Refused(5003, "service error", gateway=True))

    def acknowledged(self, response: httpx.Response) -> bool:
        return response.status_code == 200 and "success" in response.text

    # The vendor's side.

    async def auth(self, request: Request) -> Response:
        """Tokens; only JSON is understood."""
        try:
            if "json" not in request.headers.get("content-type", ""):
                raise shop.Refused(1000, "参数错误")
            data = self.tokens.give(dict(json.loads(await request.body())), self.settings)
        except shop.Refused as refused:
            return JSONResponse({"success": False, "code": refused.code, "message": refused.words, "data": None})
        return JSONResponse({"success": True, "code": 200, "message": None, "data": data})

    async def consent(self, request: Request) -> Response:
        """The page on which the shop's administrator lets a tool in."""
        asked, agreed = consent.query(request), consent.decided(request)
        if (asked.get("client_id"), asked.get("response_type")) != (self.settings["client_id"], "code"):
            return consent.refused("client_id")
        if agreed is None:
            return consent.page(request, asked["client_id"])
        said = {"state": asked.get("state", "")}
        if not agreed:
            return consent.back(asked.get("redirect_uri", ""), error="access_denied", **said)
        code = self.tokens.codes.give()
        if self.settings["code_in_message"]:
            secret, plain = str(self.settings["client_secret"]), json.dumps({"code": code}).encode()
            return consent.back(asked.get("redirect_uri", ""), message=callback.encrypt(secret, plain), **said)
        return consent.back(asked.get("redirect_uri", ""), code=code, **said)

    async def call(self, request: Request) -> Response:
        """Every call. Refusals are HTTP 200 as well."""
        name = f"{request.path_params['name']}/{request.path_params['version']}"
        try:
            if name not in self.calls.apis:
                raise shop.Refused(4005, "api or version not exist", gateway=True)
            if request.method != "POST" or "json" not in request.headers.get("content-type", ""):
                raise shop.Refused(4007, "request method or content type not supported", gateway=True)
            if (problem := self.tokens.problem(request.query_params.get("access_token", ""))) is not None:
                raise problem
            try:
                given = json.loads(await request.body() or b"{}")
            except ValueError:
                raise shop.Refused(4004, "body is not json", gateway=True) from None
            found = self.calls.apis[name](dict(given))
        except shop.Refused as refused:
            return _refusal(refused, old=name in self.calls.old)
        if name in self.calls.old:
            return JSONResponse({"response": found})
        trace = f"yz7-{uuid.uuid4().hex[:12]}"
        return JSONResponse({"trace_id": trace, "code": 200, "success": True, "message": "successful", "data": found})

    def _tell(self, kind: str, number: str, status: str, msg: shop.Record, test: bool = False) -> None:
        """Push one message: trade messages carry percent-encoded text, the newer families an object."""
        self._versions[number] = self._versions.get(number, int(self.now())) + 1
        body: dict[str, Any] = {
            "client_id": self.settings["client_id"],
            "app_id": self.settings["client_id"],
            "kdt_id": int(self.settings["push_kdt_id"] or self.settings["kdt_id"]),
            "root_kdt_id": int(self.settings["push_kdt_id"] or self.settings["kdt_id"]),
            "kdt_name": "枢纽演示商城",
            "id": number,
            "type": kind,
            "status": status,
            "msg": msg if kind.startswith("youzan_") else quote(json.dumps(msg, ensure_ascii=False), safe=""),
            "msg_id": str(uuid.uuid4()),
            "version": self._versions[number],
            "mode": 1,
            "test": test,
        }

        def compose(tried: int) -> push.Post:
            content = json.dumps({**body, "sendCount": tried}, ensure_ascii=False).encode()
            secret = str(self.settings["client_secret"])
            proof = callback.digest(str(self.settings["client_id"]), secret, content)
            headers = {"Content-Type": "application/json", "Event-Sign": proof, "Event-Type": kind}
            headers["Client-Id"] = str(self.settings["client_id"])
            return push.Post(str(self.settings["push_url"]), content, headers)

        self.push(str(self.settings["push_url"]), compose=compose, label=kind)

    # Controls: what buyers, staff and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Buyers place orders and (unless ``paid`` is false) pay them."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            order = self.shop.create(
                self._buyer(wish.get("customer")),
                self.basket(self.sold, lambda one: one.sku_no, wish.get("skus")),
                self.dice,
            )
            tid = str(order["full_order_info"]["order_info"]["tid"])
            order["full_order_info"]["order_info"]["express_type"] = int(wish.get("express_type", 0))
            if wish.get("paid", True):
                self.shop.pay(tid)
            made.append({"tid": tid, "payment": order["full_order_info"]["pay_info"]["payment"]})
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        self.shop.info(request.path_params["tid"])
        return control.answer(self.shop.orders[request.path_params["tid"]])

    async def change_order(self, request: Request) -> Response:
        tid, what = request.path_params["tid"], request.path_params["what"]
        wish = await control.body(request)
        place = self.shop
        changes: dict[str, Callable[[], shop.Record]] = {
            "pay": lambda: place.pay(tid),
            "wait": lambda: place.pay(tid, waits=True),
            "finish": lambda: place.turn(
                tid, shop.DONE, "已完成", "trade_TradeSuccess", success_time=shop.local(self.now())
            ),
            "close": lambda: place.turn(tid, shop.CLOSED, "已关闭", "trade_TradeClose", close_type=4),
            "refund": lambda: refunds.open_refund(
                place, tid, bool(wish.get("returning")), str(wish.get("reason", "不想要了"))
            ),
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: {', '.join(changes)}")
        return control.answer(changes[what]())

    async def change_refund(self, request: Request) -> Response:
        wish = await control.body(request)
        return control.answer(refunds.advance(self.shop, request.path_params["number"], str(wish.get("status", ""))))

    async def touch_refund(self, request: Request) -> Response:
        refunds.touch(self.shop, request.path_params["number"])
        return control.answer({"touched": True})

    async def add_customer(self, request: Request) -> Response:
        wish = await control.body(request)
        return control.answer(people.join(self.shop, str(wish.get("mobile", "")), wish))

    async def show_goods(self, _request: Request) -> Response:
        rows = [{"item_id": str(one.item_id), "sku_id": str(one.sku_id), "sku_no": one.sku_no} for one in self.sold]
        return control.answer({"goods": rows})

    async def try_push(self, _request: Request) -> Response:
        """The console's 测试推送."""
        self._tell("trade_TradeBuyerPay", "E0", "WAIT_SELLER_SEND_GOODS", {"tid": "E0"}, test=True)
        return control.answer({"pushed": True})

    async def subscribe(self, _request: Request) -> Response:
        """A shop subscribes the application: an encrypted message comes as a GET."""
        said = {
            "appId": 110,
            "buyerId": 123456,
            "kdtId": int(self.settings["kdt_id"]),
            "orderNo": f"E{int(self.now() * 1000)}",
            "payTime": int(self.now() * 1000),
            "price": 42,
            "status": 20,
            "type": "APP_SUBSCRIBE",
        }
        message = callback.encrypt(str(self.settings["client_secret"]), json.dumps(said).encode())
        self.push(str(self.settings["push_url"]), method="GET", params={"message": message}, label="APP_SUBSCRIBE")
        return control.answer({"pushed": True})

    async def expire_token(self, _request: Request) -> Response:
        self.tokens.end()
        return control.answer({"token_valid": False})

    def _buyer(self, wanted: Any) -> shop.Buyer:
        """A customer by place in the world or by name; any one when nothing is asked."""
        person = self.person(wanted)
        where = person.address
        place = (where.province, where.city, where.district, where.street, where.zip)
        return shop.Buyer(f"ytSIM{person.index:016d}", person.name, person.phone, *place)


def _refusal(refused: shop.Refused, old: bool = False) -> Response:
    trace = f"yz7-{uuid.uuid4().hex[:12]}"
    if refused.gateway:
        body: dict[str, Any] = {"trace_id": trace, "err_msg": refused.words, "err_code": refused.code}
        return JSONResponse({"gw_err_resp": body})
    if old:
        return JSONResponse({"error_response": {"code": refused.code, "msg": refused.words}})
    return JSONResponse(
        {"trace_id": trace, "code": refused.code, "success": False, "message": refused.words, "data": None}
    )


def _goods(sku: world.Sku) -> shop.Goods:
    number = sum(ord(letter) * 256**place for place, letter in enumerate(reversed(sku.ids["product"])))
    product = sku.ids["product"]
    return shop.Goods(1_490_000_000 + number, 36_100_001 + sku.index, product, sku.code, sku.title, sku.spec, sku.price)
