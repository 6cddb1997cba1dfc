"""What the Kingdee tests share: one order, the vendor's SDK pointed at the simulator, and our connections to it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from k3cloud_webapi_sdk.main import K3CloudApiSdk

from connectors.core import jsontext, model, registry
from connectors.kingdee import simulator as kingdee
from connectors.simulator import engine
from mappings import library

SAMPLES = resources.files("connectors.kingdee").joinpath("samples")
VECTORS = {one["name"]: one for one in json.loads(SAMPLES.joinpath("vectors.json").read_text("utf-8"))}
KNOWN = kingdee.Simulator.SETTINGS
STYLES = ("signed", "app_secret", "password")
ORDER: dict[str, Any] = {
    "id": "2026062700000001",
    "number": "SN202606270001",
    "status": "paid",
    "total": "128.00",
    "paid_at": "2026-06-27T17:59:58+08:00",
    "receiver": {
        "name": "测试收件人",
        "phone": "13800000001",
        "address": {"province": "浙江省", "city": "杭州市", "district": "西湖区", "street": "文三路 1 号"},
    },
    "lines": [
        {"id": "L1", "sku": "SKU-1001", "quantity": "3", "paid": "10.00"},
        {"id": "L2", "sku": "SKU-1002", "quantity": "1", "paid": "118.00"},
    ],
}


def sample(name: str) -> Any:
    """A sample file of the connector, parsed exactly."""
    return jsontext.loads(SAMPLES.joinpath(name).read_bytes())


def site_of(url: engine.Url) -> kingdee.Simulator:
    """The simulator behind a URL."""
    found = url.simulators["kingdee"]
    assert isinstance(found, kingdee.Simulator)
    return found


def connection(url: str, style: str = "signed", **config: Any) -> model.Connection:
    """A connection to the simulator in one of the login styles."""
    named = {key: KNOWN[key] for key in ("acct_id", "user_name", "app_id")}
    settings = {"server_url": f"{url}/kingdee/k3cloud/", "login_style": style, **named, **config}
    secrets = {"app_secret": KNOWN["app_secret"], "password": KNOWN["password"]}
    return model.Connection(f"k3-{style}", registry.get("kingdee"), settings, secrets)


def sdk(base: str) -> K3CloudApiSdk:
    """The vendor's own client, pointed at the simulator."""
    address = f"{base}/kingdee/k3cloud/"
    made = K3CloudApiSdk(address)
    made.InitConfig(KNOWN["acct_id"], KNOWN["user_name"], KNOWN["app_id"], KNOWN["app_secret"], address, 2052, 100)
    return made


def sales_order(number: str = "SN202606270001") -> dict[str, Any]:
    """ORDER under another number, as the mapping writes it."""
    native = library.shipped("kingdee", "order").to_native({**ORDER, "number": number}, {"config": {}})
    assert isinstance(native, dict)
    return native


def kinds(site: kingdee.Simulator, number: str) -> list[str]:
    """The effects on one document, in order."""
    return [effect.kind for effect in site.journal.find(key=number)]
