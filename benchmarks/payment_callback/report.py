"""The result as tables and as goals kept or not, for the terminal and for docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.payment_callback.rounds import TITLES

BEGIN, END = "<!-- payment_callback: begin -->", "<!-- payment_callback: end -->"


def goals(result: dict[str, Any]) -> dict[str, bool]:
    """What was wanted, and whether it was kept."""
    ratios, outage = result["ratios"], result.get("outage")
    kept = {}
    if "ours/bare" in ratios:
        kept["at least half of the bare program"] = ratios["ours/bare"] >= 0.5
    if "ours/usual" in ratios:
        kept["at least four times the usual program"] = ratios["ours/usual"] >= 4
    if outage:
        books, notices = outage["books"], result["load"]["outage"]
        kept["after the outage: every notice answered with 204"] = set(outage["answers"]) == {"204"}
        kept["after the outage: every payment once in the books, nothing given back, sum zero"] = books == {
            "paid": notices, "groups": notices, "balance": 0, "refunds": 0,
        }  # fmt: skip
        kept["after the outage: at least 100 callbacks/s"] = outage["per_second"] >= 100
    return kept


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        "| program | callbacks/s (lowest to highest round) | of the limit | p50 ms | p99 ms | CPU µs per callback |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in result["programs"].items():
        share = f"{result['ratios'].get(f'{name}/bare', 1.0):.2f}"
        cpu = f"{each['cpu_us']:.0f}" if each["cpu_us"] else "–"
        lines.append(
            f"| {TITLES[name]} | {each['per_second']:,.0f} ({each['per_second_lowest']:,.0f} to "
            f"{each['per_second_highest']:,.0f}) | {share} | {each['p50_ms']:.1f} | {each['p99_ms']:.1f} | {cpu} |"
        )
    if "ours/usual" in result["ratios"]:
        lines += ["", f"Zhangban takes {result['ratios']['ours/usual']:.1f} times as many as the usual program."]
    if outage := result.get("outage"):
        lines += [
            "",
            f"After an outage: {outage['requests']:,} notices (a sixth of them sent twice) answered in "
            f"{outage['seconds']:.1f} s, {outage['per_second']:,.0f}/s, p99 {outage['p99_ms']:.0f} ms; "
            f"{outage['backlog']:,} events were left for the worker then, and all was heard after "
            f"{outage['settled_after']:.0f} s.",
        ]
    lines += ["", *(f"- {'kept' if kept else '**not kept**'}: {goal}" for goal, kept in goals(result).items())]
    load, where = result["load"], result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items() if number)
    lines += [
        "",
        f"{load['rounds']} rounds of {load['notices']:,} new notices per program in turns, after one that is thrown "
        f"away; {load['connections']} keep-alive connections, pool of {load['pool']}, one process per program, fsync "
        "and synchronous_commit on; medians, ratios are medians of the ratios within a round.",
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
