"""The simulated Pinduoduo: gateway at ``/pdd/api/router``, messages at ``/pdd/message/…``, one shop behind both.

Controls, under ``/_sim/pdd``: ``POST orders`` ``{count, customer?, sku?, quantity?, review?, gift?, deposit?,
contact?}`` · ``GET orders/{sn}`` · ``POST orders/{sn}/{review|release|sign|address|refund|balance|abnormal}`` ·
``POST refunds/{id}`` ``{status}`` · ``GET goods`` ·
``POST expire_token`` · ``POST authorize`` · ``POST agree`` (gives a code) · ``POST cut`` (ends every message socket).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from connectors.pdd.simulated import calls, channel, gate, oddities, refunds, shop
from connectors.simulator import control, engine, world


class Simulator(engine.Simulator):
    """See the module. ``session_timeout`` is in real seconds; the schedule of messages is scaled by ``time_scale``."""

    id = "pdd"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "client_id": "c0ffee00c0ffee00c0ffee00c0ffee00",
        "client_secret": "simulated-client-secret",
        "access_token": "simulated-access-token",
        "code": "",
        "lifetime": 31536000,
        "mall_id": "10000001",
        "session_timeout": 180,
        "wrap_refund": False,
    }

    def seed(self) -> None:
        self.sold = [_goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(self.sold, int(self.settings["mall_id"]), self.now, self.commit, self._tell)
        terms = channel.Terms(
            client_id=lambda: str(self.settings["client_id"]),
            secret=lambda: str(self.settings["client_secret"]),
            scale=lambda: self.pusher.time_scale,
            session=lambda: float(self.settings["session_timeout"]),
        )
        self.channel = channel.Channel(terms)
        self.calls = calls.Calls(self.shop, self.channel, self._permit)
        self.calls.types |= {"pdd.pop.auth.token.create": self.redeem, "pdd.pop.auth.token.refresh": self.renew}
        self.permitted, self.expired, self.cancelled = True, False, False
        self.code, self.following, self.term = str(self.settings["code"]), "", 0.0
        self._gathered: list[channel.Message] = []

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        if "access_token" in settings:
            self.expired = self.cancelled = False
        if "code" in settings:
            self.code = str(settings["code"])
        if "mall_id" in settings:
            self.shop.mall_id = int(settings["mall_id"])

    async def stop(self) -> None:
        await self.channel.close()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/router", self.router, methods=["GET", "POST"]),
            Route("/api/router/", self.router, methods=["GET", "POST"]),
            WebSocketRoute("/message/{client_id}/{millis}/{digest}", self.channel_opened),
        ]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{sn}", control.guarded(self.show_order)),
            post("/orders/{sn}/{what}", self.change_order),
            post("/refunds/{number:int}", self.change_refund),
            Route("/goods", control.guarded(self.show_goods)),
            post("/expire_token", self.expire_token),
            post("/authorize", self.authorize),
            post("/agree", self.agree),
            post("/cut", self.cut),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.shop.orders.values():
            key = f"{order['order_status']}/{order['refund_status']}"
            states[key] = states.get(key, 0) + 1
        return {
            "orders": states,
            "refunds": len(self.shop.refunds),
            "unacknowledged": len(self.channel.waiting),
            "sockets": len(self.channel.open),
            "token_valid": self._token_problem(str(self.settings["access_token"])) is None,
        }

    def throttled(self, request: Request) -> Response:
        return _error(shop.Refused(52101, "当前接口被限流，请稍后重试"))

    def banned(self, request: Request) -> Response:
        return _error(shop.Refused(70034, "应用被风控，禁止调用"))

    def broken(self, request: Request) -> Response:
        return _error(shop.Refused(52001, "网络异常，请稍后重试"))

    # The vendor's side.

    async def router(self, request: Request) -> Response:
        """Every gateway call. Errors are HTTP 200 as well."""
        try:
            given = await gate.parameters(request)
            gate.check(given, str(self.settings["client_id"]), str(self.settings["client_secret"]))
            kind = given["type"]
            if kind not in self.calls.types:
                raise shop.Refused(10017, "type值无效")
            if kind not in gate.OPEN_TO_ALL and (problem := self._token_problem(given.get("access_token", ""))):
                raise problem
            key, body = self.calls.types[kind](given)
        except shop.Refused as refused:
            return _error(refused)
        if key is None and self.settings["wrap_refund"]:
            key = "refund_information_get_response"
        return gate.answer(key, body)

    def redeem(self, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
        """A code for a token, once; the older token, its refresh token and its code are dead."""
        if not given.get("code") or given["code"] != self.code:
            raise shop.Refused(20000, "code无效或已过期")
        self.term = self.now() + float(self.settings["lifetime"])
        return "pop_auth_token_create_response", self._granted()

    def renew(self, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
        """Another token within the authorised term; nothing is prolonged."""
        if self.cancelled or not self.following or given.get("refresh_token") != self.following:
            raise shop.Refused(10019, "refresh_token已过期")
        return "pop_auth_token_refresh_response", self._granted()

    def _granted(self) -> dict[str, Any]:
        self.code, self.following = "", uuid.uuid4().hex
        self.configure({"access_token": uuid.uuid4().hex})
        left = int(self.term - self.now())
        return {
            "access_token": self.settings["access_token"],
            "expires_in": left,
            "expires_at": int(self.term),
            "refresh_token": self.following,
            "refresh_token_expires_in": left,
            "refresh_token_expires_at": int(self.term),
            "scope": ["pdd.order.list.get"],
            "owner_id": str(self.settings["mall_id"]),
            "owner_name": "pdd10000001",
        }

    async def channel_opened(self, socket: Any) -> None:
        await self.channel.connected(socket)

    def _token_problem(self, token: str) -> shop.Refused | None:
        """Why this token is not accepted now, or None."""
        if self.cancelled:
            return shop.Refused(10014, "用户已取消授权")
        if self.expired or token != self.settings["access_token"]:
            return shop.Refused(10019, "access_token已过期")
        return None

    def _permit(self, on: bool) -> None:
        self.permitted = on

    def _tell(self, topic: str, content: shop.Record) -> None:
        """Send a message, unless the shop's messages are off (cancelled, or its authorisation ended)."""
        if not self.permitted or self.expired or self.cancelled:
            return
        twice = self.dice.random() < self.faults.duplicate_rate
        copies = self.faults.duplicate_push if twice else 1
        message = self.channel.message(topic, self.shop.mall_id, content, copies)
        if self.faults.reorder_push:
            self._gathered.append(message)
            if len(self._gathered) == 1:
                self.spawn(self._release(self.faults.reorder_push))
        elif self.faults.delay_push:
            self.spawn(self._later(message, self.faults.delay_push))
        else:
            self.channel.append(message)

    async def _release(self, seconds: float) -> None:
        await self.pause(seconds)
        gathered, self._gathered = self._gathered, []
        shuffled = gathered[:]
        self.dice.shuffle(shuffled)
        for message in shuffled if shuffled != gathered else reversed(gathered):
            self.channel.append(message)

    async def _later(self, message: channel.Message, seconds: float) -> None:
        await self.pause(seconds)
        self.channel.append(message)

    # Controls: what buyers, risk control and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Groups of buyers complete: paid orders, to be shipped."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            sku = self._wanted(wish.get("sku"))
            number = int(wish.get("quantity") or self.dice.choice([1, 1, 2]))
            order = self.shop.confirm(
                self._buyer(wish.get("customer")), sku, number, bool(wish.get("review")), self.dice
            )
            if wish.get("gift") or wish.get("deposit") or wish.get("contact"):
                gift = self._wanted(wish["gift"]) if wish.get("gift") else None
                oddities.make(order, gift, bool(wish.get("deposit")), bool(wish.get("contact")))
            made.append({name: order[name] for name in ("order_sn", "pay_amount", "order_status", "updated_at")})
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.shown(self.shop.order(request.path_params["sn"])))

    async def change_order(self, request: Request) -> Response:
        sn, what = request.path_params["sn"], request.path_params["what"]
        wish = await control.body(request)
        changes: dict[str, Callable[[], shop.Record]] = {
            "review": lambda: self.shop.review(sn, True),
            "release": lambda: self.shop.review(sn, False),
            "sign": lambda: self.shop.sign(sn),
            "balance": lambda: oddities.balance(self.shop, sn),
            "abnormal": lambda: oddities.abnormal(self.shop, sn),
            "address": lambda: self.shop.move(sn, str(wish.get("city", "宁波市"))),
            "refund": lambda: refunds.open_refund(
                self.shop, sn, bool(wish.get("returning")), str(wish.get("reason", "不想要了"))
            ),
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: {', '.join(changes)}")
        return control.answer(changes[what]())

    async def change_refund(self, request: Request) -> Response:
        wish = await control.body(request)
        return control.answer(refunds.advance(self.shop, request.path_params["number"], int(wish.get("status", 0))))

    async def show_goods(self, _request: Request) -> Response:
        rows = [
            {"goods_id": str(one.goods_id), "sku_id": str(one.sku_id), "outer_id": one.outer_id} for one in self.sold
        ]
        return control.answer({"goods": rows})

    async def expire_token(self, request: Request) -> Response:
        """The authorisation ends; ``{"cancelled": true}``: the seller withdrew it."""
        self.cancelled = bool((await control.body(request)).get("cancelled"))
        self.expired = True
        return control.answer({"token_valid": False})

    async def authorize(self, request: Request) -> Response:
        """The seller authorises the app (again): a new token, the older one is dead."""
        token = str((await control.body(request)).get("access_token") or uuid.uuid4().hex)
        self.configure({"access_token": token})
        return control.answer({"access_token": token})

    async def agree(self, _request: Request) -> Response:
        """The seller agrees on the platform's page: a fresh code for one exchange."""
        self.code = uuid.uuid4().hex
        return control.answer({"code": self.code})

    async def cut(self, _request: Request) -> Response:
        return control.answer({"cut": await self.channel.close()})

    def _buyer(self, wanted: Any) -> shop.Buyer:
        """A customer by place in the world or by name; any one when nothing is asked."""
        person = self.person(wanted)
        where = person.address
        return shop.Buyer(person.name, person.phone, where.province, where.city, where.district, where.street)

    def _wanted(self, code: Any) -> shop.Goods:
        if code is None:
            return self.dice.choice(self.sold)
        known = [one for one in self.sold if one.outer_id == str(code)]
        if not known:
            raise LookupError(f"no SKU {code}")
        return known[0]


def _error(refused: shop.Refused) -> Response:
    return gate.answer("error_response", refused.body)


def _goods(sku: world.Sku) -> shop.Goods:
    prefix = sku.ids["product"]
    number = sum(ord(letter) * 256**place for place, letter in enumerate(reversed(prefix)))
    return shop.Goods(
        500_000_000_000 + number, 900_000_000_001 + sku.index, prefix, sku.code, sku.title, sku.spec, sku.price
    )
