"""The cast: who applies for what, what each of them allows WeChat to send, and what the departments report.

`Person.way` is the demo's own idea of how a message must reach a resident. It is written from the rules for residents,
not from the code that sends, so that the two can disagree.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, NamedTuple

SUBSCRIBE, ACCOUNT, TEXT, INBOX = "mini_program", "official_account", "sms", "inbox"

PROGRESS, SUPPLEMENT, RESULT = "办件进度通知", "材料补正通知", "办理结果通知"

TEMPLATE_OF = {
    "case_opened": PROGRESS,
    "case_accepted": PROGRESS,
    "case_in_review": PROGRESS,
    "case_suspended": PROGRESS,
    "case_resumed": PROGRESS,
    "supplement_received": PROGRESS,
    "supplement_needed": SUPPLEMENT,
    "case_approved": RESULT,
    "case_rejected": RESULT,
    "case_closed": RESULT,
}
"""The title of the WeChat template that carries a message: consent is asked for by template."""
BY_TEXT = frozenset({"supplement_needed", "case_approved", "case_rejected"})
"""Messages that are worth a text: something must be done, or was decided."""


class Report(NamedTuple):
    """What a department reports: its own word, how long ago it happened, and the message that follows from it."""

    code: str
    ago: timedelta
    message: str | None
    event_id: str
    more: dict[str, Any] = {}
    note: str = ""
    """What is odd about it, for the timeline."""


class Person:
    """A resident: what they applied for, and what they do with popups."""

    def __init__(
        self,
        name: str,
        id_number: str,
        department: str,
        item: str,
        habit: str,
        *,
        yes: int = 0,
        follows: bool = False,
        takes_texts: bool = True,
        before: tuple[Report, ...] = (),
        after: tuple[Report, ...] = (),
        number: str,
    ) -> None:
        self.name, self.id_number, self.department, self.item, self.habit = name, id_number, department, item, habit
        self.yes, self.follows, self.takes_texts = yes, follows, takes_texts
        self.before, self.after, self.number = before, after, number
        self.item_code = self.case = self.phone = ""
        self.consents: Counter[str] = Counter()

    def way(self, message: str) -> str:
        """How this message must reach them; a one-off consent is used up by it."""
        template = TEMPLATE_OF[message]
        if self.consents[template] > 0:
            self.consents[template] -= 1
            return SUBSCRIBE
        if self.follows:
            return ACCOUNT
        return TEXT if self.takes_texts and message in BY_TEXT else INBOX

    def as_data(self) -> dict[str, Any]:
        """What the record says of them."""
        return {
            "name": self.name,
            "habit": self.habit,
            "department": self.department,
            "item": self.item,
            "case": self.case,
        }


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


GRANTED = {"outcome": "approved"}
_MISSING = {
    "public_remark": "请一次补齐下列材料",
    "materials": [
        {"name": "食品安全管理人员培训证明", "note": "复印件一份"},
        {"name": "经营场所平面图", "note": "标明设备位置"},
    ],
}
_RECORD = {"public_remark": "请补一份材料", "materials": [{"name": "终止劳动合同证明", "note": "原件"}]}


def cast() -> list[Person]:
    """Everybody, as they are before the story begins."""
    return [
        Person(
            "王秀英", "990102198803071229", "公安", "居民身份证到期换领", "每次弹窗都点允许",
            yes=3, number="SFZ-2026-000187",
            before=(Report("受理", _minutes(190), None, "sfz-1"),),
            after=(
                Report("审查", _minutes(60), "case_in_review", "sfz-2"),
                Report("决定", _minutes(20), "case_approved", "sfz-3", GRANTED),
                Report("办结", _minutes(1), "case_closed", "sfz-4"),
            ),
        ),
        Person(
            "李建国", "990102197909150318", "市场监管", "食品经营许可", "每次弹窗都点允许",
            yes=3, number="SPJY-2026-0042",
            after=(
                Report("一次性告知", _minutes(150), "supplement_needed", "sp-1", _MISSING),
                Report("补正收件", _minutes(110), "supplement_received", "sp-2"),
                Report("受理", _minutes(100), "case_accepted", "sp-3"),
                Report("审查", _minutes(50), "case_in_review", "sp-4"),
                Report("决定", _minutes(10), "case_approved", "sp-5", GRANTED),
                Report("办结", _minutes(1), "case_closed", "sp-6"),
            ),
        ),
        Person(
            "张敏", "990121199511242042", "人社", "社会保障卡申领", "拒绝一切消息，短信也退订了",
            takes_texts=False, number="SBK-2026-7731",
            before=(Report("受理", _minutes(170), None, "sbk-1", note="比办件本身先到"),),
            after=(
                Report("决定", _minutes(30), "case_approved", "sbk-3", GRANTED, note="比审查先到"),
                Report("审查", _minutes(90), None, "sbk-2", note="迟到：已有决定，不再退回"),
                Report("办结", _minutes(1), "case_closed", "sbk-4"),
            ),
        ),
        Person(
            "赵国庆", "990103195602185011", "公安", "普通护照首次申请", "不会点弹窗，只关注了公众号",
            follows=True, number="HZ-2026-05530",
            after=(
                Report("受理", _minutes(140), "case_accepted", "hz-1"),
                Report("转制证中心排产", _minutes(70), None, "hz-2", note="没见过的代码：照收，记为其他"),
                Report("准予许可", _minutes(40), "case_approved", "hz-3"),
                Report("准予许可", _minutes(40), None, "hz-3", note="重复推送"),
                Report("办结", _minutes(1), "case_closed", "hz-4"),
            ),
        ),
        Person(
            "孙丽", "990102199006060820", "人社", "失业保险金申领", "拒绝订阅，没关注公众号，收短信",
            number="SYJ-2026-0908",
            after=(
                Report("补正", _minutes(160), "supplement_needed", "sy-1", _RECORD),
                Report("补正收件", _minutes(120), "supplement_received", "sy-2"),
                Report("受理", _minutes(80), "case_accepted", "sy-3"),
                Report("不予许可", _minutes(5), "case_rejected", "sy-4", {"public_remark": "参保缴费不满一年"}),
            ),
        ),
        Person(
            "陈晓", "990121200104300933", "市场监管", "个体工商户设立登记", "只允许了一次",
            yes=1, number="GT-2026-11007",
            after=(
                Report("受理", _minutes(45), "case_accepted", "gt-1"),
                Report("审查", _minutes(30), "case_in_review", "gt-2"),
                Report("决定", _minutes(8), "case_approved", "gt-3", GRANTED),
                Report("办结", _minutes(1), "case_closed", "gt-4"),
            ),
        ),
    ]  # fmt: skip
