"""hub.yaml: all or nothing, twice is once, every problem with its line, and there and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import current, hub, hub_export, hub_file
from retry_queue.ledger import configuration, connections, secrets, session, tables, tokens, upkeep
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites

SEALER = secrets.Sealer("a master key of the test that is long enough")
WHSEC = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ENV = {"CRM_KEY": "key-of-the-crm", "CRM_HOOK": WHSEC, "SHOP_TOKEN": "token-of-the-shop"}
GOOD = """\
apiVersion: shuniu/v1
connections:
  - key: shop
    connector: http
    config: {verify_style: token, entity: order}
    secrets: {hook_secret: "${SHOP_TOKEN}"}
  - key: crm-main
    connector: crm
    config: {base_url: "http://127.0.0.1:9100/crm/api/v1"}
    secrets: {api_key: "${CRM_KEY}", webhook_secret: "${CRM_HOOK}"}
  - {key: notes, connector: http, config: {base_url: "http://127.0.0.1:9100/http", entity: message}, state: paused}
templates:
  - {key: shipped, title: 发货通知, text: "订单 {order.number} 已发货", recipients: ["{contact.owner}"]}
entities:
  customer: {owners: {phone: crm-main}}
routes:
  - key: order-out
    from: {connection: shop, entity: order}
    when: 'order.status == "paid"'
    to: [{connection: notes, operation: send}]
    after: 5m
  - key: tell
    from: {connection: shop, entity: order}
    to: [{connection: notes, operation: send, template: shipped, mapping: message}]
"""
BROKEN = """\
apiVersion: shuniu/v2
conections: []
connections:
  - key: shop
    connector: htp
  - key: crm-main
    connector: crm
    config: {base_ur: "http://127.0.0.1/x", api_key: oops}
    secrets: {api_key: "${NO_SUCH_VARIABLE}"}
  - key: crm-main
    connector: crm
    config: {base_url: "http://127.0.0.1/x"}
  - key: door
    connector: http
    config: {verify_style: token}
routes:
  - key: order-out
    from: {connection: nowhere, entity: ordr}
    when: 'order.status = "paid"'
    to: [{connection: crm-main, operation: no.such, templat: x}]
  - key: second
    from: {connection: door, entity: order}
    when: 'odrer.status == "paid"'
    to:
      - {connection: crm-main, operation: customer.save}
      - {connection: door, operation: send, template: missing}
    after: soon
  - key: third
    from: {connection: door, entity: order}
    to: [{connection: door, operation: sned}, {connection: door, operation: send, template: missing}]
entities:
  custmer: {}
  customer: {owners: {phon: crm-main, phone: nobody}}
