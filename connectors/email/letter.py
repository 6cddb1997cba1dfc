"""A message as an e-mail: headers nobody can add to, plain text, and the same as HTML.

HTML comes from the message itself (``html``), else it is made from the text: escaped, with links, and for ``markdown``
the few marks that notices use (headings, bold, lists, links). Nothing of a message's text becomes markup by itself.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=78)
_LINK = re.compile(r"\[([^\]\n]{1,200})\]\((https?://[^\s)]{1,1000})\)")
_BARE = re.compile(r"(?<![\"'>=/\w])(https?://[^\s<]{1,1000}[^\s<.,;:!?)\]}'\"，。；：！？、）】])")
_BOLD = re.compile(r"\*\*([^*\n]{1,500})\*\*")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f\u2028\u2029]+")


class Unsendable(ValueError):
    """An address that is none. The text names it, masked by whoever shows it."""


class Anonymous(Unsendable):
    """The sender's own address is none: what the connection says is wrong, not the message."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message with its envelope. ``wrong`` are recipients whose addresses are none."""

    message: EmailMessage
    sender: str
    recipients: list[str]
    wrong: list[str]


def address(text: str, name: str = "") -> Address:
    """An e-mail address; the domain may be in Chinese. Raises Unsendable."""
    local, _, domain = str(text).strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
        if not _LOCAL.fullmatch(local) or "." not in domain:
            raise ValueError(local)
        return Address(_line(name), addr_spec=f"{local}@{domain}")
    except (ValueError, MessageError):
        raise Unsendable(f"not an e-mail address: {_line(str(text))[:200]}") from None


def _line(text: str) -> str:
    """One line: what would begin another header becomes a space."""
    return _SPACE.sub(" ", text).strip()


def sender_of(config: Mapping[str, Any]) -> tuple[Address, Address | None]:
    """Who sends it and who gets the replies. Raises Anonymous."""
    try:
        reply_to = address(str(config["reply_to"])) if config.get("reply_to") else None
        return address(str(config["from_address"]), str(config.get("from_name") or "")), reply_to
    except Unsendable as error:
        raise Anonymous(str(error)) from None


def build(given: Mapping[str, Any], config: Mapping[str, Any], now: float) -> Letter:
    """The letter to those whose addresses can be ones. Raises Unsendable when there is none of them."""
    sender, reply_to = sender_of(config)
    recipients: list[Address] = []
    wrong: list[str] = []
    for one in given.get("to") or []:
        try:
            recipients.append(address(one))
        except Unsendable:
            wrong.append(_line(str(one))[:200])
    if not recipients:
        raise Unsendable(f"not an e-mail address: {', '.join(wrong)}" if wrong else "nobody to send it to")
    text = str(given.get("text") or "")
    made = EmailMessage(policy=POLICY)
    made["From"] = sender
    hidden = len(recipients) > 1 and config.get("hide_recipients", True) is not False
    if hidden:
        made["To"] = "undisclosed-recipients:;"
    else:
        made["To"] = recipients
    if reply_to is not None:
        made["Reply-To"] = reply_to
    made["Subject"] = _line(str(given.get("subject") or "") or (text.strip().splitlines() or ["通知"])[0])[:200]
    made["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    made["Message-ID"] = message_id(str(given.get("id") or text), sender.domain)
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text, charset="utf-8")
    made.add_alternative(
        str(given.get("html") or "") or rendered(text, given.get("format") == "markdown"),
        subtype="html",
        charset="utf-8",
    )
    return Letter(made, sender.addr_spec, [one.addr_spec for one in recipients], wrong)


def mark(letter: Letter, recipient: str) -> str:
    """Stands for a recipient of this letter where the address itself may not be kept."""
    return hashlib.sha256(f"{letter.message['Message-ID']} {recipient}".encode()).hexdigest()[:16]


def message_id(key: str, domain: str) -> str:
    """The same for the same message, however often it is sent: many mailboxes show it once."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def rendered(text: str, marked: bool = False) -> str:
    """``text`` as HTML; ``marked`` reads the marks of Markdown."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip().replace("\r\n", "\n")):
        lines = [line.rstrip() for line in block.split("\n")]
        if marked and all(re.match(r"[-*] ", line) for line in lines):
            blocks.append("<ul>" + "".join(f"<li>{_inline(line[2:], marked)}</li>" for line in lines) + "</ul>")
            continue
        heading = re.match(r"(#{1,4}) +(.*)", lines[0]) if marked else None
        if heading:
            level = len(heading[1]) + 1
            blocks.append(f"<h{level}>{_inline(heading[2], marked)}</h{level}>")
            lines = lines[1:]
        if lines and any(lines):
            blocks.append("<p>" + "<br>\n".join(_inline(line, marked) for line in lines) + "</p>")
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head>\n<body>\n{chr(10).join(blocks)}\n</body></html>\n'
    )


def _inline(text: str, marked: bool) -> str:
    out = html.escape(text)
    if marked:
        out = _LINK.sub(lambda found: f'<a href="{found[2]}">{found[1]}</a>', out)
        out = _BOLD.sub(r"<b>\1</b>", out)
    return _BARE.sub(lambda found: f'<a href="{found[1]}">{found[1]}</a>', out)
