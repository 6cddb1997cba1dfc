"""Recipes: the files, who fits them, what they make, and installing them by API and command line."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.core import catalogue
from gateway import cli, current, hub, hub_file
from gateway.recipes import fitting, making, recipe, setting
from retry_queue.ledger.states import ConnectionState
from tests.unit.gateway import desk as desks

ALL = recipe.all_recipes()


def site(*connectors: str, **configs: dict[str, Any]) -> current.Current:
    """A site with one connection of each, called like its connector."""
    rows: dict[str, Any] = {
        key: SimpleNamespace(
            key=key, connector=key, config=configs.get(key, {}), state=ConnectionState.ENABLED, sealed={}, real=None
        )
        for key in connectors
    }
    return current.Current(rows, {}, {}, {}, {})


EVERYBODY = site(*catalogue.SHIPPED.ids())


def made(id: str, now: current.Current, parameters: dict[str, Any] | None = None, **parts: str) -> making.Made:
    filled = {key: [making.Filling(connection=one) for one in those.split(",")] for key, those in parts.items()}
    return making.make(ALL[id], making.Casting(parts=filled, parameters=parameters or {}), now)


def wrong(text: str, now: current.Current) -> list[str]:
    return [str(one) for one in hub.check(hub_file.read(text, "recipe"), now)]


# --- the files ------------------------------------------------------------------------------------


def test_the_recipes_of_the_field_are_here() -> None:
    assert {
        "order-to-erp", "ship-back", "stock-out", "refund-loop", "customer-to-crm", "shipped-tell", "contact-sop",
        "approval-to-erp", "daily-reconciliation",
    } <= set(ALL)  # fmt: skip
    for key, one in ALL.items():
        assert key == one.id
        folder = Path(recipe.__file__).parent / key
        words = (folder / recipe.FILE).read_text(encoding="utf-8")
        named = [id for id in catalogue.SHIPPED.ids() if id != "crm" and id in words.split()]
        assert not named, f"{key} names a system"


@pytest.mark.parametrize("id", sorted(ALL))
def test_whoever_fits_can_be_installed(id: str) -> None:
    """Every pair of connectors that fits the required parts, one at a time."""
    one = ALL[id]
    fits = {part.key: [fit.connection for fit in fitting.cast(part, EVERYBODY)[0]] for part in one.parts}
    assert all(fits.values()), f"a part that nobody can play: {fits}"
    needed = [part.key for part in one.parts if not part.optional]
    pairs = [pair for pair in itertools.product(*(fits[key] for key in needed)) if len(set(pair)) == len(pair)]
    assert len(pairs) >= 1
    assert not wrong(making.make(one, making.suggested(one, EVERYBODY), EVERYBODY).text, EVERYBODY)
    for pair in pairs[:: max(1, len(pairs) // 25)]:
        result = made(id, EVERYBODY, **dict(zip(needed, pair, strict=True)))
        if id == "daily-reconciliation" and result.faults:
            assert {fault.code for fault in result.faults} == {"unfit"}  # it lists something, but no orders
            continue
        assert not result.faults, (pair, result.faults)
        assert not wrong(result.text, EVERYBODY), (pair, result.text)


def test_every_recipe_is_offered_where_its_sections_are_known() -> None:
    folders = {one.parent.name for one in Path(recipe.__file__).parent.glob("*/recipe.yaml")}
    left = folders - set(ALL)
    for name in left:
        one = recipe.parse((Path(recipe.__file__).parent / name / recipe.FILE).read_text(encoding="utf-8"))
        assert any(section not in hub_file.SECTIONS for section in recipe.LISTS if getattr(one, section)), name


def test_optional_parts_add_their_routes() -> None:
    alone = made("refund-loop", EVERYBODY, shop="pdd,shopify", desk="kingdee")
    assert [one["key"] for one in alone.data["routes"]] == ["return-pdd-to-kingdee", "return-shopify-to-kingdee"]
    closed = made("refund-loop", EVERYBODY, shop="pdd,shopify", desk="kingdee", receiver="wangdian")
    keys = {one["key"] for one in closed.data["routes"]}
    assert "returned-wangdian-to-pdd" in keys
    assert "returned-wangdian-to-shopify" not in keys, "it cannot refund"
    told = made("shipped-tell", EVERYBODY, warehouse="kingdee", crm="crm", messenger="wecom")
    assert told.data["routes"][0]["then"][0]["to"][0]["operation"] == "message.send"
    assert "then" not in made("shipped-tell", EVERYBODY, warehouse="kingdee", messenger="wecom").data["routes"][0]


def test_every_shop_may_have_its_own_share() -> None:
    casting = making.Casting(
        parts={
            "warehouse": [making.Filling(connection="jushuitan")],
            "shop": [
                making.Filling(connection="jd", parameters={"share": "30"}), making.Filling(connection="youzan"),
            ],
        },
        parameters={"safety": 5, "share": 70, "warehouse_code": "W1"},
    )  # fmt: skip
    result = making.make(ALL["stock-out"], casting, EVERYBODY)
    first, second = result.data["routes"]
    assert "- 5) * 30 / 100" in first["to"][0]["adjust"]["available"]
    assert "- 5) * 70 / 100" in second["to"][0]["adjust"]["available"]
    assert first["when"] == 'inventory.warehouse == "W1"'
    assert not wrong(result.text, EVERYBODY)


def test_what_cannot_be_installed_says_why_in_both_languages() -> None:
    def codes(result: making.Made) -> set[str]:
        assert all(fault.zh and fault.en for fault in result.faults)
        return {fault.code for fault in result.faults}

    assert codes(made("order-to-erp", EVERYBODY, shop="pdd")) == {"part_missing"}
    assert codes(made("order-to-erp", EVERYBODY, shop="pdd", erp="wecom")) == {"unfit"}
    assert codes(made("order-to-erp", EVERYBODY, shop="pdd", erp="kingdee,yonyou")) == {"part_single"}
    assert codes(made("order-to-erp", EVERYBODY, shop="pdd,pdd", erp="kingdee")) == {"twice"}
    assert codes(made("order-to-erp", EVERYBODY, shop="nobody", erp="kingdee")) == {"unknown_connection"}
    assert codes(made("order-to-erp", EVERYBODY, {"delay": "soon"}, shop="pdd", erp="kingdee")) == {"parameter"}
    assert codes(made("order-to-erp", EVERYBODY, {"dealy": "1s"}, shop="pdd", erp="kingdee")) == {"unknown_parameter"}
    assert codes(made("order-to-erp", EVERYBODY, shop="pdd", erp="kingdee", boss="crm")) == {"unknown_part"}


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("integer", "7", 7), ("integer", "7.5", None), ("integer", "1e99", None), ("integer", "NaN", None),
        ("number", 0.25, 0.25), ("boolean", "true", "yes"), ("boolean", "maybe", None), ("duration", "3d", "3d"),
        ("duration", {}, None), ("time", "24:00", None), ("time", "02:30", "02:30"),
        ("lines", "a\nb，c", ["a", "b", "c"]),
        ("text", ["x"], None), ("text", "x" * 5000, None), ("choice", "a", None),
    ],
)  # fmt: skip
def test_parameters_are_read_or_refused(kind: Any, given: Any, value: Any) -> None:
    words = {"zh": "参数", "en": "value"}
    one = recipe.Parameter.model_validate({"key": "p", "label": words, "type": kind})
    faults: list[Any] = []
    assert setting.value(one, given, ("p",), faults) == value
    assert bool(faults) == (value is None)


def test_a_long_key_stays_its_own() -> None:
    one, other = (making.shortened(f"stock-{'x' * 70}-{tail}") for tail in "ab")
    assert len(one) == 60
    assert one != other


def test_rules_that_a_site_has_are_kept() -> None:
    now = current.Current(
        EVERYBODY.connections, {}, {}, {}, {"customer": {"conflicts": "manual", "owners": {"tags": "crm"}}}
    )
    rule = made("customer-to-crm", now, source="wecom", crm="crm").data["entities"]["customer"]
    assert rule["conflicts"] == "manual"
    assert rule["owners"] == {"tags": "crm"}
    assert rule["match"]["merge_at"] == 0.9


# --- the API and the command line --------------------------------------------------------------------


async def test_a_recipe_is_previewed_and_installed_by_the_api(sqlite_url: str, tmp_path: Path) -> None:
    async with desks.opened(sqlite_url, tmp_path) as desk:
        owner = await desks.configured(desk)
        listed = (await owner.get("/recipes")).json()["items"]
        assert [one["id"] for one in listed][:2] == ["order-to-erp", "ship-back"]
        order = listed[0]
        assert order["ready"] is False or order["suggested"]
        shops = {one["connection"] for one in order["parts"][0]["fits"]}
        assert "shop" in shops
        assert all(one["reasons"][0]["zh"] for one in order["parts"][1]["strangers"])
        body = {"parts": {"shop": [{"connection": "shop"}], "erp": [{"connection": "notes"}]}}
        seen = (await owner.post("/recipes/order-to-erp/preview", json=body)).json()
        assert seen["ok"], seen["faults"]
        assert [one["action"] for one in seen["changes"]] == ["create"]
        assert "routes:" in seen["file"]
        assert (await owner.get("/routes/order-shop-to-notes")).status_code == 404, "a preview does nothing"
        done = (await owner.post("/recipes/order-to-erp/install", json=body)).json()
        assert done["routes"] == ["order-shop-to-notes"]
        assert (await owner.get("/routes/order-shop-to-notes")).json()["enabled"]
        again = (await owner.post("/recipes/order-to-erp/install", json=body)).json()
        assert again == {"changes": [], "routes": []}
        (entry, *_) = (await owner.get("/audit")).json()["items"]
        assert (entry["action"], entry["detail"]["by"]) == ("route.create", "recipe/order-to-erp")
        refused = desks.problem(
            await owner.post("/recipes/order-to-erp/install", json={"parts": {"shop": [{"connection": "shop"}]}}),
            422, "invalid",
        )  # fmt: skip
        assert refused["errors"][0]["pointer"] == "/parts/erp"
        desks.problem(await owner.get("/recipes/nothing"), 404, "not_found")
        viewer = await desk.as_("viewer")
        desks.problem(await viewer.post("/recipes/order-to-erp/install", json=body), 403, "forbidden")
        assert (await viewer.get("/recipes/stock-out")).json()["parameters"][1]["per"] == "shop"


def test_a_recipe_is_installed_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    run = CliRunner()
    file = tmp_path / "hub.yaml"
    config = "{verify_style: none, base_url: 'http://127.0.0.1:9/x', entity: order}"
    both = ", ".join(f"{{key: {key}, connector: http, config: {config}}}" for key in ("desk", "books"))
    file.write_text(f"{{apiVersion: shuniu/v1, connections: [{both}]}}", encoding="utf-8")
    applied = run.invoke(cli.build("apply"), ["apply", "-f", str(file)])
    assert applied.exit_code == 0, applied.output
    app = cli.build("recipe")
    listed = json.loads(run.invoke(app, ["recipe", "list", "--json"]).stdout)
    assert listed[0]["parts"]["shop"] == ["books", "desk"]
    parts = ["--part", "shop=desk", "--part", "erp=books", "--set", "delay=5m"]
    shown = json.loads(run.invoke(app, ["recipe", "show", "order-to-erp", *parts, "--json"]).stdout)
    assert shown["ok"]
    assert "after: 5m" in shown["file"]
    first = run.invoke(app, ["recipe", "install", "order-to-erp", *parts, "--json"])
    assert first.exit_code == 0, first.output
    assert [one["key"] for one in json.loads(first.stdout)["changes"]] == ["order-desk-to-books"]
    assert json.loads(run.invoke(app, ["recipe", "install", "order-to-erp", *parts, "--json"]).stdout)["changes"] == []
    refused = run.invoke(app, ["recipe", "install", "ship-back", "--part", "shop=desk", "--json"])
    assert refused.exit_code == 1
    assert not json.loads(refused.stdout)["ok"]
    assert run.invoke(app, ["recipe", "show", "nothing"]).exit_code == 2
