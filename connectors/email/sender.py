"""Hands a message to a mail server by SMTP. What the server says becomes an answer with ``code`` and ``message``.

Until the text of the mail is on its way nothing can have happened (NotSent); once it is, only the server's last word
tells, and without it nobody knows (NoAnswer). One conversation per message.

Recipients who are refused for now, while others took it, are ``rest``: the next try gets it back and writes to them
alone. It holds ``done``, the marks of those who are not written to again, and ``refused``, the masked words about those
of them who never will be.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from typing import Any

import aiosmtplib

from connectors.core import answer, egress, jsontext, line, model, scope
from connectors.email import letter

CONNECT = 10.0
"""Seconds for the socket, TLS and the greeting."""


async def send(request: model.Request, way: line.Line) -> answer.Answer:
    """One mail, or the connection test (greeting, TLS, login, NOOP)."""
    connection = way.connection
    config = scope.settings(connection)
    mail, before = None, dict[str, Any]()
    try:
        letter.sender_of(config)  # a connection test asks it too, before every message fails
        if request.method != "GET":
            given = jsontext.loads(request.body)
            mail, before = letter.build(given, config, time.time()), given.get("rest") or {}
    except letter.Unsendable as error:
        return _told("sender" if isinstance(error, letter.Anonymous) else "501", str(error))
    server = _server(config, request.timeout)
    try:
        refused = await _opened(server, config, connection.secrets.get("password", ""))
        if refused is not None:
            return refused
        if mail is None:
            return await _said(server.noop())
        return await _delivered(server, mail, before)
    finally:
        await _closed(server)


def _server(config: dict[str, Any], timeout: float) -> aiosmtplib.SMTP:
    security = config.get("security", "tls")
    context = None
    if security != "none":
        context = ssl.create_default_context()
        if config.get("tls_verify") is False:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return aiosmtplib.SMTP(
        hostname=str(config["host"]),
        local_hostname=str(config.get("helo") or "shuniu.local"),
        timeout=min(timeout, 30.0),
        use_tls=security == "tls",
        start_tls=False,
        tls_context=context,
    )


async def _opened(server: aiosmtplib.SMTP, config: dict[str, Any], password: str) -> answer.Answer | None:
    """Greeted, private and known; else the answer that says why not. Raises NotSent, egress.Blocked."""
    try:
        way = await egress.connected(str(config["host"]), int(config["port"]), CONNECT)
        await server.connect(timeout=CONNECT, sock=way)
        if config.get("security") == "starttls":
            await server.starttls()
        if config.get("username"):
            await server.login(str(config["username"]), password)
    except egress.Blocked:
        raise
    except aiosmtplib.SMTPResponseException as error:
        return _refusal(error)
    except (aiosmtplib.SMTPException, OSError) as error:
        if _certificate(error):
            return _told("certificate", str(error))
        if "not supported" in str(error):
            return _told("tls" if "STARTTLS" in str(error) else "auth", str(error))
        raise line.NotSent(f"{type(error).__name__}: {error}"[:300]) from None
    except ssl.CertificateError as error:  # an OSError on some versions, a ValueError on others
        return _told("certificate", str(error))
    return None


def _certificate(error: BaseException) -> bool:
    """Whether the server's certificate is what went wrong, however deep it is wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


async def _delivered(server: aiosmtplib.SMTP, mail: letter.Letter, before: dict[str, Any]) -> answer.Answer:
    done = set(before.get("done") or [])
    gone = before.get("refused") or [_turned_away(one, "501", "not an e-mail address") for one in mail.wrong]
    later: list[dict[str, str]] = []
    taken: list[str] = []
    try:
        await server.mail(mail.sender)
        for one in mail.recipients:
            if letter.mark(mail, one) in done:
                continue
            try:
                await server.rcpt(one)
                taken.append(letter.mark(mail, one))
            except aiosmtplib.SMTPRecipientRefused as error:
                said = _turned_away(one, str(error.code), str(error.message))
                if said["code"].startswith("4"):
                    later.append(said)
                else:
                    gone.append(said)
                    done.add(letter.mark(mail, one))
    except aiosmtplib.SMTPResponseException as error:
        return _refusal(error)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise line.NotSent(f"{type(error).__name__}: {error}"[:300]) from None
    if not taken and not before:
        # Nobody got it: as long as one of them may still take it, it is not over.
        said_last = [*gone, *later][-1]
        return _told(said_last["code"], said_last["message"])
    words = "nobody else to write to" if not later else later[-1]["message"]
    if taken:
        try:
            words = str((await server.data(mail.message.as_bytes())).message)
        except aiosmtplib.SMTPResponseException as error:
            if not 200 <= error.code < 600:
                raise line.NoAnswer(f"no SMTP reply: {error.message}"[:300]) from None
            return _refusal(error)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise line.NoAnswer(f"{type(error).__name__}: {error}"[:300]) from None
    more: dict[str, Any] = {"refused": [*gone, *later]} if gone or later else {}
    if later:
        more["rest"] = {"done": sorted(done.union(taken)), "refused": gone}
    return _told("250", words, id=mail.message["Message-ID"], **more)


def _turned_away(address: str, code: str, message: str) -> dict[str, str]:
    """Who was refused, so that a person knows the address, and why; it is kept longer than the address may be."""
    name, at, host = address.rpartition("@")
    shown = f"{name[:2]}***{at}{host}" if at else f"{address[:2]}***"
    return {"to": shown, "code": code, "message": message.replace(address, shown)[:300]}


async def _said(reply: Any) -> answer.Answer:
    """The answer to a question that changes nothing."""
    try:
        said = await reply
    except aiosmtplib.SMTPResponseException as error:
        return _refusal(error)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise line.NoAnswer(f"{type(error).__name__}: {error}"[:300]) from None
    return _told(str(said.code), str(said.message))


def _refusal(error: aiosmtplib.SMTPResponseException) -> answer.Answer:
    if not 200 <= error.code < 600:
        raise line.NotSent(f"no SMTP reply: {error.message}"[:300])
    return _told(str(error.code), str(error.message))


async def _closed(server: aiosmtplib.SMTP) -> None:
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await server.quit(timeout=2.0)
    server.close()


def _told(code: str, message: str, **more: Any) -> answer.Answer:
    body = {"code": code, "message": message[:1000], **more}
    return answer.Answer(200, {"content-type": "application/json"}, jsontext.dumps(body))
