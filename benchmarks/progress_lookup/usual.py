"""The same as people usually write it: FastAPI, SQLAlchemy 2 with asyncpg, pydantic, PyJWT.

Nothing in it is made slow: it is what the tutorials of the four libraries lead to, with a relationship that is loaded
in one go and a response model.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ARRAY, Date, Text, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, selectinload

from backend.cases.lifecycle import FLAG_NAMES, STATE_NAMES, TERMINAL
from backend.cases.vocabulary import NAMES, OUTCOME_NAMES, Kind, Outcome
from models.cases import CaseState

SHANGHAI = timezone(timedelta(hours=8))

engine = create_async_engine(
    os.environ["BENCH_SQLALCHEMY_URL"], pool_size=int(os.environ["DATABASE_POOL_SIZE"]), max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
public_keys: dict[str, Any] = {os.environ["BENCH_KID"]: load_pem_public_key(os.environ["BENCH_PUBLIC_KEY"].encode())}


class Base(DeclarativeBase):
    """The models."""


class CaseEvent(Base):
    __tablename__ = "case_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID | None]
    event_id: Mapped[str]
    code: Mapped[str]
    kind: Mapped[str]
    occurred_at: Mapped[datetime]
    rank: Mapped[int]
    public_remark: Mapped[str | None]
    materials: Mapped[str | None]
    path: Mapped[list[str]] = mapped_column(ARRAY(Text))
    flag: Mapped[str | None]


class Case(Base):
    __tablename__ = "cases"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str]
    resident_id: Mapped[UUID | None]
    title: Mapped[str]
    item_code: Mapped[str]
    item_name: Mapped[str]
    received_at: Mapped[datetime]
    state: Mapped[str]
    state_at: Mapped[datetime]
    outcome: Mapped[str | None]
    due: Mapped[str]
    counted_days: Mapped[list[date]] = mapped_column(ARRAY(Date))
    events: Mapped[list[CaseEvent]] = relationship(
        CaseEvent,
        primaryjoin=lambda: Case.id == foreign(CaseEvent.case_id),
        order_by=lambda: (CaseEvent.occurred_at, CaseEvent.rank, CaseEvent.event_id),
        viewonly=True,
    )


class StretchOut(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    days: int
    what: str
    name: str
    total: int


class DueOut(BaseModel):
    date: date | None
    working_days: int | None
    counted: int
    accepted_on: date | None
    reason: str | None
    note: str
    explanation: list[StretchOut]


class MissingOut(BaseModel):
    name: str
    ref: str | None
    note: str | None


class EventOut(BaseModel):
    id: UUID
    kind: str
    name: str
    code: str
    occurred_at: datetime
    state: str | None
    state_name: str | None
    remark: str | None
    materials: list[MissingOut]
    flag: str | None
    flag_name: str | None


class CaseOut(BaseModel):
    number: str
    title: str
    item_code: str
    item_name: str
    received_at: datetime
    state: str
    state_name: str
    state_at: datetime
    ended: bool
    outcome: str | None
    outcome_name: str | None
    due: DueOut
    timeline: list[EventOut]


def event_out(event: CaseEvent) -> EventOut:
    """One line of the timeline."""
    state = CaseState(event.path[-1]) if event.path else None
    return EventOut(
        id=event.id,
        kind=event.kind,
        name=NAMES[Kind(event.kind)],
        code=event.code,
        occurred_at=event.occurred_at,
        state=state,
        state_name=STATE_NAMES[state] if state else None,
        remark=event.public_remark,
        materials=[MissingOut(**each) for each in json.loads(event.materials or "[]")],
        flag=event.flag,
        flag_name=FLAG_NAMES[event.flag] if event.flag else None,
    )


def case_out(case: Case) -> CaseOut:
    """The case with its timeline."""
    state, today = CaseState(case.state), datetime.now(SHANGHAI).date()
    return CaseOut(
        number=case.number,
        title=case.title,
        item_code=case.item_code,
        item_name=case.item_name,
        received_at=case.received_at,
        state=state,
        state_name=STATE_NAMES[state],
        state_at=case.state_at,
        ended=state in TERMINAL,
        outcome=case.outcome,
        outcome_name=OUTCOME_NAMES[Outcome(case.outcome)] if case.outcome else None,
        due=DueOut(**json.loads(case.due), counted=sum(day <= today for day in case.counted_days)),
        timeline=[event_out(event) for event in case.events],
    )


async def session() -> AsyncIterator[AsyncSession]:
    """A session per request."""
    async with sessions() as opened:
        yield opened


bearer = HTTPBearer()


async def current_resident(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> UUID:
    """Who is asking, by the token."""
    try:
        kid = jwt.get_unverified_header(credentials.credentials)["kid"]
        claims: dict[str, Any] = jwt.decode(
            credentials.credentials,
            public_keys[kid],
            algorithms=["ES256"],
            audience=os.environ["BENCH_AUDIENCE"],
            issuer=os.environ["BENCH_ISSUER"],
        )
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(401, "unauthenticated") from error
    return UUID(claims["sub"])


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the first connection."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/v1/resident/cases/{number}")
async def get_case(
    number: str,
    resident: Annotated[UUID, Depends(current_resident)],
    database: Annotated[AsyncSession, Depends(session)],
) -> CaseOut:
    """The resident's case with its timeline."""
    query = select(Case).where(Case.number == number, Case.resident_id == resident).options(selectinload(Case.events))
    case = (await database.execute(query)).scalar_one_or_none()
    if case is None:
        raise HTTPException(404, "case not found")
    return case_out(case)


def application() -> FastAPI:
    """What the server runs."""
    return app
