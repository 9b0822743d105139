"""One whole guide, as the documentation of the API shows it at every door."""

from __future__ import annotations

from typing import Any

GUIDE: dict[str, Any] = {
    "summary": "年满八十周岁的老年人申领高龄津贴。",
    "subjects": ["person"],
    "handling": "promised",
    "basis": [{"ref": "law-33", "title": "中华人民共和国老年人权益保障法", "article": "第三十三条"}],
    "conditions": [{"text": "具有本县户籍，年满八十周岁", "basis": ["law-33"]}],
    "materials": [
        {"ref": "form", "name": "高龄津贴申请表", "source": "applicant", "form": "apply", "basis": ["law-33"]},
        {"ref": "id", "name": "居民身份证", "source": "government", "shared": True, "basis": ["law-33"]},
    ],
    "steps": [
        {"name": "申请", "text": "在线填写申请表", "by": "申请人", "limit_days": 0, "counted": False},
        {"name": "审核", "text": "核对户籍和年龄", "by": "民政窗口", "limit_days": 5},
    ],
    "statutory_days": None,
    "statutory_note": "法律没有规定办理时限",
    "promised_days": 5,
    "fee": {"free": True},
    "contact": "12345",
    "complaint_phone": "12345",
    "visits": 0,
    "online_level": "full",
    "forms": [{"ref": "apply", "name": "高龄津贴申请表", "fields": [{"label": "姓名", "sample": "田秀英"}]}],
    "outcomes": [{"name": "高龄津贴", "delivery": ["electronic"]}],
}
CODE = "11990121001210042D4990004006000"
CONTENT: dict[str, Any] = {
    "name": "高龄津贴申领",
    "themes": ["养老"],
    "keywords": ["老年补贴"],
    "guide": GUIDE,
}
