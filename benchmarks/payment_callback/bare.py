"""The limit: the same work with nothing around it.

One coroutine, no router, no framework, no port, no settlement rules beyond the comparison: the signature over the raw
bytes, AES-GCM, JSON, and the two statements of the settlement in one transaction on a pool without resets, with no more
requests inside than there are connections. What cannot be left out without doing less (sealing what is kept, the
fingerprint of the payer) is the same function that the service calls.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from uuid_utils.compat import uuid7

from backend.crypto import fingerprint, seal
from backend.payments.settling import _ARRIVE, _LOCK
from backend.sql import named
from benchmarks.bare import Bare, body_of, respond

SERIAL = os.environ["WECHAT_PAY_PUBLIC_KEY_ID"].encode()
APP_ID, MERCHANT = os.environ["WECHAT_APPID"], os.environ["WECHAT_PAY_MCHID"]
SHARDS = 16
ACCOUNT = f"channel:wechat_pay:{MERCHANT}"
PADDING, DIGEST = padding.PKCS1v15(), SHA256()


class Callback(Bare):
    """The whole program."""

    def __init__(self) -> None:
        super().__init__()
        self.key: Any = load_pem_public_key(Path(os.environ["WECHAT_PAY_PUBLIC_KEY_FILE"]).read_bytes())
        self.opener = AESGCM(os.environ["WECHAT_PAY_API_V3_KEY"].encode())

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = await body_of(receive)
        notice = self.opened(dict(scope["headers"]), body)
        if notice is None:
            await respond(send, 401)
            return
        async with self.gate:
            connection = await self.pool.acquire()
            try:
                settled = await settle_payment(connection, *notice)
            finally:
                await self.pool.release(connection)
        await respond(send, 204 if settled else 404)

    def opened(self, headers: dict[bytes, bytes], body: bytes) -> tuple[dict[str, Any], dict[str, Any], str] | None:
        """Envelope, content and plaintext of a verified notice; None for any other."""
        try:
            timestamp, nonce = headers[b"wechatpay-timestamp"], headers[b"wechatpay-nonce"]
            if headers[b"wechatpay-serial"] != SERIAL or abs(time.time() - int(timestamp)) > 300:
                return None
            signature = b64decode(headers[b"wechatpay-signature"], validate=True)
            self.key.verify(signature, timestamp + b"\n" + nonce + b"\n" + body + b"\n", PADDING, DIGEST)
            envelope = json.loads(body)
            sealed = envelope["resource"]
            plaintext = self.opener.decrypt(
                sealed["nonce"].encode(), b64decode(sealed["ciphertext"]), sealed["associated_data"].encode()
            )
            return envelope, json.loads(plaintext), plaintext.decode()
        except (KeyError, ValueError, InvalidSignature, InvalidTag):
            return None


async def settle_payment(connection: Any, envelope: dict[str, Any], content: dict[str, Any], plaintext: str) -> bool:
    """Settle the payment, once; False for an unknown number or an order that does not match."""
    number, transaction, fen = content["out_trade_no"], content["transaction_id"], content["amount"]["total"]
    async with connection.transaction():
        row = await connection.fetchrow(_LOCK, number, "wechat_pay", envelope["id"], transaction, "wechat-pay")
        if row is None:
            return False
        if row["notice_state"] == "handled":
            return True
        if (
            (content["appid"], content["mchid"], content["amount"]["currency"]) != (APP_ID, MERCHANT, "CNY")
            or fen != row["amount_fen"]
            or fingerprint(content["payer"]["openid"], "openid") != row["payer_fingerprint"]
            or row["fee_state"] != "open"
        ):
            return False
        paid_at, now = datetime.fromisoformat(content["success_time"]), datetime.now(UTC)
        payment, fee, resident, message = row["id"], row["fee_id"], row["resident_id"], uuid7()
        ids = [uuid7(), uuid7()]
        common = f'"payment_id":"{payment}","fee_id":"{fee}","resident_id":"{resident}","amount_fen":{fen}'
        payloads = [
            f'{{"event":"payment.succeeded",{common},"paid_at":"{paid_at.isoformat()}","known_by":"notice"}}',
            f'{{"event":"fee.paid",{common},"subject_kind":"{row["subject_kind"]}","subject_id":"{row["subject_id"]}"}}',
        ]
        job = (
            [0, 0], ["events.dispatch"] * 2, [b'{"event_id":"%s"}' % str(each).encode() for each in ids],
            [timedelta(0)] * 2, [None] * 2, ["null"] * 2,
        )  # fmt: skip
        values = {
            "payment_id": payment, "number": number, "state": "paid", "now": now, "transaction_id": transaction,
            "fen": fen, "paid_at": paid_at, "settled_fee_id": fee, "transition_id": uuid7(),
            "from_state": row["state"], "actor": "partner:wechat-pay", "known_by": "notice", "group_id": uuid7(),
            "channel_account": ACCOUNT, "other_account": f"revenue:{row['department_id']}", "message_id": message,
            "partner": "wechat-pay", "partner_id": envelope["id"], "notice_event": envelope["event_type"],
            "sealed": seal(plaintext, where="inbound_messages.body", row=message),
            "fact_ids": ids, "fact_shards": [zlib.crc32(payment.bytes) % SHARDS, zlib.crc32(fee.bytes) % SHARDS],
            "facts_at": now, "fact_names": ["payment.succeeded", "fee.paid"], "fact_subjects": [payment, fee],
            "fact_actor_kind": "partner", "fact_actor_id": "wechat-pay", "fact_request_id": "-",
            "fact_payloads": payloads,
        }  # fmt: skip
        await connection.execute(*named(_ARRIVE, values, *job))
    return True


def application() -> Callback:
    """The application that the server runs."""
    return Callback()
