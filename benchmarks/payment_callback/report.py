"""The result in Markdown, and what was wanted of it."""

from __future__ import annotations

from typing import Any

from benchmarks import reports
from benchmarks.payment_callback.programs import TITLES
from benchmarks.reports import Goal


def goals(result: dict[str, Any]) -> list[Goal]:
    """What was wanted, and whether it was kept."""
    wanted = []
    if "ratios" in result:
        wanted += reports.at_least(result, "ours/bare", 0.5, "at least half of the bare program")
        wanted += reports.at_least(result, "ours/usual", 4, "at least four times the usual program")
    if outage := result.get("outage"):
        books, notices = outage["books"], result["load"]["outage"]
        once = {
            "paid": notices, "groups": notices, "balance": 0, "refunds": 0, "facts": 2 * notices,
            "receipts": notices, "messages": notices, "unheard": 0,
        }  # fmt: skip
        wanted += [
            Goal("after the outage: every notice answered with 204", set(outage["answers"]) == {"204"}),
            Goal(
                "after the outage: every payment once in the books, with two facts, one receipt and one message; "
                "nothing refunded, nothing left unhandled, sum zero",
                books == once,
            ),
            Goal("after the outage: at least 100 callbacks/s", outage["per_second"] >= 100, timed=True),
        ]
    return wanted


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    load, lines = result["load"], list[str]()
    if "programs" in result:
        lines += reports.programs(result, TITLES, "callback", "callbacks")
        if "ours/usual" in result["ratios"]:
            lines += ["", f"Zhangban takes {result['ratios']['ours/usual']:.1f} times as many as the usual program."]
    if outage := result.get("outage"):
        lines += [
            "",
            f"After an outage: {load['outage']:,} notices, every fifth of them twice, answered by two processes "
            f"in {outage['seconds']:.1f} s, {outage['per_second']:,.0f}/s, p99 {outage['p99_ms']:.0f} ms; "
            f"{outage['backlog']:,} events were left for the worker then, and all were handled after "
            f"{outage['settled_after']:.0f} s.",
        ]
    how = (
        f"{load['rounds']} rounds of {load['notices']:,} new notices per program in turns, after one that is thrown "
        f"away; {load['connections']} keep-alive connections, pool of {load['pool']}, one process per program, fsync "
        "and synchronous_commit on; medians, ratios are medians of the ratios within a round."
    )
    return "\n".join([*lines, *reports.ending(result, how)])
