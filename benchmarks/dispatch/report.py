"""The result as tables and as goals kept or not, for the terminal and for docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- dispatch: begin -->", "<!-- dispatch: end -->"
TITLES = {"alone": "the HTTP client alone (the limit)", "worker": "`zhangban work`, one process"}


def goals(result: dict[str, Any]) -> dict[str, bool]:
    """What was wanted, and whether it was kept."""
    kept = {"at least half of what the HTTP client alone can do": result["ratio"] >= 0.5}
    if backlog := result.get("backlog"):
        kept |= {
            "the backlog: nothing lost, nothing left, nothing foreign": not any(
                backlog[each] for each in ("lost", "waiting", "not_sent", "foreign")
            ),
            "the backlog: every resident's messages in the order of their events": backlog["out_of_order"] == 0,
            "the backlog: never two calls at once for one person": backlog["at_once"] == 0,
            "the backlog: sent twice at most where an answer was lost": backlog["twice"] <= backlog["uncertain"],
        }
    return kept


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    load, where, backlog = result["load"], result["machine"], result.get("backlog")
    lines = [
        "| program | messages/s (lowest to highest round) | of the limit | CPU µs per message |",
        "|---|---|---|---|",
    ]
    for name, each in result["programs"].items():
        share = f"{result['ratio']:.2f}" if name == "worker" else "1.00"
        lines.append(
            f"| {TITLES[name]} | {each['per_second']:,.0f} ({each['per_second_lowest']:,.0f} to "
            f"{each['per_second_highest']:,.0f}) | {share} | {each['cpu_us']:.0f} |"
        )
    if backlog:
        lines += ["", _told_of_backlog(backlog, load)]
    lines += ["", *(f"- {'kept' if kept else '**not kept**'}: {goal}" for goal, kept in goals(result).items())]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items() if number)
    lines += [
        "",
        f"A partner that takes {load['milliseconds']:g} ms, {load['at_once']} calls at once; {load['rounds']} rounds "
        f"of {load['messages']:,} messages, one for each resident, in turns, after a round that is thrown away; "
        "counted from the partner's log without the first and last twentieth; fsync and synchronous_commit on; "
        "medians, the ratio is the median of the ratios within a round.",
        "",
        f"Measured {result['at']} at commit {where['commit'] or '–'} on {where['processor']}, {where['cores']} cores, "
        f"{where['memory_gb']} GB, {where['system']}, Python {where['python']}; {versions}. "
        f"Load of the machine before it began (1, 5, 15 minutes): {', '.join(map(str, where['load_before']))}.",
    ]
    return "\n".join(lines)


def _told_of_backlog(backlog: dict[str, Any], load: dict[str, Any]) -> str:
    return (
        f"A backlog of {backlog['messages']:,} messages, {load['each']} for each resident, drained by "
        f"{load['workers']} workers in {backlog['seconds']:.0f} s from their start, {backlog['per_second']:,.0f}/s: "
        f"lost {backlog['lost']}, sent twice {backlog['twice']}, residents whose order was broken "
        f"{backlog['out_of_order']}, two calls at once for one person {backlog['at_once']}."
    )


def write_into(document: Path, result: dict[str, Any]) -> None:
    """Replace what stands between the two marks of the document. Raises ValueError when it has none."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} has no place for the result")
    document.write_text(f"{before}{BEGIN}\n\n{table(result)}\n\n{END}{after}")
