"""The simulated U8 OpenAPI gateway under ``/u8`` and one company's U8 behind it.

Controls, under ``/_sim/u8``: ``POST verify|verify_return`` ``{code}`` · ``POST ship`` ``{code, waybill?, carrier?}`` ·
``POST customers/{code}`` · ``POST expire_tokens``. The setting ``workflow`` makes people verify.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.core import jsontext
from connectors.simulator import control, engine
from connectors.u8.simulated import site

ZONE = timezone(timedelta(hours=8))
LARGEST = 1000
Write = Callable[[site.Site, Any], dict[str, Any]]
WRITES: dict[str, tuple[str, Write]] = {
    "saleorder/add": ("saleorder", site.Site.add_order),
    "saleorder/verify": ("saleorder", lambda books, given: books.verify(str(given["voucher_code"]))),
    "saleorder/close": ("saleorder", lambda books, given: books.close(str(given["voucher_code"]))),
    "returnorder/add": ("returnorder", site.Site.add_return),
    "returnorder/verify": ("returnorder", lambda books, given: books.verify_return(str(given["voucher_code"]))),
    "customer/add": ("customer", site.Site.add_customer),
    "customer/edit": ("customer", site.Site.edit_customer),
}
"""What a POST does, by its path: the member of the body that it reads, and the work."""


class Simulator(engine.Simulator):
    """See the module."""

    id = "u8"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "from_account": "hubdemo",
        "to_account": "test_hubdemo",
        "app_key": "opa0000000000000000",
        "app_secret": "00000000000000000000000000000000",
        "customer": "CUST0001",
        "customer_class": "01",
        "token_lifetime": 7200,
        "workflow": False,
    }

    def seed(self) -> None:
        self.site = site.Site(self.today, self.commit)
        self.site.workflow = bool(self.settings["workflow"])
        self.tokens: dict[str, float] = {}
        goods = [(sku.code, f"{sku.title} {sku.spec}") for sku in self.world.skus]
        for code, name in [*goods, ("SKU-1001", "示例商品"), ("SKU-1002", "示例商品二")]:
            self.site.goods[code] = {"code": code, "name": name, "main_measure": "件", "sort_name": "商品"}
            self.site.stock[code] = Decimal(120)
        self.site.customers[str(self.settings["customer"])] = {
            "code": str(self.settings["customer"]),
            "name": "网店客户",
        }
        for person in self.world.customers[:20]:
            code = f"U8{person.index + 1:05d}"
            self.site.customers[code] = {"code": code, "name": person.name, "mobile": person.phone}

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        self.site.workflow = bool(self.settings["workflow"])

    def today(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).astimezone(ZONE).strftime("%Y-%m-%d")

    def snapshot(self) -> Any:
        kinds = ("orders", "deliveries", "returns", "customers")
        return {kind: len(getattr(self.site, kind)) for kind in kinds} | {"tokens": len(self.tokens)}

    def said(self, code: str, words: str, **more: Any) -> Response:
        return control.answer({"errcode": code, "errmsg": words, **more})

    def throttled(self, request: Request) -> Response:
        return self.said("10004", "调用频率超过限制")

    def broken(self, request: Request) -> Response:
        return JSONResponse({"errcode": "10009", "errmsg": "调用EAI服务失败"}, 500)

    # The vendor's side.

    def routes(self) -> list[BaseRoute]:
        def get(path: str, work: Callable[[Any], dict[str, Any]]) -> Route:
            return Route(path, self._guarded(lambda request, _body: work(request.query_params)))

        def post(path: str, work: Callable[[Any, Any], dict[str, Any]]) -> Route:
            return Route(path, self._guarded(lambda request, body: work(request.query_params, body)), methods=["POST"])

        # The site is asked for at each call: a reset puts another in its place.
        return [
            Route("/system/token", self.token),
            *[post(f"/api/{path}", functools.partial(self._written, *what)) for path, what in WRITES.items()],
            get("/api/saleorder/get", lambda query: {"saleorder": self.site.order(query.get("id", ""))}),
            get("/api/saleorderlist/batch_get", lambda query: self._dated("saleorderlist", self.site.orders, query)),
            get(
                "/api/consignmentlist/batch_get",
                lambda query: self._dated("consignmentlist", self.site.deliveries, query),
            ),
            get("/api/consignment/get", self._delivery),
            get("/api/returnorder/get", lambda query: {"returnorder": self.site.returned(query.get("id", ""))}),
            get(
                "/api/returnorderlist/batch_get", lambda query: self._dated("returnorderlist", self.site.returns, query)
            ),
            get("/api/customer/get", lambda query: {"customer": self.site.customer(query.get("id", ""))}),
            get("/api/currentstock/batch_get", self._stock),
            get("/api/inventory/batch_get", lambda query: page("inventory", [*self.site.goods.values()], query)),
            get("/api/customer/batch_get", lambda query: page("customer", [*self.site.customers.values()], query)),
        ]

    def _guarded(self, work: Callable[[Request, Any], dict[str, Any]]) -> Callable[[Request], Any]:
        async def call(request: Request) -> Response:
            query = request.query_params
            known = all(query.get(name) == self.settings[name] for name in ("from_account", "to_account", "app_key"))
            if not known:
                return self.said("10002", "app_key未授权访问该to_account")
            if self.tokens.get(query.get("token", ""), 0.0) <= self.now():
                return self.said("10003", "token无效或已过期")
            try:
                body = jsontext.loads(await request.body()) if request.method == "POST" else {}
                return self.said("0", "", **work(request, body))
            except (jsontext.JsonError, KeyError, TypeError) as error:
                return self.said("10005", f"报文格式错误 {error}")
            except site.Refused as refused:
                return self.said(refused.code, refused.words)

        return call

    async def token(self, request: Request) -> Response:
        query = request.query_params
        names = ("from_account", "app_key", "app_secret")
        if any(query.get(name) != self.settings[name] for name in names):
            return self.said("10001", "app_key或app_secret错误")
        made = secrets.token_hex(16)
        self.tokens[made] = self.now() + float(self.settings["token_lifetime"])
        told = {"id": made, "appKey": self.settings["app_key"], "expiresIn": self.settings["token_lifetime"]}
        return self.said("0", "", token=told)

    def _written(self, name: str, make: Write, query: Any, body: Any) -> dict[str, Any]:
        """A write of what the body holds under ``name``, under its biz_id (the stand-in waits with sync only)."""
        if not query.get("biz_id") or query.get("sync") != "1":
            raise site.Refused("10006", "缺少biz_id或sync")
        return {**self.site.once(query["biz_id"], lambda: make(self.site, body[name])), "tradeid": query["biz_id"]}

    def _dated(self, name: str, rows: dict[str, Any], query: Any) -> dict[str, Any]:
        begin, end = query.get("date_begin", ""), query.get("date_end", "")
        return page(name, site.heads([*rows.values()], begin, end), query)

    def _delivery(self, query: Any) -> dict[str, Any]:
        if query.get("id") not in self.site.deliveries:
            raise site.Refused("20010", f"单据{query.get('id')}不存在")
        return {"consignment": self.site.deliveries[query["id"]]}

    def _stock(self, query: Any) -> dict[str, Any]:
        low, high = query.get("invcode_begin", ""), query.get("invcode_end") or "\uffff"
        codes = sorted(code for code in self.site.stock if low <= code <= high)
        return page("currentstock", [row for code in codes for row in self.site.levels(code)], query)

    # Controls.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/verify", self.verify),
            post("/verify_return", self.verify_return),
            post("/ship", self.ship),
            post("/customers/{code}", self.edit_customer),
            post("/expire_tokens", self.expire_tokens),
        ]

    async def verify(self, request: Request) -> Response:
        one = self.site.order(str((await control.body(request))["code"]))
        one.update(state="Approved", verifier="demo")
        return control.answer(one)

    async def verify_return(self, request: Request) -> Response:
        one = self.site.returned(str((await control.body(request))["code"]))
        one.update(state="Approved", verifier="demo")
        self.site.take_back(one)
        return control.answer(one)

    async def edit_customer(self, request: Request) -> Response:
        one = self.site.customer(request.path_params["code"])
        one.update(await control.body(request))
        return control.answer(one)

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        code = str(wish["code"])
        waybill = str(wish.get("waybill") or f"SF{len(self.site.deliveries) + 1:013d}")
        return control.answer(self.site.ship(code, waybill, str(wish.get("carrier", "顺丰速运"))))

    async def expire_tokens(self, _request: Request) -> Response:
        self.tokens = dict.fromkeys(self.tokens, 0.0)
        return control.answer({"expired": len(self.tokens)})


def page(name: str, rows: list[Any], query: Any) -> dict[str, Any]:
    """One page of a list, with the counts beside it. Raises Refused when there is nothing."""
    number, size = int(query.get("page_index") or 1), min(int(query.get("rows_per_page") or 20), LARGEST)
    if not rows:
        raise site.Refused("20011", "没有符合条件的数据")
    shown = rows[(number - 1) * size : number * size]
    counts = {"page_index": str(number), "rows_per_page": str(size), "row_count": len(rows)}
    return {**counts, "page_count": -(-len(rows) // size), name: shown}
