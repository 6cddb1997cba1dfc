"""Reading a list page by page, in the style the vendor declares.

Rows move while one reads: a row that changes jumps to another page. Reading from the last page backwards only ever
shows a row twice; reading forwards can miss one. So ``reverse`` is for lists sorted by the time that changes.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.core import declaration, errors, paths, plan, predicate

Fetch = Callable[[Mapping[str, Any]], Awaitable[tuple[list[Any], Any]]]
"""Gives the rows for the values of ``page``, and what tells of the next: the parsed body, or where a ``Link`` header
does, the headers."""
_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[a-zA-Z*]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)')
_REL = re.compile(r';\s*rel\s*=\s*"?([^";]*)', re.IGNORECASE)


async def read(fetch: Fetch, spec: declaration.Paging, name: str) -> AsyncIterator[list[Any]]:
    """Every page that has rows.

    Raises Misdeclared beyond ``limit_pages``, for silence would lose rows, and where the cursors go round.
    """
    if spec.reverse and spec.style in ("page", "offset"):
        async for rows in _backwards(fetch, spec, name):
            yield rows
        return
    cursor: Any = spec.begin
    seen = 0
    heads: dict[str, list[Any]] = {}
    before: list[Any] = []
    for index in range(spec.limit_pages):
        rows, body = await fetch(_page(spec, index, cursor, seen))
        if not spec.short_ends and rows and rows == before and spec.has_next is None and spec.total is None:
            return  # beyond the end some give the last page again
        before = rows
        # A queue may be asked with one cursor again and again, but then it gives other rows.
        if cursor is not None and heads.get(str(cursor)) == rows[:1]:
            raise _circling(cursor, name)
        heads[str(cursor)] = rows[:1]
        seen += len(rows)
        if rows:
            yield rows
        following = _following(spec, body, rows, seen, cursor)
        if following is paths.ABSENT:
            return
        cursor = following
    raise _too_many(spec, name)


def by_header(spec: declaration.Paging) -> bool:
    """Whether the headers, not the body, tell of the next page."""
    return spec.style == "link" and spec.next is None


def _page(spec: declaration.Paging, index: int, cursor: Any = None, seen: int = 0) -> dict[str, Any]:
    # By the rows that came: who gives at most 20 where 100 were asked for begins the next page after 20.
    page: dict[str, Any] = {"no": spec.first + index, "size": spec.size, "offset": seen}
    if cursor is not None:
        page["cursor"] = cursor
    return page


def _following(spec: declaration.Paging, body: Any, rows: list[Any], seen: int, cursor: Any) -> Any:
    """The next cursor (None where pages are counted), or ABSENT at the end."""
    if spec.style == "none":
        return paths.ABSENT
    if spec.style == "link":
        name = spec.cursor or "page"
        if by_header(spec):
            return _linked(str(body.get("link", "")), name)
        found = plan.reader(str(spec.next))(body)
        return _parameter(found, name) if found is not paths.ABSENT and found else paths.ABSENT
    if spec.style == "cursor":
        found = plan.reader(spec.cursor or "next_cursor")(body)
        more = spec.has_next is None or predicate.truth(plan.reader(spec.has_next)(body))
        over = found is paths.ABSENT or found is None or found == "" or found == cursor or found in spec.end
        if not over and more and str(found).startswith(("http://", "https://")):
            raise _address(str(spec.cursor))
        return paths.ABSENT if over or not more else found
    if spec.has_next is not None:
        if not predicate.truth(plan.reader(spec.has_next)(body)):
            return paths.ABSENT
        return plan.reader(spec.cursor)(body) if spec.cursor else None
    whole = total(spec, body)
    if whole is not None:
        return None if seen < whole and rows else paths.ABSENT
    return None if len(rows) >= spec.size or (rows and not spec.short_ends) else paths.ABSENT


def _linked(header: str, name: str) -> Any:
    """The parameter ``name`` of the next page's address (RFC 8288), or ABSENT.

    Only that value is taken: where a call goes is the declaration's affair, not the answer's.
    """
    for address, told in _LINK.findall(header):
        found = _REL.search(told)
        if found and "next" in found[1].lower().split():
            return _parameter(address, name)
    return paths.ABSENT


def _parameter(address: Any, name: str) -> Any:
    return (parse_qs(urlsplit(str(address)).query).get(name) or [paths.ABSENT])[0]


def total(spec: declaration.Paging, body: Any) -> int | None:
    """How many rows the whole list has by the answer's own word; None where it does not say."""
    if spec.total is None:
        return None
    found = plan.reader(spec.total)(body)
    try:
        return int(found) if found is not paths.ABSENT and found is not None else None
    except (TypeError, ValueError):
        return None


async def _backwards(fetch: Fetch, spec: declaration.Paging, name: str) -> AsyncIterator[list[Any]]:
    rows, body = await fetch(_page(spec, 0))
    whole = total(spec, body)
    if whole is None:
        if len(rows) < spec.size:
            if rows:
                yield rows
            return
        raise errors.Misdeclared(
            f"{name}: reading backwards needs the total, and the answer has none at '{spec.total}'",
            operation=name,
            hint={"zh": "分页倒序读取需要总数，但答复里没有", "en": "The answer has no total to read backwards from"},
        )
    size = len(rows) if 0 < len(rows) < min(spec.size, whole) else spec.size  # it may give fewer than were asked for
    pages = math.ceil(whole / size)
    if pages > spec.limit_pages:
        raise _too_many(spec, name)
    if pages <= 1:
        if rows:
            yield rows
        return
    # The first page was only read for the total; it is read again last, when rows have moved towards it.
    for index in reversed(range(pages)):
        rows, _ = await fetch(_page(spec, index, seen=index * size))
        if rows:
            yield rows


def _circling(cursor: Any, name: str) -> errors.Misdeclared:
    said = str(cursor)[:60]
    return errors.Misdeclared(
        f"{name}: the cursor '{said}' came a second time with the same rows",
        operation=name,
        hint={
            "zh": f"翻页游标「{said}」又回来了，内容也一样，这样读不到头；请核对 paging 的 cursor、has_next 和 end",
            "en": f"The cursor '{said}' came back with the same rows, so the list never ends; "
            "check cursor, has_next and end of its paging",
        },
    )


def _address(path: str) -> errors.Misdeclared:
    return errors.Misdeclared(
        f"the cursor at '{path}' is an address",
        hint={
            "zh": f"「{path}」给的是下一页的网址，不是游标；"
            f"请用 paging: {{style: link, next: {path}, cursor: 网址里的参数名}}",
            "en": f"'{path}' is the next page's address and no cursor; "
            f"use paging: {{style: link, next: {path}, cursor: the parameter's name in it}}",
        },
    )


def _too_many(spec: declaration.Paging, name: str) -> errors.Misdeclared:
    return errors.Misdeclared(
        f"{name}: more than {spec.limit_pages} pages; ask for a smaller window",
        operation=name,
        hint={
            "zh": f"超过 {spec.limit_pages} 页，请缩小时间窗口",
            "en": f"More than {spec.limit_pages} pages; narrow the time window",
        },
    )
