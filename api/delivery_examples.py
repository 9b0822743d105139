"""A certificate on its way home, as the examples of several doors show it."""

from __future__ import annotations

from typing import Any

NUMBER = "D20261122B7D9F2H4J6K8"
ADDRESS_ID = "0194a1b2-add0-7fff-8000-0bbb0ccc0001"
POINT_ID = "0194a1b2-c0de-7fff-8000-0bbb0ccc0001"
PERSON_ID = "0194a1b2-0001-7fff-8000-0bbb0ccc0005"
CASE_ID = "0194a1b2-eeee-7fff-8000-0bbb0ccc0ddd"
REGION = ["示例省", "示例市", "云山县"]

POINT: dict[str, Any] = {
    "id": POINT_ID,
    "code": "city-hall-counter",
    "name": "示例市政务服务中心出件窗口",
    "hall_id": "c8302872-7262-5fef-befe-00e351416a1c",
    "department": "示例市公安局",
    "region_code": "990100",
    "region": ["示例省", "示例市"],
    "address": "示例市城中区人民路1号一楼",
    "phone": "0990-1234567",
    "hours": [{"days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "17:00"}],
    "latitude": "35.000100",
    "longitude": "105.000100",
    "open": True,
}
ADDRESS: dict[str, Any] = {
    "id": ADDRESS_ID,
    "person_id": PERSON_ID,
    "name": "田秀英",
    "phone": "13800138000",
    "region_code": "990121",
    "region": REGION,
    "street": "人民大街1号2栋3单元404",
    "label": "家",
    "is_default": True,
    "version": 1,
    "usable": True,
}
LINE: dict[str, Any] = {
    "number": NUMBER,
    "person_id": PERSON_ID,
    "subject_kind": "case",
    "subject_id": CASE_ID,
    "direction": "to-resident",
    "direction_name": "寄给居民",
    "method": "post",
    "method_name": "邮寄",
    "contents": "居民身份证",
    "state": "out_for_delivery",
    "state_name": "派送中",
    "state_at": "2026-11-24T01:10:00Z",
    "company": "ems",
    "company_name": "EMS",
    "waybill": "EA000000001CN",
    "kept_until": None,
    "troubled": False,
}
STEPS: list[dict[str, Any]] = [
    {
        "at": "2026-11-22T07:00:00Z",
        "kind": "office",
        "code": "to_send",
        "name": "待寄出",
        "text": "待寄出",
        "place": "",
        "region_code": None,
        "region": [],
        "source": "",
        "waybill": None,
        "late": False,
        "believed": True,
    },
    {
        "at": "2026-11-24T01:10:00Z",
        "kind": "courier",
        "code": "out_for_delivery",
        "name": "派送中",
        "text": "【云山县】快件正在派送，派件员张师傅，电话13900000000",
        "place": "云山县",
        "region_code": "990121",
        "region": REGION,
        "source": "快递100",
        "waybill": "EA000000001CN",
        "late": False,
        "believed": True,
    },
]
RECEIVER = {name: ADDRESS[name] for name in ("name", "phone", "region_code", "region", "street")}
MASKED = {**RECEIVER, "name": "田*", "phone": "138****8000", "street": "***"}
FOLLOWED: dict[str, Any] = {
    **LINE,
    "postage": "resident",
    "postage_name": "在线支付邮费",
    "postage_fen": 1000,
    "fee_id": "0194a1b2-fee0-7fff-8000-0bbb0ccc0009",
    "confirmed_at": None,
    "version": 6,
    "origin": {"name": "示例市公安局", "region_code": "990100", "region": ["示例省", "示例市"]},
    "goal": {"name": "收件地址", "region_code": "990121", "region": REGION},
    "receiver": RECEIVER,
    "office": None,
    "pickup_point": None,
    "pickup_code": None,
    "courier_phone": "13900000000",
    "steps": STEPS,
    "problems": [],
    "actions": ["confirm", "report"],
}
"""As the resident reads it."""
OVERSEEN: dict[str, Any] = {
    **{
        name: LINE[name]
        for name in (
            "number", "subject_kind", "subject_id", "direction", "method", "method_name", "contents", "company_name",
            "waybill", "kept_until", "state", "state_name", "state_at",
        )
    },
    "hall_id": POINT["hall_id"],
    "ready_at": "2026-11-22T07:00:00Z",
    "postage": "resident",
    "postage_name": "在线支付邮费",
    "postage_fen": 1000,
    "pickup_point": None,
    "overdue": False,
    "shipment_number": "S20261122B7D9F2H4J6K801",
    "courier": "ems",
    "order_trouble": None,
    "batch_id": "0194a1b2-ba7c-7fff-8000-0bbb0ccc0001",
    "open_problems": 0,
}  # fmt: skip
"""As the office reads it in a list."""
OPENED: dict[str, Any] = {
    **OVERSEEN,
    "receiver": MASKED,
    "confirmed_at": None,
    "hand_over": None,
    "steps": [STEPS[0], {**STEPS[1], "text": "【云山县】快件正在派送，派件员张师傅，电话139****0000"}],
}
