"""What the tests of Yonyou share: a connection that fits the simulator, and records as its mappings write them."""

from __future__ import annotations

import functools
from typing import Any

from connectors.core import model, registry
from connectors.yonyou import simulator
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "yonyou")
KNOWN = simulator.Simulator.SETTINGS
KEY = "5a0f2d0c-6f0e-5f0b-9d0e-2f6d1c3b4a59"


def connection(url: str, **config: Any) -> model.Connection:
    names = ("tenant_id", "app_key", "sales_org", "transaction_type", "customer")
    given = {"lookup_url": f"{url}/yonyou", **{name: KNOWN[name] for name in names}, **config}
    return model.Connection("bip", registry.get("yonyou"), given, {"app_secret": KNOWN["app_secret"]})


def native(entity: str, record: dict[str, Any], **context: Any) -> dict[str, Any]:
    """``record`` as it is sent; ``context`` stands in place of what the mapping reads otherwise."""
    config = {key: KNOWN[key] for key in ("sales_org", "transaction_type", "customer")}
    mapping = library.shipped("yonyou", entity)
    written: dict[str, Any] = mapping.to_native(record, {"config": config, "event": {"key": KEY}, **context})
    return written
