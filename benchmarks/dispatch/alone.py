"""The limit: the same calls through the same client, so many at once, and nothing around them.

It runs as a process of its own (`python -m benchmarks.dispatch.alone`) and reads from stdin how many to send, to how
many people, and how many at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from uuid_utils.compat import uuid7

from backend import cache
from backend.partners import partners_from
from backend.partners.wechat.port import SubscribeMessage
from backend.settings import settings
from benchmarks.dispatch.stage import CONTEXT, TEMPLATE
from notifications import wording
from notifications.channels.prepared import template_data
from notifications.templates import messages, partner_templates


def made(count: int, people: int) -> list[SubscribeMessage]:
    """The messages, with the very words that the service sends."""
    template = messages()[TEMPLATE]
    assert template.mini_program is not None
    known = partner_templates().mini_program[template.mini_program.template]
    data = template_data(template.mini_program, known, CONTEXT)
    return [
        SubscribeMessage(
            openid=f"oBench{number % people:022d}",
            template_id=known.id,
            data=data,
            page=wording.page(template.page, CONTEXT, uuid7()),
        )
        for number in range(count)
    ]


async def send(count: int, people: int, at_once: int) -> float:
    """Send them all; processor time that it took in seconds."""
    await cache.connect()
    partners = partners_from(settings())
    queue = made(count, people)
    queue.reverse()

    async def one_line() -> None:
        while queue:
            await partners.wechat.send_subscribe_message(queue.pop())

    before = time.process_time()
    await asyncio.gather(*(one_line() for _ in range(at_once)))
    used = time.process_time() - before
    await partners.close()
    await cache.close()
    return used


def main() -> None:
    """Read the order, carry it out, say what it took."""
    order = json.load(sys.stdin)
    used = uvloop.run(send(order["count"], order["people"], order["at_once"]))
    json.dump({"cpu": used}, sys.stdout)


if __name__ == "__main__":
    main()
