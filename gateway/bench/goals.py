"""What the figures must reach, each beside its peer of the same run. ``least``: accepted; ``aim``: as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure that is judged. ``peer``: the key of what it stands beside; ``own``: of the figure behind a ratio."""

    key: str
    zh: str
    en: str
    least: float
    aim: float
    more: bool = True
    """Whether more is better."""
    own: str = ""
    peer: str = ""
    unit: str = ""
    portable: bool = True
    """Whether it may be compared between machines: a ratio or a count per event, not seconds or bytes."""
    slack: float = 0.0
    """How far it may be off an earlier result by chance, whatever the tolerance."""

    def unit_of(self) -> str:
        """The unit of the judged figure itself: a ratio of two figures has none."""
        return "" if self.own else self.unit

    def met(self, value: float, bar: float) -> bool:
        return value >= bar if self.more else value <= bar

    def worse(self, value: float, before: float, tolerance: float) -> bool:
        """Whether it fell behind an earlier result by more than the tolerance (a share) and its slack."""
        if self.more:
            return value < before * (1 - tolerance) - self.slack
        return value > before * (1 + tolerance) + self.slack


GOALS = (
    Goal("ingress.ratio", "接收(落库后确认)/ 上限 F", "durable ingress / ceiling F", 0.5, 0.75,
         own="ingress.per_s", peer="ceiling_ingress.per_s", unit="/s"),
    Goal("ingress.aes_ratio", "AES 回调 / HMAC", "AES callbacks / HMAC", 0.8, 0.8,
         own="ingress.aes_per_s", peer="ingress.per_s", unit="/s"),
    Goal("ingress.ack_ratio", "确认中位数(300/秒)/ 上限 F", "ack p50 at 300/s / ceiling F", 2.0, 1.3, False,
         own="ingress.ack_p50_ms", peer="ceiling_ingress.ack_p50_ms", unit="ms", slack=0.2),
    Goal("ingress.half_p99_ms", "半载确认 p99", "ack p99 at half of saturation", 100, 100, False, unit="ms",
         portable=False),
    Goal("end_to_end.ratio", "端到端(1 接口 + 1 worker)/ 上限 F", "end to end, 1 API + 1 worker / ceiling F", 0.4, 0.65,
         own="end_to_end.per_s", peer="ceiling_end_to_end.per_s", unit="/s"),
    Goal("end_to_end.cpu_ratio", "每事件 CPU / 上限 F", "CPU per event / ceiling F", 2.5, 1.6, False,
         own="end_to_end.cpu_ms_per_event", peer="ceiling_end_to_end.cpu_ms_per_event", unit="ms"),
    Goal("end_to_end.arq_jobs_per_event", "每事件 arq 任务", "arq jobs per event", 0.1, 0.02, False, slack=0.01),
    Goal("end_to_end.commits_per_event", "每事件提交次数", "SQL commits per event", 0.3, 0.1, False, slack=0.02),
    Goal("end_to_end.idle_p50_ms", "空闲时端到端 p50", "end to end at 20/s, p50", 25, 10, False,
         peer="ceiling_end_to_end.idle_p50_ms", unit="ms", portable=False),
    Goal("end_to_end.idle_p99_ms", "空闲时端到端 p99", "end to end at 20/s, p99", 200, 100, False,
         peer="ceiling_end_to_end.idle_p99_ms", unit="ms", portable=False),
    Goal("embedded.ratio", "SQLite / PostgreSQL", "SQLite / PostgreSQL", 0.25, 0.5,
         own="embedded.end_to_end.per_s", peer="end_to_end.per_s", unit="/s"),
    Goal("scaling.gain_per_worker", "核数够时,多个 worker 的增益 / worker 数",
         "gain of several workers / their number", 0.625, 0.9, own="scaling.gain", slack=0.05),
    Goal("scaling.gain_ratio", "核数够时,多个 worker 的增益 / 上限 F 的增益",
         "gain of several workers / ceiling F's", 0.8, 1.0,
         own="scaling.gain", peer="scaling.ceiling_gain", slack=0.05),
    Goal("scaling.cost", "多个 worker 时每事件 CPU / 一个 worker 时", "CPU per event, several workers / one",
         1.5, 1.1, False, peer="scaling.ceiling_cost", slack=0.1),
    Goal("burst.ack_p99_ms", "百倍突发:确认 p99", "100x burst: ack p99", 250, 250, False, unit="ms", portable=False),
    Goal("burst.refused", "百倍突发:被拒", "100x burst: refused", 0, 0, False),
    Goal("burst.disordered", "百倍突发:乱序", "100x burst: out of order", 0, 0, False),
    Goal("burst.not_newest", "百倍突发:非最新状态", "100x burst: records not in their newest state", 0, 0, False),
    Goal("burst.other_p95_ratio", "百倍突发:其他连接 p95 / 突发前", "100x burst: others' p95", 4.0, 1.1, False,
         own="burst.other_p95_during_ms", peer="burst.other_p95_before_ms", unit="ms", slack=1.0),
    Goal("mapping.ratio", "30 字段映射 / 手写(时间)", "mapping 30 fields / by hand (time)", 3.0, 1.5, False,
         slack=0.2),
    Goal("calling.ratio", "投递客户端 / aiohttp", "delivery client / aiohttp", 0.2, 0.5,
         own="calling.per_s", peer="calling.aiohttp_per_s", unit="/s"),
    Goal("search.p95_ms", "按订单号查询 p95", "search by order number, p95", 300, 300, False,
         peer="search.bare_p95_ms", unit="ms", portable=False),
    Goal("process.start_s", "启动", "start", 3.0, 3.0, False, unit="s", portable=False),
    Goal("process.pss_mib", "空闲内存(接口 + worker)", "idle memory, API + worker", 200, 125, False, unit="MiB",
         portable=False),
    Goal("kill.first_s", "kill -9 worker 到下一次投递", "kill -9 of the worker to the next delivery", 5.0, 3.0, False,
         peer="kill.ceiling_s", unit="s", portable=False),
    Goal("kill.lost", "kill -9 丢失", "lost after kill -9", 0, 0, False),
    Goal("duplicates", "无故重复", "duplicates without a kill", 0, 0, False),
)  # fmt: skip


def judged(found: Mapping[str, object]) -> list[tuple[Goal, float]]:
    """The goals whose figure this result has, in their order."""
    return [(one, float(value)) for one in GOALS if isinstance(value := found.get(one.key), int | float)]


def fallen(
    found: Mapping[str, object], before: Mapping[str, object], tolerance: float
) -> list[tuple[Goal, float, float]]:
    """What may be compared between runs and got worse: (goal, now, before)."""
    earlier = dict(judged(before))
    return [
        (goal, value, earlier[goal])
        for goal, value in judged(found)
        if goal.portable and goal in earlier and goal.worse(value, earlier[goal], tolerance)
    ]
