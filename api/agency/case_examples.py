"""What departments send about cases and what they get: bodies for the documentation."""

from __future__ import annotations

from typing import Any

_NUMBER = "12441500196720244T3442199806003202611220001"
_CASE_IN = {
    "item_code": "12441500196720244T3442199806003",
    "title": "居民身份证到期换领",
    "received_at": "2026-11-20T09:30:00+08:00",
    "applicant": {"name": "张三丰", "id_number": "11010519491231002X", "phone": "13800138000"},
}
_CASE_OUT = {
    "id": "0194a1b2-eeee-7fff-8000-0bbb0ccc0ddd",
    "number": _NUMBER,
    "reference": None,
    "item_code": "12441500196720244T3442199806003",
    "item_name": "居民身份证换领",
    "title": "居民身份证到期换领",
    "received_at": "2026-11-20T01:30:00Z",
    "promised_days": 5,
    "due_on": None,
    "state": "submitted",
    "state_name": "已提交，待受理",
    "state_at": "2026-11-20T01:30:00Z",
    "outcome": None,
    "version": 1,
    "applicant": {"name": "张**", "id_kind": "resident_id", "id_number": "1****************X", "phone": "138****8000"},
}
_EVENT_IN = {
    "event_id": "20261120-000187-1",
    "code": "补正",
    "occurred_at": "2026-11-20T10:05:00+08:00",
    "public_remark": "请在五个工作日内补齐",
    "materials": [{"name": "户口簿原件", "ref": "hukou"}],
}
_EVENT_OUT = {
    "number": _NUMBER,
    "event_id": "20261120-000187-1",
    "code": "补正",
    "kind": "correction",
    "name": "补正",
    "occurred_at": "2026-11-20T02:05:00Z",
    "received_at": "2026-11-20T02:06:12Z",
    "flag": None,
    "flag_name": None,
    "led_to": "correction",
    "state": "correction",
    "state_name": "待补正材料",
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "pushCase": {"request": _CASE_IN, "response": _CASE_OUT},
    "pushUnnumberedCase": {
        "request": {**_CASE_IN, "reference": "JZ-2026-000187"},
        "response": {**_CASE_OUT, "reference": "JZ-2026-000187"},
    },
    "getPushedCase": {"response": {**_CASE_OUT, "timeline": []}},
    "reportCaseEvent": {"request": _EVENT_IN, "response": _EVENT_OUT},
    "reportCaseEvents": {"request": {"events": [_EVENT_IN]}, "response": {"items": [_EVENT_OUT]}},
    "reportEventsOfCases": {
        "request": {"events": [{"number": _NUMBER, **_EVENT_IN}]},
        "response": {"items": [_EVENT_OUT]},
    },
}
"""By operation."""
