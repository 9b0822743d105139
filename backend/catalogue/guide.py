"""The structured guide (办事指南): what a published item promises, as data that a form, a clerk and a lint can read.

Every list is ordered as the resident should read it. A requirement names its legal basis by the `ref` of an entry
of `basis`, so that a basis is written once and a dangling reference can be found. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=2000)]
Short = Annotated[str, Meta(max_length=200)]
Ref = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Days = Annotated[int, Meta(ge=0, le=3650)]
MANY = 60


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All parts of a guide are immutable and refuse a field they do not know."""


class Subject(StrEnum):
    """服务对象: who may ask for it."""

    PERSON = "person"
    ENTERPRISE = "enterprise"
    INSTITUTION = "institution"


class Handling(StrEnum):
    """办件类型: decided at once, or within a promised time."""

    IMMEDIATE = "immediate"
    PROMISED = "promised"


class Source(StrEnum):
    """Where a material comes from."""

    APPLICANT = "applicant"
    GOVERNMENT = "government"
    THIRD_PARTY = "third-party"


class Format(StrEnum):
    """In which form a material is taken."""

    PAPER = "paper"
    ELECTRONIC = "electronic"
    EITHER = "either"


class Original(StrEnum):
    """Whether the original, a copy, or both are asked for."""

    ORIGINAL = "original"
    COPY = "copy"
    BOTH = "both"


class Need(StrEnum):
    """Whether a material is always asked for, only in the case that `when` describes, or may follow later (容缺)."""

    REQUIRED = "required"
    CONDITIONAL = "conditional"
    DEFERRABLE = "deferrable"


class Unit(StrEnum):
    """The unit in which a law counts its limit."""

    WORKING_DAY = "working-day"
    DAY = "day"
    MONTH = "month"


class Level(StrEnum):
    """网上办理深度: information only, forms online, pre-review online, the whole matter online."""

    INFORMATION = "information"
    DOWNLOAD = "download"
    PRE_REVIEW = "pre-review"
    FULL = "full"


class Delivery(StrEnum):
    """How a result reaches the resident."""

    PICKUP = "pickup"
    POST = "post"
    ELECTRONIC = "electronic"


class Basis(Shape, frozen=True, kw_only=True):
    """A legal basis: law or document, its number (文号) and article. `local` marks a rule of this place only."""

    ref: Ref
    title: Short
    article: Short = ""
    number: Short = ""
    local: bool = False


class Condition(Shape, frozen=True, kw_only=True):
    """One condition of acceptance."""

    text: Text
    basis: tuple[Ref, ...] = ()


class Material(Shape, frozen=True, kw_only=True):
    """One thing the resident hands in. `ref` is what a supplement notice names: nothing else may be asked for.

    `shared` says that we fetch it ourselves when we can, and then do not ask; `form` names an entry of
    `forms`; `seal` says whose seal or signature it must bear, empty for none.
    """

    ref: Ref
    name: Short
    source: Source
    basis: tuple[Ref, ...] = ()
    format: Format = Format.EITHER
    original: Original = Original.ORIGINAL
    copies: Annotated[int, Meta(ge=0, le=20)] = 1
    seal: Short = ""
    need: Need = Need.REQUIRED
    when: Text = ""
    shared: bool = False
    form: str = ""
    note: Text = ""


class Step(Shape, frozen=True, kw_only=True):
    """One step: who does what, within how many working days (0 is the same day).

    `counted` is False for what lies before acceptance or is not counted by law, such as a public notice.
    """

    name: Short
    text: Text
    by: Short
    limit_days: Days
    counted: bool = True


class Charge(Shape, frozen=True, kw_only=True):
    """One fee, in fen, for one `per` (证, 件, 次)."""

    ref: Ref
    name: Short
    amount_fen: Annotated[int, Meta(gt=0, le=100_000_000)]
    per: Short
    basis: tuple[Ref, ...] = ()
    when: Text = ""


class Fee(Shape, frozen=True, kw_only=True):
    """Free, or what is charged. A note may explain an exemption."""

    free: bool
    charges: Annotated[tuple[Charge, ...], Meta(max_length=MANY)] = ()
    note: Text = ""


