"""The state machines as data: front ends draw their steps from them, and tests check us against them."""

from __future__ import annotations

from litestar import Controller, get
from msgspec import Struct, convert

from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from backend import appointments
from backend.cases import lifecycle as case_lifecycle
from backend.deliveries import naming


class StateOut(Struct):
    """A state. `clock`: what the department's limit does in it (not_started, running, stopped, ended)."""

    code: str
    name: str
    terminal: bool
    clock: str


class EdgeOut(Struct, rename={"origin": "from", "goal": "to"}):
    """A step that a case may take."""

    origin: str
    goal: str


class KindOut(Struct):
    """A kind of event, with the spellings under which departments report it. Lower ranks come first in one instant."""

    code: str
    name: str
    rank: int
    spellings: list[str]


class CaseTransitionOut(Struct):
    """What an event does in a state: the states it leads through; none: it counts and changes no state."""

    state: str
    kind: str
    path: list[str]


class FlagOut(Struct):
    """Why an event did not count, or what was irregular about it."""

    code: str
    name: str


class LifecycleOut(Struct):
    """A state machine. A pair of state and kind that is not among the transitions is impossible: the event is stored
    with a flag."""

    start: str
    states: list[StateOut]
    edges: list[EdgeOut]
    kinds: list[KindOut]
    transitions: list[CaseTransitionOut]
    flags: list[FlagOut]


class TransitionOut(Struct, rename={"origin": "from", "goal": "to"}):
    """A transition, where it can be made and where it leads."""

    transition: str
    origin: str
    goal: str


class NamedOut(Struct):
    """A state and its Chinese name. No transition leaves a terminal state."""

    code: str
    name: str
    terminal: bool


class MachineOut(Struct):
    """A state machine: any other transition is refused with `appointment-transition-refused`."""

    states: list[NamedOut]
    transitions: list[TransitionOut]


class AppointmentLifecycleOut(Struct):
    """The two machines of an appointment: its own, and that of the queue number that it gets at check-in."""

    appointment: MachineOut
    ticket: MachineOut


class TrackedOut(Struct):
    """A tracking node, and the state that it leads to; null: it changes no state."""

    code: str
    name: str
    state: str | None


class DeliveryLifecycleOut(Struct):
    """The machine of a delivery. A shipment is in the state of its furthest node, in any order of the nodes; any
    other transition is refused with `delivery-transition-refused`."""

    states: list[NamedOut]
    transitions: list[TransitionOut]
    nodes: list[TrackedOut]
    problems: list[FlagOut]


class LifecycleController(Controller):
    """`/v1/public/lifecycle`."""

    path = "/lifecycle"
    tags = ["公共"]

    @get(
        "/cases",
        summary="办件状态机：状态、流转与事件词表",
        operation_id="getCaseLifecycle",
        middleware=[Revalidated(public=True, max_age=300)],
        response_headers=HEADERS,
        responses=NOT_MODIFIED,
        sync_to_thread=False,
    )
    def cases(self) -> LifecycleOut:
        return convert(case_lifecycle.as_data(), LifecycleOut)

    @get(
        "/appointments",
        summary="预约与排队号状态机",
        operation_id="getAppointmentLifecycle",
        middleware=[Revalidated(public=True, max_age=300)],
        response_headers=HEADERS,
        responses=NOT_MODIFIED,
        sync_to_thread=False,
    )
    def appointments(self) -> AppointmentLifecycleOut:
        return convert(appointments.lifecycles_as_data(), AppointmentLifecycleOut)

    @get(
        "/deliveries",
        summary="寄送状态机：状态、操作、物流节点与问题",
        operation_id="getDeliveryLifecycle",
        middleware=[Revalidated(public=True, max_age=300)],
        response_headers=HEADERS,
        responses=NOT_MODIFIED,
        sync_to_thread=False,
    )
    def deliveries(self) -> DeliveryLifecycleOut:
        return convert(naming.as_data(), DeliveryLifecycleOut)
