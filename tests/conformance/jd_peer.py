"""What the JD tests share: a connection to the simulator and calls of its controls."""

from __future__ import annotations

import functools
from typing import Any

from connectors.core import model, registry
from connectors.jd import simulator
from connectors.simulator import engine
from tests.conformance import panel

control = functools.partial(panel.control, "jd")
TEXTS = ("app_key", "vender_id", "operate_pin", "operate_nick", "jcq_access_key", "jcq_group")
HIDDEN = ("app_secret", "access_token", "refresh_token", "jcq_secret_key")


def shop(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["jd"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(url: engine.Url, *, secrets: dict[str, str] | None = None, **config: Any) -> model.Connection:
    """A connection to the simulator; ``config`` and ``secrets`` change single fields."""
    settings = shop(url).settings
    known = {"base_url": f"{url}/jd/routerjson", "oauth_url": f"{url}/jd/oauth2", "jcq_url": f"{url}/jd/jcq"}
    known |= {"jcq_topics": settings["jcq_topics"], "token_expires": settings["token_expires"]}
    known |= {name: settings[name] for name in TEXTS} | {"receive": "jcq", "after_sales": "on"}
    plain = {name: settings[name] for name in HIDDEN}
    return model.Connection("shop", registry.get("jd"), {**known, **config}, {**plain, **(secrets or {})})


async def sold(url: str, **wish: Any) -> str:
    """The number of a fresh order."""
    made = await control(url, "orders", **wish)
    return str(made["orders"][0]["orderId"])
