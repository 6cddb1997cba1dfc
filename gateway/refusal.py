"""What an operator asked for and cannot have, in both languages."""

from __future__ import annotations


class Refused(Exception):
    """Why it cannot be done, for people: ``zh`` and ``en``; ``str()`` has both."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh = zh
        self.en = en
