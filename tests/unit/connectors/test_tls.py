"""S-12: a system that cannot prove who it is gets no request, and none of our credentials."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.core import line, model
from tests.unit.connectors import shop


def certificate(folder: Path, host: str, days: int) -> ssl.SSLContext:
    """What a server shows that signed its own certificate, good for so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / f"{host}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[bytes]]]:
    seen: list[bytes] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    made = await asyncio.start_server(met, "127.0.0.1", 0, ssl=context)
    try:
        yield made.sockets[0].getsockname()[1], seen
    finally:
        made.close()
        await made.wait_closed()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")  # that is what is tried
@pytest.mark.parametrize(
    ("host", "days", "file"),
    [
        ("localhost", 30, None),
        ("localhost", -1, "own"),
        ("elsewhere.test", 30, "own"),
        ("localhost", 30, "old protocol"),
    ],
    ids=["signed by itself", "expired", "another host's", "TLS 1.1"],
)
async def test_no_request_without_proof(
    host: str, days: int, file: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path, host, days)
    if file == "old protocol":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    if file is not None:
        # This certificate is trusted, so that what else is wrong with it is what counts.
        trusted = ssl.create_default_context(cafile=str(tmp_path / f"{host}.pem"))
        monkeypatch.setattr(line, "_ssl", lambda _verify: trusted)
    async with server(context) as (port, seen):
        way = line.Line(model.Connection("shop", shop.SPEC, {}, {}))
        try:
            with pytest.raises(line.NotSent):
                await way.http(model.Request("GET", f"https://localhost:{port}/?token=canary-token", timeout=5.0))
        finally:
            await way.aclose()
        assert not seen


async def test_the_same_server_in_good_order_is_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the refusals above are about the proof."""
    context = certificate(tmp_path, "localhost", 30)
    trusted = ssl.create_default_context(cafile=str(tmp_path / "localhost.pem"))
    monkeypatch.setattr(line, "_ssl", lambda _verify: trusted)
    async with server(context) as (port, seen):
        way = line.Line(model.Connection("shop", shop.SPEC, {}, {}))
        try:
            got = await way.http(model.Request("GET", f"https://localhost:{port}/", timeout=5.0))
        finally:
            await way.aclose()
        assert (got.status, len(seen)) == (200, 1)
