"""`zhangban demo --keep`: the house stays open, for requests from another terminal."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from api.demo.house import House
from api.demo.showing import Timeline
from api.demo.story import Story

CHECK_EVERY = 1.0

_CODE = "CODE=$(curl -s -X POST $WECHAT/sandbox/personas/{who}/login-code | {read} code)"
_SIGN_IN = """\
TOKEN=$(curl -s $API/v1/public/sessions -H 'Content-Type: application/json' -d "{{\\"code\\": \\"$CODE\\"}}" \\
    | {read} access_token)"""
_READ = "python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])'"


async def stay(house: House, story: Story, timeline: Timeline) -> None:
    """Print the addresses and commands to copy, then wait for the signal to stop. Raises DemoFailed when a process
    dies."""
    timeline.heading("服务仍在运行，按 Ctrl-C 结束")
    for line in [*addresses(house), "", "  可直接复制的命令：", "", *commands(house, story), ""]:
        timeline.plain(line)
    while True:
        for name in ("sandbox", "serve", "work"):
            house.processes.must_run(name)
        await asyncio.sleep(CHECK_EVERY)


def addresses(house: House) -> list[str]:
    """What answers where."""
    return [
        f"  接口文档    {house.api}/docs",
        f"  接口地址    {house.api}    OpenAPI：{house.api}/openapi.json",
        f"  微信沙箱    {house.sandbox}    已发消息：/sandbox/sent，短信：/sandbox/sms/sent，人物：/sandbox/personas",
        f"  PostgreSQL  {house.urls.database_url}",
        f"  Valkey      {house.urls.redis_url}",
    ]


def commands(house: House, story: Story) -> list[str]:
    """Sign in as a person of the story with curl, and read the case."""
    person = story.people[1]
    authorised = '-H "Authorization: Bearer $TOKEN"'
    return [
        f"API={house.api} WECHAT={house.sandbox}",
        _CODE.format(who=quote(person.name), read=_READ),
        _SIGN_IN.format(read=_READ),
        f"curl -s $API/v1/resident/cases {authorised}",
        f"curl -s $API/v1/resident/cases/{person.case} {authorised}",
        f"curl -s $API/v1/resident/messages {authorised}",
    ]
