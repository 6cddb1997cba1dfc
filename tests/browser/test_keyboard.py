"""A walk without a mouse: signing in, the menu, a connection made and a question answered. Every stop has a name."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import living

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(180)]
NAMED = """() => {
  const one = document.activeElement
  if (!one || one === document.body) return 'nowhere'
  const label = one.labels && one.labels[0] ? one.labels[0].innerText : ''
  const by = (one.getAttribute('aria-labelledby') || '').split(' ').map((id) => document.getElementById(id)?.innerText)
  const inside = [...one.querySelectorAll('[aria-label]')].map((part) => part.getAttribute('aria-label'))
  const names = [one.getAttribute('aria-label'), one.title, one.placeholder, label, ...by, one.innerText, ...inside]
  return names.filter(Boolean).join(' ').trim() || `NAMELESS ${one.outerHTML.slice(0, 120)}`
}"""
LOOK = """() => {
  const one = document.activeElement
  const near = [one, one.parentElement, ...one.querySelectorAll('*')].slice(0, 12)
  return near.some((part) => { const s = getComputedStyle(part)
    return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none' })
}"""


class Walker:
    """Somebody with a keyboard; keeps what had no name or could not be seen to have the focus."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []

    def press(self, key: str) -> str:
        self.page.keyboard.press(key)
        return str(self.page.evaluate(NAMED))

    def to(self, words: str, *, key: str = "Tab", most: int = 60) -> None:
        """Goes on until something with these words has the focus."""
        seen = []
        for _ in range(most):
            name = self.press(key)
            seen.append(name[:30])
            if name.startswith("NAMELESS"):
                self.wrong.append(name)
            if words in name:
                if not self.page.evaluate(LOOK):
                    self.wrong.append(f"UNSEEN {name[:40]}")
                return
        raise AssertionError(f"no way to {words} by {key}: {seen}")


def test_a_connection_is_made_and_a_question_answered_without_a_mouse(hub: living.Living, visit: Any) -> None:
    visitor = visit(None)
    page = visitor.page
    page.goto(visitor.url)
    page.locator("#name").wait_for()
    walker = Walker(page)
    page.locator("#name").focus()
    page.keyboard.type("editor")
    walker.to("密码", most=3)
    page.keyboard.type(living.PASSWORD)
    page.keyboard.press("Enter")
    page.locator(".shell").wait_for()
    page.locator("main h1").first.wait_for()
    page.evaluate("document.activeElement.blur()")
    walker.to("跳到正文", most=3)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Shift+Tab")
    walker.to("连接", key="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_have_text("连接")
    walker.to("新建连接")
    page.keyboard.press("Enter")
    box = page.get_by_role("textbox", name="搜索")
    expect(box).to_be_focused()
    page.keyboard.type("jst")
    walker.to("聚水潭")
    page.keyboard.press("Enter")
    expect(page.locator('[id="~key"]')).to_be_focused()
    page.keyboard.type("by-keyboard")
    walker.to("用模拟器试跑")
    page.keyboard.press("Space")
    walker.to("建立并试跑")
    page.keyboard.press("Enter")
    expect(page.locator("h1 .sandbox-tag")).to_be_visible(timeout=40_000)
    walker.to("切回真实系统")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.wait_for_timeout(400)
    for _ in range(6):  # the focus goes round in the question, by way of the browser's own frame
        page.keyboard.press("Tab")
        where = "document.activeElement === document.body || document.activeElement.closest('[role=dialog]')"
        assert page.evaluate(f"Boolean({where})")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="切回真实系统")).to_be_focused()
    hub.quiet()  # what the simulator told is planned, else the switch waits for it
    hub.api("POST", "/connections/by-keyboard/sandbox", {"on": False})
    assert not walker.wrong, walker.wrong
    assert not visitor.complaints, visitor.complaints[:3]
