"""The simulated Ark gateway under ``/xiaohongshu``: one shop, its after-sales, and pushes to the hub.

Controls, under ``/_sim/xiaohongshu``: ``POST orders`` ``{count, customer?, skus?, paid?, risk?}`` ·
``GET orders/{id}`` · ``POST orders/{id}/{pay|release|ask_cancel|move_house|finish}`` ·
``POST orders/{id}/refund`` ``{kind?}`` ·
``POST refunds/{id}/{send_back|withdraw|agree|receive}`` · ``POST expire_tokens`` · ``POST authorize`` ``{code}``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.simulator import control, engine
from connectors.simulator import push as pushing
from connectors.xiaohongshu.simulated import calls, gate, refunds, shop


class Simulator(engine.Simulator):
    """See the module.

    ``push_query`` is what the address in the console carries, ``push_place`` (path | url) what of it is signed,
    ``push_system`` (headers | query) where the system parameters travel; ``foreign_seller`` is a second shop.
    """

    id = "xiaohongshu"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_id": "test-app-id-0001",
        "app_secret": "test-app-secret-0001",
        "code": "code-demo-0001",
        "seller_id": "5fabcdef0000000000000001",
        "token_lifetime": 604800,
        "push_url": "",
        "push_query": "",
        "push_place": "path",
        "push_system": "headers",
        "foreign_seller": "",
    }
    PUSH_RETRIES: ClassVar[Sequence[float]] = (10, 60, 300)
    PUSH_TIMEOUT: ClassVar[float] = 5.0

    def seed(self) -> None:
        sold = [shop.goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(sold, self.dice, self.now, self.commit, self._tell)
        self.desk = refunds.Desk(self.shop)
        self.calls = calls.Calls(self.shop, self.desk)
        self.tokens = gate.Tokens(self.now, self.settings)
        self._others: list[gate.Tokens] = []
        self._told = 0

    def granted(self) -> dict[str, Any]:
        code = f"code-demo-{uuid.uuid4().hex}"
        self._others.append(gate.Tokens(self.now, ChainMap({"code": code}, self.settings)))
        return {"code": code}

    def _grant(self, name: Any) -> gate.Tokens:
        """The grant that a code or token is of; an unknown one is the first's to refuse."""
        return next((one for one in self._others if one.knows(str(name or ""))), self.tokens)

    def routes(self) -> list[BaseRoute]:
        return [Route("/ark/open_api/v3/common_controller", self.gateway, methods=["POST"])]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{number}", control.guarded(self.show_order)),
            post("/orders/{number}/{what}", self.change_order),
            post("/refunds/{number}/{what}", self.change_refund),
            post("/expire_tokens", self.expire_tokens),
            post("/authorize", self.authorize),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.shop.orders.values():
            states[str(order["orderStatus"])] = states.get(str(order["orderStatus"]), 0) + 1
        return {"orders": states, "after_sales": len(self.desk.records), "messages": self._told}

    def throttled(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(gate.LIMIT, "调用过于频繁，已触发限流"))

    def banned(self, request: Request) -> Response:
        return Response("too many requests", 429, media_type="text/plain")

    def broken(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(gate.DOWN, "系统异常，请稍后重试"))

    def acknowledged(self, response: httpx.Response) -> bool:
        """HTTP 200 and ``success`` true with ``error_code`` 0."""
        try:
            said = response.json()
        except ValueError:
            return False
        good = isinstance(said, dict) and said.get("success") is True and said.get("error_code") == 0
        return response.status_code == 200 and good

    # The vendor's side.

    async def gateway(self, request: Request) -> Response:
        """Every call, selected by ``method`` in the body. Errors are HTTP 200 as well."""
        try:
            given = json.loads(await request.body())
            method = gate.check(given, str(self.settings["app_id"]), str(self.settings["app_secret"]))
            if method == "oauth.getAccessToken":
                return gate.envelope(self._grant(given.get("code")).by_code(given))
            if method == "oauth.refreshToken":
                return gate.envelope(self._grant(given.get("refreshToken")).by_refresh(given))
            self._grant(given.get("accessToken")).check(given.get("accessToken"))
            if method not in self.calls.methods:
                raise gate.Refused(gate.PARAMETER, f"method not found: {method}")
            return gate.envelope(self.calls.methods[method](given))
        except gate.Refused as refused:
            return gate.envelope(refused=refused)
        except (ValueError, TypeError, AttributeError) as error:
            return gate.envelope(refused=gate.Refused(gate.PARAMETER, f"参数不正确: {error}"))

    def _tell(self, tag: str, data: dict[str, Any]) -> None:
        """Push a message of this shop, and one of the other shop where there is one, in one array."""
        pieces = []
        for seller in filter(None, (str(self.settings["seller_id"]), str(self.settings["foreign_seller"]))):
            self._told += 1
            pieces.append({"msgTag": tag, "sellerId": seller, "data": json.dumps(data, ensure_ascii=False)})
        body = json.dumps(pieces, ensure_ascii=False).encode()
        self.push(str(self.settings["push_url"]), compose=lambda _number: self._post(body), label=tag)

    def _post(self, body: bytes) -> pushing.Post:
        """Each try is signed anew: over the address and the parameters, never over the body."""
        address = str(self.settings["push_url"])
        query = dict(parse_qsl(str(self.settings["push_query"]), keep_blank_values=True))
        system = {"app-key": str(self.settings["app_id"]), "timestamp": str(int(self.now()))}
        place = urlsplit(address).path if self.settings["push_place"] == "path" else address
        params = {**query, **system}
        joined = "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name])
        text = f"{place}?{joined}{self.settings['app_secret']}"
        system["sign"] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        headers = {"content-type": "application/json"}
        if self.settings["push_system"] == "headers":
            return pushing.Post(address, body, {**headers, **system}, query)
        return pushing.Post(address, body, headers, {**query, **system})

    # Controls: what buyers and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Buyers place orders and (unless ``paid`` is false) pay them."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            order = self.shop.create(
                self.person(wish.get("customer")), self.basket(self.shop.goods, lambda one: one.code, wish.get("skus"))
            )
            if wish.get("paid", True):
                self.shop.pay(order["orderId"], risk=bool(wish.get("risk", False)))
            buyer = self.shop.buyer(order["orderId"])
            skus = [line["skuId"] for line in order["skuList"]]
            address, phone = order["openAddressId"], shop.cipher("phone", buyer.phone)
            made.append({"id": order["orderId"], "skus": skus, "address": address, "cipher": phone})
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.order(request.path_params["number"]))

    async def change_order(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        wish = await control.body(request)
        if what == "refund":
            kind, reason = int(wish.get("kind", refunds.MONEY)), str(wish.get("reason", "不想要了"))
            return control.answer({"id": self.desk.apply(number, kind, reason)["returnsId"]})
        changes: dict[str, Callable[[str], Any]] = {
            "pay": self.shop.pay,
            "release": self.shop.release,
            "ask_cancel": self.shop.ask_cancel,
            "move_house": self.shop.move_house,
            "finish": self.shop.finish,
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: refund, {', '.join(changes)}")
        return control.answer(changes[what](number))

    async def change_refund(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        changes: dict[str, Callable[[], Any]] = {
            "send_back": lambda: self.desk.send_back(number, "SF2000000000001"),
            "withdraw": lambda: self.desk.withdraw(number),
            "agree": lambda: self.desk.audit({"returnsId": number, "action": 2}),
            "receive": lambda: self.desk.confirm({"returnsId": number, "action": 1}),
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: {', '.join(changes)}")
        changes[what]()
        return control.answer({"id": number, "status": self.desk.get(number)["status"]})

    async def expire_tokens(self, _request: Request) -> Response:
        for one in (self.tokens, *self._others):
            one.expire()
        return control.answer({"expired": True})

    async def authorize(self, request: Request) -> Response:
        """The shop authorises the application (again): a new code."""
        code = str((await control.body(request)).get("code") or "code-demo-0002")
        self.configure({"code": code})
        return control.answer({"code": code})
