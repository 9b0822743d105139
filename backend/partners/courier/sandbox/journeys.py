"""The ways that a parcel can go, and what couriers write about each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from backend.partners.courier.sandbox.places import COMPANIES, courier_of, number_of

Kind = Literal[
    "ordered", "collected", "collect_failed", "departed", "transit", "arrived", "out", "failed", "station", "delayed",
    "refused", "returning", "returned", "lost", "cancelled", "signed", "proxy", "station_signed", "receipt",
]  # fmt: skip
"""What happens to a parcel; `receipt`: the proof of delivery can be seen."""
KINDS: frozenset[str] = frozenset(get_args(Kind))
Plan = tuple[tuple[Kind, float], ...]
"""Steps, each with the minutes after the one before."""

_TO_THE_DOOR: Plan = (
    ("ordered", 0), ("collected", 90), ("departed", 150), ("transit", 420), ("arrived", 540), ("out", 480),
)  # fmt: skip
_BACK: Plan = (("returning", 300), ("returned", 1800))
JOURNEYS: dict[str, Plan] = {
    "signed": (*_TO_THE_DOOR, ("signed", 140), ("receipt", 12)),
    "proxy": (*_TO_THE_DOOR, ("proxy", 200), ("receipt", 12)),
    "station": (*_TO_THE_DOOR, ("station", 160), ("station_signed", 540), ("receipt", 12)),
    "failed": (*_TO_THE_DOOR, ("failed", 150), ("out", 1290), ("signed", 130), ("receipt", 12)),
    "delayed": (*_TO_THE_DOOR[:4], ("delayed", 600), ("arrived", 2900), ("out", 480), ("signed", 140), ("receipt", 12)),
    "refused": (*_TO_THE_DOOR, ("refused", 90), *_BACK),
    "returned": (*_TO_THE_DOOR, ("failed", 150), ("out", 1290), ("failed", 150), *_BACK),
    "lost": (*_TO_THE_DOOR[:4], ("delayed", 4320), ("lost", 5760)),
    "uncollected": (("ordered", 0), ("collect_failed", 240), ("cancelled", 1500)),
}
"""Whole journeys by name."""
ENDS: frozenset[str] = frozenset({"signed", "proxy", "station_signed", "returned", "lost", "cancelled"})


@dataclass(frozen=True)
class Person:
    """A sender or receiver as the order named them; `places` are province, city and county."""

    name: str = ""
    phone: str = ""
    places: tuple[str, str, str] = ("", "", "")
    street: str = ""

    @property
    def city(self) -> str:
        """The city, or what there is instead."""
        return self.places[1] or self.places[0]

    @property
    def named(self) -> tuple[str, ...]:
        """Province and city as journeys name them; a city under the central government once."""
        return tuple(dict.fromkeys(each for each in self.places[:2] if each))


def way_to(kind: str, happened: Sequence[str]) -> Plan:
    """The steps from where a parcel is to (and beyond) a step of this kind, by the first journey that has one.

    Raises KeyError when no journey does.
    """
    for plan in JOURNEYS.values():
        kinds = [each for each, _ in plan]
        if kind in kinds:
            goal = kinds.index(kind)
            done = [number for number in range(goal) if kinds[number] in happened]
            return plan[done[-1] + 1 if done else 0 :]
    raise KeyError(kind)


def words(kind: str, *, waybill: str, company: str, sender: Person, receiver: Person) -> tuple[str, Person]:
    """What the courier writes about a step, and whose place it happens at."""
    there, here = receiver.city or "目的地", sender.city or "始发地"
    county, office = receiver.places[2] or there, sender.places[2] or here
    who, phone = courier_of(waybill, "out")
    fetcher, fetcher_phone = courier_of(waybill, "collected")
    shop = f"{county}便民驿站{number_of(waybill) % 9 + 1}号店"
    code = f"{number_of(waybill) % 20 + 1}-{number_of(waybill) // 20 % 9 + 1}-{number_of(waybill) // 200 % 9000 + 1000}"
    name = COMPANIES.get(company, "快递")
    texts: dict[str, tuple[str, Person]] = {
        "ordered": (f"{name}已接单，快递员{fetcher}（电话：{fetcher_phone}）将上门揽收", sender),
        "collected": (f"【{here}】{name}已收取快件，揽收员：{fetcher}，电话：{fetcher_phone}", sender),
        "collect_failed": (f"【{here}】揽收失败，原因：寄件人未准备好，将改约时间，电话：{fetcher_phone}", sender),
        "departed": (f"快件离开【{office}营业部】，正在发往【{there}处理中心】", sender),
        "transit": (f"快件到达【{sender.places[0] or here}转运中心】，准备发往【{there}处理中心】", sender),
        "arrived": (f"快件到达【{there}处理中心】，正在发往【{county}营业部】", receiver),
        "out": (f"【{county}营业部】正在派送，请保持电话畅通，派件员：{who}，电话：{phone}", receiver),
        "failed": (f"【{county}营业部】派送未成功：电话无人接听，将再次派送，派件员：{who}，电话：{phone}", receiver),
        "station": (f"快件已存放至【{shop}】，请凭取件码{code}领取，如有疑问请联系{who}（{phone}）", receiver),
        "delayed": (f"快件在【{there}处理中心】滞留，正在处理，客服将与您联系", receiver),
        "refused": ("收件人拒收，快件将退回寄件人，如有疑问请联系客服", receiver),
        "returning": (f"快件离开【{there}处理中心】，退回【{here}】途中", receiver),
        "returned": (f"【{here}】退回件已签收，签收人：寄件人", sender),
        "lost": ("快件经核实已遗失，理赔专员将与寄件人联系", receiver),
        "cancelled": ("订单已取消，感谢使用", sender),
        "signed": (f"【{there}】快件已签收，签收人：本人，派件员：{who}，电话：{phone}", receiver),
        "proxy": (f"【{there}】快件已签收，签收人：家人代收，派件员：{who}，电话：{phone}", receiver),
        "station_signed": (f"快件已从【{shop}】取出，签收人：本人，感谢使用{name}", receiver),
        "receipt": ("在官网可查看签收人信息", receiver),
    }
    return texts[kind]


def kinds_of(name: str) -> Iterator[str]:
    """The kinds of a journey, in order. Raises KeyError."""
    yield from (kind for kind, _ in JOURNEYS[name])
