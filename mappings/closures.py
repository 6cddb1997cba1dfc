"""Trees of ``syntax`` become closures. The bounds of a run live here: its budget of steps.

Loops draw on the budget before they start, by the size of their body; everything else is bounded by the
length of the text. Functions and operators that walk data or make text charge for it themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from mappings import arithmetic, functions, syntax
from mappings.errors import ExpressionError

MAX_STEPS = 50_000


class Scope(Protocol):
    """What names are looked up in; any dict will do."""

    def get(self, name: str, /) -> Any: ...


class Run:
    """One evaluation: the scope, what is left of the budget, and the variables of the macros."""

    __slots__ = ("scope", "steps", "variables")

    def __init__(self, scope: Scope, variables: int) -> None:
        self.scope = scope
        self.steps = MAX_STEPS
        self.variables: list[Any] = [None] * variables

    def charge(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise ExpressionError(
                f"表达式超过 {MAX_STEPS} 步，请简化", f"the expression takes more than {MAX_STEPS} steps: simplify it"
            )


Closure = Callable[[Run], Any]


def _field(value: Any, name: str) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        return value.get(name)
    raise ExpressionError(
        f"{arithmetic.kind(value)} 没有成员 '{name}'", f"{arithmetic.kind(value)} has no member '{name}'"
    )


def _element(value: Any, key: Any) -> Any:
    if value is None or key is None:
        return None
    if isinstance(value, dict) and isinstance(key, str | int) and not isinstance(key, bool):
        return value.get(key)
    if isinstance(value, list):
        at = arithmetic.number(key)
        if at is not None and at == int(at):
            return value[int(at)] if 0 <= at < len(value) else None
    kinds = arithmetic.kind(value), arithmetic.kind(key)
    raise ExpressionError(f"{kinds[0]} 不能用 {kinds[1]} 取值", f"{kinds[0]} cannot be indexed by {kinds[1]}")


class Compiler:
    """Tree -> closures. ``node`` also answers how many steps one evaluation takes, without its loops."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.variables = 0
        self._bound: list[tuple[str, int]] = []

    def node(self, node: syntax.Node) -> tuple[Closure, int]:
        compiled: tuple[Closure, int] = getattr(self, "_" + type(node).__name__.lower())(node)
        return compiled

    def _nodes(self, nodes: tuple[syntax.Node, ...]) -> tuple[list[Closure], int]:
        compiled = [self.node(node) for node in nodes]
        return [closure for closure, _ in compiled], sum(cost for _, cost in compiled)

    def _literal(self, node: syntax.Literal) -> tuple[Closure, int]:
        value = node.value
        if isinstance(value, int | Decimal):
            arithmetic.number(value)
        return lambda run: value, 1

    def _name(self, node: syntax.Name) -> tuple[Closure, int]:
        name = node.name
        slot = next((slot for bound, slot in reversed(self._bound) if bound == name), None)
        if slot is not None:
            return lambda run: run.variables[slot], 1
        self.names.add(name)
        return lambda run: run.scope.get(name), 1

    def _unary(self, node: syntax.Unary) -> tuple[Closure, int]:
        operand, cost = self.node(node.operand)
        if node.operator == "!":
            return lambda run: not arithmetic.truth(operand(run)), cost + 1
        return lambda run: arithmetic.combine("-", 0, operand(run), run.charge), cost + 1

    def _chain(self, node: syntax.Chain) -> tuple[Closure, int]:
        first, cost = self.node(node.first)
        operator, operand = node.rest[0]
        if len(node.rest) == 1 and operator in ("==", "!=") and isinstance(operand, syntax.Literal):
            text = operand.value
            if isinstance(text, str):  # the commonest test of all
                wanted = operator == "=="
                return lambda run: (first(run) == text) is wanted, cost + 2
        rest = [(operator, *self.node(operand)) for operator, operand in node.rest]
        steps = [(_operator(operator), closure) for operator, closure, _ in rest]
        cost += sum(more + 1 for _, _, more in rest)
        if len(steps) == 1:
            apply, second = steps[0]
            return lambda run: apply(first(run), second(run), run.charge), cost

        def chain(run: Run) -> Any:
            value = first(run)
            for apply, operand in steps:
                value = apply(value, operand(run), run.charge)
            return value

        return chain, cost

    def _logic(self, node: syntax.Logic) -> tuple[Closure, int]:
        operands, cost = self._nodes(node.operands)
        truth, stops = arithmetic.truth, node.operator == "||"

        def logic(run: Run) -> bool:
            for operand in operands:
                if truth(operand(run)) is stops:
                    return stops
            return not stops

        return logic, cost + 1

    def _ternary(self, node: syntax.Ternary) -> tuple[Closure, int]:
        branches = [(self.node(test), self.node(chosen)) for test, chosen in node.branches]
        otherwise, cost = self.node(node.otherwise)
        cost += sum(a[1] + b[1] for a, b in branches)
        pairs = [(test, chosen) for (test, _), (chosen, _) in branches]

        def ternary(run: Run) -> Any:
            for test, chosen in pairs:
                if arithmetic.truth(test(run)):
                    return chosen(run)
            return otherwise(run)

        return ternary, cost + 1

    def _listof(self, node: syntax.ListOf) -> tuple[Closure, int]:
        items, cost = self._nodes(node.items)
        return lambda run: [item(run) for item in items], cost + 1

    def _mapof(self, node: syntax.MapOf) -> tuple[Closure, int]:
        keys: list[str] = []
        for key, _ in node.entries:
            if not (isinstance(key, syntax.Literal) and isinstance(key.value, str)) or key.value in keys:
                raise ExpressionError("对象的键应是不重复的文字", "the keys of an object are distinct texts in quotes")
            keys.append(key.value)
        values, cost = self._nodes(tuple(value for _, value in node.entries))
        pairs = list(zip(keys, values, strict=True))
        return lambda run: {key: value(run) for key, value in pairs}, cost + 1

    def _call(self, node: syntax.Call) -> tuple[Closure, int]:
        if node.name == "has":
            if len(node.arguments) != 1:
                raise ExpressionError("has() 需要一个路径", "has() takes one path", node.at)
            closure, cost = self.node(node.arguments[0])
            return lambda run: closure(run) is not None, cost + 1
        if node.name not in functions.FUNCTIONS:
            known = " ".join(sorted(functions.FUNCTIONS))
            raise ExpressionError(
                f"没有函数 {node.name}()；可用：has {known}",
                f"no function {node.name}(); there are: has {known}",
                node.at,
            )
        function, count = functions.FUNCTIONS[node.name]
        if len(node.arguments) != count:
            raise ExpressionError(
                f"{node.name}() 需要 {count} 个参数", f"{node.name}() takes {count} argument(s)", node.at
            )
        arguments, cost = self._nodes(node.arguments)
        if count == 1:
            only = arguments[0]
            return lambda run: function(only(run), run.charge), cost + 1
        return lambda run: function(*[argument(run) for argument in arguments], run.charge), cost + count

    def _postfix(self, node: syntax.Postfix) -> tuple[Closure, int]:
        target, cost = self.node(node.target)
        members = [step.name for step in node.steps if isinstance(step, syntax.Field)]
        if len(members) == len(node.steps):

            def path(run: Run) -> Any:
                value = target(run)
                for name in members:
                    value = value.get(name) if type(value) is dict else _field(value, name)
                return value

            return path, cost + len(members)
        steps: list[Callable[[Any, Run], Any]] = []
        for step in node.steps:
            compiled, more = self._step(step)
            steps.append(compiled)
            cost += more
        if len(steps) == 1:
            only = steps[0]
            return lambda run: only(target(run), run), cost

        def postfix(run: Run) -> Any:
            value = target(run)
            for step in steps:
                value = step(value, run)
            return value

        return postfix, cost

    def _step(
        self, step: syntax.Field | syntax.Index | syntax.Method | syntax.Macro
    ) -> tuple[Callable[[Any, Run], Any], int]:
        if isinstance(step, syntax.Field):
            name = step.name
            return lambda value, run: _field(value, name), 1
        if isinstance(step, syntax.Index):
            key, cost = self.node(step.key)
            return lambda value, run: _element(value, key(run)), cost + 1
        return self._method(step) if isinstance(step, syntax.Method) else self._macro(step)

    def _method(self, step: syntax.Method) -> tuple[Callable[[Any, Run], Any], int]:
        name = step.name
        if name not in functions.METHODS:
            known = " ".join(sorted(functions.METHODS))
            raise ExpressionError(
                f"没有方法 .{name}()；可用：{known}", f"no method .{name}(); there are: {known}", step.at
            )
        if len(step.arguments) not in functions.METHODS[name][1]:
            raise ExpressionError(f".{name}() 的参数个数不对", f"wrong argument count for .{name}()", step.at)
        arguments, cost = self._nodes(step.arguments)

        def call(value: Any, run: Run) -> Any:
            given = [argument(run) for argument in arguments]
            if value is None:
                return 0 if name == "size" else None
            table = functions.TEXT_METHODS if isinstance(value, str) else functions.LIST_METHODS
            if name not in table or not isinstance(value, str | list):
                what = arithmetic.kind(value)
                raise ExpressionError(f"{what} 没有方法 .{name}()", f"{what} has no method .{name}()")
            return None if None in given else table[name][0](value, *given, run.charge)

        return call, cost + 1

    def _macro(self, step: syntax.Macro) -> tuple[Callable[[Any, Run], Any], int]:
        slot = self.variables
        self.variables += 1
        self._bound.append((step.variable, slot))
        bodies, cost = self._nodes(step.bodies)
        self._bound.pop()
        macro = _MACROS[step.name if len(bodies) == 1 else "filter_map"]

        def loop(value: Any, run: Run) -> Any:
            if value is None:
                value = []
            elif isinstance(value, dict):
                value = list(value)
            elif not isinstance(value, list):
                what = arithmetic.kind(value)
                raise ExpressionError(
                    f"{what} 不是列表，不能用 .{step.name}()", f".{step.name}() needs a list, not {what}"
                )
            run.charge(len(value) * (cost + 1))
            return macro(value, slot, bodies, run)

        return loop, 2


