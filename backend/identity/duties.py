"""What staff may be allowed to do, and which duties may not lie in one hand."""

from __future__ import annotations

import re
from collections.abc import Iterable

from backend.errors import Fault
from backend.identity.errors import DutiesInConflict, DutyInvalid

DUTIES: dict[str, str] = {
    "catalogue.edit": "编写事项和办事指南",
    "catalogue.publish": "审核、发布和撤回事项",
    "cases.read": "查看本部门办件",
    "cases.handle": "办理本部门办件",
    "halls.manage": "运行本部门所在地区及下级地区的全部办事大厅：窗口、时段、预约、叫号、爽约申诉",
    "fees.manage": "登记本部门办件的收费、填写数量、免收费用",
    "refunds.request": "为本部门收取的费用申请退款，查看支付和退款",
    "refunds.approve": "复核他人申请的退款，处理受阻的退款，查看支付和退款",
    "payments.reconcile": "查看每日对账结果，认领和处理对账差异，重新对账",
    "deliveries.send": "寄送本部门的证照和文书：下单、登记运单、撤回、重寄、处理物流问题、签收居民寄来的材料",
    "deliveries.hand-over": "领取点窗口：登记到件、核验领取人、交付证照",
    "pickup-points.manage": "维护本部门的领取点",
    "calendar.edit": "设定工作日、节假日和调休",
    "messages.operate": "查看全平台消息的送达情况（不含内容），重发搁置的消息",
    "staff.manage": "管理工作人员账号（系统管理员）",
    "agencies.manage": "管理部门系统及其密钥（系统管理员）",
    "duties.grant": "授予和收回职责（安全管理员）",
    "audit.read": "查阅审计记录（审计管理员）",
}
"""Every duty, and what it allows. Besides these there are two per hall: see `hall_duty` and `kiosk_duty`."""

_OF_ONE_HALL = re.compile(r"(?:hall|kiosk):[a-z0-9][a-z0-9-]{0,39}", re.ASCII)

SEPARATED: tuple[frozenset[str], ...] = (
    frozenset({"staff.manage", "agencies.manage"}),
    frozenset({"duties.grant"}),
    frozenset({"audit.read"}),
    frozenset({"refunds.request", "refunds.approve"}),
)
"""三权分立: the system officer, the security officer and the auditor are three people (GB/T 22239, 访问控制 d).

Staff who move money hold none of them: an officer who makes accounts or grants duties could make their own second
person.
"""


def hall_duty(code: str) -> str:
    """The duty of running this one hall (`hall:city-hall`): its windows, slots, appointments and queue.

    It may be given to people of any department, because a hall's windows are staffed by many.
    """
    return f"hall:{code}"


def kiosk_duty(code: str) -> str:
    """The duty of a self-service kiosk of this one hall (`kiosk:city-hall`): it checks people in and gives out numbers.

    A kiosk signs in as staff with this duty alone, so an attacker who takes it over cannot call, close or look
    anything up.
    """
    return f"kiosk:{code}"


def check_duties(duties: Iterable[str]) -> list[str]:
    """The duties in order, each once. Raises DutyInvalid and DutiesInConflict."""
    wanted = sorted(set(duties))
    if unknown := [duty for duty in wanted if not _is_duty(duty)]:
        raise DutyInvalid(fields=[Fault("/duties", f"没有这项职责：{duty}") for duty in unknown])
    if sum(not powers.isdisjoint(wanted) for powers in SEPARATED) > 1:
        raise DutiesInConflict
    return wanted


def _is_duty(duty: str) -> bool:
    return duty in DUTIES or _OF_ONE_HALL.fullmatch(duty) is not None
