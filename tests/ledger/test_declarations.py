"""A system declared by its site, without a folder and without Python: polled, written to, and mended like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.core import auth, catalogue, client, errors, model, pacing
from connectors.core.own import source
from gateway import hub, hub_export, hub_file
from retry_queue import poll
from retry_queue.ledger import session
from tests.ledger import hub as hubs
from tests.ledger import making, offices

OFFICE = """\
apiVersion: shuniu/api/v1
id: office
label: {zh: 前台系统, en: Office}
auth: [{style: api_key, name: X-Office-Key}]
time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
success: {path: body.code, equals: 0}
errors:
  - {match: ["401"], becomes: credential, hint: {zh: 密钥不对, en: The key is wrong}}
operations:
  order.list:
    kind: list
    entity: order
    path: /api/orders
    query: {since: "${window.start|local}", until: "${window.end|local}", page: "${page.no}", size: "${page.size}"}
    result: data
    items: list
    id: no
    paging: {style: page, size: 2, total: data.total}
polls:
  orders: {operation: order.list, entity: order, record: no, time: changed, every: 1, horizon: 86400}
"""
BOOKS = """\
apiVersion: shuniu/api/v1
id: books
label: 账簿
protocol: json_rpc
endpoint: /rpc
auth: [{style: oauth2_client, token_url: "${config.base_url}/token", client: basic}]
errors:
  - {match: ["-32602"], becomes: rejected, hint: {zh: 缺少金额, en: No amount}}
operations:
  book.get: {kind: get, rpc: book.get, params: {no: "${input.no}"}, result: book, id: no}
  book.put:
    kind: write
    entity: order
    rpc: book.put
    result: book
    id: no
    idempotent: query_first
    lookup: book.get
"""
MAPPINGS = {
    "office": """\
