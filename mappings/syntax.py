"""The grammar of expressions: a subset of CEL, read into a small tree.

Bounded on purpose: text up to 1 KB, nesting up to 24. Long chains (``a + b + c …``, ``a.b.c …``,
``x ? a : y ? b : c``) are flat in the tree, so depth is only what people write in brackets.
Beyond CEL, ``@name`` reads the context, and names may be Chinese.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mappings.errors import ExpressionError

MAX_TEXT = 1024
MAX_DEPTH = 24
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Field:
    """``.name`` after something."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """``[key]`` after something."""

    key: Node


@dataclass(frozen=True, slots=True)
class Method:
    """``.name(arguments)`` after something."""

    name: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Macro:
    """``.all(x, body)`` and its kind, after a list."""

    name: str
    variable: str
    bodies: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Postfix:
    target: Node
    steps: tuple[Field | Index | Method | Macro, ...]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Chain:
    """``first op x op y …`` of one precedence, read from the left."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Logic:
    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Ternary:
    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    entries: tuple[tuple[Node, Node], ...]


Node = Literal | Name | Postfix | Call | Unary | Chain | Logic | Ternary | ListOf | MapOf

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|//[^\n]*)"""
    r"""|(?P<decimal>(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]{1,2})?|[0-9]+[eE][+-]?[0-9]{1,2}|\.[0-9]+))"""
    r"""|(?P<hex>0[xX][0-9a-fA-F]+)(?:[uU]\b)?"""
    r"""|(?P<integer>[0-9]+)(?:[uU]\b)?"""
    r"""|(?P<raw>[rR](?:"[^"\n]*"|'[^'\n]*'))"""
    r"""|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<name>@?[^\W\d]\w*)"""
    r"""|(?P<mark>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]{}])""",
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?",
                  "a": "\a", "b": "\b", "f": "\f", "v": "\v"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"无法识别的字符 {text[at]!r}", f"unexpected character {text[at]!r}", at)
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(_Token(kind, match[kind], at))
        at = match.end()
    found.append(_Token("end", "", len(text)))
    return found


