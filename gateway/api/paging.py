"""What lists and times look like: pages with an opaque cursor, ISO 8601 in UTC, ids as text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from gateway import problems

MOST = 200
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows per page", examples=[50])]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")]
RowT = TypeVar("RowT")


class Part(BaseModel):
    """Base of everything the API takes: unknown fields are refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Words(BaseModel):
    """Words for people, in both languages."""

    model_config = ConfigDict(extra="ignore")

    zh: Annotated[str, Field(examples=["对方系统暂时不可用，自动重试"])] = ""
    en: Annotated[str, Field(examples=["the system is unavailable; retrying"])] = ""


class Page(BaseModel):
    """A page of a list; ``next_cursor`` is null on the last one."""

    next_cursor: Annotated[str | None, Field(description="Ask with this for the next page", examples=["MTIz"])] = None


def moment(seconds: float | None) -> datetime | None:
    """Unix seconds as an aware time; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def instant(seconds: float) -> datetime:
    """Unix seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


def encode(place: Any) -> str:
    """A cursor that names a place; callers must not read anything into it."""
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The place a cursor names. Raises the problem ``bad_cursor``."""
    try:
        text = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise problems.Problem("bad_cursor") from None


def before(cursor: str | None) -> int | None:
    """The row id a cursor names, for lists that go from the newest to the oldest."""
    if cursor is None:
        return None
    place = decode(cursor)
    if not place.isascii() or not place.isdigit() or len(place) > 18:
        raise problems.Problem("bad_cursor")
    return int(place)


def newest(rows: Sequence[RowT], limit: int, key: Callable[[RowT], int]) -> tuple[Sequence[RowT], str | None]:
    """One page of rows asked for with ``limit + 1``, and the cursor of the next."""
    page = rows[:limit]
    return page, encode(key(page[-1])) if len(rows) > limit else None


def sliced(
    rows: Sequence[RowT], limit: int, cursor: str | None, key: Callable[[RowT], str]
) -> tuple[Sequence[RowT], str | None]:
    """One page of a list that is short enough to be read whole, in the order of its keys."""
    after = decode(cursor) if cursor is not None else None
    rest = sorted((row for row in rows if after is None or key(row) > after), key=key)
    page = rest[:limit]
    return page, encode(key(page[-1])) if len(rest) > limit else None


def row_id(text: str, zh: str, en: str) -> int:
    """An id of the path as a number; anything else is simply not found."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise problems.Problem("not_found", f"没有{zh} {text[:40]}", f"no {en} {text[:40]}")
    return int(text)


def etag(version: int, updated_at: float) -> str:
    """The ETag of a configured thing; the time keeps a thing made anew apart from the one before."""
    return f'"{version}.{int(updated_at * 1000):x}"'


def check_match(given: str | None, current: str) -> None:
    """Refuses a change without If-Match (428) or with an old one (412)."""
    if given is None:
        raise problems.Problem("precondition_required")
    offered = [one.strip().removeprefix("W/") for one in given.split(",")]
    if current not in offered and "*" not in offered:
        raise problems.Problem("stale", headers={"ETag": current})
