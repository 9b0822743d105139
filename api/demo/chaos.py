"""Accidents on purpose: WeChat stumbles, a worker loses its power, Redis forgets. The story must not change."""

from __future__ import annotations

import asyncio

from api.demo.house import House
from api.demo.showing import Timeline

SUBSCRIBE, TEMPLATE, GATEWAY = "/cgi-bin/message/subscribe/send", "/cgi-bin/message/template/send", "/"
BAD_WEATHER = (
    (SUBSCRIBE, "errcode", {"number": -1, "times": 3}, "订阅消息接口答“系统繁忙”（-1）3 次"),
    (SUBSCRIBE, "status", {"number": 502, "times": 2}, "再答 502 两次"),
    (SUBSCRIBE, "timeout", {"seconds": 3.0, "times": 1}, "再有一次没有答复"),
    (SUBSCRIBE, "drop_reply", {"times": 1}, "再有一次收下了消息，但回答在路上丢了"),
    (TEMPLATE, "errcode", {"number": -1, "times": 2}, "公众号接口答“系统繁忙”2 次"),
    (GATEWAY, "status", {"number": 503, "times": 2}, "短信网关答 503 两次"),
)
LOST_REPLIES = 1
SLOW = 0.5
"""Seconds that WeChat takes for a message when it is slow: then a worker that is killed has one in its hands."""


class Chaos:
    """What goes wrong, and how many duplicates may come of it."""

    def __init__(self, house: House, timeline: Timeline) -> None:
        self._house, self._timeline = house, timeline
        self.lost_replies = self.kills = 0

    async def weather(self) -> None:
        """WeChat and the gateway stumble, and every access token is suddenly invalid."""
        for path, mode, how, words in BAD_WEATHER:
            await self._house.controls.ask("POST", "/sandbox/faults", {"path": path, "mode": mode, **how})
            self._timeline.fault(words)
        self.lost_replies += LOST_REPLIES
        await self._house.controls.ask("POST", "/sandbox/tokens/kill")
        self._timeline.fault("微信的 access_token 全部作废（40001）")

    async def slow(self) -> None:
        """WeChat takes its time, so that a worker always has messages in its hands."""
        await self._house.controls.ask("PUT", "/sandbox/rules", {"send_seconds": SLOW})
        self._timeline.fault(f"微信变慢：每条订阅消息要 {SLOW} 秒")

    async def power_cut(self) -> None:
        """The worker dies in the middle of its work and Redis is empty; a new worker comes a little later."""
        from redis.asyncio import Redis  # loaded here: a demo without accidents never loads it

        await asyncio.sleep(SLOW / 2)
        self._house.processes.kill("work")
        self.kills += 1
        self._timeline.fault("后台工作进程在发送途中被 SIGKILL")
        redis = Redis.from_url(self._house.urls.redis_url)
        await redis.flushall()
        await redis.aclose()
        self._timeline.fault("Redis 被清空（FLUSHALL）")
        await self._house.controls.ask("PUT", "/sandbox/rules", {"send_seconds": 0})
        asyncio.get_running_loop().call_later(0.5, self._start_again)

    def _start_again(self) -> None:
        self._house.start_worker()
        self._timeline.fault("新的后台工作进程启动，微信不再变慢")

    async def bound(self) -> int:
        """How many messages may have arrived twice: one per lost reply, and what a killed worker had in its hands.

        A worker sends at most one message per resident at a time.
        """
        people = len(self._timeline.record.people)
        return self.lost_replies + self.kills * people
