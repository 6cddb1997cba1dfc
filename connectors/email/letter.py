"""A message as an e-mail: headers nobody can add to, plain text, and the same as HTML.

HTML comes from the message itself (``html``), else it is made from the text: escaped, with links, and for ``markdown``
the few marks that notices use (headings, bold, lists, links). Nothing of a message's text becomes markup by itself.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
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


def build(given: Mapping[str, Any], config: Mapping[str, Any], now: float) -> tuple[EmailMessage, str, list[str]]:
    """The message, its sender and the recipients of the envelope. Raises Unsendable."""
    sender = address(str(config["from_address"]), str(config.get("from_name") or ""))
    recipients = [address(one) for one in given.get("to") or []]
    if not recipients:
        raise Unsendable("nobody to send it to")
    text = str(given.get("text") or "")
    made = EmailMessage(policy=POLICY)
    made["From"] = sender
    hidden = len(recipients) > 1 and config.get("hide_recipients", True) is not False
    if hidden:
        made["To"] = "undisclosed-recipients:;"
    else:
        made["To"] = recipients
    if config.get("reply_to"):
        made["Reply-To"] = address(str(config["reply_to"]))
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
    return made, sender.addr_spec, [one.addr_spec for one in recipients]


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