def _each(items: list[Any], slot: int, body: Closure, run: Run) -> Any:
    variables = run.variables
    for item in items:
        variables[slot] = item
        yield item, body(run)


def _all(items: list[Any], slot: int, bodies: list[Closure], run: Run) -> bool:
    return all(arithmetic.truth(holds) for _, holds in _each(items, slot, bodies[0], run))


def _exists(items: list[Any], slot: int, bodies: list[Closure], run: Run) -> bool:
    return any(arithmetic.truth(holds) for _, holds in _each(items, slot, bodies[0], run))


def _exists_one(items: list[Any], slot: int, bodies: list[Closure], run: Run) -> bool:
    return sum(arithmetic.truth(holds) for _, holds in _each(items, slot, bodies[0], run)) == 1


def _filter(items: list[Any], slot: int, bodies: list[Closure], run: Run) -> list[Any]:
    return [item for item, holds in _each(items, slot, bodies[0], run) if arithmetic.truth(holds)]


def _map(items: list[Any], slot: int, bodies: list[Closure], run: Run) -> list[Any]:
    return [value for _, value in _each(items, slot, bodies[0], run)]


def _filter_map(items: list[Any], slot: int, bodies: list[Closure], run: Run) -> list[Any]:
    return [bodies[1](run) for _, holds in _each(items, slot, bodies[0], run) if arithmetic.truth(holds)]


_MACROS: dict[str, Callable[[list[Any], int, list[Closure], Run], Any]] = {
    "all": _all, "exists": _exists, "exists_one": _exists_one,
    "filter": _filter, "map": _map, "filter_map": _filter_map,
}  # fmt: skip


def _operator(operator: str) -> Callable[[Any, Any, arithmetic.Charge], Any]:
    if operator == "==":
        return arithmetic.equal
    if operator == "!=":
        return lambda left, right, charge: not arithmetic.equal(left, right, charge)
    if operator == "in":
        return lambda left, right, charge: arithmetic.contains(right, left, charge)
    if operator in ("<", "<=", ">", ">="):
        return lambda left, right, charge: arithmetic.order(operator, left, right)
    return lambda left, right, charge: arithmetic.combine(operator, left, right, charge)


__all__ = ["MAX_STEPS", "Closure", "Compiler", "Run", "Scope"]
