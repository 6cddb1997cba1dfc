"""One living hub and one Chromium for the whole folder: one worker runs its tests (``tests/spreading.py``)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from gateway import pages
from tests import services
from tests.browser import living, upkeep


@pytest.fixture(scope="session")
def built() -> Path:
    """The built interface; ``./shuniu test`` builds it before the tests run."""
    assert pages.built() is not None, "the admin UI is not built: run ./shuniu ui build"
    return pages.FOLDER


@pytest.fixture(scope="package")
def hub(built: Path, run_dir: Path, worker_id: str) -> Iterator[living.Living]:
    """A hub with the demo's configuration, orders that went through, and some that did not."""
    mine = run_dir / "browser"
    if mine.exists() and mine.read_text() != worker_id:
        raise RuntimeError(f"{mine.read_text()} has such a hub already: tests/browser is spread over workers")
    mine.write_text(worker_id)
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as name, pytest.MonkeyPatch.context() as patched:
        patched.setenv("SHUNIU_SECRET_SOURCES", f"file:{name}/outside")
        for setting, value in living.SCANNING.items():
            patched.setenv(setting, value)
        made = living.Living(Path(name)).start()
        try:
            made.configure()
            made.orders(6)
            for number in range(4):
                assert made.push(living.order(f"OWN-{number:03d}")) == 200
            assert made.push({"id": "OWN-BAD", "status": "paid", "total": "much", "lines": []}) == 200
            assert made.push(living.order("OWN-FORGED"), secret="guessed") == 401
            made.quiet()
            upkeep.seed(made)
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="package")
def browser(chromium_path: Path) -> Iterator[Browser]:
    """Closed when this folder is done: Playwright's loop would be in the way of every other test of the worker."""
    expect.set_options(timeout=30_000)  # the other tests of the suite keep the machine busy
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(chromium_path), args=services.CHROMIUM_FLAGS)
        yield made
        made.close()


class Visitor:
    """Somebody at a browser. What the console complains of, and whatever is asked of other hosts, is kept."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.url = url
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"pageerror: {error}"))
        self.page.on("request", self._asked)
        self.page.set_default_timeout(30_000)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "401 (Unauthorized)" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.strangers.append(request.url)

    def sign_in(self, role: str) -> Visitor:
        self.page.goto(self.url)
        self.page.locator("#name").fill(role)
        self.page.locator("#password").fill(living.PASSWORD)
        self.page.locator("button[type=submit]").click()
        self.page.locator(".shell").wait_for()
        return self

    def go(self, path: str) -> Page:
        """Opens a page and waits until it shows more than its frame."""
        self.page.goto(f"{self.url}{path}")
        self.page.locator("main h1").first.wait_for()
        expect(self.page.locator(".waiting, .ant-skeleton-active")).to_have_count(0)
        return self.page


@pytest.fixture
def visit(browser: Browser, hub: living.Living) -> Iterator[Any]:
    """``visit(role, language=…, theme=…)``: a signed-in visitor in a context of its own.

    Visitors ask for less motion: what slides in on a busy machine takes a click meant for what lies below it. The
    first run (``test_first_run.py``) is walked with motion.
    """
    contexts: list[BrowserContext] = []

    def make(role: str | None = "owner", *, language: str = "zh", theme: str = "light", **how: Any) -> Visitor:
        tongue = "zh-CN" if language == "zh" else "en-US"
        how = {"viewport": {"width": 1360, "height": 860}, "reduced_motion": "reduce"} | how
        context = browser.new_context(locale=tongue, color_scheme=theme, timezone_id="Asia/Shanghai", **how)
        contexts.append(context)
        visitor = Visitor(context, hub.url)
        return visitor.sign_in(role) if role else visitor

    yield make
    for one in contexts:
        one.close()
