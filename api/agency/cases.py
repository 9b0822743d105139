"""Departments push cases and what happens to them, and read back how we understood it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api import openapi
from api.problems import answers
from backend import cases
from backend.cases import (
    FLAG_NAMES,
    MOST_AT_ONCE,
    NAMES,
    STATE_NAMES,
    CaseFacts,
    IdKind,
    Kind,
    Missing,
    Outcome,
    Report,
    ReportResult,
)
from backend.identity import AsAgency
from models.cases import Case, CaseEvent

Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its offset from UTC; without one it is refused, because its meaning would be unknown."""


class ApplicantIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who the case is for. An identity number or a phone number is needed; with the phone the resident finds it."""

    name: Annotated[str, Meta(max_length=100)] | None = None
    id_kind: IdKind = IdKind.RESIDENT_ID
    id_number: Annotated[str, Meta(max_length=64)] | None = None
    phone: Annotated[str, Meta(max_length=32)] | None = None


class CaseIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A case. Fields that are left out keep what was said before; `received_at` is now when it was never said."""

    item_code: Annotated[str, Meta(max_length=64)]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    applicant: ApplicantIn
    item_name: Annotated[str, Meta(max_length=200)] | None = None
    received_at: Moment | None = None
    promised_days: Annotated[int, Meta(ge=0, le=3650)] | None = None
    reference: Annotated[str, Meta(min_length=1, max_length=64)] | None = None

    def facts(self) -> CaseFacts:
        """The same for the use case. Raises CaseInvalid."""
        who = self.applicant
        return CaseFacts(
            item_code=self.item_code,
            applicant=cases.check_applicant(who.name, who.id_kind, who.id_number, who.phone),
            title=self.title,
            item_name=self.item_name,
            received_at=self.received_at,
            promised_days=self.promised_days,
            reference=self.reference,
        )


class MissingIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """One thing to hand in later."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    ref: Annotated[str, Meta(max_length=40)] | None = None
    note: Annotated[str, Meta(max_length=500)] | None = None


class EventIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """One thing that happened. `text` is for officers, `public_remark` and `materials` are for the applicant."""

    event_id: Annotated[str, Meta(min_length=1, max_length=64)]
    code: Annotated[str, Meta(min_length=1, max_length=64)]
    occurred_at: Moment
    outcome: Outcome | None = None
    text: Annotated[str, Meta(max_length=2000)] | None = None
    public_remark: Annotated[str, Meta(max_length=500)] | None = None
    materials: Annotated[list[MissingIn], Meta(max_length=50)] = []

    def report(self) -> Report:
        """The same for the use case."""
        return Report(
            event_id=self.event_id,
            code=self.code,
            occurred_at=self.occurred_at,
            outcome=self.outcome,
            text=self.text,
            public_remark=self.public_remark,
            materials=[Missing(each.name, each.ref, each.note) for each in self.materials],
        )


class NumberedEventIn(EventIn, forbid_unknown_fields=True, kw_only=True):
    """One thing that happened to the case with this number."""

    number: Annotated[str, Meta(max_length=64)]


class EventsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What happened to one case, in any order. All of it is kept or nothing."""

    events: Annotated[list[EventIn], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class NumberedEventsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What happened to several cases, in any order. All of it is kept or nothing."""

    events: Annotated[list[NumberedEventIn], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class EventOut(Struct, kw_only=True):
    """An event as it stands now. `kind` is our word for the code; `flag` says why it did not count.

    `state` is that of the case at this moment; null until the case itself is pushed.
    """

    number: str
    event_id: str
    code: str
    kind: str
    name: str
    occurred_at: datetime
    received_at: datetime
    flag: str | None
    flag_name: str | None
    led_to: str | None
    state: str | UnsetType | None = UNSET
    state_name: str | UnsetType | None = UNSET

    @classmethod
    def of(cls, event: CaseEvent) -> EventOut:
        """One line of a case's timeline."""
        return cls(
            number=event.case_number,
            event_id=event.event_id,
            code=event.code,
            kind=event.kind,
            name=NAMES[Kind(event.kind)],
            occurred_at=event.occurred_at,
            received_at=event.created_at,
            flag=event.flag,
            flag_name=FLAG_NAMES[event.flag] if event.flag else None,
            led_to=event.path[-1] if event.path else None,
        )

    @classmethod
    def answering(cls, kept: ReportResult) -> EventOut:
        """The answer to a report."""
        out = cls.of(kept.event)
        out.state = kept.case.state.value if kept.case else None
        out.state_name = STATE_NAMES[kept.case.state] if kept.case else None
        return out


class EventsOut(Struct):
    """The events, in the order in which they were given."""

    items: list[EventOut]


class ApplicantOut(Struct, kw_only=True):
    """The applicant, masked."""

    name: str | None
    id_kind: str | None
    id_number: str | None
    phone: str | None


class CaseOut(Struct, kw_only=True):
    """A case as we understand it."""

    id: UUID
    number: str
    reference: str | None
    item_code: str
    item_name: str
    title: str
    received_at: datetime
    promised_days: int | None
    due_on: date | None
    state: str
    state_name: str
    state_at: datetime
    outcome: str | None
    version: int
    applicant: ApplicantOut
    timeline: list[EventOut] | UnsetType = UNSET

    @classmethod
    def of(cls, case: Case, events: list[CaseEvent] | None = None) -> CaseOut:
        """The case, with its timeline if there is one to show."""
        who = cases.masked_applicant(case)
        return cls(
            id=case.id,
            number=case.number,
            reference=case.reference,
            item_code=case.item_code,
            item_name=case.item_name,
            title=case.title,
            received_at=case.received_at,
            promised_days=case.promised_days,
            due_on=case.due_on,
            state=case.state.value,
            state_name=STATE_NAMES[case.state],
            state_at=case.state_at,
            outcome=case.outcome,
            version=case.version,
            applicant=ApplicantOut(name=who.name, id_kind=who.id_kind, id_number=who.id_number, phone=who.phone),
            timeline=UNSET if events is None else [EventOut.of(each) for each in events],
        )


class CaseController(Controller):
    """`/v1/agency/cases`."""

    path = "/cases"
    tags = ["部门推送办件"]

    @put(
        "/{number:str}",
        summary="推送办件（部门自有编号）",
        description="首次推送建立办件（201），以后推送更正信息（200）；内容相同的重复推送没有影响。办件事项不能更改。",
        operation_id="pushCase",
        responses=answers(cases.push_case)
        | {201: ResponseSpec(CaseOut, description="办件已建立", generate_examples=False)},
    )
    async def push(
        self, agency: NamedDependency[AsAgency], number: FromPath[str], data: JSONBody[CaseIn]
    ) -> Response[CaseOut]:
        pushed = await cases.push_case(agency, number, data.facts())
        return Response(CaseOut.of(pushed.case), status_code=201 if pushed.created else 200)

    @post(
        summary="推送办件（由平台编号）",
        description="平台按办件编号规则编号。`reference` 为部门业务流水号：同一流水号、同一内容只建立一个办件。",
        operation_id="pushUnnumberedCase",
        responses=answers(cases.push_unnumbered_case),
    )
    async def push_unnumbered(self, agency: NamedDependency[AsAgency], data: JSONBody[CaseIn]) -> CaseOut:
        return CaseOut.of((await cases.push_unnumbered_case(agency, data.facts())).case)

    @get(
        "/{number:str}", summary="本部门的办件", operation_id="getPushedCase", responses=answers(cases.get_pushed_case)
    )
    async def handled(self, agency: NamedDependency[AsAgency], number: FromPath[str]) -> CaseOut:
        return CaseOut.of(*await cases.get_pushed_case(agency, number))

    @post(
        "/{number:str}/events",
        summary="推送一个办理事件",
        description=(
            "事件可以重复、迟到、乱序，也可以先于办件到达。同一 `event_id`、同一内容视为同一事件；内容不同则拒绝。"
            "不认识的代码照样保存，显示为“其他”。"
        ),
        operation_id="reportCaseEvent",
        responses=answers(cases.ingest_reports),
    )
    async def report(
        self, agency: NamedDependency[AsAgency], number: FromPath[str], data: JSONBody[EventIn]
    ) -> EventOut:
        (kept,) = await cases.ingest_reports(agency, [(number, data.report())], pointer="")
        return EventOut.answering(kept)

    @post(
        "/{number:str}/event-batches",
        summary="推送一个办件的多个办理事件",
        description=f"一次最多 {MOST_AT_ONCE} 个，全部保存或全部不保存；状态只按最后结果通知一次。",
        operation_id="reportCaseEvents",
        responses=answers(cases.ingest_reports),
    )
    async def report_batch(
        self, agency: NamedDependency[AsAgency], number: FromPath[str], data: JSONBody[EventsIn]
    ) -> EventsOut:
        kept = await cases.ingest_reports(agency, [(number, each.report()) for each in data.events])
        return EventsOut([EventOut.answering(each) for each in kept])


@post(
    "/case-event-batches",
    tags=["部门推送办件"],
    summary="推送多个办件的办理事件",
    description=f"一次最多 {MOST_AT_ONCE} 个，可属于不同办件，全部保存或全部不保存。",
    operation_id="reportEventsOfCases",
    responses=answers(cases.ingest_reports),
)
async def report_many(agency: NamedDependency[AsAgency], data: JSONBody[NumberedEventsIn]) -> EventsOut:
    """The same for several cases at once."""
    kept = await cases.ingest_reports(agency, [(each.number, each.report()) for each in data.events])
    return EventsOut([EventOut.answering(each) for each in kept])


_HERE = {"number": "$response.body#/number"}
openapi.LINKS |= {
    name: {
        target: {"operationId": target, "parameters": _HERE}
        for target in (
            "getPushedCase", "pushCase", "reportCaseEvent", "reportCaseEvents", "listPushedCaseFees", "pushFee",
        )
    }
    for name in ("pushCase", "pushUnnumberedCase")
}  # fmt: skip
