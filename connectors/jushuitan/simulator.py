"""The simulated Jushuitan: token and API calls under ``/jushuitan``, one tenant behind them, pushes to the hub.

An ISV's merchant agrees at ``/jushuitan/auth`` and is sent to ``callback``.

Controls, under ``/_sim/jushuitan``: ``POST orders`` ``{count}`` (a marketplace shop's orders arrive) ·
``POST ship|split|merge|question|cancel`` by ``so_id`` or ``so_ids`` · ``POST stock`` ``{sku, qty}`` ·
``POST refunds/{so_id}`` and ``POST refunds/{so_id}/confirm``
``{received?}`` · ``GET orders/{so_id}`` · ``POST expire_tokens`` ·
``POST authorize`` (an ISV's merchant agrees again).
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import urlencode

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.jushuitan.simulated import calls, erp, gate
from connectors.simulator import consent, control, engine
from connectors.simulator import push as pushing

ZONE = timezone(timedelta(hours=8))


class Simulator(engine.Simulator):
    """See the module."""

    id = "jushuitan"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "app_key": "hubdemo0000000000000000000000001",
        "app_secret": "99b1f0c2d3e4a5968778695a4b3c2d1e",
        "app_type": "own",
        "auth_code": "isv-code-000001",
        "callback": "",  # where merchants are sent back to, as entered with the application
        "shop_id": 10000001,
        "token_lifetime": 2592000,
        "push_url": "",
        "push_proof": "sign",
        "push_token": "push-token-of-our-own-making",
        "bare_json": False,  # pushes as a JSON body instead of a form
        "sandbox": False,  # the trial environment: tokens at its own address only, and no pushes
        "forbidden": [],  # paths the app has no permission for
        "enforce_limits": False,
        "auto_ship": False,  # the warehouse sends every order that may be sent at once
    }
    # Ten, with growing intervals; the spacing is not published.
    PUSH_RETRIES = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)

    def seed(self) -> None:
        shops = {int(self.settings["shop_id"]): "示例自有商城", 10000002: "示例旗舰店"}
        self.erp = erp.Erp(shops, self.local, self._final)
        self.gate = gate.Gate(self.settings, self.now)
        self.calls = calls.Calls(self.erp)
        codes = [(sku.code, sku.title, sku.spec, sku.ids["product"], sku.price) for sku in self.world.skus]
        codes.append(("SKU-1001", "示例商品", "红色;L", "STYLE-1", Decimal("64.00")))
        codes.append(("SKU-1002", "示例商品二", "", "STYLE-1", Decimal("10.00")))
        for code, title, spec, style, price in codes:
            goods: erp.Row = {"sku_id": code, "i_id": style, "name": title, "properties_value": spec, "enabled": 1}
            goods["sale_price"] = float(price)
            counts = dict.fromkeys(
                ("order_lock", "pick_lock", "virtual_qty", "purchase_qty", "return_qty", "in_qty", "defective_qty"), 0
            )
            self.erp.goods[code] = goods
            self.erp.stock[code] = {"sku_id": code, "i_id": style, "name": title, "qty": 120, **counts, "lock_qty": 0}
            for row in (goods, self.erp.stock[code]):
                self.erp.touch(row)

    def local(self) -> str:
        """The tenant's clock, as it writes times."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(ZONE).strftime(gate.MOMENT)

    def _final(self, kind: str, key: str, data: Any) -> None:
        self.commit(kind, key, data)
        if kind in ("order.upload", "order.update") and self.settings["auto_ship"]:
            for row in self.erp.of_order(key):
                if row["status"] == "WaitConfirm":
                    self._shipped(row, "SF")

    def snapshot(self) -> Any:
        states: dict[str, int] = {}
        for row in self.erp.documents.values():
            states[row["status"]] = states.get(row["status"], 0) + 1
        return {"documents": states, "after_sales": len(self.erp.after_sales), "logins": self.gate.logins}

    def throttled(self, request: Request) -> Response:
        return gate.envelope(199, "调用太频繁，请稍后再试！")

    def banned(self, request: Request) -> Response:
        return gate.envelope(200, "每分钟调用次数超过限制，请稍后再试！")

    def broken(self, request: Request) -> Response:
        return gate.envelope(150, "系统内部错误，请稍后再试")

    def acknowledged(self, response: httpx.Response) -> bool:
        try:
            return response.status_code == 200 and response.json().get("code") == 0
        except (ValueError, AttributeError):
            return False

    # The vendor's side.

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/auth", self.consent, methods=["GET"]),
            Route("/{entrance:str}/auth/{what}", self.token, methods=["POST"]),
            Route("/open/{path:path}", self.open, methods=["POST"]),
        ]

    async def consent(self, request: Request) -> Response:
        """The page on which a merchant lets an ISV's app in; its address is signed like a call."""
        asked, agreed = consent.query(request), consent.decided(request)
        try:
            self.gate.signed(asked)
        except erp.Refused as refused:
            return consent.refused(refused.words)
        if agreed is None:
            return consent.page(request, asked["app_key"])
        said = {"app_key": asked["app_key"], "state": asked.get("state", "")}
        if agreed:
            said["code"] = self.gate.codes.give()
        said["sign"] = gate.proof(str(self.settings["app_secret"]), said)
        return consent.back(str(self.settings["callback"]), **said)

    async def token(self, request: Request) -> Response:
        what, entrance = request.path_params["what"], request.path_params["entrance"]
        if entrance != ("openWebIsv" if self.settings["sandbox"] else "openWeb"):
            return Response("<html>404</html>", status_code=404, media_type="text/html")
        try:
            form = self.gate.form(await request.body())
            if what not in ("getInitToken", "accessToken", "refreshToken"):
                raise erp.Refused(140, "接口不存在")
            renew = what == "refreshToken"
            data = self.gate.renewed(form) if renew else self.gate.token(form, own=what == "getInitToken")
        except erp.Refused as refused:
            return gate.envelope(refused.code, refused.words)
        return gate.envelope(0, gate.OK, data)

    async def open(self, request: Request) -> Response:
        """Every business call; errors are HTTP 200 as well."""
        path = "/open/" + request.path_params["path"]
        try:
            form = self.gate.form(await request.body())
            biz = self.gate.admitted(path, form)
            data = self.calls.answer(path, biz)
        except erp.Refused as refused:
            return gate.envelope(refused.code, refused.words)
        return gate.envelope(0, gate.OK, data)

    # Pushes.

    def tell(self, message: Any, label: str) -> None:
        """Push one message: a signed form, or with the token in the address (also as bare JSON)."""
        if self.settings["sandbox"]:
            return
        url = str(self.settings["push_url"])
        text = json.dumps(message, ensure_ascii=False)
        self.push(url, compose=lambda _number: self._post(url, text), label=label)

    def _post(self, url: str, text: str) -> pushing.Post:
        tokened = self.settings["push_proof"] == "token"
        params = {"token": str(self.settings["push_token"])} if tokened else {}
        if tokened and self.settings["bare_json"]:
            return pushing.Post(url, text.encode(), {"content-type": "application/json"}, params)
        form = {"app_key": str(self.settings["app_key"]), "timestamp": str(int(self.now())), "charset": "utf-8"}
        form["biz"] = text
        if not tokened:
            form["sign"] = gate.proof(str(self.settings["app_secret"]), form)
        kind = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return pushing.Post(url, urlencode(form).encode(), kind, params)

    def _shipped(self, row: erp.Row, carrier: str) -> None:
        self.erp.ship(row, carrier, calls.CARRIERS.get(carrier, carrier))
        self.commit("warehouse.ship", str(row["o_id"]), row["l_id"])
        keys = ("so_id", "o_id", "l_id", "lc_id", "logistics_company", "order_from", "wms_co_id", "send_date")
        shown = ("oi_id", "sku_id", "qty", "name", "outer_oi_id")
        items = [{**{key: item[key] for key in shown}, "so_id": item["raw_so_id"]} for item in row["items"]]
        others = [one for one in self.erp.of_order(row["so_id"]) if one["status"] in erp.OPEN]
        self.tell({**{key: row[key] for key in keys}, "is_send_all": not others, "items": items}, "shipment")
        for code in {item["sku_id"] for item in row["items"]} & set(self.erp.stock):
            self.tell({"type": "business_sku_syn", "datas": [self._level(code)]}, "stock")

    def _level(self, code: str) -> erp.Row:
        kept = self.erp.stock[code]
        return {"sku_id": code, "qty": kept["qty"], "modified": kept["modified"]}

    # Controls: what people in the warehouse and at the desk do.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_orders),
            Route("/orders/{so_id}", control.guarded(self.show_order)),
            post("/ship", self.ship),
            post("/split", self.split),
            post("/merge", self.merge),
            post("/question", self.question),
            post("/cancel", self.cancel),
            post("/stock", self.set_stock),
            post("/refunds/{so_id}", self.add_refund),
            post("/refunds/{so_id}/confirm", self.confirm_refund),
            post("/expire_tokens", self.expire_tokens),
            post("/authorize", self.authorize),
        ]

    def _rows(self, so_id: Any, *states: str) -> list[erp.Row]:
        found = [row for row in self.erp.of_order(str(so_id)) if not states or row["status"] in states]
        if not found:
            raise LookupError(f"no document of order {so_id}" + (f" in state {', '.join(states)}" if states else ""))
        return found

    async def add_orders(self, request: Request) -> Response:
        wish = await control.body(request)
        made = []
        for _ in range(int(wish.get("count", 1))):
            number, person, sku = f"MP{secrets.randbelow(10**12):012d}", *self._chosen()
            price = float(sku.price)
            item = {"sku_id": sku.code, "name": sku.title, "qty": 1, "price": price, "amount": price}
            order = {
                "shop_id": 10000002,
                "so_id": number,
                "order_date": self.local(),
                "shop_status": "WAIT_SELLER_SEND_GOODS",
                "shop_buyer_id": f"{person.nick[:1]}***",
                "receiver_name": f"{person.name[:1]}***",
                "receiver_mobile": f"{person.phone[:3]}****{person.phone[-4:]}",
                "receiver_state": person.address.province,
                "receiver_city": person.address.city,
                "receiver_district": person.address.district,
                "receiver_address": "***",
                "pay_amount": float(sku.price),
                "items": [{**item, "outer_oi_id": f"{number}-1"}],
                "pay": {"outer_pay_id": f"P{number}", "pay_date": self.local(), "amount": float(sku.price)},
            }
            made.append(self.erp.upload(order))
        return control.answer({"orders": made})

    def _chosen(self) -> tuple[Any, Any]:
        return self.dice.choice(self.world.customers), self.dice.choice(self.world.skus)

    async def show_order(self, request: Request) -> Response:
        return control.answer({"documents": self._rows(request.path_params["so_id"])})

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        rows = self._rows(wish.get("so_id"), "WaitConfirm", "Delivering")
        if wish.get("first"):
            rows = rows[:1]
        for row in rows:
            self._shipped(row, str(wish.get("carrier", "SF")))
        return control.answer({"shipped": [{"o_id": row["o_id"], "l_id": row["l_id"]} for row in rows]})

    async def split(self, request: Request) -> Response:
        wish = await control.body(request)
        row = self._rows(wish.get("so_id"), "WaitConfirm", "Delivering", "Question")[0]
        return control.answer({"documents": self.erp.split(row, [int(one) for one in wish.get("quantities", [1])])})

    async def merge(self, request: Request) -> Response:
        wish = await control.body(request)
        rows = [self._rows(one, "WaitConfirm", "Delivering")[0] for one in wish["so_ids"]]
        return control.answer(self.erp.merge(rows))

    async def question(self, request: Request) -> Response:
        wish = await control.body(request)
        row = self._rows(wish.get("so_id"), *erp.OPEN)[0]
        self.erp.question(row, str(wish.get("kind", "缺货")))
        return control.answer(row)

    async def cancel(self, request: Request) -> Response:
        wish = await control.body(request)
        row = self._rows(wish.get("so_id"), *erp.OPEN)[0]
        self.erp.cancel(row, str(wish.get("remark", "买家不要了")))
        self.tell({"so_id": row["so_id"], "o_id": row["o_id"], "remark": row["remark"]}, "cancel")
        return control.answer(row)

    async def set_stock(self, request: Request) -> Response:
        wish = await control.body(request)
        kept = self.erp.stock[str(wish["sku"])]
        kept["qty"] = int(wish["qty"])
        self.erp.touch(kept)
        self.tell({"type": "business_sku_syn", "datas": [self._level(kept["sku_id"])]}, "stock")
        return control.answer(kept)

    async def add_refund(self, request: Request) -> Response:
        wish = await control.body(request)
        so_id = request.path_params["so_id"]
        item = self._rows(so_id)[0]["items"][0]
        line = {"outer_oi_id": item["outer_oi_id"], "sku_id": item["sku_id"], "qty": 1, "amount": float(item["amount"])}
        given = {
            "outer_as_id": f"RF{so_id}",
            "so_id": so_id,
            "type": str(wish.get("type", "普通退货")),
            "shop_status": "WAIT_SELLER_AGREE",
            "good_status": "BUYER_RECEIVED",
            "question_type": "七天无理由退货",
            "refund": float(item["amount"]),
            "items": [line],
        }
        self.erp.upload_after_sale(given)
        return self._told(so_id)

    async def confirm_refund(self, request: Request) -> Response:
        so_id = request.path_params["so_id"]
        found = [one for one in self.erp.after_sales.values() if one["so_id"] == so_id]
        if not found:
            raise LookupError(f"no after-sale of order {so_id}")
        received = (await control.body(request)).get("received")
        self.erp.confirm(found[0], None if received is None else int(received))
        return self._told(so_id)

    def _told(self, so_id: str) -> Response:
        row = next(one for one in self.erp.after_sales.values() if one["so_id"] == so_id)
        keys = ("outer_as_id", "as_id", "so_id", "status", "shop_status", "items")
        self.tell({key: row[key] for key in keys}, "refund")
        return control.answer(row)

    async def expire_tokens(self, _request: Request) -> Response:
        self.gate.tokens = dict.fromkeys(self.gate.tokens, 0.0)
        return control.answer({"expired": len(self.gate.tokens)})

    async def authorize(self, request: Request) -> Response:
        code = str((await control.body(request)).get("code") or f"isv-code-{secrets.token_hex(4)}")
        self.configure({"auth_code": code})
        return control.answer({"code": code})
