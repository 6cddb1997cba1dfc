"""A simulated Shopify store: tokens by client credentials or the owner's consent, GraphQL, signed webhooks.

Controls under ``/_sim/shopify``: ``POST orders`` ``{customer?, skus?, count?, away?}``
(``away``: SKU -> pieces that the second location sends) · ``POST stock/{item}`` ``{count}`` (at the second location) ·
``POST orders/{id}/{hold|release|refund|return}`` ·
``POST customers/{place}`` · ``POST products`` · ``POST tokens/expire``.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from connectors.core import jsontext
from connectors.shopify import signer
from connectors.shopify.simulated import goods, people, query, returns, store, tokens
from connectors.simulator import consent, control, engine, push

Field = Callable[[dict[str, Any]], Any]


class Simulator(engine.Simulator):
    """See the module; ``access_token`` is the legacy token that never ends."""

    id = "shopify"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "client_id": "0123456789abcdef0123456789abcdef",
        "client_secret": "shpss_simulated0000000000000000000",
        "access_token": "shpat_simulated0000000000000000000",
        "shop_domain": "shuniu-demo.myshopify.com",
        "location_id": store.LOCATION,
        "token_lifetime": 86399,
        "code": "",
        "push_url": "",
        "header_prefix": "X-Shopify-",
    }
    # Up to eight retries in four hours, further apart each time.
    PUSH_RETRIES = (10, 60, 300, 900, 1800, 2700, 3600, 5000)

    def seed(self) -> None:
        self.tokens = tokens.Tokens(self.settings, self.now)
        self.configure({"code": self.settings["code"]})
        self.store = store.Store(self.world, self.now, self.commit, self.announce)
        self.people = people.People(self.world, self.now, self.commit, self.announce)
        self.goods = goods.Goods(self.world, self.now, self.store.stock)
        self.returns = returns.Returns(self.store)
        self.fields: dict[str, Field] = {
            "shop": self.store.shop,
            "order": self.store.order,
            "orders": self.store.list_orders,
            "fulfillmentCreate": self.store.fulfil,
            "fulfillmentTrackingInfoUpdate": self.store.retrack,
            "customers": self.people.list_rows,
            "customerByIdentifier": self.people.by_identifier,
            "customerCreate": self.people.create,
            "customerUpdate": self.people.update,
            "products": self.goods.list_rows,
            "product": self.goods.product,
            "return": self.returns.one,
            "returnApproveRequest": self.returns.approve,
            "returnDeclineRequest": self.returns.decline,
            "refundCreate": self.returns.refund,
            "refund": self.store.one_refund,
            "inventoryItem": self.store.item,
            "inventorySetQuantities": self.store.set_stock,
            "webhookSubscriptions": self.store.list_hooks,
            "webhookSubscriptionCreate": self.store.subscribe,
        }

    def configure(self, settings: dict[str, Any]) -> None:
        super().configure(settings)
        if settings.get("code"):
            self.tokens.codes.give(str(settings["code"]))

    def snapshot(self) -> Any:
        return {"orders": len(self.store.orders), "tokens": len(self.tokens.access), "webhooks": self.store.hooks}

    def announce(self, topic: str, body: dict[str, Any]) -> None:
        """A webhook; retries carry the same body, signature and delivery id."""
        raw = jsontext.dumps(body)
        signed = signer.webhook_signature(str(self.settings["client_secret"]), raw.decode())["X-Shopify-Hmac-Sha256"]
        told = {
            "Topic": topic,
            "Hmac-Sha256": signed,
            "Shop-Domain": str(self.settings["shop_domain"]),
            "API-Version": "2026-10",
            "Webhook-Id": secrets.token_hex(16),
            "Triggered-At": datetime.fromtimestamp(self.now(), UTC).isoformat(),
        }
        prefix = self.settings["header_prefix"]
        headers = {f"{prefix}{name}": value for name, value in told.items()} | {"content-type": "application/json"}
        post = push.Post(self.settings["push_url"], raw, headers)
        self.push(self.settings["push_url"], compose=lambda _number: post, label=topic)

    # Answers.

    def throttled(self, request: Request) -> Response:
        cost = {"requestedQueryCost": 752, "actualQueryCost": None}
        status = {"maximumAvailable": 2000.0, "currentlyAvailable": 130, "restoreRate": 100.0}
        told = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        return JSONResponse({"errors": [told], "extensions": {"cost": {**cost, "throttleStatus": status}}})

    def banned(self, request: Request) -> Response:
        return JSONResponse({"errors": "Security Rejection"}, 430)

    def broken(self, request: Request) -> Response:
        return JSONResponse(
            {"errors": [{"message": "Internal error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}
        )

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/admin/oauth/authorize", self.consent, methods=["GET"]),
            Route("/admin/oauth/access_token", self.token, methods=["POST"]),
            Route("/admin/api/{version}/graphql.json", self.graphql, methods=["POST"]),
        ]

    async def consent(self, request: Request) -> Response:
        """The page on which the shop's owner lets an app in."""
        asked, agreed = consent.query(request), consent.decided(request)
        if asked.get("client_id") != self.settings["client_id"] or not asked.get("scope"):
            return consent.refused("invalid_request")
        if agreed is None:
            return consent.page(request, asked["client_id"])
        shop = str(self.settings["shop_domain"])
        said = {"shop": shop, "host": base64.b64encode(f"{shop}/admin".encode()).decode().rstrip("=")}
        said |= {"state": asked.get("state", ""), "timestamp": str(int(self.now()))}
        said |= {"code": self.tokens.codes.give()} if agreed else {"error": "access_denied"}
        said |= signer.query_signature(str(self.settings["client_secret"]), said)
        return consent.back(asked.get("redirect_uri", ""), **said)

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        try:
            return JSONResponse(self.tokens.give(form))
        except tokens.Refused as refused:
            return JSONResponse(refused.body, refused.status)

    async def graphql(self, request: Request) -> Response:
        given = request.headers.get("x-shopify-access-token", "")
        if given != self.settings["access_token"] and not self.tokens.good(given):
            words = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return JSONResponse({"errors": words}, 401)
        try:
            body = jsontext.loads(await request.body())
            root, text, wanted = query.parsed(str(body["query"]))
            if root not in self.fields:
                raise query.Broken(f"Field '{root}' doesn't exist")
            if root in ("inventorySetQuantities", "refundCreate") and "@idempotent" not in text:
                raise query.Broken("The @idempotent directive is required for this mutation")
            found = self.fields[root](body.get("variables") or {})
            data = query.picked(found, wanted)
        except (query.Broken, jsontext.JsonError, KeyError) as error:
            told = {"message": str(error), "extensions": {"code": "BAD_REQUEST"}}
            return control.answer({"errors": [told]})
        status = {"maximumAvailable": 2000.0, "currentlyAvailable": 1990, "restoreRate": 100.0}
        cost = {"requestedQueryCost": 10, "actualQueryCost": 10, "throttleStatus": status}
        return control.answer({"data": {root: data}, "extensions": {"cost": cost}})

    # What people over there do.

    def controls(self) -> list[BaseRoute]:
        def post(path: str, endpoint: control.Endpoint) -> Route:
            return Route(path, control.guarded(endpoint), methods=["POST"])

        return [
            post("/orders", self.add_order),
            post("/orders/{number}/{what}", self.change_order),
            post("/stock/{item}", self.count_stock),
            post("/customers/{place:int}", self.tell_customer),
            post("/products", self.tell_product),
            post("/tokens/expire", self.expire),
        ]

    async def add_order(self, request: Request) -> Response:
        given = await control.body(request)
        codes = given.get("skus") or [self.world.skus[0].code]
        skus = [one for one in self.world.skus if one.code in codes]
        person = self.world.customers[int(given.get("customer", 0))]
        return control.answer(self.store.place(person, skus, int(given.get("count", 1)), given.get("away")))

    async def count_stock(self, request: Request) -> Response:
        given = await control.body(request)
        return control.answer(self.store.count(request.path_params["item"], int(given.get("count", 0))))

    async def change_order(self, request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        if what == "refund":
            return control.answer(self.store.refund(number))
        if what == "return":
            return control.answer(self.returns.ask(number))
        return control.answer(self.store.hold(number, what == "hold"))

    async def tell_customer(self, request: Request) -> Response:
        one = self.people.known[str(people.FIRST + request.path_params["place"])]
        one["updatedAt"] = store.moment(self.now())
        told = self.people.rest(one)
        self.announce("customers/update", told)
        return control.answer(told)

    async def tell_product(self, _request: Request) -> Response:
        told = self.goods.touch()
        self.announce("products/update", told)
        return control.answer(told)

    async def expire(self, _request: Request) -> Response:
        ended = len(self.tokens.access)
        self.tokens.access.clear()
        return control.answer({"expired": ended})
