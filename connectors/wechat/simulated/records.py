"""The shop's records as the vendor writes them: an order's line, a masked address, the goods."""

from __future__ import annotations

import hashlib
from typing import Any

from connectors.simulator import world

Record = dict[str, Any]


def address(person: world.Person) -> Record:
    """Masked as the vendor masks it; every second buyer uses a virtual number."""
    where = person.address
    virtual = person.index % 2
    return {
        "user_name": f"{person.name[0]}**",
        "postal_code": where.zip,
        "province_name": where.province,
        "city_name": where.city,
        "county_name": where.district,
        "detail_info": "***",
        "house_number": "***",
        "tel_number": f"{person.phone[:3]}****{person.phone[-4:]}",
        "use_tel_number": virtual,
        "tel_number_ext_info": {
            "virtual_tel_number": f"17000000000-{person.index:04d}",
            "virtual_tel_expire_time": 1900000000,
        }
        if virtual
        else {},
        "hash_code": hashlib.sha256(f"{person.phone}{where.joined()}".encode()).hexdigest()[:32],
    }


def line(sku: world.Sku, count: int, now: int) -> Record:
    price = int(sku.price * 100)
    return {
        "product_id": product_id(sku),
        "sku_id": sku_id(sku),
        "sku_cnt": count,
        "on_aftersale_sku_cnt": 0,
        "finish_aftersale_sku_cnt": 0,
        "title": sku.title,
        "sale_price": price,
        "market_price": price,
        "sku_attrs": [{"attr_key": "规格", "attr_value": sku.spec}],
        "real_price": price * count,
        "estimate_price": price * count,
        "sku_code": sku.code,
        "out_sku_id": "",
        "delivery_deadline": now + 172800,
    }


def product_id(sku: world.Sku) -> str:
    return str(10000000000000 + int(hashlib.sha256(sku.ids["product"].encode()).hexdigest()[:8], 16))


def sku_id(sku: world.Sku) -> str:
    return str(462966239 + sku.index)


def products(people: world.World) -> list[Record]:
    found: dict[str, Record] = {}
    for sku in people.skus:
        number = product_id(sku)
        one = found.setdefault(
            number,
            {
                "product_id": number,
                "out_product_id": sku.ids["product"],
                "title": sku.title,
                "status": 5,
                "skus": [],
                "min_price": int(sku.price * 100),
                "spu_code": sku.ids["product"],
            },
        )
        attrs = [{"attr_key": "规格", "attr_value": sku.spec}]
        price = int(sku.price * 100)
        one["skus"].append(
            {
                "sku_id": sku_id(sku),
                "sku_code": sku.code,
                "sale_price": price,
                "stock_num": 100,
                "sku_attrs": attrs,
                "status": 5,
            }
        )
    return list(found.values())
