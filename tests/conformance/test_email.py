"""E-mail: a real mail server (aiosmtpd) over TLS, STARTTLS and in the open; classes of failure; hostile words."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email
import email.policy
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd import smtp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.core import client, errors, model, registry
from connectors.email import letter, simulator
from tests.conformance import rehearsal

pytestmark = pytest.mark.peers("aiosmtpd")

SPEC = registry.get("email")
USER, PASSWORD = "notice@example.com", "app-password-of-the-mailbox"


class Post:
    """What the real server took; ``answers`` maps a step to the reply it shall give instead."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.mails: list[tuple[smtp.Envelope, Any]] = []

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: smtp.Envelope, address: str, options: list[str]
    ) -> str:
        if "mail" in self.answers:
            return self.answers["mail"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: smtp.Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: smtp.Envelope) -> str:
        if "data" in self.answers:
            return self.answers["data"]
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append((envelope, email.message_from_bytes(content, policy=email.policy.default)))
        return "250 2.0.0 queued"


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1, self-signed, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, private)
    return context, cert


def _known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> smtp.AuthResult:
    good = isinstance(data, smtp.LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return smtp.AuthResult(success=good, handled=good)


@contextlib.asynccontextmanager
async def post(folder: Path, security: str, handler: Post) -> AsyncIterator[Callable[..., model.Connection]]:
    """A real mail server in this loop; gives a maker of connections to it."""
    context, _ = certificate(folder)
    loop = asyncio.get_running_loop()

    def made() -> smtp.SMTP:
        tls = {"tls_context": context, "require_starttls": True} if security == "starttls" else {}
        return smtp.SMTP(handler, authenticator=_known, auth_require_tls=False, loop=loop, ident="real", **tls)

    server = await loop.create_server(made, "127.0.0.1", 0, ssl=context if security == "tls" else None)
    port = server.sockets[0].getsockname()[1]

    def connected(**config: Any) -> model.Connection:
        settings = {"host": "127.0.0.1", "port": port, "security": security, "username": USER, "from_address": USER}
        return model.Connection("mail", SPEC, {**settings, "tls_verify": False, **config}, {"password": PASSWORD})

    try:
        yield connected
    finally:
        server.close()
        await server.wait_closed()


def message(*to: str, **more: Any) -> dict[str, Any]:
    return {"id": "evt-1", "to": list(to or ["a@example.com"]), "subject": "订单已发货", "text": "运单号 SF1", **more}


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
async def test_a_real_server_takes_it_whole(security: str, tmp_path: Path, calls: client.Client) -> None:
    handler = Post()
    async with post(tmp_path, security, handler) as connected:
        connection = connected(from_name="枢纽通知", reply_to="help@example.com")
        assert (await calls.probe(connection)).data
        assert handler.mails == []
        text = ".开头有点\n\n订单 <b>SN1</b> https://example.com/o?a=1&b=2\n" + "长" * 2000
        found = await calls.call(connection, "message.send", message(text=text, subject="【枢纽】订单\n已发货"))
        ((envelope, mail),) = handler.mails
        assert (envelope.mail_from, envelope.rcpt_tos) == (USER, ["a@example.com"])
        assert mail["Subject"] == "【枢纽】订单 已发货"
        assert mail["From"].addresses[0].display_name == "枢纽通知"
        assert str(mail["Reply-To"]) == "help@example.com"
        assert mail["Message-ID"] == found.record_id
        assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n").strip() == text.strip()
        rich = mail.get_body(("html",)).get_content()
        assert "&lt;b&gt;SN1&lt;/b&gt;" in rich
        assert '<a href="https://example.com/o?a=1&amp;b=2">' in rich
        assert PASSWORD not in repr(found.exchanges)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_certificate_nobody_vouches_for_is_refused(
    security: str, tmp_path: Path, calls: client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = Post()
    async with post(tmp_path, security, handler) as connected:
        with pytest.raises(errors.Misdeclared) as refused:
            await calls.call(connected(tls_verify=True), "message.send", message())
        assert "证书" in refused.value.hint["zh"]
        assert handler.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        await calls.call(connected(tls_verify=True), "message.send", message())
        assert len(handler.mails) == 1


async def test_starttls_never_falls_back_to_the_open(tmp_path: Path, calls: client.Client) -> None:
    handler = Post()
    async with post(tmp_path, "none", handler) as connected:
        with pytest.raises(errors.Misdeclared) as refused:
            await calls.call(connected(security="starttls"), "message.send", message())
        assert "STARTTLS" in refused.value.hint["zh"]
        assert handler.mails == []


async def test_a_wrong_password_pauses_and_a_relay_needs_none(tmp_path: Path, calls: client.Client) -> None:
    handler = Post()
    async with post(tmp_path, "none", handler) as connected:
        wrong = model.Connection("w", SPEC, connected().config, {"password": "something-else"})
        with pytest.raises(errors.CredentialRefused) as refused:
            await calls.probe(wrong)
        assert "授权码" in refused.value.hint["zh"]
        assert "something-else" not in repr(refused.value.exchange)
        relay = {**connected().config}
        del relay["username"]
        await calls.call(model.Connection("r", SPEC, relay, {}), "message.send", message())
        assert len(handler.mails) == 1


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"mail": "450 4.2.0 Greylisted"}, errors.Unavailable),
        ({"mail": "451 4.3.0 Try again later"}, errors.Unavailable),
        ({"mail": "550 Ip frequency limited"}, errors.Throttled),
        ({"mail": "530 5.7.0 Authentication required"}, errors.CredentialRefused),
        ({"a@example.com": "452 4.2.2 Mailbox full"}, errors.Throttled),
        ({"a@example.com": "550 5.1.1 No such user"}, errors.Rejected),
        ({"data": "421 4.7.0 Too many messages"}, errors.Throttled),
        ({"data": "552 5.3.4 Too big"}, errors.Rejected),
        ({"data": "554 5.7.1 Spam"}, errors.Rejected),
        ({"mail": "502 5.5.1 What?"}, errors.Misdeclared),
    ],
)
async def test_what_the_server_says_decides_what_follows(
    answers: dict[str, str], kind: type[Exception], tmp_path: Path, calls: client.Client
) -> None:
    async with post(tmp_path, "none", Post(**answers)) as connected:
        with pytest.raises(kind) as refused:
            await calls.call(connected(), "message.send", message())
        assert type(refused.value) is kind
        assert getattr(refused.value, "hint", {})["zh"]
        assert next(iter(answers.values())).split(" ", 1)[1] in str(refused.value)


