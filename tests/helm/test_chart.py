"""The chart through the real Helm engine: lint, every variation strictly valid, and what each must hold."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import __version__, settings

pytestmark = pytest.mark.peers("helm_python", "kubernetes_validate")
manifests = pytest.importorskip("tests.helm.manifests", reason="group peers: not installed: kubernetes_validate")

OURS = {"api", "worker", "poller", "migrate", "ready"}


@pytest.mark.parametrize("variation", manifests.VARIATIONS)
def test_lint_has_nothing_to_say(variation: str) -> None:
    import helm_python

    report = helm_python.lint(manifests.CHART, manifests.VARIATIONS[variation], strict=True)
    assert not report["errors"]
    assert [one for one in report["messages"] if one["severity"] >= 2] == []


@pytest.mark.parametrize("upgrade", [False, True], ids=["install", "upgrade"])
@pytest.mark.parametrize("variation", manifests.VARIATIONS)
def test_every_manifest_is_strictly_valid(variation: str, upgrade: bool) -> None:
    found = manifests.documents(manifests.VARIATIONS[variation], upgrade=upgrade)
    for document in found:
        for version in manifests.KUBERNETES:
            manifests.validate(document, version)
        assert document["metadata"]["namespace"] == "hub"
    names = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(names) == len(set(names))
    assert len(found) >= 6


def test_strict_means_strict() -> None:
    found = manifests.documents(manifests.VARIATIONS["everything"])
    for kind, field in (("Deployment", "replicaz"), ("ServiceMonitor", "endpoint"), ("ScaledObject", "minReplicas")):
        broken = copy.deepcopy(next(one for one in found if one["kind"] == kind))
        broken["spec"][field] = 2
        with pytest.raises(Exception, match=field):
            manifests.validate(broken, manifests.KUBERNETES[-1])


def _leaves(values: dict[str, Any], at: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{at}.{key}" if at else key
        made |= _leaves(value, path) if isinstance(value, dict) and value else {path: value}
    return made


def test_every_switch_is_turned_by_some_variation() -> None:
    defaults = _leaves(yaml.safe_load((manifests.CHART / "values.yaml").read_text()))
    turned = {
        path
        for values in manifests.VARIATIONS.values()
        for path, value in _leaves(values).items()
        if isinstance(value, bool) and defaults[path] != value
    }
    assert {path for path, value in defaults.items() if isinstance(value, bool)} - turned <= {"poller.pdb.enabled"}


@pytest.mark.parametrize("variation", ["everything", "existing"])
def test_no_container_of_ours_may_be_root_or_write_its_image(variation: str) -> None:
    found = manifests.documents(manifests.VARIATIONS[variation])
    assert len(manifests.pods(found)) >= 5
    for name, spec in manifests.pods(found).items():
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        volumes = {volume["name"] for volume in spec.get("volumes", [])} | {"data"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("variation", manifests.VARIATIONS)
def test_every_variable_given_is_one_the_hub_knows(variation: str) -> None:
    known = {settings.PREFIX + name.upper() for name in settings.Settings.model_fields}
    seen = set()
    for name, spec in manifests.pods(manifests.documents(manifests.VARIATIONS[variation])).items():
        assert spec["enableServiceLinks"] is False, f"{name}: a service called shuniu would set SHUNIU_PORT"
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            names = [one["name"] for one in container.get("env", [])]
            assert len(names) == len(set(names))
            seen |= {one for one in names if one.startswith(settings.PREFIX)}
    assert seen <= known
    assert {"SHUNIU_DATABASE_URL", "SHUNIU_REDIS_URL", "SHUNIU_SECRET_KEY", "SHUNIU_HOST"} <= seen


def test_the_environment_of_a_pod_is_one_the_hub_accepts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rendered values, put into the environment as the kubelet does, are read by the real settings."""
    for variation in ("inline", "trial"):
        found = manifests.documents(manifests.VARIATIONS[variation])
        secret = manifests.kinds(found, "Secret")["shop-shuniu"]["stringData"]
        given: dict[str, str] = {}
        for one in manifests.pods(found)["Deployment/shop-shuniu-worker"]["containers"][0]["env"]:
            value = one["value"] if "value" in one else secret[one["valueFrom"]["secretKeyRef"]["key"]]
            for name, known in given.items():
                value = value.replace(f"$({name})", known)
            given[one["name"]] = value
        for name, value in {**given, "SHUNIU_DATA_DIR": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        config = settings.load()
        assert config.production
        assert not config.embedded_redis
        assert config.metrics_port == 9464
        assert config.host == "0.0.0.0"
        if variation == "trial":
            assert "abcdefghijkl1234@shop-shuniu-postgresql:5432" in config.database_url
        assert settings.unknown() == {}


def test_the_migration_runs_before_any_pod_of_the_release() -> None:
    for variation, secret in (("inline", "shop-shuniu-migrate"), ("existing", "hub-secrets")):
        found = manifests.documents(manifests.VARIATIONS[variation], upgrade=True)
        job = manifests.kinds(found, "Job")["shop-shuniu-migrate"]
        notes = job["metadata"]["annotations"]
        assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert "hook-succeeded" in notes["helm.sh/hook-delete-policy"]
        spec = job["spec"]["template"]["spec"]
        assert spec["containers"][0]["args"] == ["migrate"]
        assert spec["serviceAccountName"] == "default", "the release's own account may not exist yet"
        asked = {one["valueFrom"]["secretKeyRef"]["name"] for one in spec["containers"][0]["env"] if "valueFrom" in one}
        assert asked == {secret}
        if variation == "inline":
            early = manifests.kinds(found, "Secret")[secret]["metadata"]["annotations"]
            assert int(early["helm.sh/hook-weight"]) < int(notes["helm.sh/hook-weight"])
            kept = manifests.kinds(found, "Secret")["shop-shuniu"]["metadata"]["annotations"]
            assert kept["helm.sh/resource-policy"] == "keep"


def test_a_database_of_the_chart_is_migrated_by_the_pods() -> None:
    found = manifests.documents(manifests.TRIAL)
    assert not manifests.kinds(found, "Job")
    for role in ("api", "worker", "poller"):
        spec = manifests.pods(found)[f"Deployment/shop-shuniu-{role}"]
        assert [one["args"] for one in spec["initContainers"]] == [["migrate"]]


def test_roles_ports_and_probes() -> None:
    found = manifests.documents(manifests.EXISTING)
    for role, port in (("api", "http"), ("worker", "metrics"), ("poller", "metrics")):
        spec = manifests.pods(found)[f"Deployment/shop-shuniu-{role}"]
        container = spec["containers"][0]
        assert container["args"] == ["serve", "--role", role]
        assert [one["name"] for one in container["ports"]] == [port]
        assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": port}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port}
        assert container["startupProbe"]["httpGet"]["path"] == "/livez", "an absent database must not kill pods"
        assert spec["terminationGracePeriodSeconds"] > 25


def _fits(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )


def test_selectors_meet_what_they_mean() -> None:
    found = manifests.documents(manifests.VARIATIONS["everything"])
    labels = {
        one["metadata"]["name"].removeprefix("shop-shuniu-"): one["spec"]["template"]["metadata"]["labels"]
        for one in found
        if one["kind"] in {"Deployment", "StatefulSet"}
    }
    services = manifests.kinds(found, "Service")

    def behind(selector: dict[str, Any]) -> set[str]:
        return {name for name, one in labels.items() if _fits(selector, one)}

    assert behind({"matchLabels": services["shop-shuniu"]["spec"]["selector"]}) == {"api"}
    assert behind({"matchLabels": services["shop-shuniu-metrics"]["spec"]["selector"]}) == {"worker", "poller"}
    for store in ("postgresql", "valkey"):
        assert behind({"matchLabels": services[f"shop-shuniu-{store}"]["spec"]["selector"]}) == {store}
    monitor = manifests.kinds(found, "ServiceMonitor")["shop-shuniu"]["spec"]["selector"]
    assert {name for name, one in services.items() if _fits(monitor, one["metadata"]["labels"])} == {
        "shop-shuniu", "shop-shuniu-metrics"
    }  # fmt: skip
    for name, budget in manifests.kinds(found, "PodDisruptionBudget").items():
        assert behind(budget["spec"]["selector"]) == {name.removeprefix("shop-shuniu-")}
    policy = manifests.kinds(found, "NetworkPolicy")["shop-shuniu"]["spec"]
    assert behind(policy["podSelector"]) == {"api", "worker", "poller"}
    for role in ("api", "worker", "poller"):
        deployment = manifests.kinds(found, "Deployment")[f"shop-shuniu-{role}"]["spec"]
        assert behind(deployment["selector"]) == {role}


def test_what_scales_itself_has_no_count() -> None:
    counts = {}
    for variation in ("existing", "hpa", "keda"):
        found = manifests.documents(manifests.VARIATIONS[variation])
        counts[variation] = {
            role: manifests.kinds(found, "Deployment")[f"shop-shuniu-{role}"]["spec"].get("replicas")
            for role in ("api", "worker", "poller")
        }
    assert counts["existing"] == {"api": 2, "worker": 2, "poller": 2}
    assert counts["hpa"] == {"api": None, "worker": None, "poller": 2}
    assert counts["keda"] == {"api": 2, "worker": None, "poller": 2}


def test_the_network_policy_denies_the_metadata_services() -> None:
    found = manifests.documents(manifests.EXISTING)
    (policy,) = manifests.kinds(found, "NetworkPolicy").values()
    blocks = [to["ipBlock"] for rule in policy["spec"]["egress"] for to in rule.get("to", [])]
    assert blocks == [{"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "100.100.100.200/32"]}]


def test_the_ingress_leaves_metrics_and_health_inside() -> None:
    found = manifests.documents(manifests.VARIATIONS["ingress-tls"])
    (ingress,) = manifests.kinds(found, "Ingress").values()
    paths = [one["path"] for one in ingress["spec"]["rules"][0]["http"]["paths"]]
    assert paths == ["/hooks/", "/api/"]
    env = manifests.pods(found)["Deployment/shop-shuniu-api"]["containers"][0]["env"]
    assert {"name": "SHUNIU_PUBLIC_URL", "value": "https://h.example.com"} in env


def test_an_inline_secret_that_changes_restarts_the_pods() -> None:
    other = manifests.merged(manifests.INLINE, {"secrets": {"redisUrl": "redis://elsewhere"}})
    sums = {
        manifests.kinds(manifests.documents(values), "Deployment")["shop-shuniu-api"]["spec"]["template"]["metadata"][
            "annotations"
        ]["checksum/secret"]
        for values in (manifests.INLINE, other)
    }
    assert len(sums) == 2


def test_no_secret_is_written_anywhere_but_into_secrets() -> None:
    for variation in ("inline", "trial"):
        values = manifests.VARIATIONS[variation]
        for path, text in manifests.render(values).items():
            for secret in values["secrets"].values():
                assert path == "secret.yaml" or secret not in text, path


def test_names_are_short_and_the_release_may_be_called_anything() -> None:
    for name in ("shuniu", "a" * 53):
        for document in manifests.documents(manifests.VARIATIONS["everything"], name=name):
            assert len(document["metadata"]["name"]) <= 63
            manifests.validate(document, manifests.KUBERNETES[-1])


def test_the_notes_say_how_to_begin() -> None:
    notes = manifests.render(manifests.TRIAL)["NOTES.txt"]
    for part in ("shuniu user add", "shuniu ledger", "helm -n hub test shop", "仅供试用", "for trials only", "主密钥"):
        assert part in notes
    assert "主密钥" not in manifests.render(manifests.EXISTING)["NOTES.txt"]


def test_chart_and_product_have_one_version() -> None:
    chart = yaml.safe_load((manifests.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert not chart.get("dependencies"), "the chart stands alone"


def test_the_chart_can_be_packed(tmp_path: Path) -> None:
    import helm_python

    packed = Path(helm_python.package(manifests.CHART, destination=tmp_path))
    with helm_python.Chart.load_archive(packed.read_bytes()) as chart:
        assert chart.render(manifests.EXISTING, name="shop", namespace="hub")
