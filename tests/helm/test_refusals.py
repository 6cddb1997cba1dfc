"""What the chart refuses, and that it says why."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.peers("helm_python", "kubernetes_validate")
manifests = pytest.importorskip("tests.helm.manifests", reason="group peers: not installed: kubernetes_validate")

BY_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"replicaCount": 3}, "replicaCount"),
    "unknown key inside": ({"worker": {"replica": 3}}, "replica"),
    "word for a number": ({"api": {"replicas": "two"}}, "replicas"),
    "no replicas": ({"api": {"replicas": 0}}, "replicas"),
    "short key": ({"secrets": {"secretKey": "short"}}, "secretKey"),
    "SQLite": ({"secrets": {"databaseUrl": "sqlite:///x"}}, "databaseUrl"),
    "MySQL": ({"secrets": {"databaseUrl": "mysql://u@h/d"}}, "databaseUrl"),
    "no Redis address": ({"secrets": {"redisUrl": "http://redis:6379"}}, "redisUrl"),
    "Sentinel block": ({"redis": {"sentinel": {}}}, "redis"),
    "password that breaks an address": ({"secrets": {"postgresPassword": "p@ss/word:12345"}}, "postgresPassword"),
    "log level": ({"logLevel": "LOUD"}, "logLevel"),
    "privileged port": ({"api": {"port": 80}}, "port"),
    "digest": ({"image": {"digest": "latest"}}, "digest"),
    "pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    "migrate mode": ({"migrate": {"mode": "maybe"}}, "mode"),
    "too little time to finish": ({"worker": {"terminationGracePeriodSeconds": 5}}, "terminationGracePeriodSeconds"),
    "address without scheme": ({"publicUrl": "hub.example.com"}, "publicUrl"),
    "network": ({"networkPolicy": {"deniedCidrs": ["metadata"]}}, "deniedCidrs"),
    "path": ({"ingress": {"paths": ["hooks"]}}, "paths"),
    "no path": ({"ingress": {"paths": []}}, "paths"),
    "budget of nothing": ({"api": {"pdb": {"maxUnavailable": 0}}}, "maxUnavailable"),
    "quantity": ({"api": {"resources": {"limits": {"memory": "much"}}}}, "memory"),
    "environment without name": ({"extraEnv": [{"value": "x"}]}, "extraEnv"),
    "interval": ({"serviceMonitor": {"interval": "often"}}, "interval"),
    "storage": ({"postgresql": {"storage": "big"}}, "storage"),
}

BY_CHECK: dict[str, tuple[dict[str, Any], str]] = {
    "nothing given": ({}, "secretKey"),
    "no database": ({"secrets": {"secretKey": manifests.KEY, "redisUrl": "redis://h"}}, "databaseUrl"),
    "no redis": ({"secrets": {"secretKey": manifests.KEY, "databaseUrl": "postgresql://h/d"}}, "redisUrl"),
    "both secrets": ({**manifests.INLINE, **manifests.EXISTING}, "existingSecret"),
    "two databases": (
        manifests.merged(manifests.INLINE, {"secrets": {"postgresPassword": "a" * 12},
                           "postgresql": {"enabled": True}}),
        "postgresql.enabled",
    ),
    "two Redis": (manifests.merged(manifests.INLINE, {"valkey": {"enabled": True}}), "valkey.enabled"),
    "no password": (
        {"secrets": {"secretKey": manifests.KEY}, "postgresql": {"enabled": True}, "valkey": {"enabled": True}},
        "postgresPassword",
    ),
    "hook before the database": (manifests.merged(manifests.TRIAL, {"migrate": {"mode": "hook"}}), "migrate.mode"),
    "two scalers": (
        manifests.merged(manifests.VARIATIONS["keda"], {"worker": {"autoscaling": {"enabled": True}}}), "keda.enabled"
    ),
    "KEDA without Prometheus": (manifests.merged(manifests.EXISTING, {"keda": {"enabled": True}}), "prometheusUrl"),
    "KEDA upside down": (
        manifests.merged(manifests.EXISTING, {"keda": {"minReplicas": 9, "maxReplicas": 3}}), "keda.minReplicas"
    ),
    "HPA upside down": (
        manifests.merged(manifests.EXISTING, {"api": {"autoscaling": {"minReplicas": 9, "maxReplicas": 3}}}),
        "api.autoscaling",
    ),
    "ingress without host": (manifests.merged(manifests.EXISTING, {"ingress": {"enabled": True}}), "ingress.host"),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_SCHEMA)
def test_the_schema_refuses(name: str) -> None:
    import helm_python

    values, named = BY_SCHEMA[name]
    with pytest.raises(helm_python.HelmValuesError, match=named):
        manifests.render(manifests.merged(manifests.EXISTING, values))


@pytest.mark.parametrize("name", BY_CHECK)
def test_the_chart_refuses_in_both_languages(name: str) -> None:
    import helm_python

    values, named = BY_CHECK[name]
    with pytest.raises(helm_python.HelmRenderError, match=named) as refused:
        manifests.render(values)
    assert any("一" <= letter <= "鿿" for letter in str(refused.value))
    assert " / " in str(refused.value)


def test_what_is_given_is_let_through_elsewhere() -> None:
    """The refusals are about the values named, not about everything."""
    for values in manifests.VARIATIONS.values():
        assert manifests.render(values)