async def test_some_recipients_refused_is_a_warning_and_nobody_sees_the_others(
    tmp_path: Path, calls: client.Client
) -> None:
    handler = Post(**{"gone@example.com": "550 5.1.1 No such user"})
    async with post(tmp_path, "none", handler) as connected:
        to = ("a@example.com", "gone@example.com", "b@example.com")
        found = await calls.call(connected(), "message.send", message(*to))
        ((envelope, mail),) = handler.mails
        assert envelope.rcpt_tos == ["a@example.com", "b@example.com"]
        assert "example.com" not in str(mail["To"])
        told = " ".join(found.warnings)
        assert "go***@example.com" in told
        assert "gone@" not in told, "a person's address is kept with the attempt, and shown"
        await calls.call(connected(hide_recipients=False), "message.send", message("a@example.com", "b@example.com"))
        assert str(handler.mails[1][1]["To"]) == "a@example.com, b@example.com"


async def test_one_mistyped_address_does_not_keep_the_mail_from_the_others(
    tmp_path: Path, calls: client.Client
) -> None:
    handler = Post()
    async with post(tmp_path, "none", handler) as connected:
        found = await calls.call(connected(), "message.send", message("a@example.com", "b@example", "c.example.com"))
        ((envelope, _),) = handler.mails
        assert envelope.rcpt_tos == ["a@example.com"]
        told = " ".join(found.warnings)
        assert "b***@example" in told
        assert "c.***" in told


async def test_a_greylisted_recipient_is_tried_again_although_another_is_gone(
    tmp_path: Path, calls: client.Client
) -> None:
    answers = {"gone@example.com": "550 5.1.1 No such user", "later@example.com": "450 4.2.0 Greylisted"}
    async with post(tmp_path, "none", Post(**answers)) as connected:
        with pytest.raises(errors.Unavailable, match="Greylisted"):
            await calls.call(connected(), "message.send", message("gone@example.com", "later@example.com", "typo"))


async def test_who_is_refused_for_now_is_the_rest_and_the_others_are_not_written_to_again(
    tmp_path: Path, calls: client.Client
) -> None:
    handler = Post(**{"gone@example.com": "550 5.1.1 No such user", "later@example.com": "450 4.2.0 Greylisted"})
    to = ("a@example.com", "gone@example.com", "later@example.com", "typo")
    async with post(tmp_path, "none", handler) as connected:
        found = await calls.call(connected(), "message.send", message(*to))
        for _ in range(2):
            assert len(found.rest["done"]) == 2
            assert "@example.com" not in "".join(found.rest["done"])
            assert all(name in found.warnings[0] for name in ("go***@", "la***@", "ty***"))
            again = {**message(*to), "rest": found.rest}
            found = await calls.call(connected(), "message.send", again, fresh=False)
        assert [envelope.rcpt_tos for envelope, _ in handler.mails] == [["a@example.com"]]
        handler.answers.clear()
        found = await calls.call(connected(), "message.send", again, fresh=False)
        assert found.rest is None
        assert all(name in found.warnings[0] for name in ("go***@", "ty***"))
        assert "la***@" not in found.warnings[0]
        assert [envelope.rcpt_tos for envelope, _ in handler.mails] == [["a@example.com"], ["later@example.com"]]
        handler.answers["later@example.com"] = "550 5.1.1 No such user"
        over = await calls.call(connected(), "message.send", again, fresh=False)
        assert (over.rest, len(handler.mails)) == (None, 2), "nobody may still take it: it is over, and nothing is sent"


