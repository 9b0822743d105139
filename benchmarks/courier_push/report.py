"""The result in Markdown, and what was wanted of it."""

from __future__ import annotations

from typing import Any

from benchmarks import reports
from benchmarks.courier_push.programs import TITLES
from benchmarks.reports import Goal


def goals(result: dict[str, Any]) -> list[Goal]:
    """What was wanted, and whether it was kept."""
    wanted = []
    if "ratios" in result:
        wanted += reports.at_least(result, "ours/bare", 0.5, "at least half of the bare program")
    if fold := result.get("fold"):
        wanted += [
            Goal("the fold: every push answered with 200", set(fold["answers"]) == {"200"}),
            Goal(
                "the fold: every parcel signed for, every node once, one step and one fact each",
                fold["trail"] == fold["wanted"],
            ),
        ]
    return wanted


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    load, lines = result["load"], list[str]()
    if "programs" in result:
        lines += reports.programs(result, TITLES, "push", "pushes")
    if fold := result.get("fold"):
        lines += [
            "",
            f"Then {fold['pushes']:,} pushes of {load['fold']:,} whole journeys, every fifth sent twice: one worker "
            f"folds {fold['per_second']:,.0f} a second, while it also does what follows from them.",
        ]
    how = (
        f"{load['rounds']} rounds of {load['pushes']:,} new pushes with five nodes each per program in turns, after "
        f"one that is thrown away; {load['connections']} keep-alive connections, pool of {load['pool']}, one process "
        "per program, fsync and synchronous_commit on; medians, the ratio is the median of the ratios within a round."
    )
    return "\n".join([*lines, *reports.ending(result, how)])
