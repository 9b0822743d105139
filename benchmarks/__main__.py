"""`python -m benchmarks [NAME…] [options]`: run what is named, or everything; `NAME --help` lists the options."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from itertools import takewhile

from benchmarks.booking.__main__ import BOOKING
from benchmarks.command import parsed, run, say
from benchmarks.courier_push.__main__ import COURIER_PUSH
from benchmarks.dispatch.__main__ import DISPATCH
from benchmarks.payment_callback.__main__ import PAYMENT_CALLBACK
from benchmarks.progress_lookup.__main__ import PROGRESS_LOOKUP
from benchmarks.start_up.__main__ import START_UP

BENCHMARKS = {
    each.name: each for each in (PROGRESS_LOOKUP, BOOKING, PAYMENT_CALLBACK, COURIER_PUSH, DISPATCH, START_UP)
}  # fmt: skip


def main(given: Sequence[str]) -> int:
    """The worst exit status; 2 when a name is none, or a benchmark could not be played to its end."""
    names = list(takewhile(lambda each: not each.startswith("-"), given))
    options = given[len(names) :]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown or (not names and {"-h", "--help"} & {*options}):
        strange = [f"No benchmark is named {name}." for name in unknown]
        print(*strange, __doc__, f"NAME is one of: {', '.join(BENCHMARKS)}", sep="\n", file=sys.stderr)
        return 2 if unknown else 0
    # Every command line is read before the first benchmark begins.
    orders = [(BENCHMARKS[name], parsed(BENCHMARKS[name], options)) for name in names or BENCHMARKS]
    worst = 0
    for benchmark, asked in orders:
        say(benchmark.name)
        try:
            worst = max(worst, run(benchmark, asked))
        except Exception:
            traceback.print_exc()
            worst = 2
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
