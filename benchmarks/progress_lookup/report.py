"""The result as a table, for the terminal and for docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.progress_lookup.rounds import TITLES

BEGIN, END = "<!-- progress_lookup: begin -->", "<!-- progress_lookup: end -->"


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        "| program | requests/s (lowest to highest round) | of the limit | p50 ms | p99 ms | CPU µs per request |",
        "|---|---|---|---|---|---|",
    ]
    limit = result["programs"].get("bare", {}).get("per_second")
    for name, each in result["programs"].items():
        share = f"{result['ratios'].get(f'{name}/bare', 1.0):.2f}" if limit else "–"
        cpu = f"{each['cpu_us']:.0f}" if each["cpu_us"] else "–"
        lines.append(
            f"| {TITLES[name]} | {each['per_second']:,.0f} ({each['per_second_lowest']:,.0f} to "
            f"{each['per_second_highest']:,.0f}) | {share} | {each['p50_ms']:.1f} | {each['p99_ms']:.1f} | {cpu} |"
        )
    load, where = result["load"], result["machine"]
    if "ours/usual" in result["ratios"]:
        lines += ["", f"Zhangban answers {result['ratios']['ours/usual']:.1f} times as much as the usual program."]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items() if number)
    lines += [
        "",
        f"{load['cases']:,} cases with five events each, {load['residents_asking']:,} residents asking, "
        f"{load['connections']} keep-alive connections, pool of {load['pool']}, one process per program; "
        f"{load['rounds']} rounds of {load['seconds']:g} s in turns after {load['warm_up']:g} s of warm-up and a round "
        "that is thrown away, medians; "
        "ratios are medians of the ratios within a round.",
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