async def test_a_sender_that_is_no_address_is_the_connections_mistake_and_the_test_finds_it(
    tmp_path: Path, calls: client.Client
) -> None:
    async with post(tmp_path, "none", Post()) as connected:
        for wrong in ({"from_address": "notice@localhost"}, {"reply_to": "me"}):
            with pytest.raises(errors.Misdeclared) as refused:
                await calls.probe(connected(**wrong))
            assert "发件地址" in refused.value.hint["zh"]
            with pytest.raises(errors.Misdeclared):
                await calls.call(connected(**wrong), "message.send", message())


@pytest.mark.parametrize(
    "hostile",
    [
        "a@example.com\r\nBcc: x@evil.example",
        "a b@example.com",
        "no-at-sign",
        "@example.com",
        "a@",
        "<a@example.com>",
        "a@b",
        "用户@example.com",
    ],
)
async def test_addresses_that_are_none_are_refused_before_anything_is_said(
    hostile: str, tmp_path: Path, calls: client.Client
) -> None:
    handler = Post()
    async with post(tmp_path, "none", handler) as connected:
        with pytest.raises(errors.Rejected):
            await calls.call(connected(), "message.send", message(hostile))
        assert handler.mails == []


@pytest.mark.parametrize("subject", ["x\r\nBcc: y@evil.example", "x\nTo: y", "x\r\r\nA: b", "x\u2028Bcc: y", "x\x00y"])
async def test_a_title_adds_no_header(subject: str, tmp_path: Path, calls: client.Client) -> None:
    handler = Post()
    async with post(tmp_path, "none", handler) as connected:
        await calls.call(connected(from_name=subject), "message.send", message(subject=subject))
        ((envelope, mail),) = handler.mails
        assert envelope.rcpt_tos == ["a@example.com"]
        assert mail["Bcc"] is None
        assert len(mail.get_all("To")) == 1
        assert mail["A"] is None


def test_a_domain_in_chinese_travels_as_ascii() -> None:
    assert letter.address("kefu@例子.中国").addr_spec == "kefu@xn--fsqu00a.xn--fiqs8s"


def test_marks_become_html_only_when_asked_and_markup_never() -> None:
    text = "# 库存告警\n**SKU-001** 剩余 3\n\n- 甲\n- 乙 [查看](https://example.com/a?x=1&y=2)\n\n<script>alert(1)</script>"
    rich = letter.rendered(text, marked=True)
    assert "<h2>库存告警</h2>" in rich
    assert "<b>SKU-001</b>" in rich
    assert '<li>乙 <a href="https://example.com/a?x=1&amp;y=2">查看</a></li>' in rich
    assert "<script>" not in rich
    plain = letter.rendered(text)
    assert "<b>" not in plain
    assert "<li>" not in plain
    evil = letter.rendered('[x](javascript:alert(1)) [y](https://a" onclick="z)', marked=True)
    assert "javascript:alert(1)" in evil
    assert 'href="javascript' not in evil
    assert 'onclick="z' not in evil


async def test_nobody_listens_or_something_else_does(calls: client.Client) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        config = {"host": "127.0.0.1", "port": port, "security": "none", "from_address": USER}
        with pytest.raises(errors.Unavailable) as error:
            await calls.call(model.Connection("m", SPEC, config, {}), "message.send", message())
        assert type(error.value) is errors.Unavailable, "it never left: it may be sent again"

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(web, "127.0.0.1", 0)
    config["port"] = server.sockets[0].getsockname()[1]
    with pytest.raises(errors.Unavailable):
        await calls.call(model.Connection("m2", SPEC, config, {}), "message.send", message())
    server.close()
    await server.wait_closed()


async def test_a_lost_last_word_is_not_known_and_a_repeat_looks_the_same() -> None:
    async with rehearsal.stage("email") as stage:
        simulated = stage.simulator
        assert isinstance(simulated, simulator.Simulator)
        connection = stage.connection()
        simulated.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await stage.caller.call(connection, "message.send", message())
        await stage.caller.call(connection, "message.send", message())
        assert len({mail["id"] for mail in simulated.mails}) == 1
        assert len(simulated.mails) == 2
        for fault in ("garbage", "truncate"):
            setattr(simulated.faults, fault, 1)
            with pytest.raises(errors.OutcomeUnknown):
                await stage.caller.call(connection, "message.send", message())
        simulated.faults.error_rate = 1
        with pytest.raises(errors.Unavailable):
            await stage.caller.call(connection, "message.send", message())
