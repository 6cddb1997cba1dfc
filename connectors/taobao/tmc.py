"""The binary frames of TMC (消息服务): bytes <-> Frame, and the frames a client says.

Little-endian. A frame is ``protocolVersion`` (2) and ``messageType`` (one byte each), then headers of
``uint16 type`` + value, ended by type 0. Strings are ``int32`` length + UTF-8. A custom header is a
name, a format byte and a value. Layout as in the vendor's top-link client; captured frames are in
``samples/vectors.json``.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

PROTOCOL = 2
LARGEST = 4 * 1024 * 1024
"""Bytes; a longer frame, or content that unpacks to more, is refused."""


class FrameError(ValueError):
    """The bytes are not a whole frame of this protocol."""


class Message(IntEnum):
    """What a frame is (``messageType``)."""

    CONNECT = 0
    CONNECTACK = 1
    SEND = 2
    SENDACK = 3


class Kind(IntEnum):
    """What a SEND frame says (custom header ``__kind``)."""

    PULL = 1
    CONFIRM = 2
    DATA = 3
    FAILED = 20


class Format(IntEnum):
    """How a custom value is written."""

    VOID = 0
    TEXT = 1
    BYTE = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    DATE = 6  # int64, Unix milliseconds
    BYTES = 7


_NUMBERS: dict[Format, str] = {
    Format.BYTE: "<B",
    Format.INT16: "<h",
    Format.INT32: "<i",
    Format.INT64: "<q",
    Format.DATE: "<q",
}
_END, _CUSTOM, _STATUS, _PHRASE, _FLAG, _TOKEN = range(6)


@dataclass(frozen=True, slots=True)
class Value:
    """A custom value with the format it travels in; DATE holds Unix milliseconds."""

    format: Format
    value: Any


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``custom`` keeps the order of its headers; ``flag`` has no known use."""

    message: int
    custom: Mapping[str, Value] = field(default_factory=dict)
    status: int | None = None
    phrase: str | None = None
    flag: int | None = None
    token: str | None = field(default=None, repr=False)

    def get(self, name: str, default: Any = None) -> Any:
        """The plain value of custom header ``name``."""
        held = self.custom.get(name)
        return default if held is None else held.value


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises FrameError when a value does not fit its format."""
    out = bytearray((PROTOCOL, frame.message))
    try:
        if frame.status is not None:
            out += struct.pack("<Hi", _STATUS, frame.status)
        if frame.phrase is not None:
            out += struct.pack("<H", _PHRASE) + _counted(frame.phrase.encode())
        if frame.flag is not None:
            out += struct.pack("<Hi", _FLAG, frame.flag)
        if frame.token is not None:
            out += struct.pack("<H", _TOKEN) + _counted(frame.token.encode())
        for name, held in frame.custom.items():
            out += struct.pack("<H", _CUSTOM) + _counted(name.encode()) + bytes((held.format,)) + _packed(held)
    except struct.error as error:
        raise FrameError(f"a value does not fit its format: {error}") from error
    out += struct.pack("<H", _END)
    return bytes(out)


def decode(data: bytes) -> Frame:
    """The frame in ``data``. Raises FrameError for anything cut off, oversized or unknown."""
    if len(data) > LARGEST:
        raise FrameError(f"frame of {len(data)} bytes")
    reader = _Reader(data)
    version, message = reader.number("<B"), reader.number("<B")
    if version != PROTOCOL:
        raise FrameError(f"protocol version {version}")
    status = phrase = flag = token = None
    custom: dict[str, Value] = {}
    while (header := reader.number("<H")) != _END:
        if header == _CUSTOM:
            name = reader.text()
            custom[name] = reader.value()
        elif header == _STATUS:
            status = reader.number("<i")
        elif header == _PHRASE:
            phrase = reader.text()
        elif header == _FLAG:
            flag = reader.number("<i")
        elif header == _TOKEN:
            token = reader.text()
        else:
            raise FrameError(f"header type {header}")
    return Frame(message, custom, status, phrase, flag, token)


def sign(app_key: str, group: str, timestamp: int, secret: str) -> str:
    """The proof of a CONNECT; ``timestamp`` in Unix milliseconds."""
    text = f"{secret}app_key{app_key}group_name{group}timestamp{timestamp}{secret}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


def connect(app_key: str, group: str, timestamp: int, secret: str) -> Frame:
    """The first frame of a client; ``timestamp`` in Unix milliseconds."""
    said = {
        "app_key": app_key,
        "group_name": group,
        "timestamp": str(timestamp),
        "sign": sign(app_key, group, timestamp, secret),
        "sdk": "shuniu",
    }
    return Frame(Message.CONNECT, {name: Value(Format.TEXT, value) for name, value in said.items()})


def pull(token: str) -> Frame:
    """Ask for what waits in the queue."""
    return Frame(Message.SEND, {"__kind": Value(Format.BYTE, Kind.PULL)}, token=token)


def confirm(token: str, message_id: int) -> Frame:
    """Say that one message is kept: it never comes again."""
    custom = {"__kind": Value(Format.BYTE, Kind.CONFIRM), "id": Value(Format.INT64, message_id)}
    return Frame(Message.SEND, custom, token=token)


def failed(token: str, message_id: int, reason: str) -> Frame:
    """Give one message back: it comes again, to this reader of the queue or another."""
    custom = {
        "__kind": Value(Format.BYTE, Kind.FAILED),
        "id": Value(Format.INT64, message_id),
        "msg": Value(Format.TEXT, reason[:128]),
    }
    return Frame(Message.SEND, custom, token=token)


def content(frame: Frame) -> str:
    """The JSON text of a data frame, unzipped when it came zipped. Raises FrameError when it is neither."""
    held = frame.get("content", "")
    if isinstance(held, str):
        return held
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(held)) as packed:
            plain = packed.read(LARGEST + 1)
        if len(plain) > LARGEST:
            raise FrameError("content unpacks to more than is allowed")
        return plain.decode()
    except (OSError, EOFError, zlib.error, TypeError, UnicodeDecodeError) as error:
        raise FrameError(f"content cannot be read: {error}") from error


def _counted(data: bytes) -> bytes:
    return struct.pack("<i", len(data)) + data


def _packed(held: Value) -> bytes:
    if held.format is Format.VOID:
        return b""
    if held.format is Format.TEXT:
        return _counted(held.value.encode())
    if held.format is Format.BYTES:
        return _counted(held.value)
    return struct.pack(_NUMBERS[held.format], held.value)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, layout: str) -> int:
        try:
            (number,) = struct.unpack_from(layout, self.data, self.at)
        except struct.error as error:
            raise FrameError(f"cut off at byte {self.at}") from error
        self.at += struct.calcsize(layout)
        return int(number)

    def counted(self) -> bytes:
        length = self.number("<i")
        if length < 0 or self.at + length > len(self.data):
            raise FrameError(f"cut off at byte {self.at}")
        self.at += length
        return self.data[self.at - length : self.at]

    def text(self) -> str:
        try:
            return self.counted().decode()
        except UnicodeDecodeError as error:
            raise FrameError(f"not UTF-8 before byte {self.at}") from error

    def value(self) -> Value:
        number = self.number("<B")
        try:
            kind = Format(number)
        except ValueError as error:
            raise FrameError(f"value format {number}") from error
        if kind is Format.VOID:
            return Value(kind, None)
        if kind is Format.TEXT:
            return Value(kind, self.text())
        if kind is Format.BYTES:
            return Value(kind, self.counted())
        return Value(kind, self.number(_NUMBERS[kind]))
