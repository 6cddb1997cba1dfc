"""The simulated Doudian gateway under ``/douyin``: one shop, its after-sales, and pushes to the hub.

Controls, under ``/_sim/douyin``: ``POST orders`` ``{count, customer?, skus?, paid?, risk?}`` · ``GET orders/{id}`` ·
``POST orders/{id}/{pay|release|close|finish}`` · ``POST orders/{id}/refund`` ``{line?, kind?, reason?}`` ·
``POST refunds/{id}/{send_back|withdraw}`` · ``POST try_push`` · ``POST expire_tokens`` ·
``POST authorize`` ``{code}``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.douyin.simulated import calls, gate, refunds, shop
from connectors.simulator import control, engine


class Simulator(engine.Simulator):
    """See the module. ``foreign_shop`` names a second shop of the application, whose messages come here as well."""

    id = "douyin"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "3409409348479354011",
        "app_secret": "2ad2355c-01d0-11f8-91dc-05a8cd1054b1",
        "shop_id": "4463798",
        "code": "simulated-code-0001",
        "token_lifetime": 604800,
        "push_url": "",
        "foreign_shop": "",
        "old_push_form": False,
    }
    PUSH_RETRIES: ClassVar[Sequence[float]] = (10, 30, 60, 300, 900, 3600)
    PUSH_TIMEOUT: ClassVar[float] = 5.0

    def seed(self) -> None:
        sold = [shop.goods(sku) for sku in self.world.skus]
        self.shop = shop.Shop(sold, self.dice, self.now, self.commit, self._tell)
        self.shop.shop_id = int(self.settings["shop_id"])
        self.desk = refunds.Desk(self.shop)
        self.calls = calls.Calls(self.shop, self.desk)
        self.tokens = gate.Tokens(self.now, self.settings)
        self._told = 0

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        self.shop.shop_id = int(self.settings["shop_id"])

    def routes(self) -> list[BaseRoute]:
        return [Route("/{path:path}", self.gateway, methods=["GET", "POST"])]

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{number}", control.guarded(self.show_order)),
            post("/orders/{number}/{what}", self.change_order),
            post("/refunds/{number}/{what}", self.change_refund),
            post("/try_push", self.try_push),
            post("/expire_tokens", self.expire_tokens),
            post("/authorize", self.authorize),
        ]

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.shop.orders.values():
            states[order["order_status_desc"]] = states.get(order["order_status_desc"], 0) + 1
        return {"orders": states, "after_sales": len(self.desk.records), "messages": self._told}

    def throttled(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(60000, "触发限流，请稍后重试"))

    def banned(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(80000, "安全策略拦截", "isv.security-policy", "请求被安全策略拦截"))

    def broken(self, request: Request) -> Response:
        return gate.envelope(refused=gate.Refused(20000, "服务不可用", "isp.service-error:20004", "系统繁忙"))

    def acknowledged(self, response: httpx.Response) -> bool:
        """Only HTTP 200 with ``{"code":0,"msg":"success"}`` counts."""
        try:
            said = response.json()
        except ValueError:
            return False
        return response.status_code == 200 and isinstance(said, dict) and said.get("code") == 0

    # The vendor's side.

    async def gateway(self, request: Request) -> Response:
        """Every call. Errors are HTTP 200 as well."""
        try:
            query = dict(parse_qsl(request.url.query, keep_blank_values=True))
            body = (await request.body()).decode(errors="replace")
            key, secret = str(self.settings["app_key"]), str(self.settings["app_secret"])
            method, params = gate.check(query, body, key, secret)
            if request.path_params["path"] != method.replace(".", "/"):
                raise gate.Refused(40003, "非法的参数(平台)", "isv.method-invalid", f"路径与方法不一致 {method}")
            return gate.envelope(self._called(method, params, query))
        except calls.Partly as partly:
            return gate.envelope(partly.data, gate.Refused(10001, "部分成功", "isv.business-failed:300008"))
        except gate.Refused as refused:
            return gate.envelope(refused=refused)
        except (ValueError, TypeError, AttributeError) as error:
            wrong = gate.Refused(40004, "业务参数非法", "isv.parameter-invalid:20000", f"参数类型不正确 {error}")
            return gate.envelope(refused=wrong)

    def _called(self, method: str, params: dict[str, Any], query: dict[str, str]) -> Any:
        if method == "token.create":
            return self.tokens.create(params)
        if method == "token.refresh":
            return self.tokens.refresh(params)
        self.tokens.check(query.get("access_token", ""))
        if method not in self.calls.methods:
            raise gate.Refused(70000, "接口已下线", "isv.method-offline", f"没有接口 {method}")
        return self.calls.methods[method](params)

    def _tell(self, tag: str, data: dict[str, Any]) -> None:
        """Push a message of this shop, and one of the other shop where there is one."""
        shops = [self.shop.shop_id, *([int(self.settings["foreign_shop"])] if self.settings["foreign_shop"] else [])]
        pieces = []
        for number in shops:
            self._told += 1
            text = {**data, "shop_id": number}
            pieces.append(self._message(tag, text, self._told))
        self._push(pieces[0] if self.settings["old_push_form"] and len(pieces) == 1 else pieces, tag)

    def _message(self, tag: str, data: dict[str, Any], count: int) -> dict[str, Any]:
        name = f"04288{int(self.now() * 1000):013d}:{tag}:{int(self.now())}:6837374{count:012d}"
        if self.settings["old_push_form"]:
            return {"tag": int(tag), "msgId": name, "data": data}
        return {"tag": tag, "msg_id": name, "data": json.dumps(data, ensure_ascii=False)}

    def _push(self, content: Any, label: str) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        key, secret = str(self.settings["app_key"]), str(self.settings["app_secret"])
        proof = hashlib.md5(key.encode() + body + secret.encode(), usedforsecurity=False).hexdigest()
        headers = {"content-type": "application/json", "app-id": key, "event-sign": proof}
        self.push(str(self.settings["push_url"]), body, headers=headers, label=label)

    # Controls: what buyers and the console do.

    async def add_orders(self, request: Request) -> Response:
        """Buyers place orders and (unless ``paid`` is false) pay them."""
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            order = self.shop.create(self._buyer(wish.get("customer")), self._basket(wish.get("skus")))
            if wish.get("paid", True):
                self.shop.pay(order["order_id"], risk=bool(wish.get("risk", False)))
            lines = [line["order_id"] for line in order["sku_order_list"]]
            made.append(
                {
                    "id": order["order_id"],
                    "lines": lines,
                    "order_status": order["order_status"],
                    "cipher": order["encrypt_post_tel"],
                }
            )
            if len(made) % 50 == 0:
                await asyncio.sleep(0)
        return control.answer({"orders": made})

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.order(request.path_params["number"]))

    async def change_order(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        wish = await control.body(request)
        if what == "refund":
            line, reason = wish.get("line"), str(wish.get("reason", "多拍/错拍/不想要"))
            record = self.desk.apply(number, line, int(wish.get("kind", 1)), reason)
            return control.answer({"id": str(record["id"])})
        changes: dict[str, Callable[[str], Any]] = {
            "pay": self.shop.pay,
            "release": self.shop.release,
            "close": self.shop.close,
            "finish": self.shop.finish,
        }
        if what not in changes:
            raise LookupError(f"no '{what}' here; there are: refund, {', '.join(changes)}")
        return control.answer(changes[what](number))

    async def change_refund(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        wish = await control.body(request)
        if what == "send_back":
            record = self.desk.send_back(number, str(wish.get("waybill", "SF2000000000001")))
        elif what == "withdraw":
            record = self.desk.withdraw(number)
        else:
            raise LookupError(f"no '{what}' here; there are: send_back, withdraw")
        return control.answer({"id": str(record["id"]), "status": record["status"]})

    async def try_push(self, _request: Request) -> Response:
        """What the console sends when the address is saved: plain words instead of JSON."""
        self._push([{"tag": "0", "msg_id": "0", "data": "2026年03月09日 抖店推送服务验证消息"}], "0")
        return control.answer({"pushed": True})

    async def expire_tokens(self, _request: Request) -> Response:
        self.tokens.expire()
        return control.answer({"expired": True})

    async def authorize(self, request: Request) -> Response:
        """The shop authorises the tool application (again): a new code."""
        code = str((await control.body(request)).get("code") or "simulated-code-0002")
        self.configure({"code": code})
        return control.answer({"code": code})

    def _buyer(self, wanted: Any) -> Any:
        people = self.world.customers
        if wanted is None:
            return self.dice.choice(people)
        if isinstance(wanted, int):
            return people[wanted]
        known = [one for one in people if wanted in (one.name, one.nick, one.phone, *one.ids.values())]
        if not known:
            raise LookupError(f"no customer {wanted}")
        return known[0]

    def _basket(self, wanted: Any) -> list[tuple[shop.Goods, int]]:
        if wanted:
            by_code = {one.code: one for one in self.shop.goods}
            return [(by_code[str(code)], 1) for code in wanted]
        chosen = self.dice.sample(self.shop.goods, self.dice.choice([1, 1, 2, 3]))
        return [(one, self.dice.choice([1, 1, 1, 2])) for one in chosen]