def _unescaped(token: _Token) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is not None:
            point = int(code, 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise ExpressionError("不是有效的字符编码", "not a valid character code", token.at)
            return chr(point)
        if match[4] not in _PLAIN_ESCAPES:
            raise ExpressionError(f"不认识的转义 \\{match[4]}", f"unknown escape \\{match[4]}", token.at)
        return _PLAIN_ESCAPES[match[4]]

    return _ESCAPE.sub(one, token.text[1:-1])


class _Parser:
    """Precedence climbing over the tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *marks: str) -> str | None:
        token = self._token
        if token.kind == "mark" and token.text in marks:
            self._at += 1
            return token.text
        return None

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise self._unexpected(f"这里应为 '{mark}'", f"expected '{mark}'")

    def _unexpected(self, zh: str, en: str) -> ExpressionError:
        found = self._token.text or "end of text"
        return ExpressionError(f"{zh}，却是 {found!r}", f"{en}, found {found!r}", self._token.at)

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            raise self._unexpected("表达式应到此结束", "expected the end")
        return node

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError("括号嵌套太深", "nested too deeply", self._token.at)
        branches: list[tuple[Node, Node]] = []
        node = self._or()
        while self._take("?"):
            chosen = self._or()
            self._need(":")
            branches.append((node, chosen))
            node = self._or()
        self._depth -= 1
        return Ternary(tuple(branches), node) if branches else node

    def _or(self) -> Node:
        operands = [self._and()]
        while self._take("||"):
            operands.append(self._and())
        return operands[0] if len(operands) == 1 else Logic("||", tuple(operands))

    def _and(self) -> Node:
        operands = [self._relation()]
        while self._take("&&"):
            operands.append(self._relation())
        return operands[0] if len(operands) == 1 else Logic("&&", tuple(operands))

    def _relation(self) -> Node:
        first = self._sum()
        rest: list[tuple[str, Node]] = []
        while True:
            operator = self._take("==", "!=", "<", "<=", ">", ">=")
            if operator is None and self._token.kind == "name" and self._token.text == "in":
                self._at += 1
                operator = "in"
            if operator is None:
                return Chain(first, tuple(rest)) if rest else first
            rest.append((operator, self._sum()))

    def _sum(self) -> Node:
        first = self._product()
        rest: list[tuple[str, Node]] = []
        while operator := self._take("+", "-"):
            rest.append((operator, self._product()))
        return Chain(first, tuple(rest)) if rest else first

    def _product(self) -> Node:
        first = self._unary()
        rest: list[tuple[str, Node]] = []
        while operator := self._take("*", "/", "%"):
            rest.append((operator, self._unary()))
        return Chain(first, tuple(rest)) if rest else first

    def _unary(self) -> Node:
        operator = self._take("!", "-")
        if operator is None:
            return self._postfix()
        count = 1
        while self._take(operator):
            count += 1
        operand = self._postfix()
        node: Node = Unary(operator, operand)
        return node if count % 2 else Unary(operator, node)

    def _postfix(self) -> Node:
        target = self._primary()
        steps: list[Field | Index | Method | Macro] = []
        while True:
            if self._take("."):
                token = self._token
                if token.kind != "name" or token.text.startswith("@"):
                    raise self._unexpected("'.' 之后应为名称", "expected a name after '.'")
                self._at += 1
                steps.append(self._method(token) if self._take("(") else Field(token.text))
            elif self._take("["):
                steps.append(Index(self._expression()))
                self._need("]")
            else:
                return Postfix(target, tuple(steps)) if steps else target

    def _method(self, token: _Token) -> Method | Macro:
        if token.text not in MACROS:
            return Method(token.text, self._arguments(")"), token.at)
        variable = self._token
        if variable.kind != "name" or variable.text.startswith("@") or variable.text in ("in", "true", "false", "null"):
            raise self._unexpected("这里应为变量名", "expected a variable name")
        self._at += 1
        self._need(",")
        bodies = self._arguments(")")
        if not 1 <= len(bodies) <= (2 if token.text == "map" else 1):
            raise ExpressionError(
                f"{token.text}() 的参数个数不对", f"wrong argument count for {token.text}()", token.at
            )
        return Macro(token.text, variable.text, bodies)

    def _arguments(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(end):
            if items:
                self._need(",")
                if self._take(end):  # a trailing comma, as CEL allows in lists
                    break
            items.append(self._expression())
        return tuple(items)

    def _primary(self) -> Node:
        token = self._token
        self._at += 1
        if token.kind == "integer":
            return Literal(_whole(token, 10))
        if token.kind == "hex":
            return Literal(_whole(token, 16))
        if token.kind == "decimal":
            return Literal(Decimal(token.text))
        if token.kind == "raw":
            return Literal(token.text[2:-1])
        if token.kind == "text":
            return Literal(_unescaped(token))
        if token.kind == "name" and token.text != "in":
            constants = {"true": True, "false": False, "null": None}
            if token.text in constants:
                return Literal(constants[token.text])
            if self._take("("):
                return Call(token.text, self._arguments(")"), token.at)
            return Name(token.text, token.at)
        if token.text == "(" and token.kind == "mark":
            node = self._expression()
            self._need(")")
            return node
        if token.text == "[" and token.kind == "mark":
            return ListOf(self._arguments("]"))
        if token.text == "{" and token.kind == "mark":
            return self._map()
        self._at -= 1
        raise self._unexpected("这里应为一个值", "expected a value")

    def _map(self) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._take("}"):
            if entries:
                self._need(",")
                if self._take("}"):
                    break
            key = self._expression()
            self._need(":")
            entries.append((key, self._expression()))
        return MapOf(tuple(entries))


def _whole(token: _Token, base: int) -> int:
    if len(token.text) > 40:
        raise ExpressionError("数字太长", "number too long", token.at)
    return int(token.text, base)


def parse(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError and nothing else."""
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"表达式超过 {MAX_TEXT} 个字符", f"an expression has at most {MAX_TEXT} characters")
    if not text.strip():
        raise ExpressionError("表达式是空的", "the expression is empty")
    return _Parser(text).whole()
