"""Rendering the chart with the real Helm engine, and checking what comes out against schemas."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
OWN = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}
"""Schemas of the custom resources, ours: only the fields that the chart sets."""
KUBERNETES = ("1.28", "1.31", "1.34")
KEY = "k" * 48

INLINE: dict[str, Any] = {
    "secrets": {"databaseUrl": "postgresql://u:p@db/shuniu", "redisUrl": "redis://redis:6379/0", "secretKey": KEY}
}
EXISTING: dict[str, Any] = {"existingSecret": "hub-secrets"}
TRIAL: dict[str, Any] = {
    "secrets": {"secretKey": KEY, "postgresPassword": "abcdefghijkl1234"},
    "postgresql": {"enabled": True},
    "valkey": {"enabled": True},
}
_MONITORING: dict[str, Any] = {
    "serviceMonitor": {"enabled": True, "labels": {"release": "prom"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prom"}},
    "dashboard": {"enabled": True},
}
_PLACED: dict[str, Any] = {
    "podAnnotations": {"a.example/b": "c"},
    "podLabels": {"team": "shop"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Values put over one another, deeply, as Helm does."""
    made: dict[str, Any] = {}
    for part in parts:
        for key, value in copy.deepcopy(part).items():
            made[key] = (
                merged(made[key], value) if isinstance(value, dict) and isinstance(made.get(key), dict) else value
            )
    return made


VARIATIONS: dict[str, dict[str, Any]] = {
    "inline": INLINE,
    "existing": EXISTING,
    "existing-keys": merged(EXISTING, {"existingSecretKeys": {"databaseUrl": "uri", "secretKey": "master"}}),
    "trial": TRIAL,
    "trial-existing": merged(
        EXISTING, {"postgresql": {"enabled": True, "storageClass": "fast"}, "valkey": {"enabled": True}}
    ),
    "ingress": merged(EXISTING, {"ingress": {"enabled": True, "host": "hub.example.com", "className": "nginx"}}),
    "ingress-tls": merged(
        EXISTING, {"ingress": {"enabled": True, "host": "h.example.com", "tlsSecret": "tls", "annotations": {"a": ""}}}
    ),
    "hpa": merged(EXISTING, {"api": {"autoscaling": {"enabled": True}}, "worker": {"autoscaling": {"enabled": True}}}),
    "keda": merged(EXISTING, {"keda": {"enabled": True, "prometheusUrl": "http://prometheus.monitoring:9090"}}),
    "monitoring": merged(EXISTING, _MONITORING),
    "bare": merged(
        EXISTING,
        {"poller": {"enabled": False}, "networkPolicy": {"enabled": False}, "serviceAccount": {"create": False}},
        {role: {"pdb": {"enabled": False}} for role in ("api", "worker")},
    ),
    "migrate-init": merged(INLINE, {"migrate": {"mode": "init"}}),
    "migrate-none": merged(INLINE, {"migrate": {"mode": "none"}}),
    "digest": merged(
        EXISTING, {"image": {"repository": "registry.example.com/shuniu", "digest": "sha256:" + "a" * 64}}
    ),
    "placed": merged(EXISTING, dict.fromkeys(("api", "worker", "poller"), _PLACED)),
    "environment": merged(
        EXISTING,
        {
            "publicUrl": "https://hub.example.com",
            "extraEnv": [{"name": "ERP_KEY", "valueFrom": {"secretKeyRef": {"name": "erp", "key": "key"}}}],
            "extraEnvFrom": [{"secretRef": {"name": "shops"}}],
            "imagePullSecrets": [{"name": "pull"}],
            "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"a": "b"}},
            "serviceAccount": {"annotations": {"a": "b"}},
        },
    ),
    "network": merged(
        TRIAL,
        {
            "networkPolicy": {
                "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
                "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
            }
        },
    ),
    "everything": merged(
        TRIAL, _MONITORING, {"keda": {"enabled": True, "prometheusUrl": "http://p:9090"}},
        {"api": {"autoscaling": {"enabled": True}}, "ingress": {"enabled": True, "host": "hub.example.com"}},
    ),
}  # fmt: skip
"""Every switch of values.yaml is turned at least once; a test holds this."""


def render(
    values: dict[str, Any], *, upgrade: bool = False, name: str = "shop", namespace: str = "hub"
) -> dict[str, str]:
    """Template name -> text, after the schema has let the values through."""
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        made = chart.render(values, name=name, namespace=namespace, is_install=not upgrade, is_upgrade=upgrade)
    return {path.removeprefix("shuniu/templates/"): text for path, text in made.items()}


def documents(values: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Every manifest of a release."""
    texts = [text for path, text in render(values, **options).items() if path.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def kinds(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The manifests of one kind by name."""
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def validate(document: dict[str, Any], version: str) -> None:
    """Raises where a field is unknown, missing or of the wrong type; custom resources against our schemas."""
    if document["kind"] in OWN:
        jsonschema.validate(document, OWN[document["kind"]])
    else:
        kubernetes_validate.validate(document, version, strict=True)


def pods(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name of the owner -> pod spec of everything that runs."""
    made = {}
    for one in found:
        if one["kind"] == "Pod":
            made[one["metadata"]["name"]] = one["spec"]
        elif one["kind"] in {"Deployment", "StatefulSet", "Job"}:
            made[f"{one['kind']}/{one['metadata']['name']}"] = one["spec"]["template"]["spec"]
    return made
