"""A pretend mail provider: real SMTP on a port of its own, mails kept to be read.

``GET /_sim/email/state`` says which port, and shows the mails.
``nobody@…`` does not exist, ``full@…`` is full, a subject with 中奖 is spam, the sender must be the account. Who is
in the setting ``greylist`` is sent away for now.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from connectors.email.simulated import mailbox
from connectors.simulator import engine


class Simulator(engine.Simulator):
    """``host`` and ``port`` are where it listens; the port is chosen at the start."""

    id = "email"
    SETTINGS: ClassVar[dict[str, Any]] = {
        "host": "127.0.0.1",
        "port": 0,
        "username": "notice@example.com",
        "password": "mail-demo-password",
        "from_address": "notice@example.com",
        "greylist": [],
    }

    def seed(self) -> None:
        self.mails: list[dict[str, Any]] = []

    def snapshot(self) -> Any:
        return {"port": self.settings["port"], "mails": self.mails}

    async def start(self) -> None:
        self.server = await asyncio.start_server(
            self._met, self.settings["host"], self.settings["port"], limit=16 * 1024 * 1024
        )
        self.settings["port"] = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.spawn(mailbox.Conversation(self, reader, writer).run())
