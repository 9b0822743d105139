"""Chinese names of the states, methods and problems of a delivery; and the machine as data for front ends."""

from __future__ import annotations

from collections.abc import Mapping

from backend.deliveries.lifecycle import DELIVERIES, LEADS_TO
from backend.partner_settings.couriers import COURIERS
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, Postage, ProblemKind
from models.shipments import TrackStatus as T

STATE_NAMES: Mapping[D, str] = {
    D.WAITING: "待办结",
    D.TO_SEND: "待寄出",
    D.ORDERED: "已下单，待揽收",
    D.PICKED_UP: "已揽收",
    D.IN_TRANSIT: "运输中",
    D.OUT_FOR_DELIVERY: "派送中",
    D.AT_STATION: "待取件（快递柜或驿站）",
    D.SIGNED: "已签收",
    D.RETURNING: "退回途中",
    D.RETURNED: "已退回",
    D.LOST: "快件丢失",
    D.READY: "待领取",
    D.HANDED_OVER: "已领取",
    D.CANCELLED: "已取消",
}
STATUS_NAMES: Mapping[T, str] = {
    T.CREATED: "已下单",
    T.COLLECTED: "已揽收",
    T.COLLECT_FAILED: "揽收失败",
    T.IN_TRANSIT: "运输中",
    T.ARRIVED_CITY: "到达派件城市",
    T.OUT_FOR_DELIVERY: "派送中",
    T.AT_STATION: "待取件",
    T.DELIVERED: "已签收",
    T.DELIVERY_FAILED: "派送未成功",
    T.REFUSED: "拒收",
    T.EXCEPTION: "疑难",
    T.RETURNING: "退回途中",
    T.RETURNED: "已退回",
    T.LOST: "丢失",
    T.CANCELLED: "订单取消",
    T.OTHER: "其他",
}
PROBLEM_NAMES: Mapping[ProblemKind, str] = {
    ProblemKind.NO_MOVEMENT: "物流长时间未更新",
    ProblemKind.DELIVERY_FAILED: "派送未成功",
    ProblemKind.REFUSED: "拒收",
    ProblemKind.RETURNED: "快件退回",
    ProblemKind.LOST: "快件丢失",
    ProblemKind.CONFLICT: "物流信息前后矛盾",
    ProblemKind.NOT_FOUND: "查不到物流信息",
    ProblemKind.ORDER_FAILED: "快递公司未能取件",
    ProblemKind.REPORTED: "居民反映问题",
}
METHOD_NAMES: Mapping[Method, str] = {Method.POST: "邮寄", Method.PICKUP: "到窗口领取"}
DIRECTION_NAMES: Mapping[Direction, str] = {Direction.TO_RESIDENT: "寄给居民", Direction.TO_OFFICE: "居民寄来"}
POSTAGE_NAMES: Mapping[Postage, str] = {
    Postage.FREE: "免邮费",
    Postage.OFFICE: "邮费由办理部门承担",
    Postage.RESIDENT: "在线支付邮费",
    Postage.COLLECT: "到付",
}
COMPANY_NAMES: Mapping[str, str] = {
    **{each.company: each.title for each in COURIERS.values() if each.company},
    "youzhengguonei": "邮政快递包裹",
    "jd": "京东物流",
    "yuantong": "圆通速递",
    "zhongtong": "中通快递",
    "shentong": "申通快递",
    "yunda": "韵达快递",
    "jtexpress": "极兔速递",
    "debangwuliu": "德邦物流",
}
SOURCE_NAMES: Mapping[str, str] = {
    **{name: each.title for name, each in COURIERS.items()},
    "wechat": "微信物流",
    "staff": "办理部门登记",
}
OTHER_COMPANY = "其他快递"
ARRIVED = {D.SIGNED: "办理部门已签收", D.ORDERED: "已交快递，待揽收", D.TO_SEND: "待您寄出"}
"""Names of these states when the resident sends and the office receives."""


def state_name(state: D, direction: Direction) -> str:
    """The name of the state for this direction."""
    return ARRIVED.get(state, STATE_NAMES[state]) if direction is Direction.TO_OFFICE else STATE_NAMES[state]


def company_name(company: str) -> str:
    """The Chinese name of the courier."""
    return COMPANY_NAMES.get(company, OTHER_COMPANY)


def as_data() -> dict[str, object]:
    """The machine, the state that each node leads to, and the kinds of problems."""
    return {
        **DELIVERIES.as_data(STATE_NAMES),
        "nodes": [{"code": code, "name": STATUS_NAMES[code], "state": state} for code, state in LEADS_TO.items()],
        "problems": [{"code": code, "name": name} for code, name in PROBLEM_NAMES.items()],
    }
