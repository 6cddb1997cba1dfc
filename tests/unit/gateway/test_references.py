"""Secrets that live in files or in Vault: read from there, never shown, and a person is told what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import hub_file, references, settings
from tests import web

TOKEN = "hvs.canary-of-vault"
KEPT: dict[str, Any] = {
    "/v1/secret/data/shuniu/prod": {"secret_key": "k" * 48, "database": "postgresql://u:p4ss@db/x", "number": 7},
    "/v1/kv/data/shops/tmall": {"app_secret": "canary-app-secret"},
}


class Vault(web.Page):
    """KV version 2 as its HTTP API documents it: data within data, 403 for a wrong token, 404 for what is not there."""

    def do_GET(self) -> None:
        status, body = 200, {"data": {"data": KEPT.get(self.path), "metadata": {"version": 3}}}
        if self.headers.get("X-Vault-Token") != TOKEN or self.headers.get("X-Vault-Namespace") not in (None, "team"):
            status, body = 403, {"errors": ["permission denied"]}
        elif self.path == "/v1/secret/data/elsewhere":
            status, body = 307, {"errors": []}
        elif self.path not in KEPT:
            status, body = 404, {"errors": []}
        moved = {"location": "/v1/secret/data/shuniu/prod"} if status == 307 else {}
        self.say(status, json.dumps(body).encode(), moved)


@pytest.fixture(scope="module")
def vault() -> Iterator[str]:
    with web.serving(Vault) as url:
        yield url


def test_settings_come_from_vault_and_files(vault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "old").write_text("o" * 40 + "\n")
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SHUNIU_VAULT_ADDR", vault + "/")
    monkeypatch.setenv("SHUNIU_VAULT_TOKEN", f"file:{tmp_path / 'token'}")
    monkeypatch.setenv("SHUNIU_VAULT_NAMESPACE", "team")
    monkeypatch.setenv("SHUNIU_SECRET_KEY", "vault:secret/shuniu/prod#secret_key")
    monkeypatch.setenv("SHUNIU_DATABASE_URL", "vault:secret/shuniu/prod#database")
    monkeypatch.setenv("SHUNIU_OLD_SECRET_KEYS", f"file:{tmp_path / 'old'}, {'p' * 40}")
    config = settings.load()
    assert config.masters == ("k" * 48, "o" * 40, "p" * 40)
    assert config.database_url == "postgresql+asyncpg://u:p4ss@db/x"
    for secret in (TOKEN, "k" * 48, "o" * 40, "p4ss"):
        assert secret not in repr(config)
    child = config.environment()
    assert (child["SHUNIU_SECRET_KEY"], child["SHUNIU_OLD_SECRET_KEYS"]) == ("k" * 48, f"{'o' * 40} {'p' * 40}")


def test_hub_yaml_takes_them_too(vault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_VAULT_ADDR", vault)
    monkeypatch.setenv("SHUNIU_VAULT_TOKEN", TOKEN)
    (tmp_path / "pin").write_text("1234\n")
    text = "a ${vault:kv/shops/tmall#app_secret} b ${file:" + str(tmp_path / "pin") + "} $${file:x}"
    assert hub_file.expand(text) == "a canary-app-secret b 1234 ${file:x}"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("vault:secret/shuniu/prod#nothing", "no field nothing"),
        ("vault:secret/shuniu/prod#number", "no field number"),
        ("vault:secret/none#x", "HTTP 404"),
        ("vault:secret/elsewhere#secret_key", "HTTP 307"),
        ("vault:secret/../sys/x#y", "mount/path#field"),
        ("vault:secret#x", "mount/path#field"),
        ("vault:secret/path", "mount/path#field"),
        ("file:/no/such/file", "No such file"),
    ],
)
def test_what_cannot_be_read_is_named(vault: str, reference: str, why: str) -> None:
    with pytest.raises(references.Unusable) as refused:
        references.resolved(reference, references.Vault(vault, TOKEN))
    assert why in refused.value.en
    assert refused.value.zh
    assert TOKEN not in str(refused.value)


def test_a_wrong_token_a_dead_vault_and_none(vault: str) -> None:
    for given in (references.Vault(vault, "wrong"), references.Vault("http://127.0.0.1:1", TOKEN), None):
        with pytest.raises(references.Unusable) as refused:
            references.resolved("vault:secret/shuniu/prod#secret_key", given)
        assert "vault" in str(refused.value).lower()
        assert "k" * 48 not in str(refused.value)
    assert TOKEN not in repr(references.Vault(vault, TOKEN))
