"""Customers of the simulated shop, known by their mobile; their open id belongs to the mobile."""

from __future__ import annotations

import hashlib
import re

from connectors.youzan.simulated import shop

TAGS, TAG_LETTERS = 20, 32
KINDS: dict[str | int, str] = {"YzOpenId": "yz_open_id", "Mobile": "mobile", 5: "yz_open_id", 2: "mobile"}


def join(place: shop.Shop, mobile: str, given: shop.Record) -> shop.Record:
    """A new customer. Raises Refused for a mobile that is known already."""
    if mobile in place.customers:
        raise shop.Refused(143001027, "客户已存在")
    if not re.fullmatch(r"1\d{10}", mobile):
        raise shop.Refused(141500101, "手机号不正确")
    # The buyer's number belongs to the phone, whoever writes it first.
    person = {"yz_open_id": f"yt{hashlib.sha256(mobile.encode()).hexdigest()[:20]}", "mobile": mobile}
    place.customers[mobile] = {**person, "name": "", "gender": 0, "remark": "", "tags": [], **_known(given)}
    place.customers[mobile]["created_at"] = int(place.now())
    place.commit("customer", mobile, given)
    _customer_told(place, mobile, "CUSTOMER_CREATED")
    return place.customers[mobile]


def edit(place: shop.Shop, mobile: str, given: shop.Record) -> None:
    """Change what is known of a customer. Raises Refused."""
    if mobile not in place.customers:
        raise shop.Refused(141001107, "客户不存在")
    if all(place.customers[mobile].get(name) == value for name, value in _known(given).items()):
        return
    place.customers[mobile] |= _known(given)
    place.commit("customer_update", mobile, given)
    _customer_told(place, mobile, "CUSTOMER_UPDATED")


def tag(place: shop.Shop, mobile: str, names: list[str]) -> None:
    """Tags are a set; one that is not there yet is made. Raises Refused."""
    if not 0 < len(names) <= TAGS or any(not 0 < len(name) <= TAG_LETTERS for name in names):
        raise shop.Refused(141500101, "标签不正确")
    had = place.customers[mobile]["tags"]
    fresh = [name for name in dict.fromkeys(names) if {"tag_name": name} not in had]
    if fresh:
        had += [{"tag_name": name} for name in fresh]
        place.commit("tag", mobile, {"tags": fresh})
        _customer_told(place, mobile, "CUSTOMER_UPDATED")


def row(person: shop.Record) -> shop.Record:
    """A customer as lists show one."""
    shown = {name: person[name] for name in ("yz_open_id", "name", "mobile", "created_at")}
    return {**shown, "is_member": 0, "points": 0, "trade_count": 0}


def person(place: shop.Shop, kind: str | int, number: str) -> shop.Record:
    """The customer of this id; ``kind`` is a word or a number, as each call wants it. Raises Refused."""
    if kind not in KINDS or not isinstance(number, str):
        raise shop.Refused(141500101, "invalid params")
    name = KINDS[kind]
    found = [one for one in place.customers.values() if one[name] == number]
    if not found:
        raise shop.Refused(141502108, "客户不存在")
    return found[0]


def _customer_told(place: shop.Shop, mobile: str, status: str) -> None:
    person = place.customers[mobile]
    place.tell("SCRM_CUSTOMER_EVENT", person["yz_open_id"], status, {"yz_open_id": person["yz_open_id"]})


def _known(given: shop.Record) -> shop.Record:
    return {name: given[name] for name in ("name", "gender", "remark") if name in given}
