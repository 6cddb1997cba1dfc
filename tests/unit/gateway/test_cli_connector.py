"""``shuniu connector``: from a file or a command to a connector that hub.yaml can name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import cli

Run = Callable[..., Result]
OFFICE = """\
apiVersion: shuniu/api/v1
id: office
label: 前台系统
auth: [{style: bearer}]
operations:
  order.save: {kind: write, entity: order, method: PUT, path: "/orders/${input.id}", id: id}
"""
DOCUMENT = """\
openapi: 3.0.3
info: {title: Corner Shop}
servers: [{url: "http://127.0.0.1:9"}]
paths:
  /orders: {post: {operationId: addOrder, responses: {}}, get: {operationId: listOrders, responses: {}}}
"""
HUB = """\
apiVersion: shuniu/v1
connections:
  - {key: front, connector: office, config: {base_url: "http://127.0.0.1:9"}, secrets: {api_key: "${OFFICE_KEY}"}}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OFFICE_KEY", "canary-key-of-the-office")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(cli.build(words[0]), list(words), input=text)
        assert result.exit_code == code, (result.output, result.exception)
        assert "canary" not in result.output
        return result

    return invoke


def test_a_declaration_is_imported_and_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "office.yaml").write_text(OFFICE)
    (tmp_path / "hub.yaml").write_text(HUB)
    run("apply", "-f", "hub.yaml", code=1)
    first = json.loads(run("connector", "import", "office.yaml", "--json").stdout)
    assert (first["id"], first["stored"]) == ("office", "created")
    assert json.loads(run("connector", "import", "office.yaml", "--json").stdout)["stored"] == "unchanged"
    run("apply", "-f", "hub.yaml")
    assert json.loads(run("connector", "list", "--json").stdout) == [{"id": "office", "connections": ["front"]}]
    assert run("connector", "show", "office").stdout == OFFICE
    run("connector", "show", "nobody", code=1)
    run("check", "-f", "hub.yaml")
    exported = run("export").stdout
    assert "declarations:" in exported
    removed = exported.replace("- body:", "- bodi:")
    assert "body" in run("diff", "-f", "-", text=removed, code=1).output


def test_a_document_is_drafted_or_imported(run: Run) -> None:
    shown = run("connector", "import", "-", "--operation", "addOrder", "--dry-run", text=DOCUMENT)
    assert "add_order:" in shown.stdout
    assert "list_orders" not in shown.stdout
    assert json.loads(run("connector", "list", "--json").stdout) == []
    made = json.loads(run("connector", "import", "-", "--id", "corner", "--json", text=DOCUMENT).stdout)
    assert {"add_order", "list_orders"} <= set(made["operations"])
    assert "corner" in run("connector", "list").stdout


def test_a_command_is_imported_without_its_secret(run: Run) -> None:
    command = "curl http://127.0.0.1:9/orders/7 -H 'X-Api-Key: canary-key-in-a-command'"
    said = run("connector", "import", "-", "--id", "pasted", text=command)
    assert "x_api_key" in said.output
    assert "x_api_key" in run("connector", "show", "pasted").stdout


@pytest.mark.parametrize(("text", "said"), [
    ("curl http://x -d @f", "正文来自文件"), ("swagger: '2.0'", "Swagger 2"), ("a: [", "读不懂"),
    (OFFICE.replace("id: office", "id: http"), "内置连接器"), (OFFICE.replace("method: PUT", "method: PUTT"), "method"),
])  # fmt: skip
def test_what_cannot_be_imported_is_said(run: Run, text: str, said: str) -> None:
    assert said in run("connector", "import", "-", text=text, code=1).output
    assert json.loads(run("connector", "import", "-", "--json", text=text, code=1).stdout)["ok"] is False
    assert json.loads(run("connector", "list", "--json").stdout) == []


def test_a_file_that_is_not_there(run: Run) -> None:
    run("connector", "import", "nowhere.yaml", code=2)
