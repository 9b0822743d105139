"""What departments call the things that happen to a case, and our word for each.

The table is data: one line per kind with its English code, its Chinese name, its place among events of the same
instant, and the spellings seen in department systems. A code that is not here is kept as it came and shown as 其他;
when a line is added later, the events that were kept count from then on.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Our word for what happened."""

    SUBMITTED = "submitted"
    RECEIVED = "received"
    CORRECTION = "correction"
    CORRECTED = "corrected"
    LAPSED = "lapsed"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    REVIEWING = "reviewing"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    APPROVED = "approved"
    REJECTED = "rejected"
    ISSUED = "issued"
    DELIVERED = "delivered"
    CLOSED = "closed"
    CLOSED_REJECTED = "closed_rejected"
    TERMINATED = "terminated"
    WITHDRAWN = "withdrawn"
    OTHER = "other"


class Word(NamedTuple):
    """One line of the vocabulary."""

    kind: Kind
    name: str
    rank: int
    """Of two events at the same instant, the one with the lower rank happened first."""
    spellings: tuple[str, ...]


WORDS: tuple[Word, ...] = (
    Word(Kind.SUBMITTED, "提交申请", 0, ("提交", "申请", "网上申请", "申报")),
    Word(Kind.RECEIVED, "收件", 1, ("接件", "收件登记", "登记")),
    Word(Kind.CORRECTION, "补正", 2, ("补正告知", "一次性告知", "补齐补正", "告知补正")),
    Word(Kind.CORRECTED, "补正材料已收到", 3, ("补正受理", "补正收件", "补正提交", "已补正", "补齐")),
    Word(Kind.LAPSED, "逾期未补正", 4, ("逾期未补", "补正逾期")),
    Word(Kind.NOT_ACCEPTED, "不予受理", 5, ("不受理",)),
    Word(Kind.ACCEPTED, "受理", 6, ("准予受理", "已受理", "予以受理", "立案")),
    Word(Kind.REVIEWING, "审查", 7, ("审核", "审批中", "办理中", "审查中", "现场核查", "复审", "初审")),
    Word(Kind.SUSPENDED, "中止", 8, ("暂停", "挂起", "特别程序", "特别程序开始", "中止办理", "延期中止")),
    Word(Kind.RESUMED, "恢复", 9, ("恢复办理", "特别程序结束", "解挂", "恢复审查")),
    Word(Kind.APPROVED, "决定", 10, ("准予许可", "准予", "审批通过", "批准", "同意", "审批决定")),
    Word(Kind.REJECTED, "不予许可", 11, ("不予批准", "不同意", "审批不通过", "不予行政许可", "不准予许可")),
    Word(Kind.ISSUED, "制证", 12, ("制证完成", "出证", "制证发证", "证照制作")),
    Word(Kind.DELIVERED, "送达", 13, ("领取", "取证", "颁证", "送达签收", "已送达", "发证")),
    Word(Kind.CLOSED, "办结", 14, ("办结归档", "已办结", "正常办结", "归档")),
    Word(Kind.CLOSED_REJECTED, "不予办结", 15, ("否决办结", "不予许可办结")),
    Word(Kind.TERMINATED, "终止", 16, ("终止办理", "终结", "作废办结", "终止办结")),
    Word(Kind.WITHDRAWN, "撤回", 17, ("撤回申请", "撤件", "申请人撤回", "退件撤回", "撤销申请")),
    Word(Kind.OTHER, "其他", 99, ()),
)

NAMES: dict[Kind, str] = {word.kind: word.name for word in WORDS}
RANKS: dict[Kind, int] = {word.kind: word.rank for word in WORDS}
_BY_SPELLING: dict[str, Kind] = {
    spelling: word.kind for word in WORDS for spelling in (word.kind.value, word.name, *word.spellings)
}
_REFUSING = {Kind.APPROVED: Kind.REJECTED, Kind.CLOSED: Kind.CLOSED_REJECTED}


_SAYS_YES = frozenset({"approved", "准予许可", "准予", "审批通过", "批准", "同意"})
"""Spellings of a decision that say which one it was; 决定 and 办结 do not."""


class Outcome(StrEnum):
    """What was decided."""

    APPROVED = "approved"
    REJECTED = "rejected"
    TERMINATED = "terminated"


OUTCOME_NAMES = {Outcome.APPROVED: "准予", Outcome.REJECTED: "不予", Outcome.TERMINATED: "终止"}


def kind_of(code: str, outcome: str | None = None) -> Kind:
    """Our word for an agency's code; OTHER when we do not know it.

    A decision or an end (决定, 办结) that is reported with the outcome `rejected` is the refusal.
    """
    spelling = _spelled(code)
    kind = _BY_SPELLING.get(spelling) or _BY_SPELLING.get(spelling.lower().replace("-", "_")) or Kind.OTHER
    if outcome == Outcome.REJECTED:
        return _REFUSING.get(kind, kind)
    return kind


def get_outcome(code: str, said: str | None) -> Outcome | None:
    """What an event says was decided; None when it leaves that open. It is never guessed."""
    kind = kind_of(code, said)
    if kind in {Kind.REJECTED, Kind.CLOSED_REJECTED}:
        return Outcome.REJECTED
    if kind is Kind.TERMINATED:
        return Outcome.TERMINATED
    if kind in _REFUSING and (said == Outcome.APPROVED or _spelled(code).lower() in _SAYS_YES):
        return Outcome.APPROVED
    return None


def _spelled(code: str) -> str:
    return unicodedata.normalize("NFKC", code).strip()