apiVersion: shuniu/mapping/v1
connector: office
entity: order
rules:
  - {native: no, canonical: id}
  - {native: yuan, canonical: total, codec: money, unit: yuan}
  - {native: changed, canonical: updated_at, codec: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
  - {canonical: status, value: paid, way: from}
""",
    "books": """\
apiVersion: shuniu/mapping/v1
connector: books
entity: order
rules:
  - {native: no, canonical: id, way: to}
  - {native: amount_fen, canonical: total, codec: money, unit: fen, as: integer, way: to}
""",
}


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line for line in text.splitlines(keepends=True))


def site(url: str) -> str:
    """A whole hub.yaml: two declared systems, their mappings, and the way from one to the other."""
    said = "apiVersion: shuniu/v1\ndeclarations:\n"
    said += "".join(f"  - body: |\n{indented(text, 6)}" for text in (OFFICE, BOOKS))
    said += f"""\
connections:
  - {{key: front, connector: office, config: {{base_url: "{url}"}}, secrets: {{api_key: "{offices.API_KEY}"}}}}
  - key: ledgers
    connector: books
    config: {{base_url: "{url}", client_id: {offices.CLIENT[0]}}}
    secrets: {{client_secret: "{offices.CLIENT[1]}"}}
mappings:
"""
    for name, text in MAPPINGS.items():
        said += f"  - connector: {name}\n    name: order\n    body: |\n{indented(text, 6)}"
    return (
        said
        + """\
routes:
  - {key: book, from: {connection: front, entity: order}, to: [{connection: ledgers, operation: book.put}]}
"""
    )


def order(name: str, yuan: str, ago: float = 60.0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=ago) + timedelta(hours=8)
    return {"no": name, "yuan": yuan, "changed": at.strftime("%Y-%m-%d %H:%M:%S")}


@pytest.fixture
def house() -> Iterator[offices.Offices]:
    made = offices.Offices()
    with made.open():
        yield made


async def apply(ledger: session.Ledger, text: str, *, prune: bool = False) -> list[hub.Change]:
    return await hub.apply(ledger, hubs.SEALER, hub_file.read(text, "hub.yaml"), actor="test", prune=prune)


async def test_a_declared_system_is_polled_and_another_is_written_to(
    ledger: session.Ledger, database_url: str, house: offices.Offices
) -> None:
    house.orders = [order(f"A{index}", f"{index}.05") for index in range(5)]
    changes = await apply(ledger, site(house.url))
    assert [one.line for one in changes][:2] == ["+ declaration office", "+ declaration books"]
    assert await apply(ledger, site(house.url)) == []

    async with hubs.running(database_url) as worker:
        one = poll.Poller(worker.ledger, worker.hub.current, worker.hub.calls, worker.hub.appender, 0.2)
        polling = asyncio.create_task(one.run(worker.hub.stopped))
        await making.until(lambda: _all(house, 5), what="five orders in the books")
        house.orders[2] = order("A2", "99.00", 0.0)
        await making.until(lambda: _amount(house, "A2", 9900), what="the change in the books")
        balance = await worker.settled()
        worker.hub.stopped.set()
        await polling
    assert balance.difference == 0
    assert balance.dead == 0
    assert {name: one["amount_fen"] for name, one in house.booked.items()} == {
        "A0": 5, "A1": 105, "A2": 9900, "A3": 305, "A4": 405,
    }  # fmt: skip
    assert house.grants == ["client_credentials"]
    seen = str(await making.rows(ledger, "SELECT * FROM attempts"))
    assert "book.put" in seen
    assert offices.CLIENT[1] not in seen
    assert "access-0001" not in seen


async def _all(house: offices.Offices, number: int) -> bool:
    return len(house.booked) == number


async def _amount(house: offices.Offices, name: str, fen: int) -> bool:
    return bool(house.booked[name]["amount_fen"] == fen)


def calling(text: str, url: str, secrets: dict[str, str], **config: str) -> tuple[client.Client, model.Connection]:
    made = model.Connection("x", source.compiled(text), {"base_url": url, **config}, secrets)
    return client.Client(auth.MemoryTokens(), pacing.LocalPacer()), made


async def test_the_declared_tables_are_what_counts(house: offices.Offices) -> None:
    calls, wrong = calling(OFFICE, house.url, {"api_key": "not-the-right-one"})
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.call(wrong, "order.list", {})
    assert refused.value.hint["zh"] == "密钥不对"  # in a 200
    await calls.aclose()
    secret = {"client_secret": offices.CLIENT[1]}
    calls, right = calling(BOOKS, house.url, secret, client_id=offices.CLIENT[0])
    with pytest.raises(errors.Rejected) as rejected:
        await calls.call(right, "book.put", {"no": "A1"})
    assert rejected.value.code == "-32602"
    again = await calls.call(right, "book.put", {"no": "A1", "amount_fen": 1}, fresh=False)
    assert (again.record_id, again.already) == ("A1", False)
    assert (await calls.call(right, "book.put", {"no": "A1", "amount_fen": 1}, fresh=False)).already
    shown = str(again.exchanges)
    assert "Basic" not in shown
    await calls.aclose()


async def test_a_code_from_the_consent_page_is_exchanged_with_the_address_it_came_to(house: offices.Offices) -> None:
    text = BOOKS.replace("oauth2_client, ", 'oauth2_code, authorize_url: "${config.base_url}/agree", ')
    secrets = {"client_secret": offices.CLIENT[1], "code": "C0", "redirect_uri": "https://hub.example.com/back"}
    calls, opened = calling(text, house.url, secrets, client_id=offices.CLIENT[0])
    await calls.call(opened, "book.get", {"no": "A1"})
    assert house.grants == ["authorization_code"]
    await calls.aclose()


@pytest.mark.parametrize(("style", "first", "given"), [
    ("oauth2_refresh", "refresh_token", {"refresh_token": "R0"}), ("oauth2_code", "authorization_code", {"code": "C0"}),
])  # fmt: skip
async def test_a_grant_is_used_once_and_its_refresh_tokens_follow_each_other(
    house: offices.Offices, style: str, first: str, given: dict[str, str]
) -> None:
    text = BOOKS.replace("oauth2_client", style)
    more = {"redirect_uri": "https://hub.example.com/back"} if style == "oauth2_code" else {}
    secrets = {"client_secret": offices.CLIENT[1], **given}
    calls, opened = calling(text, house.url, secrets, client_id=offices.CLIENT[0], **more)
    for _ in range(3):
        await calls.call(opened, "book.get", {"no": "A1"})
        house.tokens = {"gone": next(iter(house.tokens.values()))}  # the access token ends, its refresh token stays
    assert house.grants == [first, "refresh_token", "refresh_token"]
    house.tokens = {}
    with pytest.raises(errors.CredentialRefused):
        await calls.call(opened, "book.get", {"no": "A1"})
    await calls.aclose()


async def test_a_connection_may_use_a_declaration_that_only_the_ledger_has(
    ledger: session.Ledger, house: offices.Offices
) -> None:
    await apply(ledger, f"apiVersion: shuniu/v1\ndeclarations:\n  - body: |\n{indented(OFFICE, 6)}")
    short = f"""\
apiVersion: shuniu/v1
connections:
  - {{key: front, connector: office, config: {{base_url: "{house.url}"}}, secrets: {{api_key: k}}}}
"""
    assert [one.line for one in await apply(ledger, short)] == ["+ connection front"]
    exported, _ = await hub_export.export(ledger, hubs.SEALER)
    again = hub_file.read(exported, "out.yaml", variables={"FRONT_API_KEY": "k"})
    assert await hub.diff(ledger, hubs.SEALER, again, prune=True) == []
    with pytest.raises(hub_file.Broken) as caught:
        await apply(ledger, short, prune=True)
    assert [one.code for one in caught.value.problems] == ["unknown_connector"]
    with pytest.raises(hub_file.Broken) as misspelt:
        await apply(ledger, short.replace("connector: office", "connector: offic"))
    assert "office" in misspelt.value.problems[0].zh


async def test_a_change_of_a_declaration_must_not_break_a_route(ledger: session.Ledger, house: offices.Offices) -> None:
    await apply(ledger, site(house.url))
    text = BOOKS.replace("book.put:", "book.write:")
    with pytest.raises(hub_file.Broken) as caught:
        await apply(ledger, f"apiVersion: shuniu/v1\ndeclarations:\n  - body: |\n{indented(text, 6)}")
    assert [one.code for one in caught.value.problems] == ["breaks_route"]
    assert "ledgers" in caught.value.problems[0].zh
    wider = OFFICE.replace("en: Office", "en: Front office")
    changes = await apply(ledger, f"apiVersion: shuniu/v1\ndeclarations:\n  - body: |\n{indented(wider, 6)}")
    assert [one.line for one in changes] == ["~ declaration office"]


@pytest.mark.parametrize(("change", "said"), [
    (("id: office", "id: http"), "内置连接器"),
    (("entity: order\n", "entitty: order\n"), "entitty"),
    (("style: page", "style: pages"), "style"),
    (("success:", "signing: {scheme: custom}\nsuccess:"), "custom"),
    (("success:", "signing: {scheme: rot13}\nsuccess:"), "sorted_params"),
    (("operation: order.list", "operation: order.lst"), "order.lst"),
    (("${page.no}", "${page.no|nope}"), "nope"),
    (("label: {zh: 前台系统, en: Office}", "label: &x {zh: 前台系统, en: Office}\naliases: [*x]"), "引用"),
])  # fmt: skip
async def test_what_is_wrong_is_said_before_anything_is_stored(
    ledger: session.Ledger, change: tuple[str, str], said: str
) -> None:
    assert change[0] in OFFICE
    text = OFFICE.replace(*change)
    with pytest.raises(hub_file.Broken) as caught:
        await apply(ledger, f"apiVersion: shuniu/v1\ndeclarations:\n  - body: |\n{indented(text, 6)}")
    words = " ".join(f"{one.zh} {one.en}" for one in caught.value.problems)
    assert said in words
    assert caught.value.problems[0].line == 3


def test_a_site_s_own_goes_before_a_folder_that_came_later() -> None:
    text = OFFICE.replace("id: office", "id: http")
    made = catalogue.Catalogue({"http": text})
    assert made.get("http").label.en == "Office"
    assert made.own("http")
    assert catalogue.SHIPPED.get("http").label.en != "Office"
