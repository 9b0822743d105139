"""A fee is paid, called back about twice, another one given back by two people, and the day compared with the bill."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import date, datetime, time, timedelta
from typing import Any

import aiohttp

from api.demo.appointment import Staff
from api.demo.client import TRIES, Answer, Phone, TestControls
from api.demo.people import Person
from api.demo.processes import DemoFailed, Processes
from api.demo.showing import Timeline
from backend import clock

PAYS, GIVEN_BACK = "居民身份证到期换领", "普通护照首次申请"
"""What the two of this chapter applied for: one fee stays paid, the other goes back."""
BILL_TIME = time(10, 30)
"""The next morning, when the channel has made the bill."""


class Money:
    """The chapter of the fees."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        api: str,
        people: list[Person],
        phones: dict[str, Phone],
        controls: TestControls,
        timeline: Timeline,
        *,
        processes: Processes,
        patience: float,
    ) -> None:
        self.people, self.phones, self.controls, self.timeline = people, phones, controls, timeline
        self.processes, self.patience = processes, patience
        self.clerk, self.chief = Staff(http, api), Staff(http, api)
        self.numbers: list[str] = []
        self.bill: dict[str, Any] = {}

    async def play(self) -> None:
        """The whole chapter."""
        self.timeline.heading("六、缴费：付款、反复回调、退款")
        for item in (PAYS, GIVEN_BACK):
            await self.pay(next(each for each in self.people if each.item == item))
        await self._give_back(self.numbers[-1])

    async def pay(self, person: Person, *, charge: str = "cost") -> None:
        """A resident pays a fee; WeChat Pay sends its notice once, and then twice more."""
        phone = self.phones[person.name]
        owed = await phone.get("/v1/resident/fees?state=open")
        fee = next(each for each in owed.body["items"] if each["charge_ref"] == charge)
        amount = f"{fee['amount_fen'] / 100:.2f} 元"
        self.timeline.step(person.name, "待缴费用", f"{fee['name']}：{amount}", owed.ms)
        begun = await self._begin(phone, {"fee_id": fee["id"], "channel": "wechat_pay"})
        number, parameters = begun.body["number"], begun.body["parameters"]
        self.numbers.append(number)
        self.timeline.step(person.name, "发起微信支付", f"订单 {number}", begun.ms)
        paid = await self.controls.ask("POST", "/sandbox/pay/confirm", parameters)
        self.timeline.step(person.name, "输入密码确认（wx.requestPayment）", paid.body["errMsg"], paid.ms)
        page = await self._until(phone, number, "paid")
        again = await self.controls.ask("POST", f"/sandbox/pay/orders/{number}/notify", {"copies": 2})
        await self.controls.ask("POST", "/sandbox/pay/settle")
        notices = (await self.controls.ask("GET", "/sandbox/pay/notices")).body
        answers = [each["answer"] for notice in notices if notice["about"] == number for each in notice["attempts"]]
        self.timeline.step("微信支付", "支付通知，同一结果再送两遍", f"应答 {'、'.join(answers)}", again.ms)
        self.timeline.step(person.name, "我的钱在哪里", str(page.body["where"]), page.ms)

    async def _begin(self, phone: Phone, body: dict[str, Any]) -> Answer:
        """Begin to pay; again, with the same key, while the channel does not answer, as front ends do."""
        key = str(uuid.uuid4())
        for _ in range(TRIES):
            begun = await phone.send("POST", "/v1/resident/payments", body, expect=201, key=key)
            if begun.body["parameters"]:
                return begun
            await asyncio.sleep(begun.body["retry_after"])
        raise DemoFailed(f"微信支付一直没有接受订单 {begun.body['number']}")

    async def _give_back(self, number: str) -> None:
        await self.clerk.sign_in("a.clerk")
        await self.chief.sign_in("a.chief")
        phone = self.phones[next(each.name for each in self.people if each.item == GIVEN_BACK)]
        fen = (await phone.get(f"/v1/resident/payments/{number}")).body["paid_fen"]
        body = {"amount_fen": fen, "reason": "符合减免条件，退还工本费"}
        asked = await self.clerk.send(f"/v1/staff/payments/{number}/refunds", body, expect=201)
        self.timeline.step("甲局经办", f"申请退款 {fen / 100:.2f} 元", asked.body["state_name"], asked.ms)
        path = f"/v1/staff/refunds/{asked.body['number']}/approval"
        refused = await self.clerk.send(path, expect=403)
        self.timeline.step("甲局经办", "自己复核自己", f"403 {refused.body['title']}", refused.ms)
        approved = await self.chief.send(path)
        self.timeline.step("甲局审核", "复核同意", approved.body["state_name"], approved.ms)
        page = await self._until(phone, number, "refunded")
        self.timeline.step(phone.name, "我的钱在哪里", str(page.body["where"]), page.ms)
        for step in page.body["steps"]:
            at = datetime.fromisoformat(step["at"]) if step["at"] else None
            self.timeline.plain(f"{'':12}· {at and at.astimezone(clock.SHANGHAI):%H:%M:%S}  {step['text']}")

    async def _until(self, phone: Phone, number: str, state: str) -> Answer:
        """The payer's page once the payment has come so far. Raises DemoFailed when it does not."""
        until = self.timeline.now() + self.patience * 1000
        while True:
            page = await phone.get(f"/v1/resident/payments/{number}")
            if page.body["state"] == state:
                return page
            if self.timeline.now() > until:
                raise DemoFailed(f"订单 {number} 停在{page.body['state_name']}，没有到 {state}")
            await asyncio.sleep(0.05)

    async def reconcile(self) -> None:
        """The next morning comes, for the channel alone: no payment follows it. The day is compared as operators do."""
        now = clock.now().astimezone(clock.SHANGHAI)
        morning = datetime.combine(now.date() + timedelta(days=1), BILL_TIME, clock.SHANGHAI)
        await self.controls.ask("POST", "/sandbox/pay/time", {"seconds": (morning - now).total_seconds()})
        began = clock.monotonic()
        for _ in range(TRIES):
            self.bill = await self._compare(now.date())
            if not self.bill["unreachable"]:
                break
        ms = (clock.monotonic() - began) * 1000
        told = (
            f"收 {self.bill['paid_count']} 笔 {self.bill['paid_fen'] / 100:.2f} 元，"
            f"退 {self.bill['refund_count']} 笔 {self.bill['refund_fen'] / 100:.2f} 元，差异 {self.bill['open']}"
        )
        self.timeline.step("运维", "zhangban reconcile：三方对账", told, ms)

    async def _compare(self, day: date) -> dict[str, Any]:
        """What the command says of the day. Raises DemoFailed when it says nothing."""
        given = ("--date", day.isoformat(), "--channel", "wechat_pay", "--json")
        status, said = await self.processes.ask("reconcile", "api.cli", "reconcile", *given)
        if status not in (0, 1) or not said:
            raise DemoFailed(f"对账没有完成（退出码 {status}）：\n{self.processes.last_words('reconcile')}")
        compared: dict[str, Any] = json.loads(said)["days"][0]
        return compared

    # -- in the end ------------------------------------------------------------------------------

    async def check(self) -> None:
        """Our books, the channel's and the bill say the same; that ours sum to zero is for check-invariants to say."""
        theirs: dict[str, list[int]] = {}
        for row in (await self.controls.ask("GET", "/sandbox/pay/ledger")).body:
            sums = theirs.setdefault(row["out_trade_no"], [0, 0])
            sums[row["kind"] == "refund"] += row["amount_fen"]
        listed = await self.chief.get("/v1/staff/payments?limit=100")
        ours = {each["number"]: [each["paid_fen"], each["refunded_fen"]] for each in listed.body["items"]}
        told = "，".join(f"{number} 收 {paid / 100:.2f} 退 {back / 100:.2f}" for number, (paid, back) in ours.items())
        self.timeline.check("我方账、微信支付账逐笔一致", bool(ours) and ours == theirs, told)
        agreed = self.bill.get("state") == "compared" and self.bill["open"] == 0
        paid = self.bill.get("paid_count")
        self.timeline.check("对账单无差异", agreed and paid == len(ours), f"账单 {paid} 笔收款")
