"""Settings: defaults, refusals that say what to set, and the key that is written once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import settings


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_nothing_set_gives_the_embedded_default(data_dir: Path) -> None:
    config = settings.load()
    assert config.database_url == f"sqlite+aiosqlite:///{data_dir}/shuniu.sqlite3"
    assert config.embedded_redis
    assert config.redis == f"unix://{config.valkey_socket}?db=0"
    assert not config.production
    assert config.public_url == "http://127.0.0.1:8080"
    assert config.max_body == 1024 * 1024
    assert config.metrics_dir == data_dir / "metrics"
    assert len(config.secret_key.get_secret_value()) >= settings.MIN_SECRET
    assert stat.S_IMODE((data_dir / "secret_key").stat().st_mode) == 0o600


def test_the_written_key_is_kept_and_its_mode_mended(data_dir: Path) -> None:
    first = settings.load().secret_key.get_secret_value()
    (data_dir / "secret_key").chmod(0o644)
    assert settings.load().secret_key.get_secret_value() == first
    assert stat.S_IMODE((data_dir / "secret_key").stat().st_mode) == 0o600
    assert sorted(path.name for path in data_dir.iterdir()) == ["secret_key"]


def test_processes_that_start_together_agree_on_one_key(data_dir: Path) -> None:
    code = "from gateway import settings; print(settings.load().secret_key.get_secret_value())"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(6)
    ]
    keys = {child.communicate(timeout=30)[0] for child in running}
    assert len(keys) == 1
    assert keys.pop().strip() == (data_dir / "secret_key").read_text().strip()


def test_postgresql_without_a_key_is_refused_in_both_languages(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATABASE_URL", "postgres://hub:pw@db/hub")
    with pytest.raises(settings.Unusable) as refused:
        settings.load()
    assert "必须设置 SHUNIU_SECRET_KEY" in refused.value.zh
    assert "SHUNIU_SECRET_KEY must be set" in refused.value.en
    assert not (data_dir / "secret_key").exists()
    monkeypatch.setenv("SHUNIU_SECRET_KEY", "k" * 31)
    with pytest.raises(settings.Unusable, match="too short"):
        settings.load()
    monkeypatch.setenv("SHUNIU_SECRET_KEY", "k" * 32)
    config = settings.load()
    assert config.production
    assert config.database_url == "postgresql+asyncpg://hub:pw@db/hub"


def test_libpq_sslmode_is_understood() -> None:
    config = settings.Settings(database_url="postgresql://h/x?sslmode=require", data_dir=Path("/x"))
    assert config.database_url == "postgresql+asyncpg://h/x?ssl=require"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "eighty", "0 to 65535"),
        ("PORT", "70000", "0 to 65535"),
        ("DATABASE_URL", "mysql://u:hunter22@h/x", "postgresql://"),
        ("DATABASE_URL", "hub.db", "sqlite:///path"),
        ("REDIS_URL", "http://h", "redis://"),
        ("EGRESS_ALLOW", "10.0.0.0/8,office", "separated by commas"),
        ("MAX_BODY", "huge", "1KiB to 256MiB"),
        ("MAX_BODY", "10", "1KiB to 256MiB"),
        ("WORKERS", "0", "1 to 64"),
        ("LOG_LEVEL", "loud", "DEBUG"),
        ("PUBLIC_URL", "hub.example.com", "https://"),
    ],
)
def test_a_wrong_value_is_named_but_never_repeated(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"SHUNIU_{name}", value)
    with pytest.raises(settings.Unusable) as refused:
        settings.load()
    assert f"SHUNIU_{name}" in refused.value.zh
    assert f"SHUNIU_{name}" in refused.value.en
    assert says in refused.value.en
    assert "hunter22" not in str(refused.value)


def test_every_wrong_value_is_named_at_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_PORT", "x")
    monkeypatch.setenv("SHUNIU_WORKERS", "y")
    with pytest.raises(settings.Unusable) as refused:
        settings.load()
    assert "SHUNIU_PORT" in refused.value.en
    assert "SHUNIU_WORKERS" in refused.value.en


def test_sizes_networks_and_levels_are_read_as_people_write_them(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUNIU_MAX_BODY", "2 MiB")
    monkeypatch.setenv("SHUNIU_EGRESS_ALLOW", "10.0.0.0/8, 192.168.1.5 fd00::/8")
    monkeypatch.setenv("SHUNIU_LOG_LEVEL", "debug")
    monkeypatch.setenv("SHUNIU_HOST", "")
    config = settings.load()
    assert config.max_body == 2 * 1024**2
    assert [str(network) for network in config.egress_allow] == ["10.0.0.0/8", "192.168.1.5/32", "fd00::/8"]
    assert config.log_level == "DEBUG"
    assert config.host == "127.0.0.1"


def test_options_win_over_the_environment_and_none_means_not_given(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUNIU_PORT", "9000")
    assert settings.load(port=9001, host=None).port == 9001


def test_secrets_are_not_in_the_repr(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATABASE_URL", "postgresql://hub:hunter22@db/hub")
    monkeypatch.setenv("SHUNIU_REDIS_URL", "redis://:hunter23@cache")
    monkeypatch.setenv("SHUNIU_SECRET_KEY", "hunter24" * 5)
    assert "hunter2" not in repr(settings.load())


def test_a_child_sees_the_same_settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = settings.load(port=9100, egress_allow="10.0.0.0/8", max_body="3MiB")
    for name, value in parent.environment().items():
        monkeypatch.setenv(name, value)
    child = settings.load()
    same = {name for name in settings.Settings.model_fields if name != "redis_url"}
    assert {name: getattr(child, name) for name in same} == {name: getattr(parent, name) for name in same}
    assert child.redis == parent.redis
    assert parent.environment()["PROMETHEUS_MULTIPROC_DIR"] == str(parent.metrics_dir)


def test_a_mistyped_name_is_found_with_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATBASE_URL", "x")
    monkeypatch.setenv("SHUNIU_CI", "1")
    assert settings.unknown() == {"SHUNIU_DATBASE_URL": "SHUNIU_DATABASE_URL"}


def test_a_data_dir_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(settings.Unusable, match="SHUNIU_DATA_DIR"):
        settings.load(data_dir=tmp_path / "file" / "data")


def test_placeholders_come_from_the_environment_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOP_SECRET", "s3")
    assert settings.expand("a ${TOP_SECRET} ${X}", {"X": "y"}) == "a s3 y"
    with pytest.raises(settings.Unusable, match="NOT_THERE"):
        settings.expand("${NOT_THERE}")


def test_the_runtime_directory_is_short_private_and_one_per_data_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    config = settings.Settings(data_dir=deep)
    assert len(os.fsencode(config.valkey_socket)) <= settings.SOCKET_LIMIT
    assert config.valkey_socket != settings.Settings(data_dir=tmp_path).valkey_socket
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 120)))
    (tmp_path / ("x" * 120)).mkdir()
    assert len(os.fsencode(settings.Settings(data_dir=deep).valkey_socket)) <= settings.SOCKET_LIMIT
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    with pytest.raises(settings.Unusable, match="700"):
        settings.private_dir(shared)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(settings.Unusable, match="700"):
        settings.private_dir(tmp_path / "link")
