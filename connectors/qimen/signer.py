"""Qimen's proof, the same in both directions: every URL parameter by name, then the body, between the secret twice.

What comes in is verified and taken apart: a confirmation with several parcels, a batch of orders, a list of stock
changes become one event each. The method stands in the URL, so it is written into each piece as ``@method``.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.core import errors, jsontext, model, scope, signing, xmltext
from connectors.core import verify as proofs

ZONE = ZoneInfo("Asia/Shanghai")
ALGORITHMS = {"md5": "md5", "hmac": "hmac_md5", "hmac-sha256": "hmac_sha256"}
"""``sign_method`` as it travels, and what it is called in core/signing.py."""
WINDOW = 600.0

LISTS = {
    "orderLines": "orderLine",
    "packages": "package",
    "items": "item",
    "batchs": "batch",
    "orders": "order",
    "criteriaList": "criteria",
    "snList": "sn",
    "deliveryOrders": "deliveryOrder",
    "invoices": "invoice",
}
"""Wrappers and what is in them: one child, or several, or none (an empty element)."""


def signature(query: Mapping[str, str], body: str, secret: str, sign_method: str = "md5") -> str:
    """The signature over ``query`` (without ``sign``; empty values do not count) and the body as it is sent."""
    params = {name: value for name, value in query.items() if name != "sign"}
    options = {"secret": secret, "algorithm": ALGORITHMS[sign_method]}
    return signing.sorted_params_signature(params, options, body.encode())


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Name, time and proof. Empty parameters are dropped: the two helpers of the vendor disagree about them."""
    config = scope.settings(connection)
    secret = connection.secrets.get("secret", "")
    if not secret:
        raise errors.Misdeclared("no secret", hint={"zh": "缺少 secret，请在连接中填写", "en": "The secret is missing"})
    prefix = str(config.get("method_prefix", ""))
    request.query["method"] = ("" if prefix == "none" else prefix) + request.query["method"]
    request.query |= {
        "timestamp": datetime.fromtimestamp(now, ZONE).strftime("%Y-%m-%d %H:%M:%S"),
        "format": "xml",
        "app_key": str(config.get("app_key", "")),
        "v": "2.0",
        "sign_method": str(config.get("sign_method", "md5")),
        "customerId": str(config.get("customer_id", "")),
    }
    request.query = {name: value for name, value in request.query.items() if value}
    request.query["sign"] = signature(request.query, request.body.decode(), secret, request.query["sign_method"])


def _accepted(query: Mapping[str, str], body: str, secret: str, way: str) -> tuple[str, str]:
    """The two texts a genuine caller may have signed: without parameters that are empty, or with their bare names."""
    options = {"secret": secret, "algorithm": ALGORITHMS[way]}
    params = {name: value for name, value in query.items() if name != "sign"}
    bare = signing.sorted_params_signature(params, {**options, "skip_empty": False}, body.encode())
    return signature(query, body, secret, way), bare


def verify_call(query: Mapping[str, str], body: str, secret: str, now: float, window: float = WINDOW) -> None:
    """Raises errors.HookRefused unless the call is signed with ``secret`` and fresh."""
    given, way = query.get("sign", ""), query.get("sign_method", "")
    if not given or not way or not query.get("timestamp"):
        raise errors.HookRefused("unsigned", "sign, sign_method or timestamp is missing")
    if way not in ALGORITHMS:
        raise errors.HookRefused("garbled", "no such sign_method")
    try:
        proofs = _accepted(query, body, secret, way)
        offered = given.upper().encode("ascii")
    except UnicodeError:
        raise errors.HookRefused("garbled", "not text") from None
    if sum(hmac.compare_digest(offered, one.encode()) for one in proofs) == 0:
        raise errors.HookRefused("forged", "wrong signature")
    try:
        at = datetime.strptime(query["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp()
    except ValueError:
        raise errors.HookRefused("garbled", "the timestamp is not readable") from None
    if abs(now - at) > window:
        raise errors.HookRefused("stale", "timestamp is outside the window")


def verify(
    hook: model.RawHook, connection: model.Connection, options: dict[str, Any], now: float
) -> model.VerifiedHook:
    """A genuine call as a list of pieces (JSON). ``only`` names the methods a door takes, ``but`` those it leaves."""
    secret = proofs.secrets_of(options)[0]
    text = _text(hook)
    verify_call(hook.query, text, secret, now)
    customer = str(options.get("customer_id") or "")
    if customer and hook.query.get("customerId") != customer:
        raise errors.HookRefused("forged", "signed, but for another customerId")
    method = plain_method(hook.query.get("method", ""))
    only, but = options.get("only"), options.get("but") or []
    if not method or method in but or (only is not None and method not in only):
        raise errors.HookRefused("garbled", f"this door does not take '{method[:60]}'")
    try:
        request = listed(xmltext.loads(text))
    except xmltext.XmlError as error:
        raise errors.HookRefused("garbled", str(error)) from None
    pieces = [{"@method": method, **piece} for piece in taken_apart(request)]
    return model.VerifiedHook(jsontext.dumps(pieces), {"method": method})


def _text(hook: model.RawHook) -> str:
    """The body in the charset it claims; what is signed is its UTF-8 form."""
    name = hook.headers.get("content-type", "").lower().partition("charset=")[2].split(";")[0].strip(" \"'") or "utf-8"
    try:
        return hook.body.decode(name)
    except (LookupError, UnicodeError):
        raise errors.HookRefused("garbled", "the body is not text in its charset") from None


def plain_method(name: str) -> str:
    """``deliveryorder.confirm``, with or without the gateway's prefix before it."""
    return name.rpartition(".qimen.")[2]


def listed(value: Any) -> Any:
    """Parsed XML with every known wrapper holding a list: one element looks the same as several."""
    if isinstance(value, list):
        return [listed(one) for one in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, child in value.items():
        inner = LISTS.get(name)
        if inner is None or isinstance(child, list):
            found[name] = listed(child)
        elif isinstance(child, dict):
            rows = child.get(inner, [])
            rows = rows if isinstance(rows, list) else [rows]
            found[name] = {**listed({key: one for key, one in child.items() if key != inner}), inner: listed(rows)}
        else:
            found[name] = {inner: []}
    return found


def taken_apart(request: dict[str, Any]) -> list[dict[str, Any]]:
    """One piece per thing that happened: per order of a batch, per parcel, per item that moved or came in."""
    orders = request.get("orders", {}).get("order")
    if orders:
        rest = {name: value for name, value in request.items() if name != "orders"}
        return [piece for order in orders for piece in taken_apart({**rest, **order})]
    parcels = request.get("packages", {}).get("package") or []
    if len(parcels) > 1:
        return [{**request, "packages": {"package": [parcel]}} for parcel in parcels]
    items = request.get("items", {}).get("item") or []
    house = request.get("warehouseCode")
    if house and not request.get("deliveryOrder"):
        # A count names its warehouse once for all of its items; the level is asked for per item and warehouse.
        items = [{**item, "warehouseCode": item.get("warehouseCode") or house} for item in items]
        request = {**request, "items": {**request.get("items", {}), "item": items}} if items else request
    if len(items) > 1 and not request.get("deliveryOrder"):
        return [{**request, "items": {"item": [item]}} for item in items]
    lines = request.get("orderLines", {}).get("orderLine") or []
    if len(lines) > 1 and request.get("entryOrder"):
        return [{**request, "orderLines": {"orderLine": [line]}} for line in lines]
    return [request]
