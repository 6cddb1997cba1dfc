"""The binary frames of the long connection (Protocol Buffers, proto2), written and read without a compiler.

Frame: 1 SeqID, 2 LogID, 3 service, 4 method (0 control, 1 data), 5 headers (key 1, value 2; repeated),
6 payload_encoding, 7 payload_type, 8 payload, 9 LogIDNew. The first four are always written. Fields we do not know
are skipped, as the format asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

CONTROL, DATA = 0, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class FrameError(ValueError):
    """The bytes are no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``headers`` keep their order; a key that comes twice counts with its first value."""

    method: int
    headers: tuple[tuple[str, str], ...] = ()
    payload: bytes = b""
    service: int = 0
    seq_id: int = 0
    log_id: int = 0
    encoding: str = ""
    kind: str = ""
    log_id_new: str = field(default="")

    def get(self, key: str, default: str = "") -> str:
        """A header's value."""
        return next((value for name, value in self.headers if name == key), default)

    def answered(self, payload: bytes, *more: tuple[str, str]) -> Frame:
        """The same frame with another payload, the way a message is acknowledged."""
        return replace(self, payload=payload, headers=(*self.headers, *more))


def encode(frame: Frame) -> bytes:
    """The frame as it goes over the wire."""
    out = bytearray()
    for number, value in ((1, frame.seq_id), (2, frame.log_id), (3, frame.service), (4, frame.method)):
        out += _varint(number << 3 | _VARINT) + _varint(value)
    for key, text in frame.headers:
        out += _bytes(5, _bytes(1, key.encode()) + _bytes(2, text.encode()))
    for number, text in ((6, frame.encoding), (7, frame.kind)):
        out += _bytes(number, text.encode()) if text else b""
    out += _bytes(8, frame.payload) if frame.payload else b""
    return bytes(out + (_bytes(9, frame.log_id_new.encode()) if frame.log_id_new else b""))


def decode(data: bytes) -> Frame:
    """The frame in ``data``. Raises FrameError."""
    numbers: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    headers: list[tuple[str, str]] = []
    try:
        for number, value in _fields(data):
            if isinstance(value, int):
                numbers[number] = value
            elif number == 5:
                inner = {key: text for key, text in _fields(value) if isinstance(text, bytes)}
                headers.append((inner.get(1, b"").decode(), inner.get(2, b"").decode()))
            else:
                texts[number] = value
        return Frame(
            method=numbers[4],
            headers=tuple(headers),
            payload=texts.get(8, b""),
            service=numbers.get(3, 0),
            seq_id=numbers.get(1, 0),
            log_id=numbers.get(2, 0),
            encoding=texts.get(6, b"").decode(),
            kind=texts.get(7, b"").decode(),
            log_id_new=texts.get(9, b"").decode(),
        )
    except (KeyError, IndexError, UnicodeError):
        raise FrameError("not a frame of the long connection") from None


def _varint(value: int) -> bytes:
    # A negative int32 is written as its 64-bit two's complement.
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        if shift > 63:
            raise FrameError("a number longer than 64 bits")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of every field; fixed-size ones come as their bytes. Raises FrameError or IndexError."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise FrameError(f"a field of kind {kind}")
        if at + size > len(data):
            raise FrameError("cut short")
        yield tag >> 3, data[at : at + size]
        at += size
