"""The order that the bench sends: about 1.9 KB, some thirty fields, three lines; every one differs by id."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Any

import orjson

SECRET = "bench-secret-that-guards-nothing"  # of a hook that lives for a minute on loopback
HEADER = "X-Signature"


def order(number: int, at: float | None = None) -> dict[str, Any]:
    """One paid order in the generic connector's own words."""
    text = name(number)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at or time.time()))
    lines = [
        {
            "id": f"{text}-{line}",
            "sku": f"SKU-{line:04d}-RED-M",
            "product_id": f"6000000000{line:02d}",
            "title": "测试短袖T恤 纯棉 圆领 男女同款",
            "spec": "颜色分类:红色;尺码:M",
            "quantity": "2",
            "unit_price": "99.00",
            "total": "198.00",
            "discount": "10.00",
            "paid": "188.00",
        }
        for line in range(1, 4)
    ]
    return {
        "id": text,
        "number": text,
        "status": "paid",
        "kind": "fixed",
        "shop": "枢纽测试旗舰店",
        "currency": "CNY",
        "goods_total": "594.00",
        "discount_total": "30.00",
        "freight": "0.00",
        "total": "564.00",
        "created_at": moment,
        "updated_at": moment,
        "paid_at": moment,
        "buyer": {
            "id": f"AAExampleOpenUid{number:020d}",
            "nick": "测**1",
            "identities": [{"kind": "shop.open_uid", "value": f"AAExampleOpenUid{number:020d}"}],
        },
        "receiver": {
            "name": "张**",
            "phone": "*******0001",
            "cipher": "1ExampleOAIDdoNotUse00000000000000000000000000000000000000000000",
            "address": {
                "country": "中国",
                "province": "浙江省",
                "city": "杭州市",
                "district": "余杭区",
                "town": "五常街道",
                "street": "文*路***号***",
                "zip": "310000",
            },
        },
        "lines": lines,
        "payments": [{"id": f"20260301{number:020d}", "method": "alipay", "amount": "564.00", "paid_at": moment}],
        "buyer_note": "请尽快发货",
        "seller_note": "",
    }


class Sender:
    """Numbers every order of a bench run once."""

    def __init__(self) -> None:
        self.next = 1

    def requests(self, path: str, host: str, count: int) -> Iterator[bytes]:
        """So many new orders, ready to be written."""
        start, self.next = self.next, self.next + count
        return iter([request(path, host, orjson.dumps(order(number))) for number in range(start, start + count)])

    def ids(self, count: int) -> list[str]:
        """The ids that the next ``count`` orders will have."""
        return [name(number) for number in range(self.next, self.next + count)]


def name(number: int) -> str:
    """An order's id."""
    return f"T{number:012d}"


def signature(body: bytes) -> str:
    """What the hook wants in its header."""
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def request(path: str, host: str, body: bytes) -> bytes:
    """One request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"{HEADER}: {signature(body)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
