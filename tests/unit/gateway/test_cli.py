"""The command line over a real ledger in a folder of its own: what it prints, and with which exit code it ends."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from connectors.core import errors
from gateway import check, cli, hub_file, settings, signature
from retry_queue.ledger import inbox, secrets, session, tallies
from tests.unit.gateway import desk as desks

Run = Callable[..., Result]
WHSEC = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HUB = """\
apiVersion: shuniu/v1
connections:
  - {key: shop, connector: http, config: {verify_style: token, entity: order}, secrets: {hook_secret: "${SHOP_TOKEN}"}}
  - {key: notes, connector: http, config: {base_url: "http://127.0.0.1:9/x"}}
routes:
  - {key: order-out, from: {connection: shop, entity: order}, to: [{connection: notes, operation: send}]}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SHOP_TOKEN", "canary-token-of-the-shop")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(cli.build(words[0]), list(words), input=text)
        assert result.exit_code == code, (result.output, result.exception)
        assert "canary" not in result.output
        return result

    return invoke


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    file = tmp_path / "hub.yaml"
    file.write_text(HUB)
    return file


def data(result: Result) -> Any:
    return json.loads(result.stdout)


def ledger_step(step: Callable[[session.Ledger, secrets.Sealer], Any]) -> Any:
    """Runs one step over the command line's own ledger."""

    async def whole() -> Any:
        found = settings.load()
        async with session.opened(found.database_url, owner="test", pool=2) as ledger:
            return await step(ledger, secrets.Sealer(found.secret_key.get_secret_value()))

    return asyncio.run(whole())


# --- configuration ------------------------------------------------------------------------------


def test_apply_twice_then_diff_and_export(run: Run, hub: Path) -> None:
    shown = data(run("diff", "--json"))
    assert [one["action"] for one in shown["changes"]] == ["create"] * 3
    assert run("apply", "--dry-run").stdout.startswith("+ connection shop")
    assert [one["key"] for one in data(run("apply", "--json"))["changes"]] == ["shop", "notes", "order-out"]
    assert data(run("apply", "-f", str(hub), "--json"))["changes"] == []
    assert "没有变化" in run("diff").stderr
    exported = run("export")
    assert "${SHOP_HOOK_SECRET}" in exported.stdout
    assert "SHOP_HOOK_SECRET" in exported.stderr
    given = exported.stdout.replace("SHOP_HOOK_SECRET", "SHOP_TOKEN")
    assert data(run("diff", "-f", "-", "--json", text=given))["changes"] == []


def test_a_broken_file_ends_with_1_and_lists_every_problem(run: Run, hub: Path) -> None:
    hub.write_text(HUB.replace("connector: http", "connector: htpp").replace("operation: send", "operation: sned"))
    result = run("apply", code=1)
    assert "hub.yaml:3:" in result.stderr
    assert "hub.yaml:4:" in result.stderr
    assert "没有做任何修改" in result.stderr
    told = data(run("apply", "--json", code=1))
    assert told["ok"] is False
    assert {one["line"] for one in told["problems"]} >= {3, 4}
    hub.write_text(HUB)
    assert len(data(run("diff", "--json"))["changes"]) == 3  # nothing of it had been applied


