"""An answer that is no success becomes one class of recovery, by the declared tables, else by what HTTP says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any

from connectors.core import answer, declaration, errors, paths, predicate, template

ErrorClass = declaration.ErrorClass

BAN = 300.0
"""Seconds of a ban whose length nobody told."""


@dataclass(slots=True)
class Finding:
    """What one refused answer means."""

    becomes: declaration.ErrorClass
    message: str
    code: str | None = None
    retry_after: float | None = None
    hint: dict[str, str] = field(default_factory=dict)
    scope: str = "shop"
    """Whom a ban is for."""


_HINTS: dict[str, tuple[str, str]] = {
    "redirect": (
        "接口地址被重定向，请核对连接里的地址（http/https、域名、路径）",
        "The address answers with a redirect; check it in the connection (http/https, host, path)",
    ),
    "unauthorised": (
        "对方系统拒绝了授权，请检查密钥、权限或重新授权",
        "The system refused the credentials; check or renew them",
    ),
    "busy": ("调用太频繁，稍后自动重试", "Too many calls; tried again later"),
    "down": ("对方系统暂时不可用，稍后自动重试", "The system is not available; tried again later"),
    "unclear": (
        "已发出，但没有得到可信的答复；会先查询对方系统再决定是否重发",
        "Sent, but no trustworthy answer came back; the system is asked before anything is sent again",
    ),
    "garbage": ("对方返回的不是接口数据（例如网页），请稍后重试或检查地址", "The answer is not data (a web page?)"),
    "refused": ("对方系统不接受这条记录", "The system refused this record"),
    "declared": ("接口地址或请求方式与对方系统不符", "The path or method is not what the system expects"),
}


def hint(name: str) -> dict[str, str]:
    """Our words for a situation that needs no vendor knowledge."""
    zh, en = _HINTS[name]
    return {"zh": zh, "en": en}


class Reader:
    """The compiled tables of one operation."""

    def __init__(self, spec: declaration.Declaration, operation: declaration.Operation | None) -> None:
        self.use((operation.success if operation is not None else None) or spec.success)
        self._rules = [_Rule(rule) for rule in [*(operation.errors if operation else []), *spec.errors]]
        self._codes = [paths.getter(path) for path in spec.failure.codes]
        self._message = [paths.getter(path) for path in spec.failure.message]
        self._retry_after = [paths.getter(path) for path in spec.failure.retry_after]

    def use(self, condition: declaration.Condition) -> None:
        """Judge success by another condition (the token request's own)."""
        self._success = predicate.compiled(condition)
        self._reads_status = predicate.mentions(condition, "status")
        self._reads_body = predicate.mentions(condition, "body")

    def succeeded(self, got: answer.Answer) -> bool:
        """Whether the declared success holds. A body that cannot be read never proves one."""
        if not self._reads_status and not 200 <= got.status < 300:
            return False
        if self._reads_body and not got.parsed and (got.content or got.broken or not self._reads_status):
            return False
        return self._success(got.data)

    def finding(self, got: answer.Answer, *, safe: bool) -> Finding:
        """The meaning of an answer that is no success. ``safe``: the call changed nothing (list, get)."""
        codes = [text for read in self._codes for text in _texts(read(got.data))]
        words = [text for read in self._message for text in _texts(read(got.data))]
        message = "; ".join(dict.fromkeys(words))[:1000]
        seen = message if got.parsed else f"{message}\n{got.text[:20000]}"
        for rule in self._rules:
            code = rule.fits(codes, seen, got.status)
            if code is not None:
                return self._by_rule(rule, code or (codes[0] if codes else None), message or _plain(got), seen, got)
        return self._by_status(codes, message, got, safe)

    def _by_rule(self, rule: _Rule, code: str | None, message: str, seen: str, got: answer.Answer) -> Finding:
        spec = rule.spec
        words = {"zh": spec.hint.zh, "en": spec.hint.en} if spec.hint else {}
        wait = rule.seconds(seen)
        if wait is None:
            wait = self._told_wait(got)
        if wait is None:
            wait = spec.retry_after
        return Finding(spec.becomes, message, code, wait, words, spec.scope)

    def _told_wait(self, got: answer.Answer) -> float | None:
        for read in self._retry_after:
            for text in _texts(read(got.data)):
                seconds = _seconds(text)
                if seconds is not None:
                    return seconds
        return retry_after(got)

    def _by_status(self, codes: list[str], message: str, got: answer.Answer, safe: bool) -> Finding:
        # Text that could not be read (a web page) is quoted to people, but it is nobody's word for a refusal.
        said = got.parsed and bool(codes or message)
        code = codes[0] if codes else (str(got.status) if got.status >= 300 else None)
        words = message or _plain(got)
        unclear = (ErrorClass.UNAVAILABLE, "down") if safe else (ErrorClass.UNKNOWN, "unclear")
        if got.status == 429:
            becomes, name = ErrorClass.THROTTLED, "busy"
        elif got.status in (401, 403):
            becomes, name = ErrorClass.CREDENTIAL, "unauthorised"
        elif got.status >= 500 or got.status == 408:
            becomes, name = unclear
        elif 300 <= got.status < 400:
            becomes, name = ErrorClass.MISDECLARED, "redirect"
        elif got.status in (405, 406, 415, 501):
            becomes, name = ErrorClass.MISDECLARED, "declared"
        elif got.status >= 400 or said:
            becomes, name = ErrorClass.REJECTED, "refused"
        else:
            # It says neither that it worked nor that it failed.
            becomes, name = unclear[0], "garbage" if safe else "unclear"
        return Finding(becomes, words, code, self._told_wait(got), hint(name))


class _Rule:
    def __init__(self, spec: declaration.ErrorRule) -> None:
        self.spec = spec
        self._pattern = re.compile(spec.retry_after_pattern) if spec.retry_after_pattern else None

    def fits(self, codes: list[str], seen: str, status: int) -> str | None:
        """The code that fitted ("" when the rule asks for none); None when the rule does not fit."""
        spec = self.spec
        if spec.status and status not in spec.status:
            return None
        if spec.text is not None and spec.text not in seen:
            return None
        if not spec.match:
            return ""
        return next((code for code in codes for pattern in spec.match if fnmatchcase(code, pattern)), None)

    def seconds(self, seen: str) -> float | None:
        found = self._pattern.search(seen) if self._pattern else None
        return _seconds(found.group(1)) if found and found.groups() else None


def _texts(value: Any) -> list[str]:
    if value is paths.ABSENT or value is None or value == "":
        return []
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [template.text(value)]


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 10_000_000 else None


def retry_after(got: answer.Answer) -> float | None:
    """Seconds from a Retry-After header, which may be a number or a date."""
    text = got.headers.get("retry-after", "").strip()
    if not text:
        return None
    seconds = _seconds(text)
    if seconds is not None:
        return seconds
    try:
        when = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(got.headers["date"]) if "date" in got.headers else None
    except (ValueError, TypeError):
        return None
    # Measured by the sender's own clock where it gives it: ours may differ.
    return max(0.0, (_aware(when) - _aware(sent or datetime.now(UTC))).total_seconds())


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _plain(got: answer.Answer) -> str:
    if got.broken:
        return f"HTTP {got.status}: {got.broken}"
    if got.parsed:
        return f"HTTP {got.status}"
    words = " ".join(re.sub(r"<[^>]*>", " ", got.text[:4000]).split())[:200]
    return f"HTTP {got.status}: {words}" if words else f"HTTP {got.status}, empty body"


_TYPES: dict[declaration.ErrorClass, Callable[..., errors.ConnectorError]] = {
    ErrorClass.THROTTLED: errors.Throttled,
    ErrorClass.BANNED: errors.Throttled,
    ErrorClass.UNAVAILABLE: errors.Unavailable,
    ErrorClass.NOT_YET: errors.NotYet,
    ErrorClass.UNKNOWN: errors.OutcomeUnknown,
    ErrorClass.TOKEN: errors.CredentialRefused,
    ErrorClass.CREDENTIAL: errors.CredentialRefused,
    ErrorClass.REJECTED: errors.Rejected,
    ErrorClass.DONE: errors.Rejected,
    ErrorClass.MISDECLARED: errors.Misdeclared,
}


def error(found: Finding, operation: str, *, safe: bool) -> errors.ConnectorError:
    """The exception for a finding. An unknown outcome of a call that changes nothing is only unavailability."""
    becomes = found.becomes
    if safe and becomes is ErrorClass.UNKNOWN:
        becomes = ErrorClass.UNAVAILABLE
    more: dict[str, Any] = {"code": found.code, "hint": found.hint, "operation": operation}
    if becomes in (ErrorClass.THROTTLED, ErrorClass.BANNED):
        more["retry_after"] = found.retry_after
        if becomes is ErrorClass.BANNED:
            more["banned"], more["scope"] = True, found.scope
            more["retry_after"] = found.retry_after if found.retry_after is not None else BAN
    return _TYPES[becomes](found.message, **more)
