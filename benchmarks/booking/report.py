"""The result in Markdown, and what was wanted of it."""

from __future__ import annotations

from math import inf
from typing import Any

from benchmarks import reports
from benchmarks.reports import Goal

TITLES = {"hot": "one hot slot", "many": "1,000 slots"}


def goals(result: dict[str, Any]) -> list[Goal]:
    """What was wanted, and whether it was kept."""
    wanted = []
    for name, each in result.get("ceiling", {}).items():
        wanted += reports.at_least(each, "ours/bare", 0.5, f"{TITLES[name]}: at least half of the bare program")
    if released := result.get("release"):
        wanted += _promised(released, result["load"])
    return wanted


def _promised(released: dict[str, Any], load: dict[str, Any]) -> list[Goal]:
    """What the release was to be like."""
    kinds, statuses, places = released["kinds"], released["all"]["statuses"], load["places"]
    sold = released["sold"] == released["appointments"] == released["winners"]["requests"] == places
    return [
        Goal(f"exactly {places} places sold", sold),
        Goal("no answer of 5xx and none missing", not any(each == "0" or each >= "500" for each in statuses)),
        Goal("winners p99 ≤ 1.5 s", (released["winners"]["p99_ms"] or inf) <= 1500, timed=True),
        Goal("reads p99 ≤ 1 s", kinds["read"]["p99_ms"] <= 1000, timed=True),
        Goal("callbacks p99 ≤ 1 s", kinds["callback"]["p99_ms"] <= 1000, timed=True),
        Goal("the generator was not late (< 1 %)", released["late_share"] < 0.01, timed=True),
        Goal("a server that stops for 2 s is seen (p99 ≥ 1 s)", released["self_test"]["p99_ms"] >= 1000),
    ]


def table(result: dict[str, Any]) -> str:
    """Everything that was measured."""
    load = result["load"]
    how = (
        f"Ceiling: {load['workers']} at once, pool of {load['workers']}, one process, {load['rounds']} rounds of "
        f"{load['seconds']:g} s in turns, medians; fsync and synchronous_commit on. Release: {load['base_rate']:g}/s "
        f"all the time, {load['rush_rate']:g}/s for {load['rush_seconds']:g} s, {load['people']:,} people, "
        f"{load['places']} places in {load['slots']} slots, {load['processes']} serving processes and a worker; "
        "Poisson, latencies from the intended start."
    )
    return "\n".join([*_ceiling(result), *_release(result), *reports.ending(result, how)])


def _ceiling(result: dict[str, Any]) -> list[str]:
    if "ceiling" not in result:
        return []
    lines = [
        "| bookings/s, closed loop | bare (lowest to highest round) | `book` (lowest to highest round) | ratio |",
        "|---|---|---|---|",
    ]
    for name, each in result["ceiling"].items():
        bare, ours = (reports.rates(each["programs"][program]) for program in ("bare", "ours"))
        lines.append(f"| {TITLES[name]} | {bare} | {ours} | {each['ratios']['ours/bare']:.2f} |")
    return [*lines, ""]


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
    return [*lines, "", f"Sold: {released['sold']}. Sent late by the generator: {released['late_share']:.2%}."]
