"""What all programs find: orders that wait for their money, and notices about them, freshly signed."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import fingerprint
from backend.embedded import Urls
from backend.payments import numbering
from backend.settings import environment
from benchmarks.databases import for_sqlalchemy, migrated, new_residents, owner

APP_ID, MERCHANT, OPENID = "wxbench00000000000", "1900000001", "oBench0000000000000000000000"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112200000001"
FEN = 2000
PATH = "/v1/callbacks/wechat-pay"
_PLACE = """
WITH region AS (
    INSERT INTO regions (id, created_at, code, name, level, valid_from)
    VALUES ($1, now(), '990000', '示例省', 'province', '2020-01-01') RETURNING id
)
INSERT INTO departments (id, created_at, uscc, name, domain, region_id, phone)
SELECT $1, now(), '11990100000000001X', '示例局', '公安', id, '12345' FROM region
"""


class Order(NamedTuple):
    """An order that waits, and the number under which the channel will say that it was paid."""

    number: str
    transaction: str


class Stage:
    """Keys of a platform of our own, the environment of the programs, and a folder for the keys."""

    def __init__(self, urls: Urls, folder: Path, pool: int) -> None:
        self.urls = urls
        self.key = rsa.generate_private_key(65537, 2048)
        self.api_v3_key = secrets.token_hex(16)
        self.department = uuid7()
        self.residents: list[UUID] = []
        self.made = 0
        merchant = rsa.generate_private_key(65537, 2048)
        (folder / "merchant.pem").write_bytes(merchant.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "platform.pem").write_bytes(
            self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        self.environment = environment(
            DATABASE_URL=urls.database_url,
            REDIS_URL=urls.redis_url,
            DATABASE_POOL_SIZE=str(pool),
            DATABASE_RESERVED_CONNECTIONS="0",  # the others have none on top
            LOG_LEVEL="WARNING",
            SANDBOX="true",
            WECHAT_APPID=APP_ID,
            WECHAT_PAY_MCHID=MERCHANT,
            WECHAT_PAY_SERIAL="5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
            WECHAT_PAY_KEY_FILE=str(folder / "merchant.pem"),
            WECHAT_PAY_API_V3_KEY=self.api_v3_key,
            WECHAT_PAY_PUBLIC_KEY_ID=PUBLIC_KEY_ID,
            WECHAT_PAY_PUBLIC_KEY_FILE=str(folder / "platform.pem"),
            WECHAT_PAY_API_BASE="http://127.0.0.1:9",
            WECHAT_PAY_BACKUP_BASE="http://127.0.0.1:9",
            BENCH_SQLALCHEMY_URL=for_sqlalchemy(urls.database_url),
        )

    async def prepare(self, residents: int = 1_000) -> None:
        """Migrate, and make the residents who will have paid."""
        await migrated(self.urls)
        async with owner(self.urls) as connection:
            await connection.execute(_PLACE, self.department)
            self.residents = await new_residents(connection, residents)

    async def orders(self, count: int) -> list[Order]:
        """So many fees with one order each that the channel knows and waits for."""
        now, payer = clock.now(), fingerprint(OPENID, "openid")
        fees, payments, made = [], [], []
        for _ in range(count):
            fee, payment, number = uuid7(), uuid7(), numbering.payment_number()
            self.made += 1
            resident = self.residents[self.made % len(self.residents)]
            fees.append(
                (fee, now, "case", uuid7(), "card-fee", resident, self.department, "工本费", "", FEN, 1, FEN, "open",
                 now, "system:-")
            )  # fmt: skip
            payments.append(
                (payment, now, number, fee, resident, "wechat_pay", FEN, "CNY", APP_ID, MERCHANT, payer, "工本费",
                 f"wx{self.made:030d}", now, now + timedelta(hours=2), "prepaid", now, 0, 0, 0, 0)
            )  # fmt: skip
            made.append(Order(number, f"4200{self.made:024d}"))
        async with owner(self.urls) as connection:
            await connection.copy_records_to_table(
                "fees", records=fees,
                columns=["id", "created_at", "subject_kind", "subject_id", "charge_ref", "resident_id", "department_id",
                         "name", "basis", "unit_fen", "quantity", "amount_fen", "state", "state_at", "raised_by"],
            )  # fmt: skip
            await connection.copy_records_to_table(
                "payments", records=payments,
                columns=["id", "created_at", "number", "fee_id", "resident_id", "channel", "amount_fen", "currency",
                         "app_id", "merchant_id", "payer_fingerprint", "description", "prepay_id", "prepaid_at",
                         "expires_at", "state", "state_at", "paid_fen", "refunding_fen", "refunded_fen", "checks"],
            )  # fmt: skip
            await connection.execute("ANALYZE fees, payments")
        return made

    def notices(self, count: int) -> list[bytes]:
        """So many new ones, as they go over the wire."""
        return [self.request(each) for each in asyncio.run(self.orders(count))]

    def request(self, order: Order, *, flaw: str = "") -> bytes:
        """A notice that the order was paid, as it goes over the wire; `flaw` is put behind its signature."""
        plaintext = json.dumps({
            "mchid": MERCHANT, "appid": APP_ID, "out_trade_no": order.number, "transaction_id": order.transaction,
            "trade_type": "JSAPI", "trade_state": "SUCCESS", "trade_state_desc": "支付成功", "bank_type": "OTHERS",
            "attach": "", "success_time": "2026-11-22T08:00:00+08:00", "payer": {"openid": OPENID},
            "amount": {"total": FEN, "payer_total": FEN, "currency": "CNY", "payer_currency": "CNY"},
        }, ensure_ascii=False).encode()  # fmt: skip
        nonce, associated = secrets.token_hex(6), b"transaction"
        ciphertext = AESGCM(self.api_v3_key.encode()).encrypt(nonce.encode(), plaintext, associated)
        body = json.dumps({
            "id": f"EV-{order.number}", "create_time": "2026-11-22T08:00:00+08:00", "event_type": "TRANSACTION.SUCCESS",
            "resource_type": "encrypt-resource", "summary": "支付成功",
            "resource": {"algorithm": "AEAD_AES_256_GCM", "original_type": "transaction", "nonce": nonce,
                         "ciphertext": b64encode(ciphertext).decode(), "associated_data": associated.decode()},
        }, ensure_ascii=False).encode()  # fmt: skip
        timestamp, random = str(int(time.time())), secrets.token_hex(16)
        signature = self.key.sign(
            b"".join(part + b"\n" for part in (timestamp.encode(), random.encode(), body)), padding.PKCS1v15(), SHA256()
        )
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nwechatpay-timestamp: {timestamp}\r\nwechatpay-nonce: {random}\r\n"
            f"wechatpay-signature: {b64encode(signature).decode()}{flaw}\r\nwechatpay-serial: {PUBLIC_KEY_ID}\r\n"
            "wechatpay-signature-type: WECHATPAY2-SHA256-RSA2048\r\n\r\n"
        )
        return head.encode() + body
