"""Dockerfile and compose.yaml, as far as they can be tried without a container engine."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway import __version__, settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
ROOMS = ("gateway", "webhooks", "retry_queue", "connectors", "mappings")


def test_the_image_is_built_from_the_locks_and_runs_as_nobody() -> None:
    build, final = STAGES
    assert build.count("--require-hashes") == 2
    assert "pip" not in final.replace("--from=build", ""), "nothing is installed in the final stage"
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "apt-get" not in DOCKERFILE
    assert 'ENTRYPOINT ["shuniu"]' in final


def test_what_is_copied_exists_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*", "nothing goes in that is not named"
    copied = [
        one for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for one in line.split()
    ]
    assert set(ROOMS) <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name.split('/')[0]}" in ignored, name


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX script")
def test_the_command_of_the_image_runs(tmp_path: Path) -> None:
    """The script that the Dockerfile writes, over the rooms alone, from an unwritable folder that is not the tree."""
    script = re.search(r"printf '(.+?)' > /opt", DOCKERFILE)
    assert script is not None
    app, home = tmp_path / "app", tmp_path / "home"
    app.mkdir()
    for room in ROOMS:
        (app / room).symlink_to(ROOT / room)
    command = tmp_path / "shuniu"
    command.write_text(script[1].replace("\\n", "\n").replace("/opt/shuniu/venv/bin/python", sys.executable))
    command.chmod(stat.S_IRWXU)
    home.mkdir(mode=0o500)
    environment = {"PYTHONPATH": str(app), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    for words in (["--version"], ["check"]):
        ran = subprocess.run([command, *words], cwd=home, env=environment, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list(home.iterdir()) == []


def test_compose_starts_what_the_hub_needs_in_order() -> None:
    made = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = made["services"]
    assert set(services) == {"postgres", "valkey", "migrate", "api", "worker", "prometheus"}
    known = {settings.PREFIX + name.upper() for name in settings.Settings.model_fields}
    for name in ("migrate", "api", "worker"):
        one = services[name]
        assert one["image"] == f"shuniu:{__version__}"
        assert one["read_only"] is True
        assert one["user"] == "10001:10001"
        assert one["cap_drop"] == ["ALL"]
        assert set(one["environment"]) <= known
        for secret in ("SHUNIU_SECRET_KEY", "SHUNIU_DATABASE_URL"):
            assert ":?" in one["environment"][secret], "no password by default"
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert services[name]["command"] == ["serve", "--role", name]
    published = [port for one in services.values() for port in one.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "noeviction" in services["valkey"]["command"]
    for volume in services["prometheus"]["volumes"]:
        if volume.startswith("./"):
            assert (ROOT / volume.split(":")[0]).is_file(), volume
    targets = yaml.safe_load((ROOT / "compose/prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    ports = {"api": "8080", "worker": services["worker"]["environment"]["SHUNIU_METRICS_PORT"]}
    assert targets == [{"targets": [f"{name}:{port}" for name, port in ports.items()]}]
