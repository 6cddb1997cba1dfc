"""Spreadsheets: from a file to the ledger and back, on a folder, a share and by upload."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql

from connectors.core import client, errors, model
from connectors.excel import places, sender, sheet, signer, simulator
from retry_queue import append, poll
from retry_queue.ledger import session, tables
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites
from tests.conformance import excel_desk as desks
from tests.conformance import rehearsal
from tests.unit.webhooks import door as doors


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[client.Client]:
    async with client.alone(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SETTLED", 0.0)


# From a file to the ledger.


@asynccontextmanager
async def polling(tmp_path: Path, calls: client.Client) -> AsyncIterator[session.Ledger]:
    """The real poller over a real ledger, looking into the folder all the time."""
    ledger = session.open_ledger(f"sqlite+aiosqlite:///{tmp_path / 'hub.sqlite3'}", owner="poller")
    async with ledger.write() as db:
        await db.run_sync(tables.metadata.create_all)
    appender = append.Appender(ledger, lambda: None)
    live = sites.Live("desk", "excel", ConnectionState.ENABLED, desks.connection(), None)
    site = sites.Site(1, {"desk": live}, [], {}, {}, {})
    stopped = asyncio.Event()
    task = asyncio.create_task(poll.Poller(ledger, lambda: site, calls, appender, 0.01).run(stopped))
    try:
        yield ledger
    finally:
        stopped.set()
        async with asyncio.timeout(10):
            await task
        await appender.close()
        await ledger.close()


async def taken(ledger: session.Ledger) -> list[dict[str, Any]]:
    async with ledger.read() as db:
        rows = await db.execute(sql("SELECT payload FROM events ORDER BY id"))
        return [json.loads(row.payload) for row in rows]


async def until(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_file_becomes_events_and_comes_back_with_a_word_on_every_row(
    tmp_path: Path, calls: client.Client
) -> None:
    rows = [
        ["SN1", "已付款", 10, "A", 1],
        ["SN2", "没听过", "十元", "A", 1],
        ["SN1", "已付款", 10, "B", 2],
        ["SN3", "已付款", 5, "A", 1],
    ]
    desks.drop(tmp_path, "订单.xlsx", desks.book(desks.HEAD, *rows))
    desks.drop(tmp_path, "notes.txt", b"not for us")
    desks.drop(tmp_path, "~$订单.xlsx", b"a lock")
    async with polling(tmp_path, calls) as ledger:
        done = tmp_path / "desk" / "done"
        await until(lambda: [one for one in desks.listed(done) if not one.endswith(".result.xlsx")])
        events = await taken(ledger)
    assert [(one["id"], len(one["lines"])) for one in events] == [("SN1", 2), ("SN3", 1)]
    assert desks.listed(tmp_path / "desk" / "in") == ["notes.txt", "~$订单.xlsx"]
    (name,) = [one for one in desks.listed(done) if one.endswith(".result.xlsx")]
    result = desks.cells((done / name).read_bytes())
    assert result[0] == ["结果", "原因", *desks.HEAD]
    assert [row[0] for row in result[1:]] == ["已接收", "失败", "已接收", "已接收"]
    assert "没听过" in result[2][1]
    assert "不是数字：十元" in result[2][1]


async def test_a_reading_that_was_cut_off_is_done_again_without_doubling(tmp_path: Path, calls: client.Client) -> None:
    file = desks.drop(tmp_path, "a.csv", "订单号,订单状态,订单金额,商品编码,数量\nSN1,已付款,10,A,1\n".encode())
    pages = calls.pages(desks.connection(), "files.take", {})
    first = await anext(pages)
    await pages.aclose()  # type: ignore[attr-defined]
    assert file.exists(), "what was read and perhaps not stored stays where it is"
    again = [page async for page in calls.pages(desks.connection(), "files.take", {})]
    assert again == [first]
    assert not file.exists()


async def test_a_file_that_changed_meanwhile_is_read_anew(tmp_path: Path, calls: client.Client) -> None:
    def content(name: str) -> bytes:
        return f"订单号,订单状态,订单金额,商品编码,数量\n{name},已付款,10,A,1\n".encode()

    file = desks.drop(tmp_path, "a.csv", content("SN1"))
    seen = []
    async for page in calls.pages(desks.connection(), "files.take", {}):
        seen += [row["id"] for row in page]
        if seen == ["SN1"]:
            file.write_bytes(content("SN-2"))
    assert seen == ["SN1", "SN-2"]
    assert desks.listed(tmp_path / "desk" / "in") == []


async def test_a_second_file_of_one_name_does_not_replace_the_first(tmp_path: Path, calls: client.Client) -> None:
    done = tmp_path / "desk" / "done"
    for number in ("SN1", "SN2"):
        desks.drop(tmp_path, "订单.xlsx", desks.book(desks.HEAD, [number, "已付款", 1, "A", 1]))
        pages = calls.pages(desks.connection(), "files.take", {})
        assert [row["id"] async for page in pages for row in page] == [number]
    kept = [one for one in desks.listed(done) if not one.endswith(".result.xlsx")]
    told = ["".join(map(str, desks.cells((done / one).read_bytes())[1])) for one in kept]
    assert len(kept) == 2
    assert "SN1" in told[0]
    assert "SN2" in told[1], "regression: the later file took the place of the earlier one"


async def test_a_file_that_cannot_be_read_is_put_away_with_the_reason(tmp_path: Path, calls: client.Client) -> None:
    desks.drop(tmp_path, "bad.xlsx", b"PK\x03\x04 broken")
    desks.drop(tmp_path, "good.xlsx", desks.book(desks.HEAD, ["SN1", "已付款", 1, "A", 1]))
    rows = [row["id"] async for page in calls.pages(desks.connection(), "files.take", {}) for row in page]
    # The broken one has no rows, so its page is not seen; reading went on all the same.
    assert rows == ["SN1"]
    done = tmp_path / "desk" / "done"
    (name,) = [one for one in desks.listed(done) if one.startswith("bad.") and one.endswith(".result.xlsx")]
    assert desks.cells((done / name).read_bytes())[1][0] == "失败 refused"


async def test_nothing_outside_the_folder_is_read(tmp_path: Path, calls: client.Client) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("订单号,订单状态,订单金额,商品编码,数量\nSTOLEN,已付款,10,A,1\n", encoding="utf-8")
    desks.drop(tmp_path, "ok.csv", secret.read_bytes().replace(b"STOLEN", b"SN1"))
    (tmp_path / "desk" / "in" / "link.csv").symlink_to(secret)
    rows = [row["id"] async for page in calls.pages(desks.connection(), "files.take", {}) for row in page]
    assert rows == ["SN1"]
    assert secret.exists()


async def test_a_process_without_a_data_directory_says_so() -> None:
    async with client.alone() as bare:
        with pytest.raises(errors.Misdeclared, match="data directory"):
            await bare.probe(desks.connection())


# The share.


async def test_the_share_may_be_locked_full_or_somebody_elses() -> None:
    async with rehearsal.stage("excel") as stage:
        simulated = stage.simulator
        assert isinstance(simulated, simulator.Simulator)
        opened, given = await stage.prepared("row.export")
        found = await stage.caller.call(opened, "row.export", given)
        await stage.do([rehearsal.Step(do="POST /open", body={"path": f"out/{found.data['file']}"})])
        with pytest.raises(errors.Unavailable) as locked:
            await stage.caller.call(opened, "row.export", {**given, "available": "7"})
        assert "打开" in locked.value.hint["zh"]
        simulated.share.locked.clear()
        await stage.caller.call(opened, "row.export", {**given, "available": "8"})
        stranger = model.Connection("s", desks.SPEC, opened.config, {"password": "wrong-password"})
        with pytest.raises(errors.CredentialRefused):
            await stage.caller.probe(stranger)
        nowhere = model.Connection("n", desks.SPEC, {**opened.config, "url": f"{stage.url}/nothing"}, opened.secrets)
        with pytest.raises(errors.Misdeclared):
            await stage.caller.probe(nowhere)
        assert "share-app-password" not in repr(found.exchanges)


async def test_a_lost_answer_of_the_share_loses_and_doubles_nothing() -> None:
    async with rehearsal.stage("excel") as stage:
        simulated = stage.simulator
        assert isinstance(simulated, simulator.Simulator)
        opened, _ = await stage.prepared("files.take")
        simulated.faults.drop_reply, simulated.faults.drop_kinds = 1, ["file.done"]
        seen: list[str] = []
        for _ in range(2):
            try:
                async for page in stage.caller.pages(opened, "files.take", {}):
                    seen += [row["id"] for row in page]
            except errors.Unavailable:
                continue
        assert set(seen) == {"SN1"}
        assert [one for one in simulated.share.files if one.startswith("done/订单.") and "result" not in one]
        assert [effect.kind for effect in simulated.journal.effects].count("file.done") == 1


# Uploads, through the real front door.


async def test_an_upload_is_answered_row_by_row(tmp_path: Path) -> None:
    opened = desks.connection(upload="on")
    desk = doors.Door("desk", "excel", doors.ConnectionState.ENABLED, opened)
    content = desks.book(desks.HEAD, ["SN1", "已付款", 1, "A", 1], ["SN2", "已付款", "x", "A", 1])
    async with doors.front(tmp_path, desk, max_body=1024 * 1024) as front:
        plain = [("x-file-secret", desks.SECRET)]
        first = await front.call(content, plain, key="desk")
        assert first is not None
        assert first.status == 200
        said = first.json()
        assert (said["received"], said["refused"]) == (1, 1)
        assert (said["problems"][0]["row"], said["problems"][0]["column"]) == (3, "订单金额")
        proof = "sha256=" + hmac.new(desks.SECRET.encode(), content, "sha256").hexdigest()
        again = await front.call(content, [("x-file-signature", proof)], key="desk")
        assert again is not None
        assert again.status == 200
        assert len(await front.stored()) == 1, "the same file again is no news"
        for headers in ([], [("x-file-secret", "wrong")], [("x-file-signature", proof[:-1] + "0"), *plain]):
            refused = await front.call(content, headers, key="desk")
            assert refused is not None
            assert refused.status == (200 if headers and headers[0][1] == proof else 401)
        garbage = await front.call(b"hello", plain, key="desk")
        assert garbage is not None
        assert garbage.json()["received"] == 0
        assert garbage.json()["problems"][0]["row"] == 0
        assert len(await front.stored()) == 1


def test_a_long_upload_is_read_quickly_enough_to_wait_for() -> None:
    content = desks.book(desks.HEAD, *(["S" + str(n), "已付款", 1, "A", 1] for n in range(signer.MOST)))
    began = time.monotonic()
    assert len(sheet.parse(content, "order", signer.MOST).records) == signer.MOST
    assert time.monotonic() - began < 5
    assert sender.MOST >= signer.MOST
