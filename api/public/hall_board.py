"""The live board of a hall, for its screen and for residents' phones: numbers only, no names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.types import ASGIApp, Receive, Scope, Send

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.limits import limit
from api.problems import answers
from backend import appointments
from backend.appointments import Board, Frame

_FRAMES = "board-frames"
RETRY = 2000
"""Milliseconds after which a client that lost the stream comes back."""


async def _messages(frames: AsyncIterator[Frame]) -> AsyncIterator[ServerSentEventMessage]:
    async for frame in frames:
        if frame.body:
            yield ServerSentEventMessage(data=frame.body, event="board", id=frame.version, retry=RETRY)
        else:
            yield ServerSentEventMessage(data=None, comment="")


class Closing(ASGIMiddleware):
    """End the frames when the answer ends, however it ends: an abandoned generator ends only when the
    garbage is collected, and until then its subscriber would be counted."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer, then close what the handler left in the scope."""
        try:
            await next_app(scope, receive, send)
        finally:
            frames = scope["state"].pop(_FRAMES, None)
            if frames is not None:
                await frames.aclose()


class BoardController(Controller):
    """`/v1/public/halls/{id}/board`."""

    path = "/halls/{hall_id:uuid}/board"
    tags = ["签到叫号"]

    @get(
        summary="大厅叫号屏（当前快照）",
        description="正在叫的号（最近的在前）和各业务类别的等候人数；实时变化见 `/board/stream`。",
        operation_id="getHallBoard",
        guards=[limit("board", 600, 60)],
        middleware=[Revalidated(public=True, max_age=1)],
        response_headers=HEADERS,
        responses=answers(appointments.get_board) | NOT_MODIFIED,
    )
    async def snapshot(self, hall_id: FromPath[UUID]) -> Board:
        return await appointments.get_board(hall_id)

    @get(
        "/stream",
        summary="大厅叫号屏（实时，Server-Sent Events）",
        description=(
            "连接后先发一次完整快照，此后每有变化再发一次完整快照：事件名 `board`，`data` 与快照接口相同，`id` 为版本。"
            "断线后直接重连即可，不会漏掉当前状态；每 10 秒有一行注释作心跳，最长 30 分钟后由服务端结束。"
            "不读取数据的连接会被断开。"
        ),
        operation_id="followHallBoard",
        guards=[limit("board-stream", 120, 60)],
        media_type="text/event-stream",
        middleware=[Closing()],
        responses=answers(appointments.stream_board)
        | {200: ResponseSpec(str, media_type="text/event-stream", description="事件流", generate_examples=False)},
    )
    async def stream(self, request: Request[Any, Any, Any], hall_id: FromPath[UUID]) -> ServerSentEvent:
        frames = request.scope["state"][_FRAMES] = await appointments.stream_board(hall_id)
        return ServerSentEvent(_messages(frames))


_THERE = {"parameters": {"hall_id": "$response.body#/hall_id"}}
openapi.LINKS["getHallBoard"] = {"live": {"operationId": "followHallBoard", **_THERE}}
