"""A system nobody wrote a connector for, by configuration alone: OpenAPI, JSON-RPC, ``apply``, both ways."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from gateway import settings
from gateway.trial import processes, stage
from retry_queue.ledger import session, tallies
from tests import web
from tests.journeys import vendor as vendors

SITE = Path(__file__).with_name("unknown.yaml")
CHECKED = {
    "fields": [{"key": "app_secret", "secret": True, "required": True, "label": {"zh": "密钥", "en": "Secret"}}],
    "signing": {
        "scheme": "sorted_params",
        "options": {"secret": "${secret.app_secret}", "equals": "=", "between": "&", "secret_param": "key",
                    "case": "lower"},
    },
    "time": {"format": "%Y-%m-%d %H:%M:%S", "zone": "Asia/Shanghai"},
    "success": {"path": "body.errno", "equals": 0},
    "failure": {"codes": ["body.errno"], "message": ["body.errmsg"]},
}  # fmt: skip
"""What a person adds to the draft, because the document does not say it."""


def _shuniu(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """A command as a person runs it, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "gateway.cli", *arguments], cwd=folder, env=environment, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:] + ran.stdout[-2000:]
    return ran.stdout


def _written(folder: Path, drafted: str) -> None:
    spec = yaml.safe_load(drafted.replace("|iso}", "|local}"))
    del spec["operations"]["list_orders"]["query"]["sign"]
    spec["polls"]["list_orders"]["every"] = 1
    (folder / "mall.yaml").write_text(yaml.safe_dump({**spec, **CHECKED}, allow_unicode=True), encoding="utf-8")
    (folder / "hub.yaml").write_text(SITE.read_text(encoding="utf-8"), encoding="utf-8")


@pytest.mark.timeout(120)
async def test_an_unknown_vendor_is_spoken_to_in_both_directions_by_a_hub_yaml_alone(folder: Path) -> None:
    known = vendors.Vendor()
    for number in range(5):  # three pages
        known.place(f"A{number}", 18800 + number)
    known.place("X1", 100)
    config = settings.load(
        data_dir=folder / "data", secret_key="k" * 48, egress_allow="127.0.0.0/8", port=processes.free_port(),
        log_level="WARNING",
    )  # fmt: skip
    with web.serving(type("Counter", (vendors.Counter,), {"vendor": known})) as address:
        words = {"MALL_SECRET": vendors.SECRET, "BOOKS_TOKEN": vendors.TOKEN, "ADDRESS": address}
        environment = {**os.environ, **config.environment(), "SHUNIU_REDIS_URL": "", **words}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        document = folder / "openapi.yaml"
        document.write_text(vendors.DOCUMENT.replace("${ADDRESS}", address), encoding="utf-8")
        drafted = _shuniu(
            folder, environment, "connector", "import", str(document), "--id", "unknown_mall", "--dry-run"
        )
        _written(folder, drafted)
        assert "+ route ship" in _shuniu(folder, environment, "apply", "-f", "hub.yaml")
        with processes.started(["gateway.serve", "all", "0.1"], environment, log=folder / "hub.log") as child:
            await processes.reachable(config.port, child=child)
            ledger = session.open_ledger(config.database_url, owner="looker", pool=1)
            try:

                async def arrived() -> bool:
                    async with ledger.read() as connection:
                        owed = (await tallies.balance(connection)).in_flight
                    return len(known.parcels) == 5 and owed == 0

                try:
                    await stage.until(arrived, 60.0, "parcels")
                except TimeoutError as error:
                    raise AssertionError(f"{error}\n{(folder / 'hub.log').read_text()[-3000:]}") from None
                known.place("A0", 99900)  # changed over there: read and booked again

                async def booked() -> bool:
                    return len(known.booked["A0"]) == 2

                await stage.until(booked, 30.0, "the change")
                async with ledger.read() as connection:
                    dead = (
                        await connection.exec_driver_sql("SELECT reason, detail FROM deliveries WHERE state = 'dead'")
                    ).one()
                    balance = await tallies.balance(connection)
            finally:
                await ledger.close()
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://127.0.0.1:{config.port}/readyz")).status_code == 200
    assert sorted(known.booked) == [f"A{number}" for number in range(5)]
    assert [one["total"] for one in known.booked["A0"]] == ["188.00", "999.00"]
    assert known.parcels["A3"] == [{"order_no": "A3", "waybill": "SF-A3"}]
    assert known.refused == 0, "every call was signed as the vendor wants it"
    assert dead.reason == "rejected"
    assert vendors.CLOSED in dead.detail, "the vendor's own words"
    assert "账期关了" in dead.detail
    assert balance.difference == 0
    assert not any(one in (folder / "hub.log").read_text() for one in (vendors.SECRET, vendors.TOKEN))
