"""Which path is which call of the simulated AppID."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.wechat.simulated import aftersales, followers, payments, shop

EC, SEC, CGI = "/channels/ec", "/wxa/sec/order", "/cgi-bin"
Call = Callable[[dict[str, Any], Mapping[str, str]], dict[str, Any]]
BARE = {f"{CGI}/get_api_domain_ip", f"{CGI}/user/info", f"{CGI}/user/get", f"{CGI}/user/info/batchget"}
"""Older calls, which say no errcode when all is well."""


def table(
    shop: shop.Shop, after_sales: aftersales.AfterSales, payments: payments.Payments, followers: followers.Followers
) -> dict[str, tuple[str, Call]]:
    """Path -> method and call."""
    return {
        f"{CGI}/get_api_domain_ip": ("GET", lambda body, query: {"ip_list": ["127.0.0.1/32"]}),
        f"{EC}/basics/info/get": ("POST", shop.info),
        f"{EC}/order/list/get": ("POST", shop.rows),
        f"{EC}/order/get": ("POST", shop.get),
        f"{EC}/order/merchantnotes/update": ("POST", shop.note),
        f"{EC}/order/sensitiveinfo/decode": ("POST", shop.decode),
        f"{EC}/order/addressmodify/accept": ("POST", lambda body, query: shop.review(body, True)),
        f"{EC}/order/addressmodify/reject": ("POST", lambda body, query: shop.review(body, False)),
        f"{EC}/order/delivery/send": ("POST", shop.ship),
        f"{EC}/order/deliveryinfo/update": ("POST", shop.reship),
        f"{EC}/order/deliverycompanylist/new/get": ("POST", shop.couriers),
        f"{EC}/aftersale/getaftersalelist": ("POST", after_sales.rows),
        f"{EC}/aftersale/getaftersaleorder": ("POST", after_sales.get),
        f"{EC}/aftersale/acceptapply": ("POST", after_sales.accept),
        f"{EC}/aftersale/rejectapply": ("POST", after_sales.reject),
        f"{EC}/aftersale/rejectreason/get": ("POST", after_sales.reasons),
        f"{EC}/product/list/get": ("POST", shop.goods),
        f"{EC}/product/get": ("POST", shop.product),
        f"{EC}/product/stock/get": ("POST", shop.stock),
        f"{EC}/product/stock/update": ("POST", shop.set_stock),
        f"{SEC}/upload_shipping_info": ("POST", payments.upload),
        f"{SEC}/upload_combined_shipping_info": ("POST", payments.upload_combined),
        f"{SEC}/get_order": ("POST", payments.get),
        f"{SEC}/get_order_list": ("POST", payments.rows),
        f"{SEC}/notify_confirm_receive": ("POST", payments.remind),
        f"{SEC}/is_trade_managed": ("POST", payments.managed),
        f"{CGI}/message/subscribe/send": ("POST", followers.subscribe),
        f"{CGI}/message/subscribe/bizsend": ("POST", followers.subscribe),
        f"{CGI}/message/template/send": ("POST", followers.template),
        f"{CGI}/message/custom/send": ("POST", followers.service),
        f"{CGI}/user/info": ("GET", followers.get),
        f"{CGI}/user/get": ("GET", followers.rows),
        f"{CGI}/user/info/batchget": ("POST", followers.batch),
    }