"""


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[session.Ledger]:
    async with session.opened(database_url, owner="test", pool=3) as made:
        async with made.write() as connection:
            await connection.run_sync(upkeep.metadata.create_all)
        yield made


def read(text: str, **variables: str) -> hub_file.Draft:
    return hub_file.read(text, "hub.yaml", variables={**ENV, **variables})


async def apply(ledger: session.Ledger, text: str, *, prune: bool = False, **variables: str) -> list[hub.Change]:
    return await hub.apply(ledger, SEALER, read(text, **variables), actor="test", prune=prune)


async def stored(ledger: session.Ledger) -> tuple[current.Current, int]:
    async with ledger.read() as connection:
        return await current.load(connection), await configuration.epoch(connection)


async def refused(ledger: session.Ledger, text: str, **variables: str) -> list[hub_file.Problem]:
    with pytest.raises(hub_file.Broken) as caught:
        await apply(ledger, text, **variables)
    return caught.value.problems


async def test_a_file_is_applied_and_the_site_runs_on_it(ledger: session.Ledger) -> None:
    changes = await apply(ledger, GOOD)
    assert [one.line for one in changes] == [
        "+ connection shop", "+ connection crm-main", "+ connection notes", "+ template shipped", "+ entity customer",
        "+ route order-out", "+ route tell",
    ]  # fmt: skip
    site = await sites.load(ledger, SEALER)
    assert {key: str(live.state) for key, live in site.live.items()} == {
        "shop": "enabled", "crm-main": "enabled", "notes": "paused",
    }  # fmt: skip
    opened = site.live["crm-main"].opened
    assert opened is not None
    assert dict(opened.secrets) == {"api_key": ENV["CRM_KEY"], "webhook_secret": WHSEC}
    assert site.routes["order-out"].after == 300.0
    assert site.templates["shipped"].recipients == ["{contact.owner}"]
    assert site.entities["customer"].owners == {"phone": "crm-main"}
    now, _ = await stored(ledger)
    assert ENV["CRM_KEY"] not in str(now)


async def test_twice_is_once(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    before, epoch = await stored(ledger)
    assert await apply(ledger, GOOD) == []
    assert await stored(ledger) == (before, epoch)


async def test_a_broken_file_names_everything_and_changes_nothing(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    before = await stored(ledger)
    problems = await refused(ledger, BROKEN)
    assert await stored(ledger) == before
    found = {(one.line, one.code) for one in problems}
    assert found >= {
        (1, "api_version"),
        (2, "unknown_key"),
        (5, "unknown_connector"),
        (8, "unknown_field"),
        (8, "secret_in_config"),
        (9, "unset"),
        (10, "twice"),
        (13, "missing"),
        (18, "unknown_connection"),
        (18, "unknown_entity"),
        (19, "condition"),
        (20, "unknown_key"),
        (20, "unknown_operation"),
        (23, "condition_name"),
        (25, "wrong_mapping"),
        (26, "unknown_template"),
        (27, "value_error"),
        (30, "unknown_operation"),
        (30, "unknown_template"),
        (32, "unknown_entity"),
        (33, "unknown_field"),
        (33, "unknown_connection"),
    }
    assert [one.line for one in problems] == sorted(one.line for one in problems)
    words = "\n".join(str(one) for one in problems)
    assert "hub.yaml:5: no connector 'htp'; did you mean http? / 没有连接器 htp；是否想写 http？" in words
    assert "NO_SUCH_VARIABLE" in words
    assert "did you mean connections?" in words
    assert "did you mean template?" in words
    assert "did you mean send?" in words
    for one in problems:
        assert one.zh
        assert any("一" <= letter <= "鿿" for letter in one.zh), one


async def test_what_a_route_refers_to_is_looked_up(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    text = """\
apiVersion: shuniu/v1
routes:
  - key: a
    from: {connection: nowhere, entity: order}
    when: 'order.status = "paid"'
    to: [{connection: crm-main, operation: customer.save}]
  - key: b
    from: {connection: shop, entity: customer}
    when: 'odrer.status == "paid"'
    to: [{connection: notes, operation: send, mapping: nothing}]
  - key: c
    from: {connection: shop, entity: order}
    to: [{connection: crm-main, operation: customer.get}]
