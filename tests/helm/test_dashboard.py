"""The Grafana dashboard: promtool parses every expression, every metric exists, no panels overlap."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import services

ROOT = Path(__file__).resolve().parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "helm/dashboards/shuniu.json").read_text())
TARGETS = [(panel, target) for panel in BOARD["panels"] for target in panel["targets"]]
KNOWN = {"$namespace": ".*", "$__rate_interval": "5m"}


def _plain(expression: str) -> str:
    """The expression as Grafana sends it."""
    for name, value in KNOWN.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, "a variable that nothing fills"
    return expression


def _told() -> dict[str, tuple[str, set[str]]]:
    """Metric -> its type and labels, from the documents, which a test holds to the code."""
    rows = re.findall(r"^\| `(shuniu_\w+)` \| (\w+) \| ([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def _check(expressions: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    rules = [{"record": f"board:expression:{number}", "expr": one} for number, one in enumerate(expressions)]
    file = folder / "board.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    tool = services.program("promtool")
    assert tool is not None
    return subprocess.run([tool, "check", "rules", file], capture_output=True, text=True, timeout=60)


@pytest.mark.prometheus
def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    ran = _check([_plain(target["expr"]) for _, target in TARGETS], tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(TARGETS)} rules found" in ran.stdout
    assert _check(["sum(rate(shuniu_polls_total[5m]) by (source)"], tmp_path).returncode != 0


def test_every_metric_exists_and_is_asked_in_its_own_way() -> None:
    told = _told()
    asked = set()
    for panel, target in TARGETS:
        for name in re.findall(r"shuniu_\w+", target["expr"]):
            plain = name.removesuffix("_bucket")
            kind, labels = told[plain]
            asked.add(plain)
            assert (kind in {"counter", "histogram"}) == ("rate(" in target["expr"]), panel["title"]
            assert (kind == "histogram") == name.endswith("_bucket"), panel["title"]
            by = {one.strip() for part in re.findall(r"by \(([^)]*)\)", target["expr"]) for one in part.split(",")}
            assert by - {"le"} <= labels, panel["title"]
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= by, panel["title"]
    assert set(told) - asked <= {
        "shuniu_build_info", "shuniu_connection_events", "shuniu_queue_oldest_age_seconds"
    }, "a metric nobody looks at"  # fmt: skip


def test_panels_have_their_own_place_and_number() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 16
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_the_data_source_is_chosen_by_the_reader() -> None:
    assert {one["name"] for one in BOARD["templating"]["list"]} == {"datasource", "namespace"}
    for panel, target in TARGETS:
        for part in (panel, target):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert 'namespace=~"$namespace"' in target["expr"]


@pytest.mark.peers("helm_python", "kubernetes_validate")
def test_the_chart_carries_it_unchanged() -> None:
    from tests.helm import manifests

    found = manifests.documents(manifests.VARIATIONS["monitoring"])
    carried = manifests.kinds(found, "ConfigMap")["shop-shuniu-dashboard"]
    assert carried["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(carried["data"]["shuniu.json"]) == BOARD
