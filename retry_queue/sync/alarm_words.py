"""The words of an alert: one line per trouble and the message that carries them, in Chinese or English. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from retry_queue.sync import alarm, trouble

NAMES: dict[str, tuple[str, str]] = {
    "parked": ("待人工处理", "waiting for a person"),
    "dead": ("死信", "dead letters"),
    "quarantine": ("拒收", "refused calls"),
    "difference": ("台账不平", "the ledger is off"),
    "overdue": ("积压超时", "overdue"),
    "breaker": ("熔断", "circuit open"),
    "needs_auth": ("授权失效", "authorisation lost"),
    "expiring": ("授权即将到期", "authorisation ends soon"),
    "failing": ("拉取连续失败", "reading fails"),
    "silent": ("来源静默", "source silent"),
    "drift": ("对账差异", "differences found"),
    "conflicts": ("字段冲突", "conflicts"),
}
_LINES: dict[str, tuple[str, str]] = {
    "parked": ("{subject} 有 {n} 条数据挂起，等待人工处理", "{n} parked at {subject}: a person must look"),
    "dead": ("{subject} 出现 {n} 条死信", "{n} dead letters at {subject}"),
    "quarantine": ("{subject} 拒收了 {n} 次推送", "{n} calls to {subject} were refused"),
    "difference": ("台账差额 {n}，请立即核对", "the ledger is off by {n}; check it now"),
    "overdue": ("{subject} 的数据已积压 {time}", "work for {subject} is {time} overdue"),
    "breaker": ("{subject} 连续失败，已熔断，暂停发送", "{subject} keeps failing; its circuit is open"),
    "needs_auth": ("{subject} 的授权已失效，数据在排队，请重新授权", "{subject} must be authorised again"),
    "expiring": ("{subject} 的授权还有 {time} 到期", "the authorisation of {subject} ends in {time}"),
    "failing": ("从 {subject} 拉取数据已连续失败 {n} 次", "reading from {subject} failed {n} times in a row"),
    "silent": ("{subject} 已有 {time} 没有新数据", "no news from {subject} for {time}"),
    "drift": ("{subject} 对账发现 {n} 条差异", "{n} differences between {subject}"),
    "conflicts": ("有 {n} 个字段冲突等待人工决定", "{n} conflicts wait for a decision"),
}  # fmt: skip


def lasting(seconds: float) -> tuple[str, str]:
    """A time as people say it, in one unit, rounded down; (zh, en)."""
    for size, zh, en in ((86400, "天", "day"), (3600, "小时", "hour"), (60, "分钟", "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {zh}", f"{number} {en}{'s' if number != 1 else ''}"
    number = max(int(seconds), 0)
    return f"{number} 秒", f"{number} second{'s' if number != 1 else ''}"


def line(found: alarm.Finding) -> dict[str, str]:
    """What one trouble is, in both languages; a reason somebody gave is added."""
    zh, en = _LINES[found.kind]
    long_zh, long_en = lasting(found.n)
    number = f"{found.n:g}" if found.n < 1e6 else str(int(found.n))
    told = {
        "zh": zh.format(subject=found.subject or "枢纽", n=number, time=long_zh),
        "en": en.format(subject=found.subject or "the hub", n=number, time=long_en),
    }
    if found.words:
        told["zh"] += f"（{found.words['zh'][:200]}）" if found.words.get("zh") else ""
        told["en"] += f" ({found.words['en'][:200]})" if found.words.get("en") else ""
    return told


def message(alert: alarm.Alert, ruling: trouble.Ruling, url: str) -> dict[str, Any]:
    """One message for all that is to be told. The first line stands for the title, which group robots leave out."""
    zh = alert.language == "zh"
    going = len(ruling.fresh) + len(ruling.lasting)
    if going:
        title = f"【枢纽告警】{alert.name}：{going} 项需要处理" if zh else f"[Shuniu] {alert.name}: {going} to look at"
    else:
        title = f"【枢纽告警】{alert.name}：已恢复" if zh else f"[Shuniu] {alert.name}: all is well again"
    lines = [title]
    for heading, those in (
        (("新出现", "New"), ruling.fresh), (("仍在持续", "Going on"), ruling.lasting), (("已恢复", "Over"), ruling.over)
    ):  # fmt: skip
        if those:
            lines += ["", heading[0 if zh else 1], *_lines(those, alert.language)]
    return {"title": title, "text": "\n".join(lines), "url": url}


MOST = 20
"""Lines of one heading; a message that nobody can read to its end helps nobody, and robots cut long ones."""


def _lines(those: list[trouble.Held], language: str) -> Iterable[str]:
    for one in those[:MOST]:
        yield f"• {(one.words or {}).get(language, one.kind)}"
    if len(those) > MOST:
        left = len(those) - MOST
        yield f"… 另有 {left} 项" if language == "zh" else f"… and {left} more"


def trial(alert: alarm.Alert, url: str) -> dict[str, Any]:
    """The message of the test button."""
    if alert.language == "zh":
        title = f"【枢纽告警】{alert.name}：测试"
        return {"title": title, "text": f"{title}\n\n看到这条消息，说明告警可以送达这里。", "url": url}
    title = f"[Shuniu] {alert.name}: test"
    return {"title": title, "text": f"{title}\n\nIf you read this, alerts arrive here.", "url": url}


def canonical(body: dict[str, Any], key: str, recipients: list[str]) -> dict[str, Any]:
    """The message as mappings take it."""
    return {"id": key, "recipients": recipients, "text": body["text"], "title": body["title"], "format": "text",
            "url": body["url"]}  # fmt: skip
