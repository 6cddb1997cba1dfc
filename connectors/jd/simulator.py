"""The simulated JD: gateway at ``/jd/routerjson``, authorisation at ``/jd/oauth2``, JCQ at ``/jd/jcq``, one shop.

Controls, under ``/_sim/jd``: ``POST orders`` ``{count, customer?, skus?, warehouse?}`` · ``GET orders/{id}`` ·
``POST orders/{id}/{pause|resume|finish|cancel|split|refund|service}`` · ``POST applications/{id}`` ``{status}`` ·
``POST services/{id}/{send_back|settle}`` ``{waybill?, result?}`` · ``GET goods`` · ``POST expire_token``
``{renewable?}`` · ``POST authorize`` · ``POST agree`` (gives a code).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.jd.simulated import calls, gate, queue, refunds, shop
from connectors.simulator import control, engine, world

ACCOUNT = "100000000001"


class Simulator(engine.Simulator):
    """See the module. ``lifetime``: seconds that the first token still lives (within its last day)."""

    id = "jd"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "EXAMPLEAPPKEY0000000000000000001",
        "app_secret": "simulated-app-secret",
        "access_token": "simulated-access-token",
        "refresh_token": "simulated-refresh-token",
        "code": "",
        "token_expires": "",
        "lifetime": 46800,
        "vender_id": "10000001",
        "operate_pin": "shuniu_cs",
        "operate_nick": "客服一",
        "jcq_access_key": "SIMULATEDACCESSKEY00000000000001",
        "jcq_secret_key": "simulated-jcq-secret",
        "jcq_group": "open_message_600000000001",
        "jcq_topics": "",
    }

    def seed(self) -> None:
        self.sold = [_goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(self.sold, self.dice, self.now, self.commit, self._tell)
        self.calls = calls.Calls(self.shop, lambda: str(self.settings["vender_id"]))
        terms = queue.Terms(
            access_key=lambda: str(self.settings["jcq_access_key"]),
            secret_key=lambda: str(self.settings["jcq_secret_key"]),
            group=lambda: str(self.settings["jcq_group"]),
            scale=lambda: self.pusher.time_scale,
        )
        self.queue = queue.Queue(terms)
        self._others: list[gate.Grant] = []
        self._grant()
        self.code = str(self.settings["code"])
        kinds = ("order_pay", "order_stockout", "order_cancel", "order_refund", "sku_change")
        self.settings["jcq_topics"] = "\n".join(self.topic(kind) for kind in kinds)

    def granted(self) -> dict[str, Any]:
        made = gate.Grant(uuid.uuid4().hex, uuid.uuid4().hex, self.now() + float(self.settings["lifetime"]))
        self._others.append(made)
        return {
            "access_token": made.access, "refresh_token": made.refresh, "token_expires": shop.local(made.ends),
        }  # fmt: skip

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        if {"access_token", "refresh_token", "lifetime"} & set(settings):
            self._grant()
        if "code" in settings:
            self.code = str(settings["code"])

    def topic(self, kind: str) -> str:
        """The full name of a topic."""
        return f"{ACCOUNT}$Default$open_message_ct_{kind}_{self.settings['app_key']}"

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/routerjson", self.router, methods=["GET", "POST"]),
            Route("/oauth2/access_token", self.redeem),
            Route("/oauth2/refresh_token", self.renew),
            Route("/jcq/v2/messages", self.queue_consume),
            Route("/jcq/v2/ack", self.queue_ack, methods=["POST"]),
        ]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{number}", control.guarded(self.show_order)),
            post("/orders/{number}/{what}", self.change_order),
            post("/applications/{number:int}", self.change_application),
            post("/services/{number:int}/{what}", self.change_service),
            Route("/goods", control.guarded(self.show_goods)),
            post("/expire_token", self.expire_token),
            post("/authorize", self.authorize),
            post("/agree", self.agree),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.shop.orders.values():
            states[order["orderState"]] = states.get(order["orderState"], 0) + 1
        return {
            "orders": states,
            "applications": len(self.shop.applications),
            "services": len(self.shop.services),
            "unconfirmed": len(self.queue.waiting),
            "token_valid": self.grant.valid(self.grant.access, self.now()),
        }

    def throttled(self, request: Request) -> Response:
        return _error(shop.Refused("2", "应用调用次数超限", "App Call Limited"))

    def banned(self, request: Request) -> Response:
        return _error(shop.Refused("2", "应用当日调用次数超限", "App Call Limited"))

    def broken(self, request: Request) -> Response:
        return JSONResponse({"message": "Internal Server Error"}, 500)

    # The vendor's side.

    async def router(self, request: Request) -> Response:
        """Every gateway call. Errors are HTTP 200 as well."""
        try:
            given = await gate.parameters(request)
            business = gate.check(given, str(self.settings["app_key"]), str(self.settings["app_secret"]))
            method = given["method"]
            if method not in self.calls.methods:
                raise shop.Refused("15", "无效方法名", "Invalid method")
            token = given.get("access_token", "")
            if not any(one.valid(token, self.now()) for one in (self.grant, *self._others)):
                raise shop.Refused("19", "无效access_token", "Invalid access_token")
            found = self.calls.methods[method](business)
        except shop.Refused as refused:
            return _error(refused)
        return gate.answer(method.replace(".", "_") + "_responce", found)

    async def redeem(self, request: Request) -> Response:
        """A code for a pair of tokens, once; the older pair is dead."""
        given = request.query_params
        known = (given.get("app_key"), given.get("app_secret"), given.get("grant_type"))
        if known != (self.settings["app_key"], self.settings["app_secret"], "authorization_code"):
            return JSONResponse({"code": 101, "msg": "app_key或app_secret不正确", "requestId": uuid.uuid4().hex})
        if not given.get("code") or given.get("code") != self.code:
            return JSONResponse({"code": 402, "msg": "code无效或已过期", "requestId": uuid.uuid4().hex})
        self.code = ""
        self.grant = gate.Grant(uuid.uuid4().hex, uuid.uuid4().hex, self.now() + gate.YEAR)
        return JSONResponse(self.grant.told(self.now()))

    async def renew(self, request: Request) -> Response:
        given = request.query_params
        known = (given.get("app_key"), given.get("app_secret"), given.get("grant_type"))
        if known != (self.settings["app_key"], self.settings["app_secret"], "refresh_token"):
            return JSONResponse({"code": 101, "msg": "app_key或app_secret不正确", "requestId": uuid.uuid4().hex})
        old = given.get("refresh_token", "")
        grant = next((one for one in self._others if one.refresh == old), self.grant)
        told = grant.renewed(old, self.now())
        if told is None:
            return JSONResponse({"code": 400, "msg": "refresh_token无效或未到刷新时间", "requestId": uuid.uuid4().hex})
        return JSONResponse(told)

    async def queue_consume(self, request: Request) -> Response:
        return await self.queue.consume(request)

    async def queue_ack(self, request: Request) -> Response:
        return await self.queue.ack(request)

    def _grant(self) -> None:
        ends = self.now() + float(self.settings["lifetime"])
        self.grant = gate.Grant(str(self.settings["access_token"]), str(self.settings["refresh_token"]), ends)
        self.settings["token_expires"] = shop.local(ends)

    def _tell(self, kind: str, content: shop.Record) -> None:
        """Put a message into the queue of its topic, with the faults that were asked for."""
        twice = self.dice.random() < self.faults.duplicate_rate
        whole = {**content, "appKey": self.settings["app_key"], "timestamp": int(self.now() * 1000)}
        copies = self.faults.duplicate_push if twice else 1
        self.queue.append(self.topic(kind), whole, str(content.get("orderId", "")), copies)

    # Controls: what buyers, the platform and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Buyers place orders and pay them."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            basket = self.basket(self.sold, lambda one: one.outer_id, wish.get("skus"))
            order = self.shop.place(self._buyer(wish.get("customer")), basket, bool(wish.get("warehouse")))
            made.append({name: order[name] for name in ("orderId", "shouldPay", "orderState", "modified")})
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.order(request.path_params["number"]))

    async def change_order(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        wish = await control.body(request)
        place = self.shop
        changes: dict[str, Callable[[], Any]] = {
            "pause": lambda: place.turn(number, shop.PAUSED, "业务暂停", "order_refund"),
            "resume": lambda: place.turn(number, shop.WAITING, "等待出库", "order_pay"),
            "finish": lambda: place.turn(number, shop.DONE, "完成", "order_finish"),
            "cancel": lambda: place.turn(number, shop.CANCELLED, "取消", "order_cancel"),
            "split": lambda: {"children": place.split(number)},
            "refund": lambda: refunds.apply(place, number, str(wish.get("reason", "不想要了"))),
            "service": lambda: refunds.open_service(place, number, int(wish.get("expect", 10))),
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: {', '.join(changes)}")
        return control.answer(changes[what]())

    async def change_application(self, request: Request) -> Response:
        wish = await control.body(request)
        return control.answer(refunds.advance(self.shop, request.path_params["number"], int(wish.get("status", 0))))

    async def change_service(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        wish, desk = await control.body(request), self.calls.desk
        changes: dict[str, Callable[[], Any]] = {
            "send_back": lambda: desk.sent_back(number, str(wish.get("waybill", "JDX000000000001"))),
            "settle": lambda: desk.settled(number, int(wish.get("result", 0))),
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: {', '.join(changes)}")
        return control.answer(changes[what]())

    async def show_goods(self, _request: Request) -> Response:
        rows = [{"skuId": str(one.sku_id), "wareId": str(one.ware_id), "outerId": one.outer_id} for one in self.sold]
        return control.answer({"goods": rows})

    async def expire_token(self, request: Request) -> Response:
        """The access token is refused from now on; ``renewable`` (true): in its last day, so that it can be renewed."""
        near = bool((await control.body(request)).get("renewable", True))
        for one in (self.grant, *self._others):
            one.dead = True
            one.ends = self.now() + (gate.LAST_DAY / 2 if near else 30 * gate.LAST_DAY)
        return control.answer({"token_valid": False})

    async def authorize(self, _request: Request) -> Response:
        """The seller authorises the app (again): a new pair, the older one is dead."""
        self.grant = gate.Grant(uuid.uuid4().hex, uuid.uuid4().hex, self.now() + gate.YEAR)
        return control.answer(self.grant.told(self.now()))

    async def agree(self, _request: Request) -> Response:
        """The seller agrees on the platform's page: a fresh code for one exchange."""
        self.code = uuid.uuid4().hex
        return control.answer({"code": self.code})

    def _buyer(self, wanted: Any) -> shop.Buyer:
        """A customer by place in the world or by name; any one when nothing is asked."""
        person = self.person(wanted)
        where = person.address
        open_id = f"oSim{person.index:08d}"
        return shop.Buyer(open_id, person.name, person.phone, where.province, where.city, where.district, where.street)


def _error(refused: shop.Refused) -> Response:
    return gate.answer("error_response", refused.body)


def _goods(sku: world.Sku) -> shop.Goods:
    number = sum(ord(letter) * 256**place for place, letter in enumerate(reversed(sku.ids["product"])))
    return shop.Goods(
        10_020_000_000_000 + number, 10_000_000_000_001 + sku.index, sku.code, sku.title, sku.spec, sku.price
    )
