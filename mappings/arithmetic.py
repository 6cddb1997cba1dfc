"""What operators mean in expressions: exact numbers, null for what is missing, nothing unbounded.

Null spreads through arithmetic (``null + 1`` is null), ordering with null is false, and in conditions
null counts as false. Numbers are integers and decimals, mixed freely; ``/`` never truncates. Text,
numbers and times never mix by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

from mappings.errors import ExpressionError

Charge = Callable[[int], None]
"""Takes steps from the budget; raises ExpressionError when it is used up."""

EXACT = Context(
    prec=60, rounding=ROUND_HALF_EVEN, Emax=120, Emin=-120, traps=[DivisionByZero, InvalidOperation, Overflow]
)
MAX_DIGITS = 60
MAX_TEXT = 256 * 1024
_LARGEST = 10**MAX_DIGITS


def kind(value: Any) -> str:
    """The name of a value's kind, for errors."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, datetime):
        return "time"
    if isinstance(value, list | tuple):
        return "list"
    return "object" if isinstance(value, dict) else type(value).__name__


def number(value: Any) -> int | Decimal | None:
    """The value as an exact number, or None when it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        if -_LARGEST < value < _LARGEST:
            return value
        raise ExpressionError("数字太大", "number too large")
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if value.is_finite() and -MAX_DIGITS < value.adjusted() < MAX_DIGITS:
            return value
        if value.is_finite() and value == 0:
            return 0
        raise ExpressionError("数字超出范围", "number out of range")
    return None


def _wrong(operator: str, left: Any, right: Any) -> ExpressionError:
    return ExpressionError(
        f"{kind(left)} 与 {kind(right)} 不能做 '{operator}'（可用 string()、decimal()、timestamp() 转换）",
        f"'{operator}' does not work on {kind(left)} and {kind(right)} (use string(), decimal() or timestamp())",
    )


def _settle(value: int | Decimal) -> int | Decimal:
    checked = number(value)
    assert checked is not None
    return checked


def _numeric(operator: str, left: int | Decimal, right: int | Decimal) -> int | Decimal:
    if operator in "/%" and right == 0:
        raise ExpressionError("除数为零", "division by zero")
    if isinstance(left, int) and isinstance(right, int):
        if operator == "+":
            return _settle(left + right)
        if operator == "-":
            return _settle(left - right)
        if operator == "*":
            return _settle(left * right)
        if operator == "%":
            rest = abs(left) % abs(right)
            return rest if left >= 0 else -rest
        whole, rest = divmod(left, right)
        if rest == 0:
            return whole
    a, b = Decimal(left), Decimal(right)
    try:
        if operator == "+":
            return _settle(EXACT.add(a, b))
        if operator == "-":
            return _settle(EXACT.subtract(a, b))
        if operator == "*":
            return _settle(EXACT.multiply(a, b))
        return _settle(EXACT.divide(a, b) if operator == "/" else EXACT.remainder(a, b))
    except (Overflow, InvalidOperation):
        raise ExpressionError("计算结果超出范围", "result out of range") from None


def combine(operator: str, left: Any, right: Any, charge: Charge) -> Any:
    """``left op right`` for + - * / %."""
    if left is None or right is None:
        return None
    if operator == "+":
        if isinstance(left, str) and isinstance(right, str):
            return capped(left + right, charge)
        if isinstance(left, list) and isinstance(right, list):
            charge(len(left) + len(right))
            return left + right
    a, b = number(left), number(right)
    if a is None or b is None:
        raise _wrong(operator, left, right)
    return _numeric(operator, a, b)


def capped(text: str, charge: Charge) -> str:
    """Text that was made, against its cap and the budget."""
    if len(text) > MAX_TEXT:
        raise ExpressionError("文字太长", "text too long")
    charge(len(text) // 32)
    return text


def equal(left: Any, right: Any, charge: Charge) -> bool:
    """CEL equality: numbers by value whatever their type, everything else within its own kind; deep."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if left is None or right is None:
        return left is right
    if isinstance(left, str):
        return isinstance(right, str) and left == right
    if isinstance(left, int | float | Decimal):
        return isinstance(right, int | float | Decimal) and number(left) == number(right)
    if isinstance(left, list):
        if not isinstance(right, list) or len(left) != len(right):
            return False
        charge(len(left) + 1)
        return all(equal(a, b, charge) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        if not isinstance(right, dict) or left.keys() != right.keys():
            return False
        charge(len(left) + 1)
        return all(equal(value, right[key], charge) for key, value in left.items())
    if isinstance(left, datetime) and isinstance(right, datetime):
        return bool(left == right)
    return False


def order(operator: str, left: Any, right: Any) -> bool:
    """``left op right`` for < <= > >=; false when either is null."""
    if left is None or right is None:
        return False
    if isinstance(left, str) and isinstance(right, str):
        a: Any = left
        b: Any = right
    elif isinstance(left, datetime) and isinstance(right, datetime):
        a, b = left, right
        if (a.tzinfo is None) != (b.tzinfo is None):
            raise ExpressionError("时间缺少时区", "a time without its zone")
    else:
        a, b = number(left), number(right)
        if a is None or b is None:
            raise _wrong(operator, left, right)
    if operator == "<":
        return bool(a < b)
    if operator == "<=":
        return bool(a <= b)
    return bool(a > b) if operator == ">" else bool(a >= b)


def contains(container: Any, value: Any, charge: Charge) -> bool:
    """``value in container``: an element of a list or a key of an object; false when it is null."""
    if container is None:
        return False
    if isinstance(container, dict):
        charge(1)
        return isinstance(value, str | int) and not isinstance(value, bool) and value in container
    if isinstance(container, list):
        charge(len(container))
        return any(equal(item, value, charge) for item in container)
    raise _wrong("in", value, container)


def truth(value: Any) -> bool:
    """A condition's value: null is false, anything but a boolean is an error."""
    if value is True:
        return True
    if value is False or value is None:
        return False
    raise ExpressionError(f"条件应为真或假，却是 {kind(value)}", f"a condition is true or false, not {kind(value)}")


def plain(value: int | Decimal) -> str:
    """A number as people write it: no exponent, the decimals it came with."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


__all__ = ["Charge", "capped", "combine", "contains", "equal", "kind", "number", "order", "plain", "truth"]
