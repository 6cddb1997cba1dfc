"""Pictures that go with a call: TOP takes them as files of a multipart body, beside its signed parameters.

They are given as base64 text (a ``data:`` address will do) under the name of their parameter. Files are not signed.
``sign`` itself goes into the query, where it is known for a proof and never shown.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

from connectors.core import errors, model

NAMES = ("refuse_proof", "leave_message_pics")
MOST = 130_000
"""Bytes that the platform takes."""
KINDS = (
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"GIF8", "gif", "image/gif"),
)


def taken(form: dict[str, str]) -> dict[str, bytes]:
    """The pictures, taken out of ``form``. Raises Misdeclared for what is none, or too large."""
    return {name: _read(form.pop(name)) for name in NAMES if name in form}


def attach(request: model.Request, pictures: Mapping[str, bytes]) -> None:
    """Turn the form of ``request``, signed already, into a multipart body with ``pictures`` at its end."""
    form = dict(request.form or {})
    request.query, request.form = {"sign": form.pop("sign")}, None
    seed = hashlib.sha256(b"".join(pictures.values())).hexdigest()[:40]
    edge = f"--shuniu{seed}".encode()
    parts = [
        edge + f'\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form.items()
    ]
    for name, content in pictures.items():
        _, ending, kind = _kind(content)
        head = f'content-disposition: form-data; name="{name}"; filename="proof.{ending}"\r\ncontent-type: {kind}'
        parts.append(edge + b"\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n")
    request.body = b"".join(parts) + edge + b"--\r\n"
    request.headers = {**request.headers, "content-type": f"multipart/form-data; boundary=shuniu{seed}"}


def _read(text: str) -> bytes:
    coded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        content = base64.b64decode("".join(coded.split()), validate=True)
        _kind(content)
    except (binascii.Error, ValueError):
        raise errors.Misdeclared(
            "the picture is no base64 of a JPG, PNG or GIF",
            hint={
                "zh": "凭证图片要是 JPG、PNG 或 GIF 的 base64",
                "en": "The picture must be base64 of a JPG, PNG or GIF",
            },
        ) from None
    if len(content) > MOST:
        raise errors.Misdeclared(
            f"the picture has {len(content)} bytes, more than {MOST}",
            hint={
                "zh": "凭证图片太大：淘宝最多收 130000 字节，请压缩后重放",
                "en": "The picture is too large: Taobao takes 130000 bytes at most",
            },
        )
    return content


def _kind(content: bytes) -> tuple[bytes, str, str]:
    """Raises ValueError for what is no picture."""
    for one in KINDS:
        if content.startswith(one[0]):
            return one
    raise ValueError("no picture")
