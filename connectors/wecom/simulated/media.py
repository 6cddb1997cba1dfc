"""A file that comes as a form of one part, read without a web framework's help."""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import Any

from connectors.wecom.simulated import messages


def part(kind: str, raw: bytes) -> dict[str, Any]:
    """``filename`` and ``content`` of the part called media. Raises Refusal for anything else."""
    found = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw, policy=policy.HTTP)
    for one in found.iter_parts() if found.is_multipart() else ():
        if one.get_param("name", header="content-disposition") == "media" and one.get_filename():
            content = one.get_payload(decode=True)
            told = one.get_param("filelength", header="content-disposition")
            if not isinstance(content, bytes) or str(told) != str(len(content)):
                raise messages.Refusal(40006, "invalid filelength")
            return {"filename": one.get_filename(), "content": content}
    raise messages.Refusal(41005, "media data missing")
