from __future__ import annotations

import pytest

from connectors.core import declaration, errors, paging, paths


class Shelf:
    """Rows behind pages, the way a system would serve them."""

    def __init__(self, rows, **spec):
        self.rows, self.spec = rows, declaration.Paging(**spec)
        self.asked = []

    async def fetch(self, page):
        self.asked.append(page)
        start = page["offset"] if self.spec.style != "cursor" else int(page.get("cursor") or 0)
        rows = self.rows[start : start + page["size"]]
        following = start + page["size"]
        more = following < len(self.rows)
        body = {
            "total": str(len(self.rows)),
            "more": "true" if more else "false",
            "next": str(following) if more else "",
        }
        return rows, body

    async def read(self):
        return [row async for rows in paging.read(self.fetch, self.spec, "list") for row in rows]


STYLES = [
    {"style": "page", "size": 3},
    {"style": "page", "size": 3, "total": "total"},
    {"style": "page", "size": 3, "total": "body.total", "reverse": True},
    {"style": "page", "size": 3, "has_next": "more", "first": 0},
    {"style": "offset", "size": 3},
    {"style": "offset", "size": 3, "total": "total", "reverse": True},
    {"style": "cursor", "size": 3, "cursor": "next"},
    {"style": "cursor", "size": 3, "cursor": "next", "has_next": "more"},
    {"style": "has_more", "size": 3, "has_next": "more"},
]


@pytest.mark.parametrize("spec", STYLES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7, 10])
async def test_every_row_comes(spec, count):
    shelf = Shelf(list(range(count)), **spec)
    assert sorted(await shelf.read()) == list(range(count))
    assert len(shelf.asked) <= count // 3 + 2


@pytest.mark.parametrize("count", [0, 2, 3, 7])
async def test_a_cursor_with_words_for_its_begin_and_its_end(count):
    shelf = Shelf(list(range(count)), style="cursor", size=3, cursor="next", begin="", end=["nomore", "-1"])
    plain = shelf.fetch

    async def fetch(page):
        assert page["cursor"] != "nomore", "the word for the end is no page"
        rows, body = await plain(page)
        return rows, {**body, "next": body["next"] or "nomore"}

    rows = [row async for rows in paging.read(fetch, shelf.spec, "list") for row in rows]
    assert rows == list(range(count))
    assert shelf.asked[0]["cursor"] == ""
    assert len(shelf.asked) == max(1, -(-count // 3))


@pytest.mark.parametrize("begin", [0, "0", None])
async def test_the_first_cursor_is_sent_where_one_is_declared(begin):
    shelf = Shelf(list(range(7)), style="cursor", size=3, cursor="next", begin=begin)
    assert await shelf.read() == list(range(7))
    assert [page.get("cursor") for page in shelf.asked] == [begin, "3", "6"]


async def test_none_reads_once():
    shelf = Shelf(list(range(10)), style="none", size=3)
    assert await shelf.read() == [0, 1, 2]


async def test_numbers():
    shelf = Shelf(list(range(7)), style="page", size=3, first=1)
    await shelf.read()
    assert [(page["no"], page["offset"]) for page in shelf.asked] == [(1, 0), (2, 3), (3, 6)]
    assert "cursor" not in shelf.asked[0]


async def test_backwards_goes_from_the_last_page_and_ends_with_a_fresh_first():
    shelf = Shelf(list(range(7)), style="page", size=3, total="total", reverse=True)
    assert await shelf.read() == [6, 3, 4, 5, 0, 1, 2]
    assert [page["no"] for page in shelf.asked] == [1, 3, 2, 1]


async def test_backwards_loses_no_row_that_moves_while_reading():
    # A row changes while we read: it leaves the window and those behind it move up by one.
    for moment in range(1, 4):
        shelf = Shelf(list(range(9)), style="page", size=3, total="total", reverse=True)
        plain = shelf.fetch

        async def moving(page, shelf=shelf, plain=plain, moment=moment):
            found = await plain(page)
            if len(shelf.asked) == moment:
                shelf.rows = shelf.rows[1:]
            return found

        shelf.fetch = moving
        assert set(await shelf.read()) >= set(range(1, 9))


async def test_a_short_page_does_not_end_a_cursor_but_a_repeated_cursor_does():
    answers = iter([([1], {"c": "a"}), ([], {"c": "b"}), ([2], {"c": "b"}), ([3], {"c": "z"})])

    async def fetch(page):
        return next(answers)

    spec = declaration.Paging(style="cursor", cursor="c")
    assert [row async for rows in paging.read(fetch, spec, "x") for row in rows] == [1, 2]


async def test_too_many_pages_is_an_error_and_not_silence():
    for more in ({"reverse": False}, {"reverse": True, "total": "total"}):
        shelf = Shelf(list(range(100)), style="page", size=3, limit_pages=5, **more)
        with pytest.raises(errors.Misdeclared, match="more than 5 pages"):
            await shelf.read()


async def test_backwards_without_a_total_is_said():
    shelf = Shelf(list(range(7)), style="page", size=3, reverse=True)
    with pytest.raises(errors.Misdeclared, match="total"):
        await shelf.read()


async def test_cursors_that_go_round_are_told_at_once_and_not_after_a_thousand_pages() -> None:
    asked = []

    async def fetch(page):
        asked.append(page.get("cursor"))
        return [1, 2], {"next": "b" if page.get("cursor") == "a" else "a"}

    spec = declaration.Paging(style="cursor", cursor="next")
    with pytest.raises(errors.Misdeclared) as refused:
        [rows async for rows in paging.read(fetch, spec, "order.list")]
    assert asked == [None, "a", "b", "a"]
    assert "游标「a」" in refused.value.hint["zh"]


async def test_a_queue_asked_with_one_cursor_again_is_no_circle() -> None:
    left = [[1], [2], [3]]

    async def fetch(page):
        rows = left.pop(0) if left else []
        return rows, {"next": "more", "again": bool(left)}

    spec = declaration.Paging(style="has_more", cursor="next", has_next="again")
    assert [row async for rows in paging.read(fetch, spec, "queue") for row in rows] == [1, 2, 3]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('<https://a.example/orders?page=2&size=3>; rel="next", <https://a.example/orders?page=9>; rel="last"', "2"),
        ("<https://a.example/orders?size=3&page=ab%20c>;rel=next", "ab c"),
        ('<https://a.example/x?page=1>; rel="prev first", </orders?page=3>; title="a, b"; rel="last next"', "3"),
        ('<https://a.example/orders?page=9>; rel="last"', paths.ABSENT),
        ('<https://a.example/orders?offset=9>; rel="next"', paths.ABSENT),
        ("", paths.ABSENT),
        ("<<<>>>;rel==next" * 50, paths.ABSENT),
    ],
)
async def test_the_next_page_by_a_link_header(header, wanted):
    asked = []

    async def fetch(page):
        asked.append(page.get("cursor"))
        return [len(asked)], {"link": header} if len(asked) == 1 else {}

    rows = [row async for page in paging.read(fetch, declaration.Paging(style="link"), "list") for row in page]
    assert asked == ([None] if wanted is paths.ABSENT else [None, wanted])
    assert rows == list(range(1, len(asked) + 1))


