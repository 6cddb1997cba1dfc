"""The simulated Taobao: gateway at ``/taobao/router/rest``, TMC at ``/taobao/tmc``, one shop behind both.

Controls, under ``/_sim/taobao``: ``POST orders`` ``{count, customer?, skus?, paid?}`` · ``GET orders/{tid}`` ·
``POST orders/{tid}/{pay|deposit|hold|release|finish|close|refund|exchange}`` · ``POST refunds/{id}`` ``{status}`` ·
``POST exchanges/{id}`` ``{status}`` ·
``POST goods/{num_iid}/{off|delete}`` · ``POST expire_session`` ·
``POST authorize`` ``{session?}`` · ``POST agree`` (gives a code) · ``POST cut`` (ends every TMC socket).
"""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from connectors.simulator import control, engine, world
from connectors.taobao.simulated import calls, channel, decisions, exchanges, gate, refunds, shop

SELLER_ID = 263664221


class Simulator(engine.Simulator):
    """See the module. ``redelivery`` and ``retention`` are vendor seconds, scaled by ``time_scale``."""

    id = "taobao"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "12129701",
        "app_secret": "simulated-app-secret",
        "session": "6100simulated-session",
        "session_lifetime": 31536000,
        "code": "",
        "renewable": False,
        "group_name": "default",
        "redelivery": 300,
        "retention": 259200,
        "zip_content": False,
        "tmall": False,
    }

    def seed(self) -> None:
        self.sold = [_goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(self.sold, self.dice, self.now, self.commit, self._tell)
        terms = channel.Terms(
            app_key=lambda: str(self.settings["app_key"]),
            secret=lambda: str(self.settings["app_secret"]),
            now=time.time,
            lease=lambda: float(self.settings["redelivery"]) * self.pusher.time_scale,
            keep=lambda: float(self.settings["retention"]) * self.pusher.time_scale,
            zipped=lambda: bool(self.settings["zip_content"]),
        )
        self.channel = channel.Channel(terms, shop.SELLER, SELLER_ID)
        self.calls = calls.Calls(self.shop, self.channel, self._permit)
        self.calls.methods |= decisions.methods(self.shop) | exchanges.methods(self.shop)
        self.calls.methods |= {
            "taobao.top.auth.token.create": self.redeem,
            "taobao.top.auth.token.refresh": self.renew,
        }
        self.code, self.following = str(self.settings["code"]), ""
        self.permitted = True
        self.expired = False
        self.authorised_at = self.now()
        self._gathered: list[channel.Message] = []

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        if "session" in settings:
            self.expired, self.authorised_at = False, self.now()
        if "code" in settings:
            self.code = str(settings["code"])
        self.shop.tmall = bool(self.settings["tmall"])

    async def stop(self) -> None:
        await self.channel.close()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/router/rest", self.router, methods=["GET", "POST"]),
            WebSocketRoute("/tmc", self.channel_opened),
        ]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{tid:int}", control.guarded(self.show_order)),
            post("/orders/{tid:int}/{what}", self.change_order),
            post("/refunds/{number}", self.change_refund),
            post("/exchanges/{number}", self.change_exchange),
            post("/goods/{num_iid:int}/off", self.take_off),
            post("/goods/{num_iid:int}/delete", self.delete),
            post("/expire_session", self.expire_session),
            post("/authorize", self.authorize),
            post("/agree", self.agree),
            post("/cut", self.cut),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for trade in self.shop.trades.values():
            states[trade["status"]] = states.get(trade["status"], 0) + 1
        queues = {
            name: {"put": one.put, "given": one.got, "unconfirmed": len(one.messages)}
            for name, one in self.channel.queues.items()
        }
        return {
            "trades": states,
            "refunds": len(self.shop.refunds),
            "queues": queues,
            "sockets": len(self.channel.open),
            "session_valid": self.session_problem(str(self.settings["session"])) is None,
        }

    def throttled(self, request: Request) -> Response:
        return self._limited("accesscontrol.limited-by-api-access-count", 1)

    def banned(self, request: Request) -> Response:
        return self._limited(
            "accesscontrol.limited-by-app-access-count", max(1, math.ceil(self.faults.ban_until - self.now()))
        )

    def broken(self, request: Request) -> Response:
        problem = shop.Refused(
            10, "Service currently unavailable", "isp.top-remote-connection-timeout", "连接后端服务超时"
        )
        return gate.answer("error_response", problem.body, "json")

    # The vendor's side.

    async def router(self, request: Request) -> Response:
        """Every gateway call. Errors are HTTP 200 as well."""
        style = "xml"
        try:
            given, signed = await gate.parameters(request)
            style = gate.style(given)
            gate.check(given, signed, str(self.settings["app_key"]), str(self.settings["app_secret"]))
            method = given["method"]
            if method not in self.calls.methods:
                raise shop.Refused(22, "Invalid method", "isv.invalid-method", f"不存在的方法名 {method}")
            if method not in calls.OPEN_TO_ALL and (problem := self.session_problem(given.get("session", ""))):
                raise problem
            found = self.calls.methods[method](given)
        except shop.Refused as refused:
            return gate.answer("error_response", refused.body, style)
        return gate.answer(method.removeprefix("taobao.").replace(".", "_") + "_response", found, style)

    async def channel_opened(self, socket: Any) -> None:
        await self.channel.connected(socket)

    def redeem(self, given: dict[str, str]) -> dict[str, Any]:
        """A code for a session, once; the older session is dead."""
        if not given.get("code") or given["code"] != self.code:
            raise shop.Refused(15, "Remote service error", "isv.invalid-parameter:code", "code无效或已过期")
        self.code = ""
        return self._granted()

    def renew(self, given: dict[str, str]) -> dict[str, Any]:
        """The next session, where the application's label lets it be renewed at all."""
        if not self.settings["renewable"] or given.get("refresh_token", "") != self.following:
            raise shop.Refused(15, "Remote service error", "isv.invalid-parameter:refresh_token", "refresh_token无效")
        return self._granted()

    def _granted(self) -> dict[str, Any]:
        self.following = f"6101{uuid.uuid4().hex}"
        self.configure({"session": f"6100{uuid.uuid4().hex}"})
        lasts = int(self.settings["session_lifetime"])
        told = {
            "access_token": self.settings["session"],
            "token_type": "Bearer",
            "expires_in": lasts,
            "refresh_token": self.following,
            "re_expires_in": lasts if self.settings["renewable"] else 0,
            "r1_expires_in": lasts,
            "w1_expires_in": lasts,
            "taobao_user_nick": "%E6%9E%A2%E7%BA%BD%E6%B5%8B%E8%AF%95",
            "taobao_user_id": str(SELLER_ID),
        }
        return {"token_result": json.dumps(told)}

    def session_problem(self, session: str) -> shop.Refused | None:
        """Why this session is not accepted now, or None."""
        if not session:
            return shop.Refused(26, "Missing session", "isv.missing-parameter:session", "缺少 SessionKey")
        if session != self.settings["session"]:
            return shop.Refused(27, "Invalid session", "invalid-sessionkey", "SessionKey非法")
        if self.expired or self.now() > self.authorised_at + float(self.settings["session_lifetime"]):
            return shop.Refused(27, "Invalid session", "session-expired", "SessionKey非法")
        return None

    def _limited(self, sub_code: str, seconds: int) -> Response:
        problem = shop.Refused(7, "App Call Limited", sub_code, f"This ban will last for {seconds} more seconds")
        return gate.answer("error_response", problem.body, "json")

    def _permit(self, on: bool) -> None:
        self.permitted = on

    def _tell(self, topic: str, content: shop.Record) -> None:
        """Queue a message, unless the shop's messages are off (cancelled, or its session ended)."""
        if not self.permitted or self.session_problem(str(self.settings["session"])):
            return
        twice = self.dice.random() < self.faults.duplicate_rate
        text = json.dumps(content, ensure_ascii=False)
        message = self.channel.message(topic, text, self.faults.duplicate_push if twice else 1)
        if self.faults.reorder_push:
            self._gathered.append(message)
            if len(self._gathered) == 1:
                self.spawn(self._release(self.faults.reorder_push))
        elif self.faults.delay_push:
            self.spawn(self._later(message, self.faults.delay_push))
        else:
            self._append(message)

    async def _release(self, seconds: float) -> None:
        await self.pause(seconds)
        gathered, self._gathered = self._gathered, []
        shuffled = gathered[:]
        self.dice.shuffle(shuffled)
        for message in shuffled if shuffled != gathered else reversed(gathered):
            self._append(message)

    async def _later(self, message: channel.Message, seconds: float) -> None:
        await self.pause(seconds)
        self._append(message)

    def _append(self, message: channel.Message) -> None:
        self.channel.queue(str(self.settings["group_name"])).append(message)

    # Controls: what buyers and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Buyers place orders and (unless ``paid`` is false) pay them."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            buyer = self._buyer(wish.get("customer"))
            trade = self.shop.create(buyer, self.basket(self.sold, lambda one: one.outer_sku_id, wish.get("skus")))
            if wish.get("paid", True):
                self.shop.pay(trade["tid"])
            named = ("buyer_open_uid", "payment", "status", "created")
            made.append({"tid": trade["tid_str"], **{name: trade[name] for name in named}})
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.trade(request.path_params["tid"]))

    async def change_order(self, request: Request) -> Response:
        tid, what = request.path_params["tid"], request.path_params["what"]
        wish = await control.body(request)
        if what == "refund":
            oid = int(wish["oid"]) if wish.get("oid") else None
            returning = bool(wish.get("returning", False))
            return control.answer(
                refunds.open_refund(self.shop, tid, oid, returning, str(wish.get("reason", "不想要了")))
            )
        if what == "exchange":
            return control.answer(exchanges.ask(self.shop, tid, int(wish["sku"]) if wish.get("sku") else None))
        changes: dict[str, Callable[[int], shop.Record]] = {
            "pay": self.shop.pay,
            "deposit": self.shop.deposit,
            "finish": self.shop.finish,
            "close": self.shop.close,
            "hold": lambda number: self.shop.hold(number, True),
            "release": lambda number: self.shop.hold(number, False),
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: refund, exchange, {', '.join(changes)}")
        return control.answer(changes[what](tid))

    async def change_refund(self, request: Request) -> Response:
        wish = await control.body(request)
        return control.answer(refunds.advance(self.shop, request.path_params["number"], str(wish.get("status", ""))))

    async def change_exchange(self, request: Request) -> Response:
        """The buyer sends goods back or has them, or the platform ends it."""
        wish = await control.body(request)
        return control.answer(exchanges.advance(self.shop, request.path_params["number"], str(wish["status"])))

    async def take_off(self, request: Request) -> Response:
        """The seller takes a product off the shelf."""
        number = request.path_params["num_iid"]
        self.shop.off.add(number)
        self._tell("taobao_item_ItemDownshelf", {"nick": shop.SELLER, "num_iid": number})
        return control.answer({"num_iid": number})

    async def delete(self, request: Request) -> Response:
        """The seller deletes a product."""
        number = request.path_params["num_iid"]
        self.shop.gone.add(number)
        self._tell("taobao_item_ItemDelete", {"nick": shop.SELLER, "num_iid": number})
        return control.answer({"num_iid": number})

    async def expire_session(self, _request: Request) -> Response:
        """The shop's authorisation ends: calls answer code 27 and its messages stop."""
        self.expired = True
        return control.answer({"session_valid": False})

    async def authorize(self, request: Request) -> Response:
        """The seller authorises the app (again): a new session, the older one is dead."""
        session = str((await control.body(request)).get("session") or f"6100{uuid.uuid4().hex}")
        self.configure({"session": session})
        return control.answer({"session": session})

    async def agree(self, _request: Request) -> Response:
        """The seller agrees on the platform's page: a fresh code for one exchange."""
        self.code = uuid.uuid4().hex
        return control.answer({"code": self.code})

    async def cut(self, _request: Request) -> Response:
        return control.answer({"cut": await self.channel.close()})

    def _buyer(self, wanted: Any) -> shop.Buyer:
        """A customer by place in the world, by any id, nick or name; any one when nothing is asked."""
        person = self.person(wanted)
        return _buyer(person)


def _buyer(person: world.Person) -> shop.Buyer:
    where = person.address
    return shop.Buyer(
        person.ids["taobao.open_uid"],
        person.nick,
        person.name,
        person.phone,
        where.province,
        where.city,
        where.district,
        where.street,
    )


def _goods(sku: world.Sku) -> shop.Goods:
    return shop.Goods(
        int(sku.ids["taobao.num_iid"]),
        int(sku.ids["taobao.sku_id"]),
        sku.ids["product"],
        sku.code,
        sku.title,
        sku.spec,
        sku.price,
        sku.barcode,
    )
