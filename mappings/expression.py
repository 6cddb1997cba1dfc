"""Expressions in CEL's syntax, compiled to closures: exact decimals, null for what is missing, bounded.

``compile(text)`` gives a function scope -> value; the scope is any mapping with ``get``. Text is at most
1 KB; loops draw on a budget of 50,000 steps; results are capped. There is no way to the host: names are
looked up in the scope only, functions in a closed list. Whatever goes wrong is an ExpressionError.

Where it differs from CEL: missing members and null are the same and spread instead of failing; integers
and decimals mix; ``/`` does not truncate; see arithmetic.py and functions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mappings import arithmetic, closures, syntax
from mappings.closures import MAX_STEPS, Scope
from mappings.errors import ExpressionError

MAX_RESULT = 256 * 1024
_UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

Expression = Callable[[Scope], Any]


def compile(text: str) -> Expression:
    """The function of an expression. Raises ExpressionError when the text cannot be read."""
    compiler = closures.Compiler()
    closure, _ = compiler.node(syntax.parse(text))
    variables = compiler.variables

    def evaluate(scope: Scope) -> Any:
        try:
            return _settled(closure(closures.Run(scope, variables)))
        except ExpressionError:
            raise
        except _UNFIT as error:
            raise ExpressionError(
                f"表达式无法计算（{type(error).__name__}）",
                f"the expression cannot be evaluated ({type(error).__name__})",
            ) from error

    return evaluate


def condition(text: str) -> Callable[[Scope], bool]:
    """The same for a test: null is false, anything but true, false and null is an ExpressionError."""
    evaluate = compile(text)
    return lambda scope: arithmetic.truth(evaluate(scope))


def problems(text: str) -> list[ExpressionError]:
    """What is wrong with an expression; empty when it can be used."""
    try:
        compile(text)
    except ExpressionError as error:
        return [error]
    return []


def names(text: str) -> frozenset[str]:
    """The names an expression looks up in its scope, ``@config`` and the like included."""
    compiler = closures.Compiler()
    compiler.node(syntax.parse(text))
    return frozenset(compiler.names)


def _settled(value: Any) -> Any:
    """The result as plain data, within its cap."""
    if value is True or value is False or value is None:
        return value
    if isinstance(value, str):
        if len(value) > MAX_RESULT:
            raise ExpressionError("结果太大", "the result is too large")
        return value
    if isinstance(value, float):
        return arithmetic.number(value)
    if not isinstance(value, list | dict):
        return value
    left = MAX_RESULT
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        left -= 1 + (len(item) if isinstance(item, str | list | dict) else 0)
        if left < 0:
            raise ExpressionError("结果太大", "the result is too large")
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return value


__all__ = ["MAX_RESULT", "MAX_STEPS", "Expression", "Scope", "compile", "condition", "names", "problems"]