class FormField(Shape, frozen=True, kw_only=True):
    """One line of a form: its label, how to fill it, and what a filled-in one looks like."""

    label: Short
    sample: Text
    hint: Text = ""
    required: bool = True


class Form(Shape, frozen=True, kw_only=True):
    """A form as data: blank form and filled-in sample are drawn from the same fields."""

    ref: Ref
    name: Short
    fields: Annotated[tuple[FormField, ...], Meta(max_length=MANY)] = ()


class Outcome(Shape, frozen=True, kw_only=True):
    """What the resident receives in the end, and how it may reach them."""

    name: Short
    delivery: tuple[Delivery, ...] = ()
    note: Text = ""


class Question(Shape, frozen=True, kw_only=True):
    """A question people ask, with its answer."""

    question: Short
    answer: Text


class Guide(Shape, frozen=True, kw_only=True):
    """Everything a resident must know before asking for an item.

    Limits: `promised_days` are working days from acceptance. `statutory_days` are of `statutory_unit`; where
    no law sets a limit it is None and `statutory_note` says so. The statutory limit is never shorter than the
    promise. `visits` is how often one must come in person, 0 when everything is online.
    """

    summary: Text
    subjects: tuple[Subject, ...] = ()
    handling: Handling = Handling.PROMISED
    basis: Annotated[tuple[Basis, ...], Meta(max_length=MANY)] = ()
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=MANY)] = ()
    materials: Annotated[tuple[Material, ...], Meta(max_length=MANY)] = ()
    steps: Annotated[tuple[Step, ...], Meta(max_length=MANY)] = ()
    statutory_days: Days | None = None
    statutory_unit: Unit = Unit.WORKING_DAY
    statutory_note: Text = ""
    promised_days: Days | None = None
    fee: Fee | None = None
    contact: Short = ""
    complaint_phone: Short = ""
    visits: Annotated[int, Meta(ge=0, le=10)] = 1
    online_level: Level = Level.INFORMATION
    forms: Annotated[tuple[Form, ...], Meta(max_length=MANY)] = ()
    outcomes: Annotated[tuple[Outcome, ...], Meta(max_length=MANY)] = ()
    hall_ids: Annotated[tuple[UUID, ...], Meta(max_length=MANY)] = ()
    questions: Annotated[tuple[Question, ...], Meta(max_length=MANY)] = ()

    def statutory_working_days(self) -> int | None:
        """The statutory limit in working days, rounded down; None where no law sets one.

        Five working days to seven days and 21 to a month, which is about right on the average of a year. It serves
        comparison only: due dates are counted on the calendar of working days.
        """
        if self.statutory_days is None or self.statutory_unit is Unit.WORKING_DAY:
            return self.statutory_days
        days = self.statutory_days * (5 if self.statutory_unit is Unit.DAY else 147) // 7
        return max(days, min(1, self.statutory_days))

    def material(self, ref: str) -> Material | None:
        """The material of that ref, if the guide asks for it."""
        return next((each for each in self.materials if each.ref == ref), None)


WORDS: dict[str, dict[str, str]] = {
    "subject": {"person": "自然人", "enterprise": "企业", "institution": "事业单位和社会组织"},
    "handling": {"immediate": "即办件", "promised": "承诺件"},
    "source": {"applicant": "申请人自备", "government": "政府部门核发", "third-party": "其他机构出具"},
    "format": {"paper": "纸质", "electronic": "电子", "either": "纸质或电子"},
    "original": {"original": "原件", "copy": "复印件", "both": "原件和复印件"},
    "need": {"required": "必要", "conditional": "符合所述情形时需要", "deferrable": "可容缺后补"},
    "unit": {"working-day": "个工作日", "day": "日", "month": "个月"},
    "online_level": {
        "information": "网上查询",
        "download": "表格下载",
        "pre-review": "网上预审",
        "full": "全程网办",
    },
    "delivery": {"pickup": "窗口领取", "post": "邮寄", "electronic": "电子送达"},
}
"""What the codes are called on a resident's screen; the public API serves this table."""
