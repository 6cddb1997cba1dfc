"""What the tests of WeChat share: a connection that fits the simulator."""

from __future__ import annotations

from typing import Any

import httpx

from connectors.core import model, registry
from connectors.wechat import simulator

KNOWN = simulator.Simulator.SETTINGS
SPEC = registry.get("wechat")


def connection(
    url: str = "http://127.0.0.1:9", secrets: dict[str, str] | None = None, **config: Any
) -> model.Connection:
    hidden = {key: KNOWN[key] for key in ("app_secret", "token", "encoding_aes_key")} | (secrets or {})
    settings = {"base_url": f"{url}/wechat", "app_id": KNOWN["app_id"], "mch_id": KNOWN["mch_id"], **config}
    return model.Connection("wechat-test", SPEC, settings, hidden)


async def control(url: str, path: str, **body: Any) -> Any:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/_sim/wechat{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
