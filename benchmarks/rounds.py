"""Programs measured in turns, and what their rounds come to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.command import say

One = dict[str, Any]
MEDIANS = ("p50_ms", "p99_ms", "cpu_us")


def in_turns(names: Sequence[str], rounds: int, once: Callable[[str, int], One]) -> dict[str, Any]:
    """Each program once per round, the order changing so that none always goes first; a round before is thrown away:
    processes are warm then, statements prepared, pages in memory."""
    taken: dict[str, list[One]] = {name: [] for name in names}
    for number in range(-1, rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            one = once(name, number)
            if number >= 0:
                taken[name].append(one)
                late = f", p99 {one['p99_ms']:.1f} ms" if "p99_ms" in one else ""
                say(f"round {number + 1}/{rounds} {name}: {one['per_second']:.0f}/s{late}")
    return {**compared(taken), "rounds": taken}


def compared(taken: Mapping[str, Sequence[One]]) -> dict[str, Any]:
    """The programs and their ratios."""
    return {"programs": {name: summed(each) for name, each in taken.items()}, "ratios": ratios(taken)}


def summed(rounds: Sequence[One]) -> One:
    """Medians over the rounds, and the lowest and highest rate; figures that a round lacks are None."""
    rates = [each["per_second"] for each in rounds]
    return {
        "per_second": statistics.median(rates),
        "per_second_lowest": min(rates),
        "per_second_highest": max(rates),
        **{key: _over(statistics.median, key, rounds) for key in MEDIANS},
        "generator_busy": _over(max, "generator_busy", rounds),
    }


def _over(how: Callable[[list[float]], float], key: str, rounds: Sequence[One]) -> float | None:
    found = [each[key] for each in rounds if each.get(key) is not None]
    return how(found) if len(found) == len(rounds) else None


def ratios(taken: Mapping[str, Sequence[One]]) -> dict[str, float]:
    """The median over the rounds of the ratio within a round: what disturbs the machine disturbs both."""
    return {
        f"{name}/{of}": statistics.median(
            one["per_second"] / other["per_second"] for one, other in zip(taken[name], taken[of], strict=True)
        )
        for name, of in (("ours", "bare"), ("ours", "usual"), ("usual", "bare"))
        if name in taken and of in taken
    }
