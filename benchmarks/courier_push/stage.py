"""Parcels under way, signed pushes about them, and the environment of the programs."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import seal
from backend.deliveries import numbering
from backend.embedded import Urls
from backend.partners.courier.signing import kuaidi100_signature
from backend.settings import environment
from benchmarks.databases import migrated, new_residents, owner
from models.deliveries import Direction, Method

PATH = "/v1/callbacks/courier/kuaidi100"
JOURNEY = (("103", 50), ("1001", 40), ("1002", 30), ("5", 10), ("3", 2))
"""Codes of a whole journey and how many minutes ago; pushed newest first."""

POSTED = (Direction.TO_RESIDENT.value, Method.POST.value)


class Parcel(NamedTuple):
    """A parcel that the courier has."""

    delivery: UUID
    waybill: str


class Stage:
    """Residents and the salt that both sides know."""

    def __init__(self, urls: Urls, pool: int) -> None:
        self.urls = urls
        self.salt, self.made = secrets.token_urlsafe(24), 0
        self.residents: list[UUID] = []
        self.environment = environment(
            DATABASE_URL=urls.database_url,
            REDIS_URL=urls.redis_url,
            DATABASE_POOL_SIZE=str(pool),
            LOG_LEVEL="ERROR",
            SANDBOX="true",
            WECHAT_APPID="wxbench00000000000",
            KUAIDI100_KEY="bench",
            KUAIDI100_CUSTOMER="bench",
            KUAIDI100_SALT=self.salt,
            KUAIDI100_API_BASE="http://127.0.0.1:9",
            # Recipients have nothing but the inbox here: sending is measured elsewhere.
            WECHAT_API_BASE="http://127.0.0.1:9",
        )

    async def prepare(self, residents: int = 1_000) -> None:
        """Migrate, and make the residents whose parcels these are."""
        await migrated(self.urls)
        async with owner(self.urls) as connection:
            self.residents = await new_residents(connection, residents)

    async def parcels(self, count: int) -> list[Parcel]:
        """So many deliveries, each with one parcel that was ordered an hour ago."""
        now = clock.now()
        deliveries, shipments, made = [], [], []
        for _ in range(count):
            self.made += 1
            delivery, number = uuid7(), numbering.delivery_number()
            waybill = f"EB{self.made:011d}"
            resident = self.residents[self.made % len(self.residents)]
            name, phone, street = (
                seal(text, where=f"deliveries.{column}", row=delivery)
                for column, text in (("name", "王秀英"), ("phone", "13800001936"), ("street", "云山路1号"))
            )
            deliveries.append(
                (delivery, now, number, "case", uuid7(), *POSTED, resident, "居民身份证", "990102", name,
                 phone, street, "office", 0, now, "ordered", now, 1, 0)
            )  # fmt: skip
            shipments.append(
                (uuid7(), now, delivery, numbering.shipment_number(number, 1), 1, "ems", "kuaidi100", "ems", waybill,
                 "1936", "ordered", now, now - timedelta(hours=1), 0)
            )  # fmt: skip
            made.append(Parcel(delivery, waybill))
        async with owner(self.urls) as connection:
            await connection.copy_records_to_table(
                "deliveries", records=deliveries,
                columns=["id", "created_at", "number", "subject_kind", "subject_id", "direction", "method",
                         "resident_id", "contents", "region_code", "name", "phone", "street", "postage", "postage_fen",
                         "ready_at", "state", "state_at", "version", "refusals"],
            )  # fmt: skip
            await connection.copy_records_to_table(
                "shipments", records=shipments,
                columns=["id", "created_at", "delivery_id", "number", "attempt", "courier", "tracker", "company",
                         "waybill", "phone_tail", "state", "state_at", "ordered_at", "subscriptions"],
            )  # fmt: skip
            await connection.execute("ANALYZE deliveries, shipments")
        return made

    def pushes(self, count: int) -> list[bytes]:
        """So many new ones, as they go over the wire."""
        return [self.request(each) for each in asyncio.run(self.parcels(count))]

    def request(self, parcel: Parcel, *, salt: str | None = None) -> bytes:
        """A push of the whole journey, as it goes over the wire; another salt makes it a forgery."""
        now, data = clock.now(), []
        for code, minutes in reversed(JOURNEY):
            when = f"{(now - timedelta(minutes=minutes)).astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M:%S}"
            data.append({
                "context": f"快件到达【示例市处理中心】，正在发往【云山县营业部】（{code}）", "time": when,
                "ftime": when, "statusCode": code, "areaCode": "CN110105000000", "areaName": "示例省,示例市,云山县",
            })  # fmt: skip
        last = {"state": "3", "status": "200", "com": "ems", "nu": parcel.waybill, "ischeck": "1", "data": data}
        param = json.dumps({"status": "shutdown", "message": "", "lastResult": last}, ensure_ascii=False)
        body = urlencode({"sign": kuaidi100_signature(param, salt or self.salt), "param": param}).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
