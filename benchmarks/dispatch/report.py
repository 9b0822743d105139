"""The result in Markdown, and what was wanted of it."""

from __future__ import annotations

from typing import Any

from benchmarks import reports
from benchmarks.reports import Goal

TITLES = {"bare": "the HTTP client alone (the limit)", "ours": "`zhangban work`, one process"}


def proofs(log: dict[str, int], where: str) -> list[Goal]:
    """What the partner's log and the books must say of messages that were sent."""
    nothing = not any(log[each] for each in ("lost", "waiting", "not_sent", "foreign"))
    return [
        Goal(f"{where}: nothing lost, nothing left, nothing foreign", nothing),
        Goal(f"{where}: every resident's messages in the order of their events", log["out_of_order"] == 0),
        Goal(f"{where}: never two calls at once for one person", log["at_once"] == 0),
        Goal(f"{where}: sent twice at most where an answer was lost", log["twice"] <= log["uncertain"]),
    ]


def goals(result: dict[str, Any]) -> list[Goal]:
    """What was wanted, and whether it was kept."""
    wanted = []
    if "ratios" in result:
        wanted += reports.at_least(result, "ours/bare", 0.5, "at least half of what the HTTP client alone can do")
    if backlog := result.get("backlog"):
        wanted += proofs(backlog, "the backlog")
    return wanted


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    load, lines = result["load"], list[str]()
    if "programs" in result:
        lines += reports.programs(result, TITLES, "message", "messages")
    if backlog := result.get("backlog"):
        lines += ["", _backlog(backlog, load)]
    how = (
        f"A partner that takes {load['milliseconds']:g} ms, {load['at_once']} calls at once; {load['rounds']} rounds "
        f"of {load['messages']:,} messages, one for each resident, in turns, after a round that is thrown away; "
        "counted from the partner's log without the first and last twentieth; fsync and synchronous_commit on; "
        "medians, the ratio is the median of the ratios within a round."
    )
    return "\n".join([*lines, *reports.ending(result, how)])


def _backlog(backlog: dict[str, Any], load: dict[str, Any]) -> str:
    return (
        f"A backlog of {backlog['messages']:,} messages, {load['each']} for each resident, drained by "
        f"{load['workers']} workers in {backlog['seconds']:.0f} s from their start, {backlog['per_second']:,.0f}/s: "
        f"lost {backlog['lost']}, sent twice {backlog['twice']}, residents whose order was broken "
        f"{backlog['out_of_order']}, two calls at once for one person {backlog['at_once']}."
    )
