"""``shuniu rehearse`` from the command line: the file in, the report out, a line and an exit code for scripts."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from gateway import hub_file
from gateway.rehearsal import advice, page, recast, rehearsing
from gateway.trial import stage


def line(told: rehearsing.Outcome) -> str:
    """The figures that decide, on one line."""
    drained = "-" if told.drained_after is None else f"{told.drained_after:.0f}s"
    burst = next(wave for wave in told.waves if wave.name == "burst")
    return (
        f"accepted={told.accepted} given_up={told.given_up} lost={told.lost} double={told.double} "
        f"difference={told.difference} owed={told.owed} failed={told.failed} "
        f"ack_p50_ms={burst.quantile(0.5):.0f} ack_p99_ms={burst.quantile(0.99):.0f} drained={drained}"
    )


def run(hub: Path | None, output: Path, **given: Any) -> int:
    """Exit code 0 for ready or slow, 1 when something was lost, doubled or unbalanced, 2 for an unusable file."""
    console = Console(stderr=True)
    try:
        text = stage.shipped_hub_yaml() if hub is None else hub.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="shuniu-rehearsal-", dir="/tmp") as name:
            plan = rehearsing.Plan(**given)
            told = asyncio.run(rehearsing.rehearse(Path(name), text, plan, console))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, recast.NothingToRehearse, hub_file.Broken) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 2
    output.write_text(page.page(told), encoding="utf-8")
    console.print(f"[bold]{' / '.join(advice.VERDICTS[told.verdict])}[/bold]\n{line(told)}", highlight=False)
    console.print(f"报告 report: {output}", highlight=False)
    return 0 if told.sound else 1
