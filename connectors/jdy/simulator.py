"""The simulated Kingdee Star: signed calls under ``/jdy``, one company's books behind them.

Controls, under ``/_sim/jdy``: ``POST audit|close`` ``{number}`` · ``POST customers/{number}`` · ``POST rotate`` (a new
app secret, as every day) · ``POST expire_tokens`` · ``GET orders/{number}``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.jdy.simulated import books
from connectors.simulator import control, engine

ZONE = timezone(timedelta(hours=8))
SKEW = 300
DAY = 86400
TOKEN = "/jdyconnector/app_management/kingdee_auth_token"  # house: vendor-word because it is an address


class Simulator(engine.Simulator):
    """See the module."""

    id = "jdy"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "client_id": "205022",
        "client_secret": "0123456789abcdef0123456789abcdef",
        "outer_instance_id": "492475033566973952",
        "domain": "https://tf.jdy.com",
        "customer_number": "CUST0001",
    }

    def seed(self) -> None:
        self.books = books.Books(self.local, self._final)
        self.app_key, self.app_secret = "simapp01", secrets.token_hex(16)
        self.tokens: dict[str, float] = {}
        self.logins = 0
        goods = [(sku.code, f"{sku.title} {sku.spec}") for sku in self.world.skus]
        for code, name in [*goods, ("SKU-1001", "示例商品"), ("SKU-1002", "示例商品二")]:
            self.books.materials[code] = {"id": self.books.next(), "number": code, "name": name}
        self.books.add_customer(str(self.settings["customer_number"]), "网店客户", {})
        for person in self.world.customers[:20]:
            self.books.add_customer(f"KH{person.index + 1:05d}", f"{person.name}{person.index}", {})

    def _final(self, kind: str, key: str, data: Any) -> None:
        self.commit(kind, key, data)

    def local(self) -> str:
        """The site's clock, as it writes times."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")

    def snapshot(self) -> Any:
        return {"orders": len(self.books.orders), "customers": len(self.books.customers), "logins": self.logins}

    def throttled(self, request: Request) -> Response:
        return PlainTextResponse("Too Many Requests", 429)

    def broken(self, request: Request) -> Response:
        return self.said(2000002000, "系统错误")

    def said(self, code: int, words: str, data: Any = None, status: int = 200) -> Response:
        return JSONResponse({"errcode": code, "description": words, "data": data}, status)

    # The vendor's side.

    def routes(self) -> list[BaseRoute]:
        def business(work: Callable[[Request, Any], Any]) -> Callable[[Request], Any]:
            async def call(request: Request) -> Response:
                try:
                    self.signed(request)
                    self.routed(request)
                    body = json.loads(await request.body() or b"{}") if request.method == "POST" else {}
                    return self.said(0, "success", work(request, body))
                except books.Refused as refused:
                    return self.said(refused.code, refused.words, status=refused.status)

            return call

        return [
            Route("/jdyconnector/app_management/push_app_authorize", self.authorise, methods=["POST"]),
            Route(TOKEN, self.token),
            Route("/jdy/v2/scm/sal_order", business(self.list_orders), methods=["GET"]),
            Route("/jdy/v2/scm/sal_order", business(self.save_order), methods=["POST"]),
            Route("/jdy/v2/scm/sal_order_detail", business(self.view_order)),
            Route("/jdy/v2/bd/customer", business(self.list_customers), methods=["GET"]),
            Route("/jdy/v2/bd/customer", business(self.save_customer), methods=["POST"]),
            Route("/jdy/v2/bd/customer_detail", business(self.view_customer)),
        ]

    def signed(self, request: Request) -> None:
        """The signature of every request, over method, path, query, nonce and time. Raises Refused."""
        given = request.headers
        stamp, nonce = given.get("x-api-timestamp", ""), given.get("x-api-nonce", "")
        fresh = stamp.isdigit() and abs(self.now() * 1000 - int(stamp)) <= SKEW * 1000
        path = "/" + request.url.path.split("/", 2)[2]
        query = "&".join(
            f"{quote(quote(name, safe=''), safe='')}={quote(quote(value, safe=''), safe='')}"
            for name, value in sorted(request.query_params.items())
        )
        text = f"{request.method}\n{quote(path, safe='')}\n{query}\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"
        digest = hmac.new(str(self.settings["client_secret"]).encode(), text.encode(), hashlib.sha256).hexdigest()
        proof = base64.b64encode(digest.encode()).decode()
        known = given.get("x-api-clientid") == self.settings["client_id"]
        if not fresh or not nonce.isdigit() or not known or given.get("x-api-signature") != proof:
            raise books.Refused(1030001001, "签名不匹配", 401)

    def routed(self, request: Request) -> None:
        """The token and the data centre of a business call. Raises Refused."""
        if request.headers.get("x-gw-router-addr") != self.settings["domain"]:
            raise books.Refused(404, "No Route", 404)
        if self.tokens.get(request.headers.get("app-token", ""), 0) <= self.now():
            raise books.Refused(1030002007, "app-token无效，令牌已过期", 401)

    async def authorise(self, request: Request) -> Response:
        try:
            self.signed(request)
        except books.Refused as refused:
            return self.said(refused.code, refused.words, status=refused.status)
        if request.query_params.get("outerInstanceId") != self.settings["outer_instance_id"]:
            return self.said(0, "success", [])
        told = {"appKey": self.app_key, "appSecret": self.app_secret, "domain": self.settings["domain"], "status": 1}
        # Some deployments say code and msg instead of errcode and description.
        return JSONResponse({"code": 200, "msg": "success", "data": [{**told, "accountId": "1", "clientId": "205022"}]})

    async def token(self, request: Request) -> Response:
        self.logins += 1
        try:
            self.signed(request)
        except books.Refused as refused:
            return self.said(refused.code, refused.words, status=refused.status)
        digest = hmac.new(self.app_secret.encode(), self.app_key.encode(), hashlib.sha256).hexdigest()
        proof = base64.b64encode(digest.encode()).decode()
        query = request.query_params
        if query.get("app_key") != self.app_key or query.get("app_signature") != proof:
            return self.said(1030002006, "授权密钥校验失败")
        made = f"jdy-{secrets.token_hex(12)}"
        self.tokens[made] = self.now() + DAY
        return self.said(0, "成功", {"uid": "1000001", "app-token": made})

    def _listed(self, request: Request, rows: list[books.Row]) -> books.Row:
        query = request.query_params
        begin, end = int(query.get("modify_start_time", "0")), int(query.get("modify_end_time", "9" * 14))
        found = []
        for row in rows:
            at = datetime.strptime(row["modify_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp() * 1000
            if begin <= at <= end:
                found.append({key: value for key, value in row.items() if key != "material_entity"})
        found.sort(key=lambda row: (row["modify_time"], row["id"]))
        page, size = int(query.get("page", "1")), int(query.get("page_size", "10"))
        shown = found[(page - 1) * size : page * size]
        return {"count": len(found), "total_page": -(-len(found) // size), "page": page, "rows": shown}

    def list_orders(self, request: Request, _body: Any) -> Any:
        return self._listed(request, list(self.books.orders.values()))

    def list_customers(self, request: Request, _body: Any) -> Any:
        return self._listed(request, list(self.books.customers.values()))

    def save_order(self, _request: Request, body: Any) -> Any:
        return self.books.save_order(body)

    def save_customer(self, _request: Request, body: Any) -> Any:
        return self.books.save_customer(body)

    def view_order(self, request: Request, _body: Any) -> Any:
        return self._viewed(request, self.books.orders)

    def view_customer(self, request: Request, _body: Any) -> Any:
        return self._viewed(request, self.books.customers)

    def _viewed(self, request: Request, rows: dict[str, books.Row]) -> books.Row:
        number = request.query_params.get("number", "")
        if number not in rows:
            raise books.Refused(1, f"参数number[{number}]不存在")
        return rows[number]

    # Controls.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            Route("/orders/{number}", control.guarded(self.show_order)),
            post("/audit", self.audit),
            post("/close", self.close),
            post("/customers/{number}", self.edit_customer),
            post("/rotate", self.rotate),
            post("/expire_tokens", self.expire_tokens),
        ]

    def _found(self, rows: dict[str, books.Row], number: Any) -> books.Row:
        if str(number) not in rows:
            raise LookupError(f"no record {number}")
        return rows[str(number)]

    async def show_order(self, request: Request) -> Response:
        return control.answer(self._found(self.books.orders, request.path_params["number"]))

    async def audit(self, request: Request) -> Response:
        order = self._found(self.books.orders, (await control.body(request)).get("number"))
        self.books.touch(order, bill_status="C", auditor_name="张会计", audit_time=self.local())
        return control.answer(order)

    async def close(self, request: Request) -> Response:
        wish = await control.body(request)
        order = self._found(self.books.orders, wish.get("number"))
        self.books.touch(order, bill_close_state=str(wish.get("state", "S")))
        return control.answer(order)

    async def edit_customer(self, request: Request) -> Response:
        row = self._found(self.books.customers, request.path_params["number"])
        self.books.touch(row, **await control.body(request))
        return control.answer(row)

    async def rotate(self, _request: Request) -> Response:
        """The app secret changes, and with it every token."""
        self.app_secret = secrets.token_hex(16)
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"rotated": True})

    async def expire_tokens(self, _request: Request) -> Response:
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": len(self.tokens)})
