"""Verdicts 判定: the one table from what a call ended in to what becomes of the delivery. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from connectors.core import declaration, errors, model
from mappings import errors as mapping_errors
from retry_queue.sync import backoff


class Act(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"  # again by the schedule; counts as a failure
    WAIT = "wait"  # again later; nobody failed (throttled, asynchronous approval)
    PARK = "park"  # a person must decide or mend
    PAUSE = "pause"  # credentials refused: the connection pauses, no try is burnt
    DEAD = "dead"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why, in words a shopkeeper can read."""

    act: Act
    reason: str | None = None
    words: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    code: str | None = None
    banned: float | None = None
    """Seconds during which nothing may be sent to this connection."""


MAX_CRASHES = 10


def of_outcome(outcome: model.Outcome, *, failures: int = 0, jitter: float = 0.5) -> Verdict:
    """A call that came back well. ``failures`` counts those before it."""
    if outcome.waiting:
        said = "；".join(outcome.warnings)[:300]
        words = {
            "zh": f"先等对方处理，稍后再查：{said}" if said else "对方流程审批中，稍后再查",
            "en": f"the other side must act first; asking again later: {said}"
            if said
            else "the other side is still approving; asking again later",
        }
        return Verdict(Act.WAIT, "waiting", words, delay=30.0)
    if outcome.rest is not None:
        said = "；".join(outcome.warnings)[:300]
        delay = backoff.after(failures + 1, jitter).delay
        if delay is None:
            words = {
                "zh": f"一部分已完成，其余对方一直不收；重放只发其余部分：{said}",
                "en": f"done in part; they never took the other part, and a replay sends that alone: {said}",
            }
            return Verdict(Act.DEAD, "rest", words)
        words = {
            "zh": f"一部分已完成，其余对方暂时不收，稍后只补发其余部分：{said}",
            "en": f"done in part; the other part, which they do not take for now, is sent later by itself: {said}",
        }
        return Verdict(Act.RETRY, "rest", words, delay)
    if outcome.warnings:
        said = "；".join(outcome.warnings)[:300]
        return Verdict(Act.DELIVERED, "partial", {"zh": f"部分未成功：{said}", "en": f"refused in part: {said}"})
    if outcome.already:
        return Verdict(Act.DELIVERED, "already", {"zh": "对方已有此数据", "en": "it was there already"})
    return Verdict(Act.DELIVERED)


def _words(error: errors.ConnectorError, zh: str, en: str) -> dict[str, str]:
    said = error.message[:300]
    return {
        "zh": f"{error.hint.get('zh') or zh}（对方回复：{said}）",
        "en": f"{error.hint.get('en') or en} (they said: {said})",
    }


def of_error(error: BaseException, *, failures: int, idempotent: declaration.Idempotency, jitter: float) -> Verdict:
    """A call that raised. ``failures`` counts failures before this one."""
    if isinstance(error, errors.Throttled):
        words = _words(error, "对方限流，稍后自动重试", "they ask us to slow down; retrying later")
        wait = backoff.after(1, jitter, at_least=error.retry_after or 0.0).delay or 1.0
        return Verdict(
            Act.WAIT, "throttled", words, wait, error.code, banned=(error.retry_after or wait) if error.banned else None
        )
    if isinstance(error, errors.OutcomeUnknown):
        if idempotent is declaration.Idempotency.NO:
            return unknown(error)
        words = _words(error, "结果未知，先查询再重发", "outcome unknown; looking it up before sending again")
        return _retry(failures, jitter, "unknown", words, error.code)
    if isinstance(error, errors.NotYet):
        words = _words(error, "对方还查不到相关单据，稍后自动重试", "they do not know of it yet; retrying")
        return _retry(failures, jitter, "not_yet", words, error.code)
    if isinstance(error, errors.Unavailable):
        words = _words(error, "对方系统暂时不可用，自动重试", "the system is unavailable; retrying")
        return _retry(failures, jitter, "unavailable", words, error.code)
    if isinstance(error, errors.CredentialRefused):
        words = _words(
            error, "授权失效或权限不足，请在连接页重新授权", "credentials refused; authorise the connection again"
        )
        return Verdict(Act.PAUSE, "credential", words, code=error.code)
    if isinstance(error, errors.Misdeclared):
        words = _words(error, "连接设置或接口声明有误", "the connection's settings or the declaration are wrong")
        return Verdict(Act.PARK, "misdeclared", words, code=error.code)
    if isinstance(error, errors.Rejected):
        words = _words(error, "对方拒绝了这条数据", "they refused this record")
        return Verdict(Act.DEAD, "rejected", words, code=error.code)
    if isinstance(error, mapping_errors.MappingError):
        return Verdict(Act.PARK, "mapping", {"zh": error.zh, "en": error.en})
    said = f"{type(error).__name__}"
    words = {
        "zh": f"内部错误 {said}，自动重试几次后挂起",
        "en": f"internal error {said}; retried a little, then parked",
    }
    if failures >= 3:
        return Verdict(Act.PARK, "internal", words, code=said)
    return _retry(failures, jitter, "internal", words, said)


def crashing(crashes: int) -> Verdict:
    """Process after process died while at it: the record itself may be what kills them."""
    words = {
        "zh": f"处理这条数据时进程已中断 {crashes} 次，请检查数据后重放",
        "en": f"processes died {crashes} times while at this record: look at it, then replay",
    }
    return Verdict(Act.PARK, "crashing", words)


def unknown(error: errors.ConnectorError | None = None) -> Verdict:
    """Nobody can tell whether it happened, and sending again might do it twice."""
    words = {
        "zh": "请求已发出但结果未知，且该接口无法查询或去重；请人工核对后选择重放或跳过",
        "en": "sent, outcome unknown, and this operation can neither be looked up nor deduplicated: "
        "check by hand, then replay or skip",
    }
    return Verdict(Act.PARK, "outcome_unknown", words, code=error.code if error else None)


def restored() -> Verdict:
    """The ledger was put back to an older point: a hub that it knows nothing of may have sent this."""
    words = {
        "zh": "台账恢复前可能已经发送，且该接口无法查询或去重；请人工核对后选择重放或跳过",
        "en": "may have been sent before the ledger was restored, and this operation can neither be looked up nor "
        "deduplicated: check by hand, then replay or skip",
    }
    return Verdict(Act.PARK, "restored", words)


def _retry(failures: int, jitter: float, reason: str, words: dict[str, str], code: str | None) -> Verdict:
    delay = backoff.after(failures + 1, jitter).delay
    if delay is None:
        ended = {"zh": f"多次重试仍失败：{words['zh']}", "en": f"gave up after many tries: {words['en']}"}
        return Verdict(Act.DEAD, reason, ended, code=code)
    return Verdict(Act.RETRY, reason, words, delay, code)
