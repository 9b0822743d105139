"""The result as tables and as goals kept or not, for the terminal and for docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.courier_push.rounds import TITLES

BEGIN, END = "<!-- courier_push: begin -->", "<!-- courier_push: end -->"


def goals(result: dict[str, Any]) -> dict[str, bool]:
    """What was wanted, and whether it was kept."""
    kept = {"at least half of the bare program": result["ratio"] >= 0.5}
    if fold := result.get("fold"):
        kept["the fold: every push answered with 200"] = set(fold["answers"]) == {"200"}
        kept["the fold: every parcel signed for, every node once, one step and one fact each"] = fold["as_wanted"]
    return kept


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        "| program | pushes/s (lowest to highest round) | of the limit | p50 ms | p99 ms | CPU µs per push |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in result["programs"].items():
        share, cpu = "1.00" if name == "bare" else f"{result['ratio']:.2f}", each["cpu_us"]
        lines.append(
            f"| {TITLES[name]} | {each['per_second']:,.0f} ({each['per_second_lowest']:,.0f} to "
            f"{each['per_second_highest']:,.0f}) | {share} | {each['p50_ms']:.1f} | {each['p99_ms']:.1f} | "
            f"{f'{cpu:.0f}' if cpu else '–'} |"
        )
    if fold := result.get("fold"):
        lines += [
            "",
            f"Then {fold['pushes']:,} pushes of {result['load']['fold']:,} whole journeys, every fifth sent twice: one "
            f"worker folds {fold['per_second']:,.0f} a second, with the steps, the facts and the messages that follow.",
        ]
    lines += ["", *(f"- {'kept' if kept else '**not kept**'}: {goal}" for goal, kept in goals(result).items())]
    load, where = result["load"], result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items() if number)
    lines += [
        "",
        f"{load['rounds']} rounds of {load['pushes']:,} new pushes with five nodes each per program in turns, after "
        f"one that is thrown away; {load['connections']} keep-alive connections, pool of {load['pool']}, one process "
        "per program, fsync and synchronous_commit on; medians, the ratio is the median of the ratios within a round.",
        "",
        f"Measured {result['at']} at commit {where['commit'] or '–'} on {where['processor']}, {where['cores']} cores, "
        f"{where['memory_gb']} GB, {where['system']}, Python {where['python']}; {versions}. "
        f"Load of the machine before it began (1, 5, 15 minutes): {', '.join(map(str, where['load_before']))}.",
    ]
    return "\n".join(lines)


def write_into(document: Path, result: dict[str, Any]) -> None:
    """Replace what stands between the two marks of the document. Raises ValueError when it has none."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} has no place for the result")
    document.write_text(f"{before}{BEGIN}\n\n{table(result)}\n\n{END}{after}")
