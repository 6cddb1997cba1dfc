"""A small mail server for the simulator: real SMTP on a socket, with the simulator's faults.

It knows EHLO, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA, NOOP, RSET, QUIT. ``throttle`` and ``ban`` strike at the
greeting, ``error_rate`` at MAIL, ``garbage`` and ``truncate`` replace the last word about a mail that was taken, and a
lost reply is cut off after it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import email
import email.policy
from typing import Any, Protocol

from connectors.simulator import faults

MOST = 10
"""Recipients per mail."""


class Owner(Protocol):
    """What the mail server needs of its simulator."""

    faults: faults.Faults
    settings: dict[str, Any]
    dice: Any
    mails: list[dict[str, Any]]

    def now(self) -> float: ...
    def commit(self, kind: str, key: str, data: Any = None) -> Any: ...


class Cut(Exception):
    """The conversation ends without a word."""


class Conversation:
    """One client's session."""

    def __init__(self, owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.owner, self.reader, self.writer = owner, reader, writer
        self.known = False
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        """Until the client goes, or is cut off."""
        with contextlib.suppress(Cut, ConnectionError, asyncio.IncompleteReadError):
            if await self._greet():
                while await self._turn((await self._line()).strip()):
                    continue
        with contextlib.suppress(ConnectionError):
            self.writer.close()
            await self.writer.wait_closed()

    async def say(self, text: str) -> None:
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def _line(self) -> str:
        return (await self.reader.readuntil(b"\n")).decode("utf-8", "replace")

    async def _greet(self) -> bool:
        switches = self.owner.faults
        if switches.latency:
            await asyncio.sleep(switches.latency)
        if switches.ban_until > self.owner.now():
            await self.say("554 5.7.1 No SMTP service here")
            return False
        if switches.take("throttle", self.owner.dice):
            await self.say("421 4.7.0 Too many connections, slow down")
            return False
        await self.say("220 mx.example.com ESMTP")
        return True

    async def _turn(self, line: str) -> bool:
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb == "EHLO":
            await self.say("250-mx.example.com\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN")
        elif verb == "AUTH":
            await self._auth(rest)
        elif verb == "MAIL":
            await self._mail(rest)
        elif verb == "RCPT":
            await self._rcpt(rest)
        elif verb == "DATA":
            await self._data()
        elif verb in ("NOOP", "RSET"):
            garbled = verb == "NOOP" and self.owner.faults.take("garbage", self.owner.dice)
            await self.say(faults.GARBAGE if garbled else "250 2.0.0 Ok")
        elif verb == "QUIT":
            await self.say("221 2.0.0 Bye")
            return False
        else:
            await self.say("502 5.5.2 Command not recognised")
        return True

    async def _auth(self, rest: str) -> None:
        kind, _, first = rest.partition(" ")
        try:
            if kind.upper() == "PLAIN":
                if not first:
                    await self.say("334 ")
                    first = (await self._line()).strip()
                given = base64.b64decode(first).decode().split("\0")[1:]
            else:
                await self.say("334 VXNlcm5hbWU6")
                user = base64.b64decode((await self._line()).strip()).decode()
                await self.say("334 UGFzc3dvcmQ6")
                given = [user, base64.b64decode((await self._line()).strip()).decode()]
        except (binascii.Error, UnicodeError):
            await self.say("501 5.5.2 Cannot decode")
            return
        settings = self.owner.settings
        self.known = given == [settings["username"], settings["password"]]
        await self.say("235 2.7.0 Accepted" if self.known else "535 5.7.8 Error: authentication failed")

    async def _mail(self, rest: str) -> None:
        if not self.known:
            await self.say("530 5.7.0 Authentication required")
            return
        if self.owner.faults.take("error_rate", self.owner.dice):
            await self.say("451 4.3.0 Local error in processing")
            return
        self.sender, self.recipients = _address(rest), []
        if self.sender != self.owner.settings["from_address"]:
            self.sender = None
            await self.say("553 5.7.1 Mail from must equal authorized user")
            return
        await self.say("250 2.1.0 Ok")

    async def _rcpt(self, rest: str) -> None:
        one = _address(rest)
        if self.sender is None:
            await self.say("503 5.5.1 Error: need MAIL command")
        elif one.startswith("nobody@"):
            await self.say("550 5.1.1 Mailbox not found")
        elif one.startswith("full@"):
            await self.say("452 4.2.2 Mailbox full")
        elif one in self.owner.settings["greylist"]:
            await self.say("450 4.2.0 Greylisted, try again later")
        elif len(self.recipients) >= MOST:
            await self.say("452 4.5.3 Too many recipients")
        else:
            self.recipients.append(one)
            await self.say("250 2.1.5 Ok")

    async def _data(self) -> None:
        if not self.recipients:
            await self.say("503 5.5.1 Error: need RCPT command")
            return
        await self.say("354 End data with <CR><LF>.<CR><LF>")
        text = b""
        while not text.endswith(b"\r\n.\r\n"):
            text += await self.reader.readuntil(b"\n")
        parsed = email.message_from_bytes(text[:-5].replace(b"\r\n..", b"\r\n."), policy=email.policy.default)
        if "中奖" in str(parsed["Subject"]):
            await self.say("554 5.7.1 Message rejected as spam")
            return
        await self._taken(parsed)
        self.sender, self.recipients = None, []

    async def _taken(self, parsed: Any) -> None:
        plain, rich = parsed.get_body(("plain",)), parsed.get_body(("html",))
        mail: dict[str, Any] = {
            "id": str(parsed["Message-ID"]),
            "to": self.recipients,
            "header_to": str(parsed["To"]),
            "from": str(parsed["From"]),
            "subject": str(parsed["Subject"]),
            "text": plain.get_content() if plain else "",
            "html": rich.get_content() if rich else "",
        }
        exchange = faults.Exchange("SMTP DATA", True)
        mark = faults.current.set(exchange)
        try:
            self.owner.mails.append(mail)
            self.owner.commit("mail.take", mail["id"], {"to": mail["to"], "subject": mail["subject"]})
        finally:
            faults.current.reset(mark)
        switches, dice = self.owner.faults, self.owner.dice
        if exchange.cut:
            raise Cut
        if switches.take("garbage", dice):
            await self.say(faults.GARBAGE)
            raise Cut
        if switches.take("truncate", dice):
            self.writer.write(b"25")
            await self.writer.drain()
            raise Cut
        await self.say(f"250 2.0.0 Ok: queued as {len(self.owner.mails):06d}")


def _address(text: str) -> str:
    return text.partition("<")[2].partition(">")[0]
