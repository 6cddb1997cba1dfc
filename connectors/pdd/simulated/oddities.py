"""Orders out of the ordinary: with a gift, with a deposit, with the phone in another place, in an abnormal state."""

from __future__ import annotations

from connectors.pdd.simulated import shop

ABNORMAL = 0
"""``order_status``."""
DEPOSIT_PAID, BOTH_PAID = 1, 2
"""``step_trade_status``."""


def make(order: shop.Record, gift: shop.Goods | None, deposit: bool, contact: bool) -> None:
    """Change a fresh order before anybody has read it."""
    if gift is not None:
        order["gift_list"] = [shop.row(gift, 1)]
    if deposit:
        order |= {"trade_type": 1, "step_order_info": {"step_trade_status": DEPOSIT_PAID}}
    if contact:
        order["contact_mobile"] = ""  # filled in when it is shown, as the other ciphertexts are


def balance(place: shop.Shop, sn: str) -> shop.Record:
    """The buyer pays the rest of a deposit order."""
    order = place.order(sn)
    if not order["step_order_info"]:
        raise ValueError(f"order {sn} has no deposit")
    order["step_order_info"] = {"step_trade_status": BOTH_PAID}
    place.touch(order)
    return order


def abnormal(place: shop.Shop, sn: str) -> shop.Record:
    """The platform puts the order into an abnormal state, or out of it."""
    order = place.order(sn)
    if order["order_status"] not in (shop.WAITING, ABNORMAL):
        raise ValueError(f"order {sn} was shipped")
    order["order_status"] = shop.WAITING if order["order_status"] == ABNORMAL else ABNORMAL
    place.touch(order)
    return order
