"""One simulated AppID of WeChat: a Channels shop, a mini program and an Official Account behind one token.

Controls under ``/_sim/wechat``: ``POST orders`` ``{customer?, skus?, count?, paid?}`` · ``GET orders/{id}`` ·
``POST orders/{id}/{pay|cancel|confirm|urge|wish_address|refund}`` ·
``POST after_sales/{id}/{return|settle|fail|cancel}`` · ``POST products/{id}/{list|unlist}`` ·
``POST payments`` ``{trade_no, customer?, amount?, combined?}`` · ``POST payments/{id}/due`` ·
``POST people/{customer}/{subscribe|unsubscribe|say|consent}`` · ``POST template_result`` · ``POST tokens/expire`` ·
``POST check`` (the check of the push address) · ``GET messages``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.core import jsontext
from connectors.simulator import control, engine, world
from connectors.wechat.simulated import aftersales, api, followers, gate, payments, pushes, shop

ME = "gh_test00000001"


class Simulator(engine.Simulator):
    """See the module. ``appears``: seconds until a payment is known to shipping management."""

    id = "wechat"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_id": "wx0123456789abcdef",
        "app_secret": "simulated-app-secret",
        "token": "AAAAA",
        "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        "encryption": "aes",
        "compatible": False,
        "push_format": "json",
        "push_url": "",
        "mch_id": "1900000109",
        "token_lifetime": 7200,
        "ip_whitelist": [],
        "appears": 0,
    }
    # The shop's schedule: at once, 0 s, 0 s, 10 s, 1 min, 5 min, 30 min, three times an hour.
    PUSH_RETRIES = (0, 0, 10, 60, 300, 1800, 3600, 3600, 3600)
    MESSAGE_RETRIES: ClassVar[tuple[float, ...]] = (5, 5)
    """Messages and events of an Official Account come three times in all."""

    def seed(self) -> None:
        self.echo = ""
        self.gate = gate.Gate(self.settings, self.now)
        self.shop = shop.Shop(self.world, self.now, self.commit, self.announce)
        self.after_sales = aftersales.AfterSales(self.shop)
        self.payments = payments.Payments(self.settings, self.now, self.commit)
        self.followers = followers.Followers(self.world, self.now, self.commit)
        self.table = api.table(self.shop, self.after_sales, self.payments, self.followers)

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for order in self.shop.orders.values():
            states[str(order["status"])] = states.get(str(order["status"]), 0) + 1
        return {"orders": states, "after_sales": len(self.after_sales.cases), "messages": len(self.followers.inbox)}

    # Pushes.

    def check_url(self) -> None:
        """The GET with ``echostr``, as the console does it when the address is submitted."""
        self.echo = str(secrets.randbelow(10**19))
        query = {**pushes.proof(self.settings, self.now()), "echostr": self.echo}
        self.push(self.settings["push_url"], params=query, method="GET", label="url_check", retries=())

    def announce(self, event: str, fields: dict[str, Any], retries: tuple[float, ...] | None = None) -> None:
        head = {"ToUserName": ME, "FromUserName": ME, "CreateTime": int(self.now()), "MsgType": "event", "Event": event}
        self.send({**head, **fields}, event, retries)

    def send(self, message: dict[str, Any], label: str, retries: tuple[float, ...] | None = None) -> None:
        url = self.settings["push_url"]
        self.push(
            url,
            compose=lambda _number: pushes.post(url, self.settings, message, self.now()),
            label=label,
            retries=retries,
        )

    def acknowledged(self, response: httpx.Response) -> bool:
        if response.request.method == "GET":
            return response.status_code == 200 and response.text == self.echo
        return response.status_code == 200 and response.text in ("success", "")

    # Answers.

    def throttled(self, request: Request) -> Response:
        return JSONResponse(gate.Refusal(45011, "api minute-quota reach limit, must slower, retry next minute").body)

    def banned(self, request: Request) -> Response:
        return JSONResponse(gate.Refusal(45009, "reach max api daily quota limit").body)

    def broken(self, request: Request) -> Response:
        return JSONResponse(gate.Refusal(-1, "system error").body)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/cgi-bin/stable_token", self.stable_token, methods=["POST"]),
            Route("/cgi-bin/token", self.plain_token, methods=["GET"]),
            *(Route(path, self.endpoint(path), methods=[how]) for path, (how, _) in self.table.items()),
        ]

    def endpoint(self, path: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """One API path: the caller's address, token, JSON body (whatever its content type), then the call itself."""

        async def answer(request: Request) -> Response:
            try:
                self._caller(request)
                self.gate.authorised(request.query_params.get("access_token", ""))
                body = await _object(request)
                said = self.table[path][1](body, request.query_params)
            except gate.Refusal as refusal:
                return JSONResponse(refusal.body)
            return control.answer(said if path in api.BARE else {"errcode": 0, "errmsg": "ok", **said})

        return answer

    def _caller(self, request: Request) -> None:
        self.gate.address(request.client.host if request.client else "127.0.0.1")

    async def stable_token(self, request: Request) -> Response:
        try:
            self._caller(request)
            body = await _object(request)
            if body.get("grant_type") != "client_credential":
                raise gate.Refusal(40002, "invalid grant_type")
            self.gate.account(body.get("appid"), body.get("secret"))
            return control.answer(self.gate.stable_token(body.get("force_refresh") is True))
        except gate.Refusal as refusal:
            return JSONResponse(refusal.body)

    async def plain_token(self, request: Request) -> Response:
        query = request.query_params
        try:
            self._caller(request)
            self.gate.account(query.get("appid"), query.get("secret"))
            return control.answer(self.gate.plain_token())
        except gate.Refusal as refusal:
            return JSONResponse(refusal.body)

    # What people over there do.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_order),
            Route("/orders/{number}", control.guarded(self.show_order), methods=["GET"]),
            post("/orders/{number}/{what}", self.change_order),
            post("/after_sales/{number}/{what}", self.change_after_sale),
            post("/products/{number}/{what}", self.change_product),
            post("/payments", self.add_payment),
            post("/payments/{number}/due", self.payment_due),
            post("/people/{number:int}/{what}", self.act),
            post("/template_result", self.template_result),
            post("/tokens/expire", self.expire),
            post("/check", self.check),
            Route("/messages", control.guarded(self.messages), methods=["GET"]),
        ]

    def _person(self, given: dict[str, Any]) -> world.Person:
        return self.world.customers[int(given.get("customer", 0))]

    async def add_order(self, request: Request) -> Response:
        given = await control.body(request)
        codes = given.get("skus") or [self.world.skus[0].code]
        skus = [one for one in self.world.skus if one.code in codes]
        order = self.shop.place(self._person(given), skus, int(given.get("count", 1)))
        if given.get("paid", True):
            self.shop.pay(order["order_id"])
        return control.answer(order)

    async def show_order(self, request: Request) -> Response:
        return control.answer(self.shop.orders[request.path_params["number"]])

    async def change_order(self, request: Request) -> Response:
        number, what, given = request.path_params["number"], request.path_params["what"], await control.body(request)
        if what == "refund":
            return control.answer(self.after_sales.open(number, str(given.get("type", "REFUND"))))
        changes = {
            "pay": self.shop.pay,
            "cancel": self.shop.cancel,
            "confirm": self.shop.confirm,
            "urge": self.shop.urge,
            "wish_address": self.shop.wish_address,
        }
        return control.answer(changes[what](number))

    async def change_after_sale(self, request: Request) -> Response:
        given = await control.body(request)
        return control.answer(
            self.after_sales.advance(request.path_params["number"], request.path_params["what"], given)
        )

    async def change_product(self, request: Request) -> Response:
        return control.answer(
            self.shop.list_product(request.path_params["number"], request.path_params["what"] == "list")
        )

    async def add_payment(self, request: Request) -> Response:
        given = await control.body(request)
        openid = followers.openid_of(self._person(given))
        number = str(given.get("trade_no", "M1001"))
        amount, whole = int(given.get("amount", 10500)), str(given.get("combined") or "")
        return control.answer(self.payments.pay(number, openid, amount, "健身环", whole))

    async def payment_due(self, request: Request) -> Response:
        order = self.payments.orders[request.path_params["number"]]
        told = {key: order[key] for key in ("transaction_id", "merchant_trade_no", "merchant_id", "pay_time")}
        self.announce("trade_manage_remind_shipping", {**told, "msg": "请尽快发货"})
        return control.answer(told)

    async def act(self, request: Request) -> Response:
        """A person follows, leaves, writes, or agrees to get one message of a template."""
        openid = followers.openid_of(self.world.customers[request.path_params["number"]])
        what, given = request.path_params["what"], await control.body(request)
        sender = {"FromUserName": openid}
        self.followers.acted[openid] = self.now()
        if what == "consent":
            consent = (openid, str(given["template_id"]))
            self.followers.consents[consent] = self.followers.consents.get(consent, 0) + 1
        elif what == "say":
            head = {"ToUserName": ME, **sender, "CreateTime": int(self.now()), "MsgType": "text"}
            number = 10**18 + secrets.randbelow(10**9)
            self.send(
                {**head, "Content": str(given.get("text", "你好")), "MsgId": number}, "text", self.MESSAGE_RETRIES
            )
        elif what in ("subscribe", "unsubscribe"):
            (self.followers.gone.add if what == "unsubscribe" else self.followers.gone.discard)(openid)
            self.announce(what, {**sender, "EventKey": str(given.get("scene", ""))}, self.MESSAGE_RETRIES)
        else:
            raise ValueError(f"no '{what}'; there are consent, say, subscribe, unsubscribe")
        return control.answer({"openid": openid})

    async def template_result(self, request: Request) -> Response:
        given = await control.body(request)
        told = {"MsgID": int(given["msgid"]), "Status": str(given.get("status", "success"))}
        self.announce("TEMPLATESENDJOBFINISH", told, self.MESSAGE_RETRIES)
        return control.answer(told)

    async def messages(self, _request: Request) -> Response:
        return control.answer({"messages": self.followers.inbox})

    async def expire(self, _request: Request) -> Response:
        return control.answer({"expired": self.gate.expire()})

    async def check(self, _request: Request) -> Response:
        self.check_url()
        return control.answer({"checking": self.settings["push_url"]})


async def _object(request: Request) -> dict[str, Any]:
    raw = await request.body()
    try:
        body = jsontext.loads(raw) if raw else {}
    except jsontext.JsonError:
        raise gate.Refusal(47001, "data format error") from None
    if not isinstance(body, dict):
        raise gate.Refusal(47001, "data format error")
    return body