"""
    found = {(one.line, one.code) for one in await refused(ledger, text)}
    assert found == {
        (4, "unknown_connection"),
        (5, "condition"),
        (6, "wrong_mapping"),
        (8, "never_emitted"),
        (9, "condition_name"),
        (10, "no_mapping"),
        (13, "unknown_operation"),
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("apiVersion: shuniu/v1\nroutes: [\n", 3),
        ("- just\n- a list\n", 1),
        ("apiVersion: shuniu/v1\nroutes: {a: b}\n", 2),
        ("apiVersion: shuniu/v1\nroutes: [1]\n", 2),
        ("apiVersion: shuniu/v1\nentities: []\n", 2),
        ("a: &x 1\nb: *x\n", 1),
    ],
)
def test_text_that_is_no_hub_yaml_is_a_problem_with_a_line(text: str, line: int) -> None:
    draft = read(text)
    assert draft.problems
    assert line in {one.line for one in draft.problems}


async def test_an_incomplete_connection_is_refused_unless_it_is_disabled(ledger: session.Ledger) -> None:
    text = "apiVersion: shuniu/v1\nconnections:\n  - {key: c, connector: crm, config: {base_url: 'http://x/y'}}\n"
    problems = await refused(ledger, text)
    assert {(one.line, one.code) for one in problems} == {(3, "missing")}
    assert "state: disabled" in problems[0].en
    disabled = text.replace("}}", "}, state: disabled}")
    assert [one.line for one in await apply(ledger, disabled)] == ["+ connection c"]
    # fail closed: the door for pushes has nothing to verify with
    open_door = text.replace("}}", "}, secrets: {api_key: k}}")
    assert {one.code for one in await refused(ledger, open_door)} == {"open_door"}


async def test_diff_shows_values_but_never_secrets(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    changed = GOOD.replace("9100/crm", "9200/crm").replace("after: 5m", "after: 6m")
    before = await stored(ledger)
    found = await hub.diff(ledger, SEALER, read(changed, CRM_KEY="another key"))
    assert await stored(ledger) == before
    by_key = {one.key: one for one in found}
    assert set(by_key) == {"crm-main", "order-out"}
    fields = {one.path: (one.old, one.new) for one in by_key["crm-main"].fields}
    assert fields == {
        "config.base_url": ("http://127.0.0.1:9100/crm/api/v1", "http://127.0.0.1:9200/crm/api/v1"),
        "secrets.api_key": ("***", "***"),
    }
    assert "another key" not in str(found)
    assert ENV["CRM_KEY"] not in str(found)


async def test_an_exported_file_changes_nothing(ledger: session.Ledger) -> None:
    own = "apiVersion: shuniu/mapping/v1\nconnector: http\nentity: order\nrules:\n  - {native: id, canonical: id}\n"
    own += "  - {native: status, canonical: status}\n  - {native: total, canonical: total, codec: money, unit: yuan}\n"
    body = "".join(f"      {line}\n" for line in own.splitlines())
    odd = GOOD.replace(
        'base_url: "http://127.0.0.1:9100/http"', "base_url: \"http://127.0.0.1/$${odd}\", send_path: 'no'"
    )
    text = odd.replace("templates:", f"mappings:\n  - connector: http\n    name: mine\n    body: |\n{body}templates:")
    await apply(ledger, text)
    async with ledger.write() as connection:
        route = {
            "from": {"connection": "shop", "entity": "order"},
            "to": [{"connection": "notes", "operation": "send"}],
        }
        await configuration.put_route(connection, "off", route, False)
    before, _ = await stored(ledger)
    assert before.connections["notes"].config["base_url"] == "http://127.0.0.1/${odd}"
    exported, needed = await hub_export.export(ledger, SEALER)
    assert needed == ["CRM_MAIN_API_KEY", "CRM_MAIN_WEBHOOK_SECRET", "SHOP_HOOK_SECRET"]
    for secret in ENV.values():
        assert secret not in exported
    given = dict(zip(needed, [ENV["CRM_KEY"], WHSEC, ENV["SHOP_TOKEN"]], strict=True))
    assert await hub.diff(ledger, SEALER, hub_file.read(exported, "out.yaml", variables=given), prune=True) == []
    # and on a fresh hub it makes the same site
    async with ledger.write() as connection:
        for table in (tables.connections, tables.routes, tables.settings, tables.mapping_versions):
            await connection.execute(table.delete())
    await hub.apply(ledger, SEALER, hub_file.read(exported, "out.yaml", variables=given), actor="test")
    assert (await hub_export.export(ledger, SEALER))[0] == exported


async def test_prune_removes_what_the_file_does_not_name(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    less = "apiVersion: shuniu/v1\nconnections:\n  - {key: notes, connector: http, config: {entity: message}}\n"
    assert [one.action for one in await hub.diff(ledger, SEALER, read(less))] == ["change"]
    changes = await apply(ledger, less, prune=True)
    assert {one.line for one in changes if one.action == "remove"} == {
        "- connection shop", "- connection crm-main", "- template shipped", "- entity customer", "- route order-out",
        "- route tell",
    }  # fmt: skip
    now, _ = await stored(ledger)
    assert (list(now.connections), now.routes, now.templates, now.entities) == (["notes"], {}, {}, {})


async def test_prune_sees_routes_that_would_lose_their_connection(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    text = GOOD[: GOOD.index("  - key: crm-main")] + GOOD[GOOD.index("templates:") :]
    with pytest.raises(hub_file.Broken) as caught:
        await apply(ledger, text, prune=True)
    assert {one.code for one in caught.value.problems} == {"unknown_connection"}


async def test_refused_credentials_stay_refused_until_they_change(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    async with ledger.write() as connection:
        await connections.refuse(connection, "crm-main", {"code": "credential", "zh": "失效", "en": "refused"})
        await tokens.lock(connection, "crm-main", 0, 30)
        await tokens.put(connection, SEALER, "crm-main", 0, "old token", {}, 4e9)
    assert await apply(ledger, GOOD) == []
    changes = await apply(ledger, GOOD, CRM_KEY="fresh key")
    assert [one.line for one in changes] == ["~ connection crm-main"]
    now, _ = await stored(ledger)
    assert now.connections["crm-main"].state is ConnectionState.ENABLED
    async with ledger.read() as connection:
        ended = await tokens.get(connection, SEALER, "crm-main")
    assert ended is not None
    assert ended.expires_at == 0.0, "kept for what it carries, but nobody goes on with it"


async def test_a_secret_taken_out_of_the_file_goes(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    text = GOOD.replace(', webhook_secret: "${CRM_HOOK}"', "").replace('/crm/api/v1"}', '/crm/api/v1", intake: poll}')
    await apply(ledger, text)
    now, _ = await stored(ledger)
    assert list(now.connections["crm-main"].sealed) == ["api_key"]


async def test_a_route_left_behind_by_another_connector_is_named(ledger: session.Ledger) -> None:
    await apply(ledger, GOOD)
    text = "apiVersion: shuniu/v1\nconnections:\n  - {key: notes, connector: crm, config: {}, state: disabled}\n"
    problems = await refused(ledger, text)
    assert [(one.line, one.code) for one in problems] == [(3, "breaks_route")] * 2


async def test_a_mapping_must_lint_and_pass_its_tests(ledger: session.Ledger, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "apiVersion: shuniu/mapping/v1\nconnector: http\nentity: order\nrules:\n"
        "  - {native: id, canonical: id}\n  - {native: st, canonical: status}\n"
        "  - {native: sum, canonical: total, codec: money, unit: yuan, as: string}\n"
        "tests:\n  - {name: one, way: from, in: {id: '1', st: paid, sum: '1.00'}, out: {status: shipped}}\n"
    )
    text = "apiVersion: shuniu/v1\nmappings:\n  - {connector: http, name: mine, file: mine.yaml}\n"
    text += "  - {connector: http, name: other, file: nowhere.yaml}\n  - {connector: http, name: third}\n"
    draft = hub_file.read(text, "hub.yaml", folder=tmp_path)
    assert [(one.line, one.code) for one in draft.problems] == [(3, "test"), (4, "file"), (5, "shape")]


def test_checking_without_secrets_is_lenient() -> None:
    strict = hub_file.read(GOOD, "hub.yaml")
    assert {one.code for one in strict.problems} == {"unset"}
    assert hub_file.read(GOOD, "hub.yaml", lenient=True).problems == []


def test_a_plain_dollar_brace_can_be_written() -> None:
    assert hub_file.expand("a$${B}${C}", {"C": "c"}) == "a${B}c"
    assert hub_file.expand(hub_file.escape("${X} $${Y}"), {}) == "${X} $${Y}"
