"""Guides without fault, items and versions, made by the use cases that make them in earnest."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from backend import catalogue
from backend.catalogue import Content, Guide, ItemSpec
from backend.identity import AsStaff
from models.catalogue import ItemKind
from tests.factories.identity import a_staff
from tests.factories.regions import a_department

DUTIES = ("catalogue.edit", "catalogue.publish")
_numbers = itertools.count(1)


def a_guide(**changes: Any) -> Guide:
    """A guide that may be published; `changes` are JSON-able values of its fields."""
    whole: dict[str, Any] = {
        "summary": "年满八十周岁的老年人申领津贴。",
        "subjects": ["person"],
        "basis": [{"ref": "law-33", "title": "中华人民共和国老年人权益保障法", "article": "第三十三条"}],
        "conditions": [{"text": "年满八十周岁", "basis": ["law-33"]}],
        "materials": [
            {"ref": "form", "name": "津贴申请表", "source": "applicant", "form": "apply", "basis": ["law-33"]},
            {"ref": "id", "name": "居民身份证", "source": "government", "shared": True, "basis": ["law-33"]},
        ],
        "steps": [
            {"name": "申请", "text": "在线填写申请表", "by": "申请人", "limit_days": 0, "counted": False},
            {"name": "审核", "text": "核对年龄和户籍信息", "by": "民政窗口", "limit_days": 5},
        ],
        "statutory_days": 20,
        "promised_days": 5,
        "fee": {"free": True},
        "contact": "12345",
        "complaint_phone": "12345",
        "visits": 0,
        "online_level": "full",
        "forms": [{"ref": "apply", "name": "津贴申请表", "fields": [{"label": "姓名", "sample": "田秀英"}]}],
        "outcomes": [{"name": "津贴", "delivery": ["electronic"]}],
        **changes,
    }
    return msgspec.convert(whole, Guide)


def a_content(name: str = "高龄津贴", **changes: Any) -> Content:
    """What a version says; `changes` go into the guide."""
    return Content(name=name, themes=("养老",), keywords=("老年补贴",), guide=a_guide(**changes))


def a_spec(**changes: Any) -> ItemSpec:
    """A basic code that no other call gives."""
    values: dict[str, Any] = {
        "basic_code": f"{next(_numbers):012d}",
        "level": "4",
        "kind": ItemKind.PAYMENT,
        **changes,
    }
    return ItemSpec(**values)


async def an_editor(**changes: Any) -> AsStaff:
    """A member of staff who may edit and publish the items of a department of their own."""
    department = await a_department()
    return await a_staff(**{"department_id": department.id, "duties": DUTIES, **changes})


async def a_draft(staff: AsStaff, name: str = "高龄津贴", **changes: Any) -> str:
    """The code of a new item of theirs with one draft."""
    code, _ = await catalogue.begin_item(staff, a_spec(), a_content(name, **changes))
    return code


async def a_published_item(staff: AsStaff | None = None, name: str = "高龄津贴", **changes: Any) -> str:
    """The code of an item whose first version is in force."""
    staff = staff or await an_editor()
    code = await a_draft(staff, name, **changes)
    await catalogue.publish_version(staff, code, 1, revision=1)
    return code
