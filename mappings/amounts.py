"""Codecs for numbers and money: exact in both directions, or refused.

Native side -> Decimal -> native side. JSON numbers may arrive as int, float or Decimal, or as text.
Written out are str, int, float where the float says exactly the same, and else Decimal, which an exact
JSON writer puts down digit by digit.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from typing import Any

from mappings import errors

Convert = Callable[[Any], Any]

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?\Z")
_ROUNDINGS = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
_ROUNDED = Context(prec=60, traps=[InvalidOperation])


def _refuse(value: Any) -> errors.BadValue:
    return errors.BadValue(
        f"'{errors.shown(value)}' 不是数字；请检查路径或编解码器", f"'{errors.shown(value)}' is not a number"
    )


@functools.lru_cache(maxsize=8192)
def _read(text: str) -> Decimal | None:
    """Cached, because prices and quantities repeat; what is refused is never kept."""
    digits = text.strip() if len(text) <= 60 else text
    if not digits:
        return None
    if not _NUMBER.match(digits):
        raise _refuse(text)
    return _bounded(Decimal(digits))


def _bounded(value: Decimal) -> Decimal:
    if not value.is_finite() or (value and not -20 <= value.adjusted() <= 24):
        raise errors.BadValue(
            f"数字 '{errors.shown(value)}' 超出范围", f"number '{errors.shown(value)}' is out of range"
        )
    return value


def read(value: Any) -> Decimal | None:
    """Any way of writing a number, as Decimal; None for blank text. Raises BadValue."""
    kind = type(value)
    if kind is str:
        return _read(value)
    if kind is int:
        if not -(10**25) < value < 10**25:
            raise errors.BadValue("数字太大", "number too large")
        return Decimal(value)
    if isinstance(value, Decimal):
        return _bounded(value)
    if kind is float:
        return _bounded(Decimal(repr(value)))
    if isinstance(value, str):
        return _read(str(value))
    raise _refuse(value)


def plain(value: Decimal) -> str:
    """Digits without exponent, with the decimals it came with."""
    return format(value, "f")


def json_number(value: Decimal) -> int | float | Decimal:
    """A JSON number that says exactly this value; Decimal where neither int nor float can."""
    if value == value.to_integral_value():
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else value


def _whole(value: Decimal) -> int:
    if value != value.to_integral_value():
        raise errors.BadValue(
            f"{plain(value)} 不是整数；请设置 rounding 或检查单位",
            f"{plain(value)} is not a whole number; check the unit",
        )
    return int(value)


def _fitted(places: int, rounding: str) -> Callable[[Decimal], Decimal]:
    """To so many decimals; more than that is refused unless a rounding is declared."""
    step = Decimal(1).scaleb(-places)
    context = _EXACT if rounding == "exact" else _ROUNDED
    mode = _ROUNDINGS.get(rounding, ROUND_HALF_EVEN)

    def fit(value: Decimal) -> Decimal:
        try:
            return value.quantize(step, mode, context)
        except Inexact:
            raise errors.BadValue(
                f"{plain(value)} 超过 {places} 位小数；如允许舍入请写 rounding: half_up",
                f"{plain(value)} has more than {places} decimals; say rounding: half_up if it may be rounded",
            ) from None
        except InvalidOperation:
            raise errors.BadValue(f"数字 {plain(value)} 超出范围", f"number {plain(value)} is out of range") from None

    return fit


def number(native_type: str | None, places: int | None, rounding: str) -> tuple[Convert, Convert]:
    """Decode and encode for a plain number; native by default a JSON number."""
    write: Convert = {"string": plain, "integer": _whole, "number": json_number}[native_type or "number"]
    if places is None and native_type == "integer" and rounding != "exact":
        places = 0
    fit = None if places is None else _fitted(places, rounding)

    def encode(value: Any) -> Any:
        amount = read(value)
        if amount is None:
            return None
        return write(amount if fit is None else fit(amount))

    return read, encode


def money(unit: str, native_type: str | None, places: int | None, rounding: str) -> tuple[Convert, Convert]:
    """Decode and encode for an amount; canonical is in major units (yuan). Fen are whole numbers."""
    if unit == "yuan":
        return number(native_type or "string", places, rounding)
    write: Convert = {"string": plain, "integer": _whole, "number": json_number}[native_type or "integer"]
    fit = _fitted(2, rounding)

    def decode(value: Any) -> Decimal | None:
        amount = read(value)
        return None if amount is None else Decimal(_whole(amount)).scaleb(-2)

    def encode(value: Any) -> Any:
        amount = read(value)
        return None if amount is None else write(fit(amount).scaleb(2).to_integral_value())

    return decode, encode


__all__ = ["json_number", "money", "number", "plain", "read"]
