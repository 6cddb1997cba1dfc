"""Feishu's binary frames against the compiler's own code, and damaged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.feishu import frames
from tests.conformance import feishu_stage as stage


@pytest.mark.peers("lark_oapi")
async def test_peer_reads_our_frames_and_we_read_its() -> None:
    given = [
        frames.Frame(frames.CONTROL, (("type", "ping"),), service=33554678),
        frames.Frame(frames.DATA, (("type", "event"), ("message_id", "中文")), b'{"code":200}', 1, 2**63, 7),
        frames.Frame(frames.DATA, (), bytes(range(256)) * 2, 0, 0, 300, "gzip", "json", "0123"),
    ]
    told = await stage.peer("frames", frames=[frames.encode(one).hex() for one in given])
    for one, seen in zip(given, told, strict=True):
        assert (seen["method"], seen["service"], seen["payload"]) == (one.method, one.service, one.payload.hex())
        assert [tuple(pair) for pair in seen["headers"]] == list(one.headers)
        assert bytes.fromhex(seen["bytes"]) == frames.encode(one)
        assert frames.decode(bytes.fromhex(seen["bytes"])) == one


def damaged() -> Iterator[bytes]:
    whole = frames.encode(frames.Frame(frames.DATA, (("type", "event"),), b"{}", 1, 2, 3))
    yield b""
    yield from (whole[:size] for size in range(1, len(whole)) if size != 8)
    yield b"\xff" * 40
    yield b"\x2a\x7f"
    yield whole + b"\x0b"


def test_damaged_frames_are_no_frames() -> None:
    for data in damaged():
        try:
            found = frames.decode(data)
        except frames.FrameError:
            continue
        assert found.method in (frames.CONTROL, frames.DATA)


@given(st.binary(max_size=300), st.integers(0, 60), st.binary(max_size=8))
def test_any_bytes_are_a_frame_or_no_frame(noise: bytes, at: int, piece: bytes) -> None:
    whole = frames.encode(frames.Frame(frames.DATA, (("type", "event"), ("message_id", "中文")), b'{"a":1}', 1, 2, 3))
    for data in (noise, whole[:at] + piece + whole[at + len(piece) :]):
        try:
            found = frames.decode(data)
        except frames.FrameError:
            continue
        assert frames.decode(frames.encode(found)) == found


def test_unknown_fields_of_any_kind_are_skipped() -> None:
    frame = frames.Frame(frames.DATA, (("type", "event"),), b"{}", 5)
    more = b"\x78\x01" + b"\x7a\x02hi" + b"\x7d\x01\x02\x03\x04" + b"\x79" + bytes(8)
    assert frames.decode(frames.encode(frame) + more) == frame


def test_a_negative_number_survives() -> None:
    assert frames.decode(frames.encode(frames.Frame(frames.DATA, seq_id=-1))).seq_id == 2**64 - 1
