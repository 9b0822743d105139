"""The same as people usually write it: FastAPI, SQLAlchemy 2 with asyncpg, pydantic.

Nothing in it is made slow: models with a locked select, one session with one commit, rows added as objects.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, ValidationError
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, LargeBinary, SmallInteger, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship
from uuid_utils.compat import uuid7

from backend.crypto import fingerprint, seal

SERIAL = os.environ["WECHAT_PAY_PUBLIC_KEY_ID"]
APP_ID, MERCHANT = os.environ["WECHAT_APPID"], os.environ["WECHAT_PAY_MCHID"]
KEY: Any = load_pem_public_key(Path(os.environ["WECHAT_PAY_PUBLIC_KEY_FILE"]).read_bytes())
OPENER = AESGCM(os.environ["WECHAT_PAY_API_V3_KEY"].encode())
STATUS = postgresql.ENUM("queued", "picked", name="pgqueuer_status", create_type=False)

engine = create_async_engine(
    os.environ["BENCH_SQLALCHEMY_URL"], pool_size=int(os.environ["DATABASE_POOL_SIZE"]), max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The models."""

    type_annotation_map = {datetime: DateTime(timezone=True), UUID: postgresql.UUID, int: BigInteger}


class Fee(Base):
    __tablename__ = "fees"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    department_id: Mapped[UUID | None]
    state: Mapped[str]
    state_at: Mapped[datetime]
    paid_by_id: Mapped[UUID | None]


class Payment(Base):
    __tablename__ = "payments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str]
    fee_id: Mapped[UUID] = mapped_column(ForeignKey("fees.id"))
    resident_id: Mapped[UUID]
    channel: Mapped[str]
    amount_fen: Mapped[int]
    payer_fingerprint: Mapped[str | None]
    state: Mapped[str]
    state_at: Mapped[datetime]
    transaction_id: Mapped[str | None]
    paid_fen: Mapped[int]
    paid_at: Mapped[datetime | None]
    check_after: Mapped[datetime | None]
    fee: Mapped[Fee] = relationship(Fee)


class PaymentTransition(Base):
    __tablename__ = "payment_transitions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    created_at: Mapped[datetime]
    entity: Mapped[str]
    entity_id: Mapped[UUID]
    from_state: Mapped[str]
    to_state: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    cause: Mapped[str]


class LedgerGroup(Base):
    __tablename__ = "ledger_groups"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    created_at: Mapped[datetime]
    ref: Mapped[str]
    kind: Mapped[str]
    at: Mapped[datetime]
    postings: Mapped[list[LedgerPosting]] = relationship("LedgerPosting")


class LedgerPosting(Base):
    __tablename__ = "ledger_postings"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    group_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_groups.id"))
    account: Mapped[str]
    amount_fen: Mapped[int]


class InboundMessage(Base):
    __tablename__ = "inbound_messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    partner: Mapped[str]
    partner_id: Mapped[str]
    event: Mapped[str]
    body: Mapped[str]
    state: Mapped[str]
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime]


class Event(Base):
    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    created_at: Mapped[datetime]
    at: Mapped[datetime]
    name: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    request_id: Mapped[str]
    payload: Mapped[str]


class UnsealedEvent(Base):
    __tablename__ = "unsealed_events"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger)


class Job(Base):
    __tablename__ = "pgqueuer"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    priority: Mapped[int]
    entrypoint: Mapped[str]
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    execute_after: Mapped[datetime] = mapped_column(server_default=func.now())
    status: Mapped[str] = mapped_column(STATUS)


class JobLog(Base):
    __tablename__ = "pgqueuer_log"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_id: Mapped[int]
    status: Mapped[str] = mapped_column(STATUS)
    entrypoint: Mapped[str]
    priority: Mapped[int]


class Resource(BaseModel):
    ciphertext: str
    nonce: str
    associated_data: str = ""


class Envelope(BaseModel):
    id: str
    event_type: str
    resource: Resource


class Payer(BaseModel):
    openid: str


class Amount(BaseModel):
    total: int
    currency: str


class Transaction(BaseModel):
    appid: str
    mchid: str
    out_trade_no: str
    transaction_id: str
    trade_state: str
    success_time: datetime
    payer: Payer
    amount: Amount


async def session() -> AsyncIterator[AsyncSession]:
    """A session per request."""
    async with sessions() as opened:
        yield opened


