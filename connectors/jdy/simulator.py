"""The simulated Kingdee Star: signed calls under ``/jdy``, one company's books behind them.

Controls, under ``/_sim/jdy``: ``POST audit|close|audit_return`` ``{number}`` · ``POST ship`` ``{number, waybill?,
carrier?}`` · ``POST levels`` ``{number, stock?, bin?, qty}`` · ``POST customers|goods/{number}`` · ``POST rotate`` (a
new app secret, as every day) · ``POST expire_tokens`` · ``GET orders|returns/{number}``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
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
UNTOLD = ("modify_time", "audit_time", "auditor_name", "bill_close_state")
"""What a record has and a row of its list does not show, beside its parts."""
Work = Callable[["Simulator", Request, Any], Any]
"""What a business call does: the stand-in, the request and its body to the answer's data. Raises Refused."""
TOKEN = "/jdyconnector/app_management/kingdee_auth_token"  # house: vendor-word because it is an address


class Simulator(engine.Simulator):
    """See the module."""

    id = "jdy"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "client_id": "205022",
        "client_secret": "0123456789abcdef0123456789abcdef",
        "outer_instance_id": "492475033566973952",
        "instance_expires": "2036-06-30 23:59:59",  # the end of the company's authorisation
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
            self.books.add_goods(code, name, 120)
        del self.books.shelves["SKU-1001", books.STOCK, ""]
        for place in books.BINS:  # behind everything else, so that the bins may fall on several pages
            self.books.put("SKU-1001", books.STOCK, place, Decimal(40))
        self.books.add_customer(str(self.settings["customer_number"]), "网店客户", {})
        for person in self.world.customers[:20]:
            self.books.add_customer(f"KH{person.index + 1:05d}", f"{person.name}{person.index}", {})

    def _final(self, kind: str, key: str, data: Any) -> None:
        self.commit(kind, key, data)

    def local(self) -> str:
        """The site's clock, as it writes times."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")

    def snapshot(self) -> Any:
        kinds = ("orders", "outbounds", "inbounds", "customers")
        return {kind: len(getattr(self.books, kind)) for kind in kinds} | {"logins": self.logins}

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
            *[
                Route(path, business(functools.partial(work, self)), methods=[method])
                for (method, path), work in CALLS.items()
            ],
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
        told |= {"accountId": "1", "clientId": "205022", "instanceExpiresTime": self.settings["instance_expires"]}
        return JSONResponse({"code": 200, "msg": "success", "data": [told]})

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

    # Controls.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            Route("/orders/{number}", control.guarded(self.show_order)),
            Route("/returns/{number}", control.guarded(self.show_return)),
            post("/audit", self.audit),
            post("/audit_return", self.audit_return),
            post("/close", self.close),
            post("/ship", self.ship),
            post("/customers/{number}", self.edit_customer),
            post("/goods/{number}", self.edit_goods),
            post("/levels", self.put_level),
            post("/rotate", self.rotate),
            post("/expire_tokens", self.expire_tokens),
        ]

    def _found(self, rows: dict[str, books.Row], number: Any) -> books.Row:
        if str(number) not in rows:
            raise LookupError(f"no record {number}")
        return rows[str(number)]

    async def show_order(self, request: Request) -> Response:
        return control.answer(self._found(self.books.orders, request.path_params["number"]))

    async def show_return(self, request: Request) -> Response:
        return control.answer(self._found(self.books.inbounds, request.path_params["number"]))

    async def audit(self, request: Request) -> Response:
        order = self._found(self.books.orders, (await control.body(request)).get("number"))
        self.books.audit(order)
        return control.answer(order)

    async def audit_return(self, request: Request) -> Response:
        one = self._found(self.books.inbounds, (await control.body(request)).get("number"))
        self.books.audit(one)
        return control.answer(one)

    async def close(self, request: Request) -> Response:
        wish = await control.body(request)
        order = self._found(self.books.orders, wish.get("number"))
        self.books.touch(order, bill_close_state=str(wish.get("state", "S")))
        return control.answer(order)

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        order = self._found(self.books.orders, wish.get("number"))
        waybill = str(wish.get("waybill", f"SF{len(self.books.outbounds) + 1:013d}"))
        return control.answer(self.books.ship(order, str(wish.get("carrier", "顺丰速运")), waybill))

    async def edit_customer(self, request: Request) -> Response:
        row = self._found(self.books.customers, request.path_params["number"])
        self.books.touch(row, **await control.body(request))
        return control.answer(row)

    async def edit_goods(self, request: Request) -> Response:
        row = self._found(self.books.materials, request.path_params["number"])
        self.books.touch(row, **await control.body(request))
        return control.answer(row)

    async def put_level(self, request: Request) -> Response:
        wish = await control.body(request)
        warehouse, place = str(wish.get("stock", books.STOCK)), str(wish.get("bin", ""))
        self.books.put(str(wish.get("number")), warehouse, place, Decimal(str(wish.get("qty"))))
        return control.answer({"count": str(self.books.count(str(wish["number"])))})

    async def rotate(self, _request: Request) -> Response:
        """The app secret changes, and with it every token."""
        self.app_secret = secrets.token_hex(16)
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"rotated": True})

    async def expire_tokens(self, _request: Request) -> Response:
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": len(self.tokens)})


def listed(name: str) -> Work:
    """A page of the rows that changed within a window, as heads; of one state where that is asked for."""

    def head(row: books.Row) -> books.Row:
        return {key: value for key, value in row.items() if key not in UNTOLD and not key.endswith("_entity")}

    def work(stand: Simulator, request: Request, _body: Any) -> books.Row:
        query, found = request.query_params, []
        begin, end = int(query.get("modify_start_time", "0")), int(query.get("modify_end_time", "9" * 14))
        for row in getattr(stand.books, name).values():
            at = datetime.strptime(row["modify_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp() * 1000
            if begin <= at <= end and query.get("bill_status") in (None, row.get("bill_status")):
                found.append(row)
        return paged(query, [head(row) for row in sorted(found, key=lambda row: (row["modify_time"], row["id"]))])

    return work


def viewed(name: str) -> Work:
    """One record, whole, by its number."""

    def work(stand: Simulator, request: Request, _body: Any) -> books.Row:
        number, rows = request.query_params.get("number", ""), getattr(stand.books, name)
        if number not in rows:
            raise books.Refused(1, f"参数number[{number}]不存在")
        found: books.Row = rows[number]
        return found

    return work


def written(save: Callable[[books.Books, books.Row], books.Row]) -> Work:
    """What a POST does to the books."""
    return lambda stand, _request, body: save(stand.books, body)


def paged(query: Mapping[str, str], rows: list[books.Row]) -> books.Row:
    """One page of a list."""
    page, size = int(query.get("page", "1")), int(query.get("page_size", "10"))
    shown = rows[(page - 1) * size : page * size]
    return {"count": len(rows), "total_page": -(-len(rows) // size), "page": page, "rows": shown}


CALLS: dict[tuple[str, str], Work] = {
    ("GET", "/jdy/v2/scm/sal_order"): listed("orders"),
    ("POST", "/jdy/v2/scm/sal_order"): written(books.Books.save_order),
    ("GET", "/jdy/v2/scm/sal_order_detail"): viewed("orders"),
    ("GET", "/jdy/v2/scm/sal_out_bound"): listed("outbounds"),
    ("GET", "/jdy/v2/scm/sal_out_bound_detail"): viewed("outbounds"),
    ("GET", "/jdy/v2/scm/sal_in_bound"): listed("inbounds"),
    ("POST", "/jdy/v2/scm/sal_in_bound"): written(books.Books.save_return),
    ("GET", "/jdy/v2/scm/sal_in_bound_detail"): viewed("inbounds"),
    ("GET", "/jdy/v2/scm/inventory"): lambda stand, request, _: paged(request.query_params, stand.books.levels()),
    ("GET", "/jdy/v2/bd/material"): listed("materials"),
    ("GET", "/jdy/v2/bd/customer"): listed("customers"),
    ("POST", "/jdy/v2/bd/customer"): written(books.Books.save_customer),
    ("GET", "/jdy/v2/bd/customer_detail"): viewed("customers"),
    ("POST", "/jdy/v2/sys/common_operate"): written(books.Books.operate),
}
