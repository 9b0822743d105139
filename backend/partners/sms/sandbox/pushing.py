"""Receipts that the gateway pushes: lists of JSON objects in either dialect, repeated until they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import aiohttp
import msgspec

from backend.clock import SHANGHAI
from backend.partners.sms.tables import Gateway

ATTEMPTS = 3
WAITS = 5.0
"""Seconds that the gateway waits for an answer."""
TAKEN = {"tencent": ("result", 0), "aliyun": ("code", 0)}


@dataclass(frozen=True)
class Mishap:
    """What a receipt says that is not so, or unusual about it."""

    outcome: Literal["arrived", "failed"] = "arrived"
    code: str = ""
    """The gateway's word; empty means its usual one."""
    copies: int = 1
    late: float = 0.0
    """Real seconds before it is pushed; it then also says that it happened so much later."""
    serial: str = ""
    """Another serial than the one that was given out."""
    without_reference: bool = False


@dataclass
class Receipt:
    """One receipt and what became of it."""

    gateway: Gateway
    serial: str
    reference: str
    phone: str
    at: datetime
    mishap: Mishap
    attempts: list[str] = field(default_factory=list)
    """Of each attempt the HTTP status and the answer, or the kind of failure."""

    @property
    def arrived(self) -> bool:
        """Whether we took it."""
        return "taken" in self.attempts


@dataclass
class Push:
    """Where receipts go and what is wrong with them; without an address they are held."""

    url: str = ""
    gap: float = 1.0
    """Real seconds between attempts."""
    hold: bool = False
    mishap: Mishap = field(default_factory=Mishap)

    async def send(self, receipts: Sequence[Receipt]) -> None:
        """Push them as one list, as often as it takes."""
        mishap = receipts[0].mishap
        await asyncio.sleep(mishap.late)
        timeout = aiohttp.ClientTimeout(total=WAITS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(mishap.copies):
                for attempt in range(ATTEMPTS):
                    if attempt:
                        await asyncio.sleep(self.gap)
                    said = await self._attempt(session, receipts)
                    for each in receipts:
                        each.attempts.append(said)
                    if said == "taken":
                        break

    async def _attempt(self, session: aiohttp.ClientSession, receipts: Sequence[Receipt]) -> str:
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(self.url, data=written(receipts), headers=headers) as answer:
                body = await answer.read()
                name, wanted = TAKEN[receipts[0].gateway]
                told = msgspec.json.decode(body)
                taken = answer.status == 200 and isinstance(told, dict) and told.get(name) == wanted
                return "taken" if taken else f"{answer.status} {body[:64].decode('utf-8', 'replace')}"
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            return type(error).__name__


def written(receipts: Sequence[Receipt]) -> bytes:
    """The body of a push."""
    ways = {"tencent": _tencent, "aliyun": _aliyun}
    return msgspec.json.encode([ways[each.gateway](each) for each in receipts])


def _wall(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


def _tencent(receipt: Receipt) -> dict[str, Any]:
    arrived = receipt.mishap.outcome == "arrived"
    return {
        "user_receive_time": _wall(receipt.at + timedelta(seconds=receipt.mishap.late)),
        "nationcode": "86",
        "mobile": receipt.phone.removeprefix("+86"),
        "report_status": "SUCCESS" if arrived else "FAIL",
        "errmsg": receipt.mishap.code or ("DELIVRD" if arrived else "MK:0001"),
        "description": "用户短信送达成功" if arrived else "用户短信送达失败",
        "sid": receipt.mishap.serial or receipt.serial,
    }


def _aliyun(receipt: Receipt) -> dict[str, Any]:
    arrived = receipt.mishap.outcome == "arrived"
    return {
        "phone_number": receipt.phone.removeprefix("+86"),
        "send_time": _wall(receipt.at),
        "report_time": _wall(receipt.at + timedelta(seconds=receipt.mishap.late)),
        "success": arrived,
        "err_code": receipt.mishap.code or ("DELIVERED" if arrived else "MK:0012"),
        "err_msg": "用户接收成功" if arrived else "用户关机或无法接通",
        "sms_size": "1",
        "biz_id": receipt.mishap.serial or receipt.serial,
        "out_id": "" if receipt.mishap.without_reference else receipt.reference,
    }
