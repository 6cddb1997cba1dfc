"""Pictures of every page in both languages and both appearances, written to ``docs/screenshots``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.browser import living, upkeep

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(240)]
SHOTS = services.ROOT / "docs" / "screenshots"
FORM, MAPPING = "kingdee", "taobao/order"
PAGES = {
    "overview": "/", "events": "/events", "event": "/events/{event}", "failures": "/failures",
    "alerts": "/alerts", "links": "/links?q={number}", "timers": "/timers", "customers": "/customers",
    "matches": "/customers?view=matches",
    "customer": "/customers/{customer}", "conflicts": "/conflicts", "reconciliations": "/reconciliations",
    "reconciliation": "/reconciliations/{run}?kind=different", "backfills": "/backfills", "entities": "/entities",
    "timed-route": "/routes/remind-unpaid", "connections": "/connections", "gallery": "/connections/new",
    "wizard": f"/connections/new/{FORM}", "connection": "/connections/own-shop", "routes": "/routes",
    "routes-canvas": "/routes?view=canvas", "route": "/routes/order-to-erp", "recipes": "/routes/recipes",
    "mappings": "/mappings", "mapping": f"/mappings/{MAPPING}", "templates": "/templates", "users": "/users",
    "audit": "/audit", "settings": "/settings",
    "settings-data": "/settings?view=data", "settings-system": "/settings?view=system",
    "settings-checks": "/settings?view=checks", "reference": "/api-reference",
}  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_is_shown(hub: living.Living, visit: Any, language: str, theme: str) -> None:
    visitor = visit("owner", language=language, theme=theme)
    page = visitor.page
    names = known(visitor)
    for name, path in PAGES.items():
        visitor.go(path.format(**names))
        page.wait_for_timeout(400)  # pictures of lines and dots settle
        picture = page.screenshot(type="jpeg", quality=62)
        _keep(f"{name}.{language}.{theme}.jpg", picture)
        assert len(page.locator("main").inner_text()) > 40, f"{name} shows next to nothing"
    assert not visitor.complaints, visitor.complaints[:5]
    assert not visitor.strangers


def test_the_door_is_shown(visit: Any) -> None:
    for language in ("zh", "en"):
        visitor = visit(None, language=language)
        visitor.page.goto(visitor.url)
        visitor.page.locator("#name").wait_for()
        _keep(f"login.{language}.light.jpg", visitor.page.screenshot(type="jpeg", quality=62))


def _number(visitor: Any) -> str:
    found = visitor.page.evaluate(
        "fetch('/api/v1/events?entity=order&state=planned&limit=50').then((one) => one.json())"
    )
    return str(next(one["number"] for one in found["items"] if not one["number"].startswith("OWN")))


def known(visitor: Any) -> dict[str, str]:
    """What stands in the addresses: an event, an order's number, a customer, a comparison that found something."""
    number = _number(visitor)

    def asked(path: str) -> list[dict[str, Any]]:
        told = visitor.page.evaluate(f"fetch('/api/v1{path}').then((one) => one.json())")
        return list(told["items"])

    run = next(one["id"] for one in asked("/reconciliations") if one["found"])
    return {
        "number": number, "event": asked(f"/events?state=planned&q={number}")[0]["id"], "run": run,
        "customer": asked(f"/customers?q={upkeep.PERSON['phone']}")[0]["link"],
    }  # fmt: skip


def _keep(name: str, picture: bytes) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / name).write_bytes(io.BytesIO(picture).getvalue())


def test_screenshots_stay_small() -> None:
    sizes = {one.name: one.stat().st_size for one in Path(SHOTS).glob("*.jpg")}
    assert all(size < 260_000 for size in sizes.values()), sizes
    assert sum(sizes.values()) < 10_000_000
