"""`zhangban verify-audit`: the ledger's hash chains, here or in an export, against anchors kept elsewhere."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path

import msgspec

from api.commands import CommandFailed, say
from api.commands.running import opened
from api.commands.running import run as run_main
from backend import auditing
from backend.auditing import AnchorUnreadable
from backend.chain import Finding


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--anchor", type=Path, metavar="FILE", help="anchors kept outside of the database")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--file", type=Path, metavar="EXPORT", help="verify an export, without any database")
    parser.add_argument("--export", type=Path, metavar="EXPORT", help="write the sealed ledger to a file first")
    parser.add_argument("--write-anchor", type=Path, metavar="FILE", help="add an anchor of today to this file")


def run(arguments: Namespace) -> int:
    """Verify; 1 when something is wrong."""
    try:
        if arguments.file:
            return _print(auditing.verify_export(arguments.file, arguments.anchor), as_json=arguments.json)
        return run_main(lambda: _verify(arguments))
    except AnchorUnreadable as error:
        raise CommandFailed(str(error)) from error


async def _verify(arguments: Namespace) -> int:
    async with opened():
        if arguments.export:
            say(f"{await auditing.export(arguments.export)} sealed events written to {arguments.export}")
        findings = await auditing.verify(arguments.anchor)
        if arguments.write_anchor and not findings:
            anchor = await auditing.anchors()
            await asyncio.to_thread(auditing.write_anchor, arguments.write_anchor, anchor)
            say(f"anchor of {len(anchor.heads)} chains added to {arguments.write_anchor}")
    return _print(findings, as_json=arguments.json)


def _print(findings: list[Finding], *, as_json: bool) -> int:
    if as_json:
        answer = {"ok": not findings, "findings": findings}
        print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    elif findings:
        for each in findings:
            place = (
                "outside of the chains" if each.shard < 0 else f"shard {each.shard}, position {each.position or '-'}"
            )
            print(f"{each.kind}: {place}, event {each.event_id or '-'}: {each.message}")
    else:
        print("The ledger is whole.")
    return 1 if findings else 0
