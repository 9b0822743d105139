"""The certificate comes home: an address, the postage, a courier, a forged "signed", the true one; and the proof."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from api.demo.client import Answer, Phone, TestControls
from api.demo.payments import Money
from api.demo.people import Person
from api.demo.processes import DemoFailed
from api.demo.showing import Timeline
from backend import clock

STEPS = (("collected", "picked_up"), ("transit", "in_transit"), ("out", "out_for_delivery"))
"""How far the parcel goes, and the state that must follow from it."""
REGION, STREET = "990121", "人民大街1号2栋3单元404"
LAST = "delivery_signed"
"""The message with which the story ends."""
ENDED = frozenset({"sent", "inbox"})
"""States of a message that has come to its end."""


class Parcel:
    """The chapter of the way home."""

    def __init__(
        self,
        person: Person,
        phone: Phone,
        money: Money,
        controls: TestControls,
        timeline: Timeline,
        *,
        patience: float,
    ) -> None:
        self.person, self.phone, self.money = person, phone, money
        self.controls, self.timeline, self.patience = controls, timeline, patience
        self.office = money.clerk
        self.number = self.waybill = ""
        self.page: dict[str, Any] = {}
        self.proofs: list[dict[str, Any]] = []

    async def choose(self) -> None:
        """Long before it is decided: by post, to this address, and the postage is paid."""
        self.timeline.heading("三、办理之前先选好怎么领证")
        await self._choose()

    async def play(self) -> None:
        """It is decided: the certificate is sent, travels, and is signed for."""
        self.timeline.heading("九、证照寄到家：下单、在途、签收")
        await self._send()
        await self._travel()
        self.timeline.heading("十、每一步都有据可查：消息送达证明")
        await self._prove()

    async def _choose(self) -> None:
        name, phone = self.person.name, self.phone
        address = {
            "name": name,
            "phone": self.person.phone,
            "region_code": REGION,
            "street": STREET,
            "label": "家",
            "is_default": True,
        }
        saved = await phone.send("POST", "/v1/resident/addresses", address, expect=201)
        self.timeline.step(name, "保存收件地址（加密存放）", "".join(saved.body["region"]), saved.ms)
        path = f"/v1/resident/cases/{self.person.case}"
        offered = await phone.get(f"{path}/delivery-options")
        ways = "、".join(each["name"] for each in offered.body["methods"])
        self.timeline.step(name, "办事指南提供的领取方式", ways, offered.ms)
        chosen = await phone.send(
            "POST", f"{path}/deliveries", {"method": "post", "address_id": saved.body["id"]}, expect=201
        )
        self.number = chosen.body["number"]
        postage = f"邮费 {chosen.body['postage_fen'] / 100:.2f} 元"
        self.timeline.step(name, "选择邮寄", f"{chosen.body['state_name']}，{postage}", chosen.ms)
        await self.money.pay(self.person, charge="postage")

    async def _send(self) -> None:
        await self._until("to_send")
        path = f"/v1/staff/deliveries/{self.number}/order"
        answer = await self.office.send(path, {"courier": "sf"})
        self.timeline.step("甲局经办", "寄出：向顺丰下单", answer.body["state_name"], answer.ms)
        page = await self._until("ordered")
        self.waybill = page.body["waybill"]
        self.timeline.step(self.person.name, "我的快递", f"顺丰 {self.waybill}", page.ms)

    async def _travel(self) -> None:
        fault = {"times": 2, "copies": 2}
        await self.controls.ask("PUT", "/sandbox/couriers/push-faults", fault)
        for step, state in STEPS:
            moved = await self.controls.ask("POST", f"/sandbox/couriers/parcels/{self.waybill}/travel", {"to": step})
            page = await self._until(state)
            self.timeline.step("顺丰", f"路由推送（{step}，每条送两遍）", page.body["state_name"], moved.ms)
        forged = {"kind": "signed", "partner": "sf"}
        answered = await self.controls.ask("POST", f"/sandbox/couriers/parcels/{self.waybill}/forge", forged)
        page = await self.phone.get(f"/v1/resident/deliveries/{self.number}")
        self.timeline.step("冒充者", "伪造一条“已签收”", f"被拒收，仍是{page.body['state_name']}", answered.ms)
        if page.body["state"] == "signed":
            raise DemoFailed("伪造的签收被采信了")
        await self.controls.ask("POST", f"/sandbox/couriers/parcels/{self.waybill}/travel", {"to": "signed"})
        page = await self._until("signed")
        self.page = page.body
        self.timeline.step(self.person.name, "我的快递（顺丰推送不签名，先查询核实）", page.body["state_name"], page.ms)
        for step in reversed(page.body["steps"]):
            at = datetime.fromisoformat(step["at"]).astimezone(clock.SHANGHAI)
            self.timeline.plain(f"{'':12}· {at:%m-%d %H:%M}  {step['text']}")

    async def _until(self, state: str) -> Answer:
        """The page of the delivery once it has come so far. Raises DemoFailed when it does not."""
        until = self.timeline.now() + self.patience * 1000
        while True:
            page = await self.phone.get(f"/v1/resident/deliveries/{self.number}")
            if page.body["state"] == state:
                return page
            if self.timeline.now() > until:
                raise DemoFailed(f"寄送 {self.number} 停在{page.body['state_name']}，没有到 {state}")
            await asyncio.sleep(0.05)

    # -- the proof -------------------------------------------------------------------------------

    async def _prove(self) -> None:
        """Every message that this person was sent, with what was tried and what came of it."""
        until = self.timeline.now() + self.patience * 1000
        while True:
            items = (await self.phone.get("/v1/resident/messages?limit=100")).body["items"]
            self.proofs = [(await self.phone.get(f"/v1/resident/messages/{each['id']}")).body for each in items[::-1]]
            told = any(each["name"] == LAST for each in items)
            if (told and all(each["state"] in ENDED for each in self.proofs)) or self.timeline.now() > until:
                break
            await asyncio.sleep(0.1)
        for proof in self.proofs:
            tried = "；".join(each["words"] for each in proof["attempts"])
            self.timeline.plain(f"{'':4}{proof['message']['title']}")
            self.timeline.plain(f"{'':8}{proof['words']}（{tried or '没有站外方式可用'}）")

    # -- in the end ------------------------------------------------------------------------------

    async def check(self) -> None:
        """The parcel is signed for, each step once; every message has come to its end."""
        order = [step["text"] for step in self.page.get("steps", [])]
        once = len(order) == len(set(order))
        self.timeline.check("证照已签收，轨迹不重复", self.page.get("state") == "signed" and once, f"{len(order)} 步")
        open_ones = [each["message"]["name"] for each in self.proofs if each["state"] not in ENDED]
        told = {each["message"]["name"] for each in self.proofs}
        self.timeline.check(
            "每条消息都有送达记录", LAST in told and not open_ones, f"{len(self.proofs)} 条" + "、".join(open_ones)
        )
