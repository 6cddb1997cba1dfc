"""The alert rules: promtool reads them, each fires in trouble and is silent in health, every metric exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import services

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "helm" / "alerts" / "rules.yaml"
CASES = Path(__file__).parent / "alerts_test.yaml"
CJK = re.compile(r"[\u4e00-\u9fff]")


def _rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def _promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    tool = services.program("promtool")
    assert tool is not None
    return subprocess.run([tool, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.prometheus
def test_promtool_reads_the_rules() -> None:
    ran = _promtool("check", "rules", RULES)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(_rules())} rules found" in ran.stdout


@pytest.mark.prometheus
def test_each_alert_fires_in_trouble_and_is_silent_in_health(tmp_path: Path) -> None:
    for file in (RULES, CASES):
        shutil.copy(file, tmp_path)
    ran = _promtool("test", "rules", tmp_path / CASES.name)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.prometheus
def test_a_rule_that_never_fires_would_be_noticed(tmp_path: Path) -> None:
    shutil.copy(CASES, tmp_path)
    (tmp_path / RULES.name).write_text(
        RULES.read_text().replace("shuniu_connection_up) == 0", "shuniu_connection_up) == 9")
    )
    assert _promtool("test", "rules", tmp_path / CASES.name).returncode != 0


def test_every_alert_has_a_case() -> None:
    assert {rule["alert"] for rule in _rules()} == set(re.findall(r'alertname="(\w+)"', CASES.read_text()))


def test_rules_and_scaler_ask_for_metrics_that_exist() -> None:
    told = set(re.findall(r"^\| `(shuniu_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    asked = set(re.findall(r"shuniu_\w+", " ".join(rule["expr"] for rule in _rules())))
    scaler = re.search(r"query: >-\n(.*?)threshold", (ROOT / "helm/templates/keda.yaml").read_text(), re.DOTALL)
    assert scaler is not None
    asked |= set(re.findall(r"shuniu_\w+", scaler[1]))
    assert {name.removesuffix("_bucket") for name in asked} <= told
    assert len(asked) >= 12


def test_alerts_speak_both_languages() -> None:
    for rule in _rules():
        notes = rule["annotations"]
        assert isinstance(notes, dict)
        assert CJK.search(notes["summary"]), rule["alert"]
        assert not CJK.search(notes["description"]), rule["alert"]
