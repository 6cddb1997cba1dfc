"""What a rehearsal's figures mean for the people who must act on them: sentences in zh and en, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.rehearsal import rehearsing

Words = tuple[str, str]
"""zh, en."""

VERDICTS: dict[str, Words] = {
    "ready": ("可以上线：未丢、未重，应答及时，按时消化", "Ready: nothing lost or doubled, prompt, drained in time"),
    "slow": ("数据无误，但有待改进，见建议", "Correct, but not at ease: see the advice"),
    "broken": ("不可上线：数据有误，见建议", "Not ready: something is wrong, see the advice"),
}


def of(told: rehearsing.Outcome) -> Iterator[Words]:
    """Everything worth saying."""
    yield from _wrong(told)
    yield from _late(told)
    yield from _owed(told)
    if told.failed:
        shown = "、".join(f"{reason} × {count}" for reason, count in told.reasons)
        yield (
            f"{told.failed} 笔投递需要人工处理（{shown}）：在界面“失败”中按原因查看，修正后成批重放",
            f"{told.failed} deliveries need a person ({shown}): look under Failures, mend the cause, replay together",
        )
    if told.cast.left_out:
        yield (
            f"未演练：{'；'.join(told.cast.left_out)}（没有模拟器）",
            f"Not rehearsed: {'; '.join(told.cast.left_out)} (no simulator)",
        )
    if told.verdict == "ready":
        yield "活动前请备份，并确认告警有人接收", "Before the day: make a backup, and see that somebody gets the alerts"


def _wrong(told: rehearsing.Outcome) -> Iterator[Words]:
    if told.lost:
        yield (
            f"{told.lost} 笔已确认的订单不在台账里：请保留现场并报告此问题",
            f"{told.lost} acknowledged orders are not in the ledger: keep everything and report this",
        )
    if told.double:
        yield (
            f"目标系统中有 {told.double} 次重复的写入：请保留现场并报告此问题",
            f"{told.double} effects happened twice at the systems: keep everything and report this",
        )
    if told.difference:
        yield f"台账不平，差 {told.difference}", f"the ledger differs by {told.difference}"
    if told.given_up:
        yield (
            f"{told.given_up} 笔订单发送 5 次仍未被接收：增加 API 副本，数据库用 PostgreSQL",
            f"{told.given_up} orders were refused five times: more API replicas, and PostgreSQL as the database",
        )


def _late(told: rehearsing.Outcome) -> Iterator[Words]:
    refused = sum(wave.refused for wave in told.waves) - told.given_up
    if refused > 0:
        yield (
            f"有 {refused} 次推送先被婉拒（503），重发后收下：峰值超过了入口的能力",
            f"{refused} pushes were asked to come again (503) and taken later: the peak was above what the door takes",
        )
    worst = max(told.waves, key=lambda wave: wave.quantile(0.99))
    late = f"{worst.quantile(0.99):.0f}"
    if not told.prompt:
        yield (
            f"应答 p99 为 {late} 毫秒，最严格的平台 1500 毫秒即超时：增加 API 副本，数据库用更快的磁盘并与枢纽同机房",
            f"p99 of the answers is {late} ms, the strictest sender gives up at 1,500: more API replicas, faster disks",
        )
        if not told.plan.database_url:
            yield (
                "本次使用内嵌的 SQLite；大促请用 PostgreSQL 再演练一次（--database-url）",
                "this was the embedded SQLite; for a sale use PostgreSQL and rehearse again (--database-url)",
            )


def _owed(told: rehearsing.Outcome) -> Iterator[Words]:
    if not told.owed:
        return
    slowest = max(told.states, key=lambda key: _waiting(told.states[key]), default="")
    ending = told.ending
    zh, en = "几乎没有进展", "hardly any progress"
    if ending is not None:
        zh, en = f"按当前速度约需 {ending / 60:.0f} 分钟", f"at this pace about {ending / 60:.0f} more minutes"
    yield (
        f"演练结束时还有 {told.owed} 笔在途，主要在等 {slowest}；{zh}",
        f"{told.owed} were still under way at the end, most of them for {slowest}; {en}",
    )
    yield (
        f"不会丢失，但会迟到：向 {slowest} 申请更高的接口限额，或增加工作进程（--workers）后再演练",
        f"late, not lost: ask for higher limits at {slowest}, or rehearse again with more workers (--workers)",
    )


def _waiting(states: dict[str, int]) -> int:
    return sum(count for state, count in states.items() if state in ("pending", "retrying", "in_flight"))
