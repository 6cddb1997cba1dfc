"""What holds on every page: no serious finding of axe, nothing that came from outside runs, quick to be used."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.browser import living
from tests.browser.test_screenshots import PAGES, known

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(300)]
AXE = services.ROOT / "admin_ui" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})
  .then((found) => found.violations.filter((one) => ['serious', 'critical'].includes(one.impact))
  .map((one) => ({id: one.id, help: one.help, nodes: one.nodes.slice(0, 4).map((node) => node.html.slice(0, 200)
    + ' :: ' + (node.any[0] || node.all[0] || node.none[0] || {message: ''}).message)})))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_finding_of_axe(hub: living.Living, visit: Any, theme: str) -> None:
    source = AXE.read_text(encoding="utf-8")
    visitor = visit("owner", theme=theme)
    page = visitor.page
    names = known(visitor)
    found = {}
    for name, path in PAGES.items():
        visitor.go(path.format(**names))
        page.wait_for_timeout(350)
        page.evaluate(source)
        if wrong := page.evaluate(RUN):
            found[name] = wrong
    assert not found, json.dumps(found, ensure_ascii=False, indent=1)[:6000]


def test_the_door_has_no_serious_finding_of_axe(visit: Any) -> None:
    visitor = visit(None)
    visitor.page.goto(visitor.url)
    visitor.page.locator("#name").wait_for()
    visitor.page.evaluate(AXE.read_text(encoding="utf-8"))
    assert visitor.page.evaluate(RUN) == []


# --- stored XSS -----------------------------------------------------------------------------------

_CALL = "window.__hit=1"
_SHELLS = [
    "<script>{}</script>",
    "<img src=x onerror={}>",
    "<svg onload={}>",
    "<svg><animate onbegin={} attributeName=x>",
    "<iframe srcdoc='<script>parent.{}</script>'>",
    "<body onload={}>",
    "<details open ontoggle={}>",
    "<a href='javascript:{}'>x</a>",
    "<video><source onerror={}></video>",
    "<math><mtext><img src=x onerror={}>",
    "<style>*{{background:url(javascript:{})}}</style>",
    "<link rel=stylesheet href='data:text/css,*{{}}' onload={}>",
    "<object data='javascript:{}'>",
    "<form><button formaction='javascript:{}'>",
    "<input autofocus onfocus={}>",
    "<marquee onstart={}>",
    "<template><script>{}</script></template>",
    "<base href='javascript:{}//'>",
    "{{{{constructor.constructor('{}')()}}}}",
    "${{{}}}",
]
_WRAPS = ["{}", "\"'>{}", "</script>{}", "-->{}", "]]>{}", "\u200b{}", "{}\n", "&lt;{}", "王{}", "%3C{}"]
PAYLOADS = [wrap.format(shell.format(_CALL)) for shell, wrap in itertools.product(_SHELLS, _WRAPS)]


def test_two_hundred_payloads_stay_text(hub: living.Living, visit: Any) -> None:
    assert len(set(PAYLOADS)) == 200
    numbers = []
    for place in range(10):
        own = PAYLOADS[place * 20 : place * 20 + 20]
        lines = [{"id": str(n), "sku": one[:60], "title": one, "quantity": "1"} for n, one in enumerate(own)]
        number = f"X{place} {own[0]}"[:150]
        buyer = {"name": own[1], "nick": own[2], "phone": own[3][:60]}
        more: dict[str, Any] = {"buyer": buyer, "buyer_note": own[4], "seller_note": own[5], "shop": own[6]}
        given = living.order(f"XSS-{place}", **more) | {"number": number, "lines": lines}
        given["total"] = own[7] if place == 9 else "1.00"  # one that does not map: its words go into the error
        assert hub.push(given) == 200
        numbers.append(number)
    hub.quiet()
    visitor = visit("owner")
    page = visitor.page
    dialogs: list[str] = []
    page.on("dialog", lambda one: (dialogs.append(one.message), one.dismiss()))
    asked = (
        "fetch('/api/v1/events?connection=own-shop&limit=50').then((one) => one.json())"
        ".then((one) => one.items.filter((one) => (one.record || '').startsWith('XSS') || one.state === 'parked')"
        ".map((one) => one.id))"
    )
    ids = page.evaluate(asked)
    assert len(ids) >= 10
    for path in ("/events?connection=own-shop", "/failures", "/", "/audit", "/links?q=XSS-1", "/timers"):
        visitor.go(path)
        assert _clean(page, dialogs), path
    shown = 0
    for event in ids:
        visitor.go(f"/events/{event}")
        page.get_by_role("tab", name="数据").click()
        page.locator(".json").first.wait_for()
        for fold in page.locator(".json-fold[aria-expanded=false]").all()[:40]:
            fold.click()
        shown += page.locator(".json").first.inner_text().count(_CALL)
        page.get_by_role("tab", name="投递").click()
        assert _clean(page, dialogs), event
    assert shown >= 200, "the payloads were meant to be on the screen"
    blocked = [one for one in visitor.complaints if "script" in one.lower() and "Content Security Policy" in one]
    assert not blocked, blocked[:3]


def _clean(page: Any, dialogs: list[str]) -> bool:
    strange = page.locator("#root script, #root iframe, #root object, #root marquee, #root img[src=x]").count()
    return not dialogs and strange == 0 and page.evaluate("window.__hit") is None


# --- quick ----------------------------------------------------------------------------------------


def test_the_first_page_can_be_used_within_two_seconds(visit: Any) -> None:
    visitor = visit("owner")
    took = []
    for _ in range(3):
        visitor.go("/")
        visitor.page.locator(".ledger").wait_for()
        took.append(visitor.page.evaluate("performance.now()"))
    assert min(took) <= 2000, took


def test_the_pages_are_for_the_built_files(built: Path) -> None:
    assert AXE.is_file(), "the packages of the UI are needed for axe: ./shuniu ui test"
    assert (built / "index.html").is_file()
