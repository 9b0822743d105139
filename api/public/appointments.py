"""What is free, and the proof of a draw: for everybody, nothing personal."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from api import etag, limits, openapi
from api.problems import answers
from backend import appointments
from backend.appointments import DayAvailability, DrawProof

ItemCode = Annotated[str, QueryParameter(min_length=1, max_length=40, description="事项编码")]
Day = Annotated[date, QueryParameter(description="办理日期（北京时间）")]


class FreePlacesController(Controller):
    """`/v1/public/halls/{id}/free-places` and `/v1/public/lines/{id}/draws/{day}`."""

    tags = ["预约"]
    middleware = [etag.Revalidated(public=True, max_age=0)]
    response_headers = etag.HEADERS

    @get(
        "/halls/{hall_id:uuid}/free-places",
        summary="某厅某事项某日的余号",
        description="最多延迟 1 秒，`read_at` 是读取时刻；能否约上以预约时为准。",
        operation_id="listFreePlaces",
        guards=[limits.limit("free-places", 600, 60)],
        responses=etag.NOT_MODIFIED | answers(appointments.get_availability),
    )
    async def free_places(self, hall_id: FromPath[UUID], item: ItemCode, day: Day) -> DayAvailability:
        return await appointments.get_availability(hall_id, item, day)

    @get(
        "/lines/{line_id:uuid}/draws/{day:date}",
        summary="摇号公示：事先公布摘要，事后公布种子与名单",
        description=(
            "摇号前只有 `seed_digest`（种子 32 字节的 SHA-256）。"
            "摇号后任何人可以验证：种子的 SHA-256 等于 `seed_digest`；"
            "全部报名 `id`（各 16 字节，升序相连）的 SHA-256 等于 `entries_digest`；"
            "按 SHA-256(种子‖名单摘要‖报名 id) 从小到大即为 `rank`；"
            "按此次序各得其志愿中第一个尚有余号（`places`）的时段。"
        ),
        operation_id="getDrawProof",
        guards=[limits.limit("draw-proof", 120, 60)],
        responses=etag.NOT_MODIFIED | answers(appointments.get_draw_proof),
    )
    async def draw_proof(self, line_id: FromPath[UUID], day: FromPath[date]) -> DrawProof:
        return await appointments.get_draw_proof(line_id, day)


openapi.LINKS["getHall"] = {"free": {"operationId": "listFreePlaces", "parameters": {"hall_id": "$response.body#/id"}}}
openapi.LINKS["listFreePlaces"] = {
    "draw": {
        "operationId": "getDrawProof",
        "parameters": {"line_id": "$response.body#/line_id", "day": "$response.body#/day"},
    }
}