class Capped:
    """A system that gives at most ``most`` rows at once, whatever it is asked for, and after the end its last page."""

    def __init__(self, count, most, repeats=False, **spec):
        self.rows, self.most, self.repeats = list(range(count)), most, repeats
        self.spec = declaration.Paging(**spec)
        self.asked = 0

    async def fetch(self, page):
        self.asked += 1
        start = page["offset"] if self.spec.style == "offset" else (page["no"] - 1) * self.most
        if self.repeats and start >= len(self.rows):
            start = (len(self.rows) - 1) // self.most * self.most
        return self.rows[start : start + min(page["size"], self.most)], {"total": len(self.rows)}

    async def read(self):
        return [row async for rows in paging.read(self.fetch, self.spec, "list") for row in rows]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 130])
@pytest.mark.parametrize("style", ["page", "offset"])
@pytest.mark.parametrize(
    "more", [{"total": "total"}, {"total": "total", "reverse": True}, {"short_ends": False}], ids=str
)
async def test_no_row_is_lost_where_a_system_gives_fewer_at_once_than_it_is_asked_for(style, count, more) -> None:
    """130 rows, 20 at once, 100 asked for: rows 20 to 99 were never read, and nobody was told."""
    system = Capped(count, 20, style=style, size=100, **more)
    assert sorted(set(await system.read())) == list(range(count))


async def test_the_last_page_given_again_beyond_the_end_ends_the_list() -> None:
    system = Capped(50, 20, repeats=True, style="page", size=100, short_ends=False)
    assert await system.read() == list(range(50))
    assert system.asked == 4


async def test_the_next_address_may_stand_in_the_body() -> None:
    async def fetch(page):
        at = int(page.get("cursor") or 0)
        more = {"next": f"https://elsewhere.example.com/x?after={at + 1}&size=9"} if at < 2 else {"next": None}
        return [at], {"links": more}

    spec = declaration.Paging(style="link", next="links.next", cursor="after")
    assert [row async for rows in paging.read(fetch, spec, "x") for row in rows] == [0, 1, 2]
    with pytest.raises(errors.Misdeclared, match="is an address") as caught:
        _ = [row async for row in paging.read(fetch, declaration.Paging(style="cursor", cursor="links.next"), "x")]
    assert "style: link" in str(caught.value.hint)
