"""What the tests of WeChat share: a connection that fits the simulator."""

from __future__ import annotations

import functools
from typing import Any

from connectors.core import model, registry
from connectors.wechat import simulator
from tests.conformance import panel

control = functools.partial(panel.control, "wechat")
KNOWN = simulator.Simulator.SETTINGS
SPEC = registry.get("wechat")


def connection(
    url: str = "http://127.0.0.1:9", secrets: dict[str, str] | None = None, **config: Any
) -> model.Connection:
    hidden = {key: KNOWN[key] for key in ("app_secret", "token", "encoding_aes_key")} | (secrets or {})
    settings = {"base_url": f"{url}/wechat", "app_id": KNOWN["app_id"], "mch_id": KNOWN["mch_id"], **config}
    return model.Connection("wechat-test", SPEC, settings, hidden)
