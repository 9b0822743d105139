"""`zhangban reconcile`: compare the channels' bills with our tables, and repair by querying the channels."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date

import msgspec

from api.commands import CommandFailed, say
from api.commands.running import opened
from api.commands.running import run as run_main
from backend import partners, payments
from backend.amounts import yuan
from backend.payments import BillComparison, CatchUpReport
from models.payments import Channel


def add(parser: ArgumentParser) -> None:
    parser.add_argument("--date", type=date.fromisoformat, metavar="YYYY-MM-DD", help="compare this day (again)")
    parser.add_argument("--channel", choices=[each.value for each in Channel], help="with this channel only")
    parser.add_argument(
        "--once", action="store_true", help="everything that is due: open payments and refunds, and every bill"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(given: Namespace) -> int:
    """Reconcile; 1 when a difference is open, a bill was refused or a channel did not answer."""
    only = Channel(given.channel) if given.channel else None

    async def reconciled() -> int:
        async with opened():
            channels = partners.in_use().channels
            if not channels or (only and only.value not in channels):
                raise CommandFailed("no payment channel is configured" if not channels else f"{only} is not configured")
            done = CatchUpReport(queried=0, unanswered=0, days=[])
            if given.once or not given.date:
                done = await payments.catch_up(channels=channels, only=only, orders=given.once)
            if given.date and all(each.day != given.date for each in done.days):
                done.days.extend(await payments.reconcile_day(given.date, channels=channels, only=only))
        _report(done, as_json=given.json)
        return 0 if done.ok else 1

    return run_main(reconciled)


def _report(done: CatchUpReport, *, as_json: bool) -> None:
    if as_json:
        answer = {"ok": done.ok, **msgspec.to_builtins(done)}
        print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return
    if done.queried:
        say(f"queried {done.queried} open orders and refunds, {done.unanswered} without an answer")
    for each in done.days:
        print(_line(each))


def _line(each: BillComparison) -> str:
    where = f"{each.day} {each.channel:10} {each.merchant_id:16}"
    if each.problem:
        return f"{where} {'unreachable' if each.unreachable else each.state:10} {each.problem}"
    return (
        f"{where} {each.state:10} paid {each.paid_count} ({yuan(each.paid_fen)}), "
        f"refunds {each.refund_count} ({yuan(each.refund_fen)}), "
        f"differences {each.found}, repaired {each.repaired}, open {each.open}"
    )
