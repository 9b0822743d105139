"""What every result shows alike: programs beside each other, goals kept or not, the machine; its place in the docs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Goal(NamedTuple):
    """What was wanted and whether it was kept; a timed one says little about a short run."""

    what: str
    kept: bool
    timed: bool = False


def at_least(result: Mapping[str, Any], ratio: str, least: float, what: str) -> list[Goal]:
    """The goal of a ratio, where it was measured."""
    return [Goal(what, result["ratios"][ratio] >= least, timed=True)] if ratio in result["ratios"] else []


def at_most(result: Mapping[str, Any], ratio: str, most: float, what: str) -> list[Goal]:
    """The goal of a ratio that is better when it is small, where it was measured."""
    return [Goal(what, result["ratios"][ratio] <= most, timed=True)] if ratio in result["ratios"] else []


def programs(result: Mapping[str, Any], titles: Mapping[str, str], one: str, many: str) -> list[str]:
    """A line per program; `one` and `many` is what it does."""
    first = next(iter(result["programs"].values()))
    delays = [key for key in ("p50_ms", "p99_ms") if first[key] is not None]
    columns = ["program", f"{many}/s (lowest to highest round)", "of the limit"]
    columns += [*(key.replace("_", " ") for key in delays), f"CPU µs per {one}"]
    lines = [_row(columns), "|" + "---|" * len(columns)]
    for name, each in result["programs"].items():
        share = 1.0 if name == "bare" else result["ratios"].get(f"{name}/bare")
        cells = [titles[name], rates(each), _figure(share, ".2f")]
        lines.append(_row([*cells, *(_figure(each[key], ".1f") for key in delays), _figure(each["cpu_us"], ".0f")]))
    busy = [each["generator_busy"] for each in result["programs"].values() if each["generator_busy"] is not None]
    return [*lines, "", f"The generator was busy for at most {max(busy):.0%} of its time."] if busy else lines


def rates(each: Mapping[str, Any]) -> str:
    """The median rate of a program and those of its lowest and its highest round."""
    return f"{each['per_second']:,.0f} ({each['per_second_lowest']:,.0f} to {each['per_second_highest']:,.0f})"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None, how: str) -> str:
    return "–" if value is None else format(value, how)


def ending(result: Mapping[str, Any], how: str) -> list[str]:
    """Which goals were kept, how it was measured, and where."""
    where = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items() if number)
    return [
        "",
        *(f"- {'kept' if goal.kept else '**not kept**'}: {goal.what}" for goal in result["goals"]),
        "",
        how,
        "",
        f"Measured {result['at']} at commit {where['commit'] or '–'} on {where['processor']}, {where['cores']} cores, "
        f"{where['memory_gb']} GB, {where['system']}, Python {where['python']}; {versions}. "
        f"Load of the machine before it began (1, 5, 15 minutes): {', '.join(map(str, where['load_before']))}.",
    ]


def around(document: Path, name: str) -> tuple[str, str]:
    """What stands before and behind the place of the result, with its two marks. Raises ValueError when it has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = (document.read_text() if document.is_file() else "").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{document} has no place for the result")
    return before + begin, end + after


def write_into(document: Path, name: str, table: str) -> None:
    """Replace what stands between the two marks of the document. Raises ValueError when it has none."""
    before, after = around(document, name)
    document.write_text(f"{before}\n\n{table}\n\n{after}")
