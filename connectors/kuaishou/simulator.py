"""The simulated Kuaishou gateway under ``/kuaishou``: one shop, OAuth, after-sales, and encrypted pushes to the hub.

Controls, under ``/_sim/kuaishou``: ``POST orders`` ``{count, customer?, skus?, paid?, risk?, blocked?}`` ·
``GET orders/{id}`` · ``POST orders/{id}/{pay|release|sign|finish|close}`` · ``POST orders/{id}/refund`` ``{way?}`` ·
``POST refunds/{id}/{agree|send_back|withdraw}`` · ``POST heartbeat`` · ``POST expire_tokens`` · ``POST revoke`` ·
``POST authorize`` ``{code}``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.kuaishou.simulated import calls, gate, refunds, shop
from connectors.simulator import control, engine


class Simulator(engine.Simulator):
    """See the module. ``foreign_seller`` is a second shop of the application, whose messages come here as well."""

    id = "kuaishou"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "ks680000000000000001",
        "app_secret": "simulated-app-secret",
        "sign_secret": "simulated-sign-secret",
        "message_key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "seller_id": "2161500000",
        "code": "simulated-code-0001",
        "token_lifetime": 172800,
        "grant_lifetime": 15552000,
        "push_url": "",
        "foreign_seller": "",
    }
    PUSH_RETRIES: ClassVar[Sequence[float]] = (300, 600, 1200, 1800, 3600)
    PUSH_TIMEOUT: ClassVar[float] = 3.0

    def seed(self) -> None:
        sold = [shop.goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(sold, self.dice, self.now, self.commit, self._tell)
        self.desk = refunds.Desk(self.shop)
        self.calls = calls.Calls(self.shop, self.desk)
        self.tokens = gate.Tokens(self.now, self.settings)
        self._others: list[gate.Tokens] = []
        self._told = 0

    def granted(self) -> dict[str, Any]:
        code = f"simulated-code-{uuid.uuid4().hex}"
        self._others.append(gate.Tokens(self.now, ChainMap({"code": code}, self.settings)))
        return {"code": code}

    def _grant(self, name: str) -> gate.Tokens:
        """The grant that a code or token is of; an unknown one is the first's to refuse."""
        return next((one for one in self._others if one.knows(name)), self.tokens)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/oauth2/access_token", self.access_token),
            Route("/oauth2/refresh_token", self.refresh_token, methods=["POST"]),
            Route("/{path:path}", self.gateway, methods=["GET", "POST"]),
        ]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{oid:int}", control.guarded(self.show_order)),
            post("/orders/{oid:int}/{what}", self.change_order),
            post("/refunds/{number:int}/{what}", self.change_refund),
            post("/heartbeat", self.heartbeat),
            post("/expire_tokens", self.expire_tokens),
            post("/revoke", self.revoke),
            post("/authorize", self.authorize),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.shop.orders.values():
            state = str(order["orderBaseInfo"]["status"])
            states[state] = states.get(state, 0) + 1
        return {"orders": states, "after_sales": len(self.desk.records), "messages": self._told}

    def throttled(self, request: Request) -> Response:
        words = f"Exceed qps limit, KEY [apiId:1;appkey:{self.settings['app_key']}], MAX_QPS [300.0]"
        return gate.envelope(refused=gate.Refused(1016, words))

    def banned(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(21, f"Exceed quota limit, KEY [appkey:{self.settings['app_key']}]"))

    def broken(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(803000, "服务内部错误"))

    def acknowledged(self, response: httpx.Response) -> bool:
        """HTTP 200 and JSON with ``result`` 1 within three seconds."""
        try:
            said = response.json()
        except ValueError:
            return False
        return response.status_code == 200 and isinstance(said, dict) and said.get("result") == 1

    # The vendor's side.

    async def access_token(self, request: Request) -> Response:
        try:
            return gate.oauth(self._grant(request.query_params.get("code", "")).by_code(dict(request.query_params)))
        except gate.Refused as refused:
            return gate.oauth(None, refused)

    async def refresh_token(self, request: Request) -> Response:
        # The documents want a form; the SDK in use puts all of it into the address.
        given = dict(parse_qsl(request.url.query, keep_blank_values=True))
        given |= dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))
        try:
            return gate.oauth(self._grant(given.get("refresh_token", "")).by_refresh(given))
        except gate.Refused as refused:
            return gate.oauth(None, refused)

    async def gateway(self, request: Request) -> Response:
        """Every call: reads by GET or POST, changes by POST with a form only."""
        try:
            given = dict(parse_qsl(request.url.query, keep_blank_values=True))
            raw = await request.body()
            if request.method == "POST":
                if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                    raise gate.Refused(804000, "Content-Type 只支持 application/x-www-form-urlencoded")
                given |= dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
            method, param = gate.check(given, str(self.settings["app_key"]), str(self.settings["sign_secret"]))
            token = given.get("access_token", "")
            self._grant(token).check(token)
            if method not in self.calls.methods or request.path_params["path"] != method.replace(".", "/"):
                raise gate.Refused(804000, f"接口不存在 {method}")
            if request.method == "GET" and method not in self.calls.reads:
                raise gate.Refused(804000, "请使用 POST")
            return gate.envelope(self.calls.methods[method](param))
        except gate.Refused as refused:
            return gate.envelope(refused=refused)
        except (ValueError, TypeError, KeyError) as error:
            return gate.envelope(refused=gate.Refused(804001, f"参数不正确 {error}"))

    def _tell(self, event: str, business: int, info: dict[str, Any]) -> None:
        """Push a message of this shop, and one of the other shop where there is one."""
        for seller in filter(None, (str(self.settings["seller_id"]), str(self.settings["foreign_seller"]))):
            self._told += 1
            at = int(self.now() * 1000)
            self._push(
                {
                    "eventId": f"243_4027_{at}{self._told:06d}",
                    "msgId": f"84_{business}_{self._told}",
                    "bizId": business,
                    "userId": int(seller),
                    # The vendor leaves it empty when something inside fails.
                    "openId": self.dice.choice([shop.OPEN_ID, "", None]),
                    "appKey": str(self.settings["app_key"]),
                    "event": event,
                    "info": json.dumps({"sellerId": int(seller), **info}, ensure_ascii=False),
                    "status": 2,
                    "createTime": at,
                    "updateTime": at,
                    "test": False,
                },
                event,
            )

    def _push(self, message: dict[str, Any], label: str) -> None:
        key = base64.b64decode(str(self.settings["message_key"]))
        pad, writer = padding.PKCS7(128).padder(), Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
        plain = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        sealed = writer.update(pad.update(plain) + pad.finalize()) + writer.finalize()
        headers = {"content-type": "text/plain;charset=utf-8"}
        self.push(str(self.settings["push_url"]), base64.b64encode(sealed), headers=headers, label=label)

    # Controls: what buyers and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Buyers place orders and (unless ``paid`` is false) pay them."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            buyer = self.person(wish.get("customer"))
            for one, count in self._basket(wish.get("skus")):
                order = self.shop.create(buyer, one, count)
                oid = order["orderBaseInfo"]["oid"]
                if wish.get("paid", True):
                    self.shop.pay(oid, risk=int(wish.get("risk", 0)), blocked=wish.get("blocked", ()))
                cipher = order["orderAddress"]["encryptedMobile"]
                made.append({"id": str(oid), "status": order["orderBaseInfo"]["status"], "cipher": cipher})
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.order(request.path_params["oid"]))

    async def change_order(self, request: Request) -> Response:
        oid, what = request.path_params["oid"], request.path_params["what"]
        wish = await control.body(request)
        if what == "refund":
            record = self.desk.apply(oid, int(wish.get("way", refunds.MONEY)), str(wish.get("reason", "不想要了")))
            return control.answer({"id": str(record["refundId"])})
        moves: dict[str, Callable[[], Any]] = {
            "pay": lambda: self.shop.pay(oid),
            "release": lambda: self.shop.move(oid, shop.PAID, shop.PAID, "kwaishop_order_paySuccess"),
            "sign": lambda: self.shop.move(oid, shop.SHIPPED, shop.SIGNED, "kwaishop_order_deliverySuccess"),
            "finish": lambda: self.shop.move(oid, shop.SIGNED, shop.DONE, "kwaishop_order_orderSuccess"),
            "close": lambda: self.shop.move(oid, shop.CREATED, shop.CLOSED, "kwaishop_order_orderFail"),
        }
        if what not in moves:
            raise LookupError(f"no '{what}' here; there are: refund, {', '.join(moves)}")
        return control.answer(moves[what]())

    async def change_refund(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        if what == "agree":
            self.desk.approve_return({"refundId": number})
            record = self.desk.get(number)
        elif what == "send_back":
            record = self.desk.send_back(number, "SF2000000000001")
        elif what == "withdraw":
            record = self.desk.withdraw(number)
        else:
            raise LookupError(f"no '{what}' here; there are: agree, send_back, withdraw")
        return control.answer({"id": str(record["refundId"]), "status": record["status"]})

    async def heartbeat(self, _request: Request) -> Response:
        """What the platform sends to see whether the address is alive."""
        self._push({"test": True}, "heartbeat")
        return control.answer({"pushed": True})

    async def expire_tokens(self, _request: Request) -> Response:
        for one in (self.tokens, *self._others):
            one.expire()
        return control.answer({"expired": True})

    async def revoke(self, _request: Request) -> Response:
        """The seller withdraws the authorisation."""
        for one in (self.tokens, *self._others):
            one.revoked = True
        return control.answer({"revoked": True})

    async def authorize(self, request: Request) -> Response:
        """The seller authorises the application (again): a new code."""
        code = str((await control.body(request)).get("code") or "simulated-code-0002")
        self.configure({"code": code})
        return control.answer({"code": code})

    def _basket(self, wanted: Any) -> list[tuple[shop.Goods, int]]:
        if wanted:
            by_code = {one.code: one for one in self.shop.goods}
            return [(by_code[str(code)], 1) for code in wanted]
        return [(self.dice.choice(self.shop.goods), self.dice.choice([1, 1, 1, 2]))]
