"""`zhangban demo`: start everything, play the story, check its outcome, leave nothing behind."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from datetime import datetime, time, timedelta

from api.demo import keeping
from api.demo.chaos import Chaos
from api.demo.house import House, opened
from api.demo.processes import DemoFailed
from api.demo.showing import Timeline
from backend import clock
from backend.embedded import EmbeddedFailed

BEGINNING = """\
掌办演示：从部门推送办件，到居民收到每一次告知、缴费、预约、收到证照，走一遍真实的流程。
· 在本机临时启动 PostgreSQL、Valkey、接口服务、后台工作进程，以及微信、支付、短信、快递的沙箱，都只监听本机。
· 约二十秒后逐项核对结果，然后全部结束、不留数据；随时可按 Ctrl-C 停止。"""
NEXT = """\
接下来可以试试：
  make demo ARGS=--keep     演示之后不退出：打开接口文档（/docs），用 curl 登录、查办件
  make demo ARGS=--chaos    微信出错、工作进程被杀、缓存清空，结果仍然一致
  make test                 在真实的 PostgreSQL 与 Valkey 上运行全部测试
  README.zh-CN.md           掌办能做什么，怎样部署"""
LONGEST = 90.0
"""Seconds that a story may take from the first server to the last check."""
STOPPED = 130
"""The exit status of a program that was stopped by a signal, as shells give it."""


def run(*, chaos: bool = False, keep: bool = False, json_file: str | None = None) -> int:
    """The whole demo. 0: everything was as it must be; 1: something was not; 2: it could not run; 130: stopped by a
    signal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a tick is no reason to stop
    timeline = Timeline(chaos=chaos)
    try:
        return asyncio.run(_until_signalled(timeline, chaos=chaos, keep=keep, json_file=json_file))
    except (DemoFailed, EmbeddedFailed) as failure:
        print(f"\n演示没有完成：{failure}", file=sys.stderr, flush=True)
        return 2
    finally:
        if json_file:
            timeline.write(json_file)


async def _until_signalled(timeline: Timeline, *, chaos: bool, keep: bool, json_file: str | None) -> int:
    playing = asyncio.create_task(_play(timeline, chaos=chaos, keep=keep, json_file=json_file))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, playing.cancel)
    try:
        return await playing
    except asyncio.CancelledError:
        timeline.say("已按要求停止，全部进程都已结束")
        return 0 if keep and timeline.record.ok else STOPPED


def until_tomorrow(now: datetime) -> float:
    """How many seconds a story that would not end before midnight in China waits for the next day; 0 is most days."""
    tomorrow = datetime.combine(clock.day_of(now) + timedelta(days=1), time(), clock.SHANGHAI)
    left = (tomorrow - now).total_seconds()
    return left + 1 if left < LONGEST else 0


async def _play(timeline: Timeline, *, chaos: bool, keep: bool, json_file: str | None) -> int:
    timeline.plain(BEGINNING)
    if wait := until_tomorrow(clock.now()):
        timeline.say(f"就要到零点了：预约、账单都按天算，演示等 {wait:.0f} 秒，从新的一天讲起")
        await asyncio.sleep(wait)
    async with opened(timeline) as house:
        story = await house.story(chaos=chaos)
        accidents = Chaos(house, timeline)
        timeline.begin()
        await story.push_cases()
        await house.until_handled()
        await story.sign_in()
        money = house.money(story)
        parcel = house.parcel(story, money)
        await parcel.choose()
        if chaos:
            await story.progress(before={1: accidents.weather, 2: accidents.slow}, after={2: accidents.power_cut})
        else:
            await story.progress()
        await story.look_around()
        await money.play()
        visit = house.visit(story)
        await visit.play()
        await parcel.play()
        timeline.heading("十一、对账与核对")
        await money.reconcile()
        await story.check(bound=await accidents.bound())
        await money.check()
        await visit.check()
        await parcel.check()
        await _examine(house, timeline)
        well = timeline.end()
        if well and not keep:
            timeline.plain(f"\n{NEXT}")
        if keep:
            if json_file:
                timeline.write(json_file)
            await keeping.stay(house, story, timeline)
    return 0 if well else 1


async def _examine(house: House, timeline: Timeline) -> None:
    """The service's own examiners, as an operator runs them."""
    processes, commands = house.processes, ("check-invariants", "verify-audit")
    answers = await asyncio.gather(*(processes.ask(each, "api.cli", each) for each in commands))
    said = [f"\n{processes.last_words(each)}" for each in commands]
    (proved, verdicts), (verified, _) = answers
    holding = sum(" holds " in line for line in verdicts.splitlines())
    timeline.check("不变式（check-invariants）", proved == 0, f"{holding} 条成立" if proved == 0 else said[0])
    timeline.check("审计链（verify-audit）", verified == 0, "链完整，无改动" if verified == 0 else said[1])
