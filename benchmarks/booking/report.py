"""The result as Markdown, for the terminal and for docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- booking: begin -->", "<!-- booking: end -->"
TITLES = {"hot": "one hot slot", "many": "1,000 slots"}


def table(result: dict[str, Any]) -> str:
    """Everything that was measured."""
    return "\n".join([*_ceiling(result), "", *_release(result), "", *_where(result)])


def _ceiling(result: dict[str, Any]) -> list[str]:
    lines = [
        "| bookings/s, closed loop | bare (lowest to highest round) | `book` (lowest to highest round) | ratio |",
        "|---|---|---|---|",
    ]
    for name, each in result["ceiling"].items():
        bare, ours = each["bare"], each["ours"]
        lines.append(
            f"| {TITLES[name]} | {bare['per_second']:,.0f} ({bare['lowest']:,.0f} to {bare['highest']:,.0f}) | "
            f"{ours['per_second']:,.0f} ({ours['lowest']:,.0f} to {ours['highest']:,.0f}) | {each['ratio']:.2f} |"
        )
    return lines


def _release(result: dict[str, Any]) -> list[str]:
    released = result.get("release")
    if released is None:
        return []
    lines = [
        "| the release, open loop | requests | answers | p50 ms | p99 ms | max ms | p99 from sending ms |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {"winners": released["winners"], "all taps": released["kinds"]["tap"]}
    rows |= {"reads": released["kinds"]["read"], "callbacks": released["kinds"]["callback"]}
    rows |= {"server stopped for 2 s": released["self_test"]}
    for name, each in rows.items():
        answers = ", ".join(f"{number} × {status}" for status, number in each["statuses"].items())
        figures = " | ".join(
            "–" if each[key] is None else f"{each[key]:,.0f}"
            for key in ("p50_ms", "p99_ms", "max_ms", "p99_from_sending_ms")
        )
        lines.append(f"| {name} | {each['requests']:,} | {answers} | {figures} |")
    kept = [f"- {'kept' if well else '**not kept**'}: {what}" for what, well in result["verdicts"].items()]
    return [
        *lines,
        "",
        f"Sold: {released['sold']}. Sent late by the generator: {released['late_share']:.2%}.",
        "",
        *kept,
    ]


def _where(result: dict[str, Any]) -> list[str]:
    where, load = result["machine"], result["load"]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items() if number)
    return [
        f"Ceiling: {load['workers']} at once, pool of {load['workers']}, one process, {load['rounds']} rounds of "
        f"{load['seconds']:g} s in turns, medians; fsync and synchronous_commit on. Release: {load['base_rate']:g}/s "
        f"all the time, {load['rush_rate']:g}/s for {load['rush_seconds']:g} s, {load['people']:,} people, "
        f"{load['places']} places in {load['slots']} slots, {load['processes']} serving processes and a worker; "
        "Poisson, latencies from the intended start.",
        "",
        f"Measured {result['at']} at commit {where['commit'] or '–'} on {where['processor']}, {where['cores']} cores, "
        f"{where['memory_gb']} GB, {where['system']}, Python {where['python']}; {versions}. "
        f"Load of the machine before it began (1, 5, 15 minutes): {', '.join(map(str, where['load_before']))}.",
    ]


def write_into(document: Path, result: dict[str, Any]) -> None:
    """Replace what stands between the two marks of the document. Raises ValueError when it has none."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} has no place for the result")
    document.write_text(f"{before}{BEGIN}\n\n{table(result)}\n\n{END}{after}")
