"""`python -m benchmarks [NAME] [options]`: run one benchmark, or all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.booking.__main__ import main as booking
from benchmarks.courier_push.__main__ import main as courier_push
from benchmarks.dispatch.__main__ import main as dispatch
from benchmarks.payment_callback.__main__ import main as payment_callback
from benchmarks.progress_lookup.__main__ import main as progress_lookup

BENCHMARKS: dict[str, Callable[[list[str]], int]] = {
    "progress_lookup": progress_lookup,
    "booking": booking,
    "payment_callback": payment_callback,
    "courier_push": courier_push,
    "dispatch": dispatch,
}


def main(arguments: list[str]) -> int:
    """Run what is named first, or everything; the worst exit status."""
    if arguments and arguments[0] in BENCHMARKS:
        return BENCHMARKS[arguments[0]](arguments[1:])
    return max(run(arguments) for run in BENCHMARKS.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
