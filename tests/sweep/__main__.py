"""`python -m tests.sweep [OPERATION …]`: die at every SQL statement, before and after it, and judge the books."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend import auditing, invariants
from backend.database import fetch, fetch_row
from tests.sweep.dying import Place, in_a_process_of_its_own
from tests.sweep.operations import OPERATIONS, Swept
from tests.sweep.world import World, live, opened

_BOOKS = """
SELECT (SELECT count(*) FROM payments WHERE fee_id = $1) AS orders,
    (SELECT string_agg(DISTINCT state, ',') FROM payments WHERE fee_id = $1) AS state,
    (SELECT state FROM fees WHERE id = $1) AS fee,
    (SELECT coalesce(sum(paid_fen), 0) FROM payments WHERE fee_id = $1)::bigint AS paid,
    (SELECT coalesce(sum(refunded_fen), 0) FROM payments WHERE fee_id = $1)::bigint AS refunded,
    (SELECT count(*) FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.fee_id = $1) AS refunds
"""
_POSTED = """
SELECT g.kind, count(*) AS groups, sum(x.amount_fen)::bigint AS moved FROM payments p
LEFT JOIN refunds r ON r.payment_id = p.id
JOIN ledger_groups g ON g.ref IN (p.number, r.number)
JOIN ledger_postings x ON x.group_id = g.id AND x.account LIKE 'channel:%'
WHERE p.fee_id = $1 GROUP BY g.kind
"""


def say(line: str) -> None:
    """Show progress."""
    print(line, flush=True)


async def _judged(swept: Swept) -> list[str]:
    """What is wrong with the books after everything; nothing is as it should be."""
    found = dict(await fetch_row(_BOOKS, swept.fee) or {})
    wrong = [
        f"{name} is {found[name]!r}, not {value!r}" for name, value in swept.expected().items() if found[name] != value
    ]
    posted = {row["kind"]: (row["groups"], row["moved"]) for row in await fetch(_POSTED, swept.fee)}
    entries = {"payment": (1, found["paid"])} if found["paid"] else {}
    if found["refunded"]:
        entries["refund"] = (1, -found["refunded"])
    if posted != entries:
        wrong.append(f"the ledger has {posted}, not {entries}")
    theirs = [row for row in swept.world.control("GET", "/ledger") if row["out_trade_no"] == swept.number]
    moved = {kind: [row for row in theirs if row["kind"] == kind] for kind in ("payment", "refund")}
    if (len(moved["payment"]), len(moved["refund"])) != (1, found["refunds"]):
        wrong.append(f"WeChat Pay has {len(moved['payment'])} payments and {len(moved['refund'])} refunds")
    return wrong


def _one(kind: type[Swept], world: World, place: Place | None) -> tuple[bool, int, list[str]]:
    """One life with one death: whether it died, the statements when it did not, and what was wrong in the end."""
    swept = kind(world)
    world.caught.clear()
    asyncio.run(live(swept.set_stage))
    died, statements = in_a_process_of_its_own(live, swept.operate, place)
    wrong: list[str] = []

    async def afterwards() -> None:
        await swept.go_on()
        wrong.extend(await _judged(swept))

    asyncio.run(live(afterwards))
    return died, statements, wrong


def _places(statements: int) -> Iterator[Place]:
    for number in range(1, statements + 1):
        yield Place("before", number)
        yield Place("after", number)


def swept_through(kind: type[Swept], world: World, places: list[Place] | None = None) -> tuple[int, list[str]]:
    """Die at every place, or at those that are given; how many statements there are, and everything that was wrong."""
    _, statements, wrong = _one(kind, world, None)
    faults = [f"without a death: {each}" for each in wrong]
    for place in places if places is not None else _places(statements):
        died, _, wrong = _one(kind, world, place)
        if not died:
            faults.append(f"{place.when} {place.statement}: no process died there")
        faults += [f"{place.when} statement {place.statement}: {each}" for each in wrong]
    return statements, faults


def main(given: list[str]) -> int:
    """Sweep; 0 when nothing was lost, nothing happened twice and every invariant holds."""
    names = {each.name: each for each in OPERATIONS}
    parser = argparse.ArgumentParser(prog="python -m tests.sweep")
    parser.add_argument("operations", nargs="*", choices=[*names, []], help="which; all of them unless named")
    asked: list[str] = parser.parse_args(given).operations or [*names]
    bad = 0
    with tempfile.TemporaryDirectory(prefix="zbs-") as folder:
        os.chmod(folder, 0o755)  # started by root, PostgreSQL runs as another user
        with opened(Path(folder)) as world:
            for name in asked:
                statements, faults = swept_through(names[name], world)
                bad += len(faults)
                verdict = "nothing lost, nothing twice, the ledger balanced" if not faults else "BROKEN"
                say(f"{name}: {statements} statements, {2 * statements} deaths: {verdict}")
                for fault in faults:
                    say(f"  {fault}")
            bad += _invariants_broken()
    return 1 if bad else 0


def _invariants_broken() -> int:
    verdicts: list[Any] = []

    async def ask() -> None:
        await auditing.seal_all()
        verdicts.extend(await invariants.check())

    asyncio.run(live(ask))
    broken = [each for each in verdicts if each.status == "violated"]
    for each in broken:
        say(f"{each.id} {each.statement}: violated: {'; '.join(each.findings[:3])}")
    if not broken:
        say(f"invariants: {sum(each.status == 'holds' for each in verdicts)} hold")
    return len(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
