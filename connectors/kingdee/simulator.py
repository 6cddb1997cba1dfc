"""A pretend Kingdee site under ``/kingdee/k3cloud/``: signed headers and logins, documents with a life.

Controls under ``/_sim/kingdee``: ``POST expire_sessions``, ``POST ship`` (``{"number": …}`` or ``{"all": true}``;
``{"auto": true}`` ships every order from now on when it is audited), ``POST approve/{number}`` (a person agrees in
the workflow), ``POST customers/{number}`` (a person edits a customer, by Save keys), ``POST cancel/{number}``,
``POST lock/{number}`` (``{"seconds": 45}``), ``POST receive/{number}`` (the warehouse takes a saved return in and
audits it), ``GET documents/{form}``. With ``push_url`` the site has a plugin that tells of every change, in the hub's
own words.
"""

from __future__ import annotations

import hmac
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.kingdee.simulated import books, desk, forms, sessions, shipping, stocking, views
from connectors.simulator import control, engine
from connectors.simulator import push as pushing

CENTERS = "Kingdee.BOS.ServiceFacade.ServicesStub.Account.AccountService.GetDataCenterList"
TOLD = ("SAL_SaleOrder", "SAL_OUTSTOCK", "SAL_RETURNSTOCK", "BD_Customer")
"""The forms that a plugin tells of."""
EXPIRED = "ByRspRetStatusCode -- N001: Unexpectable request"


