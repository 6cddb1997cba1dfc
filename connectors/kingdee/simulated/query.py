"""Bill queries: the part of FilterString and OrderString that integrations use.

``FilterString`` is conditions joined by ``and``: ``Field op 'literal'`` with = <> > >= < <= like, and
``Field in ('a','b')``; quotes inside literals are doubled. It may also be an array of conditions.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.kingdee.simulated import books, forms, views

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<op>>=|<=|<>|!=|=|>|<)|(?P<mark>[(),])"
    r"|(?P<word>[A-Za-z_][\w.]*))"
)
MOST = 10_000
CHANGED = operator.attrgetter("modified", "id")
Test = tuple[str, str, list[str]]
"""Field, operator, literals."""


def run(ledger: books.Books, data: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Field keys and the rows selected. Raises Refused."""
    form = ledger.form(str(data.get("FormId") or ""))
    keys = [key.strip() for key in str(data.get("FieldKeys") or "").split(",") if key.strip()]
    if not keys:
        raise books.Refused(8, "FieldKeys不能为空")
    tests = conditions(data.get("FilterString"))
    limit = int(data.get("Limit") or 2000)
    top = int(data.get("TopRowCount") or 0)
    if limit > MOST:
        raise books.Refused(8, f"Limit不能超过{MOST}")
    order = _order(str(data.get("OrderString") or ""))
    named = [*keys, *(test[0] for test in tests), *(key for key, _ in order)]
    _known(ledger, form, named)
    rows_of = views.spread(form, keys)
    about, tests = _about(ledger.documents[form.id], form, tests)
    if order == [("FModifyDate", False), (form.id_key, False)]:
        about.sort(key=CHANGED)
        order = []
    found = [(document, row) for document in about for row in rows_of(document)]
    for key, op, texts in tests:
        found = [one for one in found if _holds(views.row_value(ledger, *one, key), op, texts)]
    for key, falling in reversed(order):
        found.sort(key=_sorting(ledger, key), reverse=falling)
    found = found[:top] if top else found
    start = int(data.get("StartRow") or 0)
    rows = [
        [forms.plain(views.row_value(ledger, document, row, key)) for key in keys]
        for document, row in found[start : start + limit]
    ]
    return keys, rows


def _about(
    kept: dict[str, books.Document], form: forms.Form, tests: list[Test]
) -> tuple[list[books.Document], list[Test]]:
    """The documents that may fit, and what is still to be asked of them.

    A site of a hundred thousand orders does not look at each for one of them, nor for those of the last minute.
    """
    for key, op, texts in tests:
        if key == form.number_key and op in {"=", "in"}:
            return [kept[number] for number in dict.fromkeys(texts) if number in kept], tests
    bounds = [one for one in tests if one[0] == "FModifyDate" and one[1] in {">", ">=", "<", "<="}]
    dated = [(op, _moment(texts[0])) for _, op, texts in bounds]
    if not dated:
        return list(kept.values()), tests
    found = list(kept.values())
    for op, at in dated:
        match op:
            case ">":
                found = [one for one in found if one.modified > at]
            case ">=":
                found = [one for one in found if one.modified >= at]
            case "<":
                found = [one for one in found if one.modified < at]
            case "<=":
                found = [one for one in found if one.modified <= at]
    return found, [one for one in tests if one not in bounds]


def _moment(text: str) -> datetime:
    try:
        return forms.moment(text)
    except ValueError as error:
        raise books.Refused(6, f"过滤条件的值不正确：{text}") from error


def _known(ledger: books.Books, form: forms.Form, keys: list[str]) -> None:
    """Refuse unknown keys even when the form has no documents yet."""
    blank = books.Document(form, 0, "", "Z", ledger.now(), ledger.now())
    for key in keys:
        views.row_value(ledger, blank, None, key)


def _sorting(
    ledger: books.Books, key: str
) -> Callable[[tuple[books.Document, dict[str, Any] | None]], tuple[bool, Any]]:
    def value(item: tuple[books.Document, dict[str, Any] | None]) -> tuple[bool, Any]:
        found = views.row_value(ledger, item[0], item[1], key)
        return (found is not None, found if found is not None else 0)

    return value


def _order(text: str) -> list[tuple[str, bool]]:
    order: list[tuple[str, bool]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, way = part.partition(" ")
        order.append((key, way.strip().upper() == "DESC"))
    return order


def conditions(given: Any) -> list[Test]:
    """FilterString, as text or as an array, as a list of tests. Raises Refused for what is not understood."""
    if not given:
        return []
    if isinstance(given, list):
        return [
            (str(item["FieldName"]), {"67": "="}.get(str(item["Compare"]), str(item["Compare"])), [str(item["Value"])])
            for item in given
        ]
    tokens = _tokens(str(given))
    tests: list[Test] = []
    while tokens:
        while tokens and tokens[0] == ("mark", "("):
            tokens.pop(0)
        tests.append(_test(tokens, str(given)))
        while tokens and tokens[0] == ("mark", ")"):
            tokens.pop(0)
        if tokens and (tokens[0][0] != "word" or tokens.pop(0)[1].lower() != "and"):
            raise books.Refused(6, f"过滤条件不正确：{given}")
    return tests


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    place = 0
    while place < len(text.rstrip()):
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise books.Refused(6, f"过滤条件不正确：{text}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return tokens


def _test(tokens: list[tuple[str, str]], text: str) -> Test:
    try:
        key = tokens.pop(0)[1]
        kind, op = tokens.pop(0)
        if op.lower() != "in":
            if kind != "op" and op.lower() != "like":
                raise books.Refused(6, f"过滤条件不正确：{text}")
            return key, op.lower(), [_literal(*tokens.pop(0))]
        texts: list[str] = []
        while tokens.pop(0) != ("mark", ")"):
            texts.append(_literal(*tokens.pop(0)))
            if tokens[0] == ("mark", ")"):
                tokens.pop(0)
                break
    except IndexError as error:
        raise books.Refused(6, f"过滤条件不正确：{text}") from error
    return key, "in", texts


def _literal(kind: str, text: str) -> str:
    if kind not in {"text", "number"}:
        raise books.Refused(6, f"过滤条件不正确：{text}")
    return text[1:-1].replace("''", "'") if kind == "text" else text


def _holds(value: Any, op: str, texts: list[str]) -> bool:
    if op == "in":
        return any(_holds(value, "=", [text]) for text in texts)
    if op == "like":
        return fnmatch.fnmatchcase(str(value or ""), texts[0].replace("%", "*"))
    if value is None:
        return op in {"<>", "!="}
    left, right = _alike(value, texts[0])
    match op:
        case "=":
            return bool(left == right)
        case "<>" | "!=":
            return bool(left != right)
        case ">":
            return bool(left > right)
        case ">=":
            return bool(left >= right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
    raise books.Refused(6, f"不支持的比较符：{op}")


def _alike(value: Any, text: str) -> tuple[Any, Any]:
    try:
        if isinstance(value, datetime):
            return value, _moment(text)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value), Decimal(text)
    except (ValueError, ArithmeticError) as error:
        raise books.Refused(6, f"过滤条件的值不正确：{text}") from error
    return str(value), text
