"""The result in Markdown, and what was wanted of it."""

from __future__ import annotations

from typing import Any

from benchmarks import reports
from benchmarks.progress_lookup.programs import TITLES
from benchmarks.reports import Goal
from benchmarks.servers import OPTIONS


def goals(result: dict[str, Any]) -> list[Goal]:
    """What was wanted, and whether it was kept."""
    failed = sum(one["failed"] for rounds in result["rounds"].values() for one in rounds)
    return [
        *reports.at_least(result, "ours/bare", 0.5, "at least half of the bare program"),
        *reports.at_least(result, "ours/usual", 6, "at least six times the usual program"),
        Goal("every request answered with 200", failed == 0),
    ]


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines, load = reports.programs(result, TITLES, "request", "requests"), result["load"]
    if "ours/usual" in result["ratios"]:
        lines += ["", f"Zhangban answers {result['ratios']['ours/usual']:.1f} times as much as the usual program."]
    how = (
        f"{load['cases']:,} cases with five events each, {load['residents']:,} residents asking, "
        f"{load['connections']} keep-alive connections, pool of {load['pool']}, one process per program on uvicorn "
        f"(`{' '.join(OPTIONS)}`); {load['rounds']} rounds of {load['seconds']:g} s in turns after "
        f"{load['warm_up']:g} s of warm-up and a round that is thrown away, medians; ratios are medians of the ratios "
        "within a round."
    )
    return "\n".join([*lines, *reports.ending(result, how)])