class Simulator(engine.Simulator):
    """One site with one data center."""

    id = "kingdee"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "acct_id": "5f0000000000ab",
        "user_name": "hub_user",
        "password": "Hub@20260627",
        "app_id": "204399_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        "app_secret": "0123456789abcdef0123456789abcdef",
        "lcid": 2052,
        "org_number": "100",
        "seats": 5,
        "session_minutes": 20,
        "password_expired": False,  # then every call is answered in plain text
        "workflow": [],  # forms whose audit is decided by people
        "audited_edit": True,  # whether audited customers may be changed in place
        "auto_ship": None,  # milliseconds after audit; None: only on demand
        "carrier": "SF",
        "available_kept": False,  # whether FAVBQty is kept; on many sites it is 0
        "convert_list": False,  # whether a push tells its conversion as a list
        "plugin_secret": "plugin-secret-of-this-site-0123456789",
        "push_url": "",
    }
    PUSH_RETRIES = (60, 300, 3600)

    def seed(self) -> None:
        self.books = books.Books(self.local, self._final)
        stocking.fill(self.books, list(self.world.customers), list(self.world.skus))
        self.desk = desk.Desk(self.books)
        self.door = sessions.Door(self.settings, self.now)
        self.waybills = 0
        self._apply()

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        self._apply()

    def _apply(self) -> None:
        self.books.workflow = set(self.settings["workflow"])
        self.books.audited_edit = bool(self.settings["audited_edit"])
        self.books.reserves = bool(self.settings["available_kept"])
        self.desk.convert_list = bool(self.settings["convert_list"])
        self.books.catalogue["ORG_Organizations"] = {
            "100": "示例销售组织",
            str(self.settings["org_number"]): "示例销售组织",
        }

    def local(self) -> datetime:
        """The site's clock: naive Beijing time."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(forms.ZONE).replace(tzinfo=None)

    def _final(self, kind: str, key: str, data: Any) -> None:
        self.commit(kind, key, data)
        self._tell(kind.partition(".")[0], key)
        if kind == "sales_order.audit" and self.settings["auto_ship"] is not None:
            self.spawn(self._ship_later(key, float(self.settings["auto_ship"]) / 1000))

    def _tell(self, effect: str, number: str) -> None:
        """What a plugin of the site posts when a document changed; its contract is the hub's."""
        form = next((one.id for one in self.books.forms.values() if one.effect == effect), None)
        if form not in TOLD:
            return
        raw = json.dumps({"id": uuid.uuid4().hex, "form": form, "number": number}).encode()
        url, secret = self.settings["push_url"], str(self.settings["plugin_secret"]).encode()

        def compose(_number: int) -> pushing.Post:
            stamp = str(int(self.now()))
            proof = hmac.new(secret, stamp.encode() + b"." + raw, "sha256").hexdigest()
            headers = {"Content-Type": "application/json", "X-Shuniu-Timestamp": stamp, "X-Shuniu-Signature": proof}
            return pushing.Post(url, raw, headers)

        self.push(url, compose=compose, label=f"{form} {number}")

    async def _ship_later(self, number: str, seconds: float) -> None:
        await self.pause(seconds)
        order = self.books.documents["SAL_SaleOrder"].get(number)
        if order is not None and order.status == "C" and order.close_status == "A":
            self._ship(order)

    def _ship(self, order: books.Document, carrier: str | None = None, waybill: str | None = None) -> books.Document:
        carrier = carrier or str(self.settings["carrier"])
        self.waybills += 1
        return shipping.ship(self.books, order, carrier, waybill or f"{carrier}{self.waybills:013d}")

    def snapshot(self) -> Any:
        counts = {
            form_id: {status: sum(one.status == status for one in kept.values()) for status in books.STATUS_WORDS}
            for form_id, kept in self.books.documents.items()
            if form_id != "STK_Inventory"
        }
        return {"documents": counts, "sessions": len(self.door.alive()), "logins": self.door.logins}

    def throttled(self, request: Request) -> Response:
        refused = books.Refused(14, "接口调用次数超过限制，请稍后再试")
        return said(self.desk.refuse(_verb(request)[1], refused))

    def routes(self) -> list[BaseRoute]:
        return [Route("/{site:path}", self.call, methods=["POST"])]

    def controls(self) -> list[BaseRoute]:
        return [
            Route("/expire_sessions", self.expire_sessions, methods=["POST"]),
            Route("/ship", control.guarded(self.ship), methods=["POST"]),
            Route("/approve/{number}", control.guarded(self.approve), methods=["POST"]),
            Route("/customers/{number}", control.guarded(self.edit_customer), methods=["POST"]),
            Route("/cancel/{number}", control.guarded(self.cancel), methods=["POST"]),
            Route("/receive/{number}", control.guarded(self.receive), methods=["POST"]),
            Route("/lock/{number}", control.guarded(self.lock), methods=["POST"]),
            Route("/documents/{form}", control.guarded(self.documents)),
        ]

    async def call(self, request: Request) -> Response:
        """Any service of the site, by its URL."""
        service, verb = _verb(request)
        if not service:
            return PlainTextResponse("Not Found", 404)
        try:
            body = desk.envelope(await request.body(), request.headers.get("content-type", ""))
        except (ValueError, UnicodeError) as error:
            return PlainTextResponse(f"response_error: {error}")
        if service == CENTERS:
            return said([{"Id": self.settings["acct_id"], "Number": "001", "Name": "示例账套"}])
        if verb in desk.LOGINS:
            return self._login(verb, desk.login_values(verb, body))
        if self.settings["password_expired"]:
            return PlainTextResponse(EXPIRED)
        try:
            session = self.door.admit(request.url.path, request.headers, request.cookies)
        except books.Refused as refused:
            return said(self.desk.refuse(verb, refused))
        answer = self.desk.answer(verb, body)
        return said(answer, session)

    def _login(self, verb: str, values: list[Any]) -> Response:
        answer = self.door.login(verb, values)
        return said(answer, answer["KDSVCSessionId"])

    async def expire_sessions(self, _request: Request) -> Response:
        return control.answer({"expired": self.door.expire()})

    async def ship(self, request: Request) -> Response:
        wish = await control.body(request)
        if "auto" in wish:
            self.settings["auto_ship"] = wish.get("after", 0) if wish["auto"] else None
        orders = self.books.documents["SAL_SaleOrder"]
        chosen = [order for order in orders.values() if wish.get("all") and _owed(order)]
        if wish.get("number"):
            chosen = [self._found("SAL_SaleOrder", wish["number"])]
        made = [(order, self._shipped(order, wish)) for order in chosen]
        shown = [
            {"order": order.number, "shipment": note.number, "waybill": note.header["FCarriageNO"]}
            for order, note in made
        ]
        return control.answer({"shipped": shown})

    def _shipped(self, order: books.Document, wish: dict[str, Any]) -> books.Document:
        try:
            return self._ship(order, wish.get("carrier"), wish.get("waybill"))
        except books.Refused as refused:
            raise ValueError(refused.message) from refused

    def _found(self, form_id: str, number: str) -> books.Document:
        found = self.books.documents.get(form_id, {}).get(number)
        if found is None:
            raise LookupError(f"no {form_id} {number}")
        return found

    async def approve(self, request: Request) -> Response:
        number = request.path_params["number"]
        for kept in self.books.documents.values():
            if number in kept and kept[number].status == "B":
                self.books.audit(kept[number], by_people=True)
                return control.answer({"approved": number})
        raise LookupError(f"no document {number} waits for approval")

    async def edit_customer(self, request: Request) -> Response:
        """As a person does on the screen: audited customers too."""
        found = self._found("BD_Customer", request.path_params["number"])
        known = found.form.fields
        change = await control.body(request)
        unknown = [key for key in change if key not in known and not forms.OWN_FIELD.match(key)]
        if unknown:
            raise ValueError(f"no field {', '.join(unknown)}; there are: {', '.join(known)}")
        found.header.update(
            {key: forms.read(known[key], value) if key in known else value for key, value in change.items()}
        )
        found.modified = self.local()
        self.commit("customer.edit", found.number, change)
        return control.answer(views.view(self.books, found))

    async def cancel(self, request: Request) -> Response:
        self.books.mark(self._found("SAL_SaleOrder", request.path_params["number"]), cancel_status="B")
        return control.answer({"cancelled": request.path_params["number"]})

    async def receive(self, request: Request) -> Response:
        note = self._found("SAL_RETURNSTOCK", request.path_params["number"])
        try:
            self.books.submit(note)
            self.books.audit(note, by_people=True)
        except books.Refused as refused:
            raise ValueError(refused.message) from refused
        for row in note.main_rows():
            shipping.take(self.books, row["FMaterialId"], -row["FRealQty"])
        return control.answer({"received": note.number})

    async def lock(self, request: Request) -> Response:
        seconds = float((await control.body(request)).get("seconds", 60))
        self.books.locked[request.path_params["number"]] = self.now() + seconds
        return control.answer({"locked": request.path_params["number"], "seconds": seconds})

    async def documents(self, request: Request) -> Response:
        form_id = request.path_params["form"]
        if form_id not in self.books.documents:
            raise LookupError(f"no form {form_id}; there are: {', '.join(self.books.documents)}")
        kept = self.books.documents[form_id]
        number = request.query_params.get("number")
        chosen = [kept[number]] if number in kept else ([] if number else list(kept.values()))
        return control.answer({"documents": [views.view(self.books, document) for document in chosen]})


def _owed(order: books.Document) -> bool:
    return order.status == "C" and order.close_status == "A" and order.cancel_status == "A"


def _verb(request: Request) -> tuple[str, str]:
    """The service named by the URL and its last part; both empty when it is no service."""
    name = request.url.path.rpartition("/")[2]
    if not name.endswith(".common.kdsvc"):
        return "", ""
    service = name.removesuffix(".common.kdsvc")
    return service, service.rpartition(".")[2]


def said(answer: Any, session: str | None = None) -> Response:
    """HTTP 200 with whatever is to be said; cookies carry no dates, because clients split them on commas."""
    if isinstance(answer, str):
        return PlainTextResponse(answer)
    text = json.dumps(answer, ensure_ascii=False, default=_number)
    response = Response(text, media_type="application/json; charset=utf-8")
    if session:
        response.raw_headers += [
            (b"set-cookie", f"kdservice-sessionid={session}; path=/".encode()),
            (b"set-cookie", f"ASP.NET_SessionId=asp{session[:21]}; path=/; HttpOnly".encode()),
        ]
    return response


def _number(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"not JSON: {type(value).__name__}")