def test_a_variable_that_is_not_set_is_named(run: Run, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    result = run("apply", code=1)
    assert "SHOP_TOKEN" in result.stderr
    assert "hub.yaml:3:" in result.stderr


def test_a_file_that_is_not_there(run: Run) -> None:
    assert "读不到文件" in run("apply", code=2).stderr


# --- check --------------------------------------------------------------------------------------


def test_everything_that_ships_is_sound(run: Run) -> None:
    told = data(run("check", "--json", "--unconfirmed"))
    assert [line for line in told["lines"] if line["level"] == "error"] == []
    assert told["counts"]["connectors"] == len(told["grades"]) >= 2
    assert set(told["grades"].values()) <= {"bronze", "silver", "gold"}
    assert told["counts"]["mapping_tests"] > 20
    assert all(told["unconfirmed"].values())
    assert not settings.Settings().data_dir.exists()  # looking must not create a ledger


def test_check_reads_a_file_without_its_secrets(run: Run, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    run("check", "-f", str(hub))
    hub.write_text(HUB.replace("entity: order},", "entity: ordr},"))
    result = run("check", "-f", str(hub), code=1)
    assert "hub.yaml:6" in result.stdout


def test_check_looks_at_what_is_configured(run: Run, hub: Path) -> None:
    run("apply")
    assert data(run("check", "--json"))["counts"]["routes"] == 1

    async def break_it(ledger: session.Ledger, _sealer: secrets.Sealer) -> None:
        async with ledger.write() as connection:
            await connection.exec_driver_sql("UPDATE connections SET connector = 'gone' WHERE key = 'notes'")

    ledger_step(break_it)
    lines = data(run("check", "--json", code=1))["lines"]
    assert {line["subject"].split("/")[0] for line in lines if line["level"] == "error"} == {"connection notes"}


def test_a_bad_connector_is_told_with_how_to_mend_it() -> None:
    report = check.Report()
    check.mapping(report, "apiVersion: shuniu/mapping/v1\nconnector: http\nentity: ordr\nrules: []\n", "x.yaml")
    assert not report.ok
    check.drafted(report, [hub_file.Problem("hub.yaml", 3, "x", "中文", "English")])
    assert str(report.lines[-1]) == "error hub.yaml:3: English / 中文"


# --- looking inside -----------------------------------------------------------------------------


def inputs(**more: Any) -> dict[str, Any]:
    given = {
        "config": {"base_url": "http://127.0.0.1:9/x", "sign_style": "hmac", "headers": {"X-Fixed": "1"}},
        "secrets": {"sign_secret": "canary-signing-secret"},
        "operation": "send",
        "input": {"id": "1", "note": "canary-signing-secret"},
        "now": 1700000000,
    }
    return {**given, **more}


def test_sign_shows_what_was_signed_and_the_signature(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text(json.dumps(inputs()))
    told = data(run("sign", "http", "--in", str(file), "--json"))
    (proof,) = [one for one in told["proofs"] if one["algorithm"] == "hmac-sha256"]
    assert proof["text"] == '{"id":"1","note":"***"}'
    body = b'{"id":"1","note":"canary-signing-secret"}'
    expected = hmac.new(b"canary-signing-secret", body, hashlib.sha256).hexdigest()
    assert expected in told["added"].values()
    printed = run("sign", "http", "--in", "-", text=json.dumps(inputs())).stdout
    assert expected in printed
    assert "待签名串" in printed


def test_listening_leaves_no_trace() -> None:
    before = (hashlib.md5, hashlib.sha256, hmac.new, hmac.digest)
    given = inputs()
    signature.explain("http", "send", given["config"], given["secrets"], given["input"], 1700000000.0)
    with pytest.raises(errors.Misdeclared):
        signature.explain("http", "send", {"base_url": "http://x/y", "headers": []} | {"headers": "x"}, {}, {}, 1.0)
    assert (hashlib.md5, hashlib.sha256, hmac.new, hmac.digest) == before


@pytest.mark.parametrize(
    ("words", "given", "code"),
    [
        (("nowhere",), inputs(), 2),
        (("http",), [], 2),
        (("http",), inputs(surprise=1), 2),
        (("http",), inputs(operation="no.such"), 1),
        (("http",), inputs(secrets={}), 1),
    ],
)
def test_bad_signing_inputs(run: Run, words: tuple[str, ...], given: Any, code: int) -> None:
    run("sign", *words, "--in", "-", text=json.dumps(given), code=code)


def test_map_both_ways(run: Run, tmp_path: Path) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text('{"data": {"id": "C1", "name": "王", "type": "company", "mobile": "13800000007"}}')
    told = data(run("map", "crm/customer", "--in", str(sample), "--at", "data"))
    assert told == {"id": "C1", "name": "王", "kind": "company", "phone": "13800000007"}
    back = data(run("map", "crm/customer", "--in", "-", "--reverse", text=json.dumps(told)))
    assert back["external_id"] == "C1"
    assert back["type"] == "company"
    run("map", "crm/customer", "--in", str(sample), "--at", "nothing", code=1)
    run("map", "crm/nothing", "--in", str(sample), code=2)
    bad = data(run("map", "crm/customer", "--in", "-", "--json", text='{"id": "C1", "name": [1]}', code=1))
    assert (bad["errors"][0]["rule"], bad["errors"][0]["canonical"]) != ("", "")
    file = tmp_path / "mine.yaml"
    file.write_text("apiVersion: shuniu/mapping/v1\nconnector: http\nentity: order\nrules:\n  - {natve: id}\n")
    broken = data(run("map", str(file), "--in", str(sample), "--json", code=1))
    assert broken["errors"][0]["line"] == 5


# --- the ledger ---------------------------------------------------------------------------------


def test_ledger_prints_the_balance_and_ends_with_1_when_it_does_not_balance(run: Run) -> None:
    assert run("ledger").stdout.startswith("received=0 delivered=0 duplicate=0 filtered=0 dead=0 in_flight=0")

    async def receive(ledger: session.Ledger, _sealer: secrets.Sealer) -> None:
        async with ledger.write() as connection:
            await inbox.append(connection, [desks.event("shop", "{}", "d1")])
            await tallies.add(connection, 0, Counter({("shop", "received"): 1}))

    ledger_step(receive)
    told = data(run("ledger", "--json", "--verify"))
    assert (told["received"], told["in_flight"], told["difference"], told["problems"]) == (1, 1, 0, [])

    async def lose(ledger: session.Ledger, _sealer: secrets.Sealer) -> None:
        async with ledger.write() as connection:
            await connection.exec_driver_sql("DELETE FROM inbox")

    ledger_step(lose)
    assert "difference=1" in run("ledger", code=1).stdout
    assert data(run("ledger", "--json", "--verify", code=1))["problems"] == ["accepted: tallied 1, found 0"]


def test_migrate_brings_the_schema_up_to_date(run: Run) -> None:
    assert data(run("migrate", "--check", "--json", code=1))["current"] is False
    assert data(run("migrate", "--json"))["current"] is True
    assert data(run("migrate", "--check", "--json"))["current"] is True


# --- people -------------------------------------------------------------------------------------


def test_people_and_tokens(run: Run) -> None:
    made = data(run("user", "add", "Wang", "--role", "owner", "--json"))
    assert (made["name"], made["role"], len(made["password"]) >= 16) == ("wang", "owner", True)
    run("user", "add", "wang", code=1)
    run("user", "add", "li", "--role", "king", code=2)
    run("user", "add", "li", "--password", "short", code=2)
    run("user", "add", "not a name", code=2)
    run("user", "add", "li", "--password", "-", text="a long enough password\n")
    assert [one["name"] for one in data(run("user", "list", "--json"))] == ["li", "wang"]
    run("user", "password", "li", "--password", "another long password")
    run("user", "disable", "li")
    assert data(run("user", "list", "--json"))[0]["disabled"]
    run("user", "disable", "nobody", code=1)
    token = data(run("token", "create", "ci", "--role", "editor", "--days", "3", "--json"))
    assert token["token"].startswith("shn_")
    assert data(run("ledger", "--json", "--verify"))["problems"] == []  # the audit chain is whole


# --- the program --------------------------------------------------------------------------------


def test_it_starts_as_a_module_and_says_what_it_can(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    for name in ("serve", "demo", "sim", "apply", "diff", "export", "check", "sign", "map", "replay", "ledger",
                 "migrate", "user", "token", "bench", "journey"):  # fmt: skip
        assert f" {name} " in ran.stdout, name


def test_the_subjects_name_their_own_commands() -> None:
    """A command that its subject does not name would load everything, or not be found."""
    for subject, commands in cli.SUBJECTS.items():
        app = cli.build(commands[0])
        brought = {one.name for one in [*app.registered_commands, *app.registered_groups]}
        assert brought == set(commands), subject


def test_serving_does_not_carry_the_other_commands() -> None:
    code = "import sys; from gateway import cli; cli.build('serve'); print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(ran.stdout.split())
    assert "gateway.commands.running" in loaded
    assert not loaded & {"fastapi", "gateway.hub", "gateway.api", "mappings", "gateway.commands.doctor"}


@pytest.mark.parametrize(
    ("role", "strange"),
    [("gateway.worker", {"fastapi", "uvicorn", "alembic"}), ("gateway.app", {"alembic", "openpyxl", "typer"})],
)
def test_a_process_loads_only_what_its_role_runs(role: str, strange: set[str]) -> None:
    """The sandbox's switch had brought the web framework into every worker: 15 MiB in each."""
    code = f"import sys; from gateway import serve; import {role}; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not set(ran.stdout.split()) & strange


@pytest.mark.postgres
def test_a_ledger_without_its_schema_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("SHUNIU_DATABASE_URL", request.getfixturevalue("postgres_url"))
    monkeypatch.setenv("SHUNIU_SECRET_KEY", "k" * 40)
    assert "shuniu migrate" in run("ledger", code=2).stderr
    run("migrate")
    run("ledger")


@pytest.mark.parametrize("command", ["serve", "demo", "bench", "journey", "export", "migrate"])
def test_every_command_says_what_it_takes(run: Run, command: str) -> None:
    assert "--help" in run(command, "--help").stdout


def test_a_part_that_is_not_installed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.trial.journey", None)
    assert "gateway.trial.journey" in run("journey", code=2).stderr


def test_settings_that_cannot_be_used_end_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_PORT", "none")
    assert "SHUNIU_PORT" in run("ledger", code=2).stderr


def test_a_database_that_is_away_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATABASE_URL", "postgresql://u:canary-password@127.0.0.1:1/none")
    monkeypatch.setenv("SHUNIU_SECRET_KEY", "k" * 40)
    result = run("ledger", code=2)
    assert "台账不可用" in result.stderr


@pytest.mark.parametrize(("words", "module", "wanted"), [
    ((), "journey", {}),
    (("--wide",), "wide", {}),
    (("--wide", "--orders", "3"), "wide", {"orders": 3}),
])  # fmt: skip
def test_a_wide_journey_was_given_more_orders_than_its_systems_allow_calls(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], module: str, wanted: dict[str, int]
) -> None:
    """``journey --wide`` took the other journey's 200 orders a shop and reported a thousand of them lost."""
    asked: list[dict[str, Any]] = []
    told = types.SimpleNamespace(run=lambda **how: asked.append(how) or 0)
    monkeypatch.setitem(sys.modules, f"gateway.trial.{module}", told)
    run("journey", *words)
    assert asked == [{"database_url": "", "redis_url": "", **wanted}]