async def notice(request: Request) -> tuple[Envelope, Transaction, str]:
    """The notice, verified and decrypted."""
    body, headers = await request.body(), request.headers
    try:
        timestamp, nonce = headers["wechatpay-timestamp"], headers["wechatpay-nonce"]
        if headers["wechatpay-serial"] != SERIAL or abs(time.time() - int(timestamp)) > 300:
            raise HTTPException(401)
        signed = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        KEY.verify(b64decode(headers["wechatpay-signature"], validate=True), signed, padding.PKCS1v15(), SHA256())
        envelope = Envelope.model_validate_json(body)
        sealed = envelope.resource
        plaintext = OPENER.decrypt(sealed.nonce.encode(), b64decode(sealed.ciphertext), sealed.associated_data.encode())
        return envelope, Transaction.model_validate_json(plaintext), plaintext.decode()
    except (KeyError, ValueError, InvalidSignature, InvalidTag, ValidationError) as error:
        raise HTTPException(401) from error


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the first connection."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/callbacks/wechat-pay", status_code=204)
async def receive(
    opened: Annotated[tuple[Envelope, Transaction, str], Depends(notice)],
    database: Annotated[AsyncSession, Depends(session)],
) -> Response:
    """Into the books, once."""
    envelope, paid, plaintext = opened
    known = await database.execute(
        select(InboundMessage.state).where(
            InboundMessage.partner == "wechat-pay", InboundMessage.partner_id == envelope.id
        )
    )
    if known.scalar_one_or_none() is not None:
        return Response(status_code=204)
    query = (
        select(Payment)
        .where(Payment.number == paid.out_trade_no, Payment.channel == "wechat_pay")
        .options(joinedload(Payment.fee, innerjoin=True))
        .with_for_update()
    )
    payment = (await database.execute(query)).scalar_one_or_none()
    if payment is None:
        raise HTTPException(404)
    if (
        (paid.appid, paid.mchid, paid.amount.currency, paid.amount.total)
        != (APP_ID, MERCHANT, "CNY", payment.amount_fen)
        or fingerprint(paid.payer.openid, "openid") != payment.payer_fingerprint
        or payment.fee.state != "open"
    ):
        raise HTTPException(404)
    await settle_payment(database, envelope, paid, plaintext, payment)
    return Response(status_code=204)


async def settle_payment(
    database: AsyncSession, envelope: Envelope, paid: Transaction, plaintext: str, payment: Payment
) -> None:
    """Every row of it, in one commit."""
    now, fee, fen, message = datetime.now(UTC), payment.fee, paid.amount.total, uuid7()
    before = payment.state
    payment.state, payment.state_at, payment.transaction_id = "paid", now, paid.transaction_id
    payment.paid_fen, payment.paid_at, payment.check_after = fen, paid.success_time, None
    fee.state, fee.state_at, fee.paid_by_id = "paid", now, payment.id
    rows: list[Base] = [
        InboundMessage(
            id=message, created_at=now, partner="wechat-pay", partner_id=envelope.id, event=envelope.event_type,
            body=seal(plaintext, where="inbound_messages.body", row=message), state="handled", received_at=now,
            handled_at=now,
        ),
        PaymentTransition(
            created_at=now, entity="payment", entity_id=payment.id, from_state=before, to_state="paid", at=now,
            actor="partner:wechat-pay", cause="notice",
        ),
        LedgerGroup(
            created_at=now, ref=payment.number, kind="payment", at=paid.success_time,
            postings=[
                LedgerPosting(account=f"channel:wechat_pay:{MERCHANT}", amount_fen=fen),
                LedgerPosting(account=f"revenue:{fee.department_id}", amount_fen=-fen),
            ],
        ),
    ]  # fmt: skip
    common = {"payment_id": str(payment.id), "fee_id": str(fee.id), "resident_id": str(payment.resident_id)}
    facts = (
        ("payment.succeeded", payment.id, {"paid_at": paid.success_time.isoformat(), "known_by": "notice"}),
        ("fee.paid", fee.id, {"subject_kind": fee.subject_kind, "subject_id": str(fee.subject_id)}),
    )
    jobs = []
    for name, subject, more in facts:
        event = Event(
            id=uuid7(), created_at=now, at=now, name=name, subject_kind=name.partition(".")[0], subject_id=subject,
            actor_kind="partner", actor_id="wechat-pay", request_id="-",
            payload=json.dumps({"event": name, **common, "amount_fen": fen, **more}),
        )  # fmt: skip
        rows += [event, UnsealedEvent(event_id=event.id, shard=zlib.crc32(subject.bytes) % 16)]
        jobs.append(
            Job(
                priority=0, entrypoint="events.dispatch", status="queued",
                payload=json.dumps({"event_id": str(event.id)}).encode(),
            )
        )  # fmt: skip
    database.add_all([*rows, *jobs])
    await database.flush()
    database.add_all([JobLog(job_id=job.id, status="queued", entrypoint=job.entrypoint, priority=0) for job in jobs])
    await database.commit()


def application() -> FastAPI:
    """What the server runs."""
    return app
