"""What keeps a guide from being published."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backend.catalogue.guide import WORDS, Guide, Unit
from backend.catalogue.linting import lint
from tests.factories.catalogue import a_guide

MATERIAL = {"ref": "m", "name": "营业执照", "source": "government", "basis": ["law-33"]}
STEP = {"name": "审核", "text": "核对年龄和户籍信息", "by": "民政窗口", "limit_days": 5}
CHARGE = {"ref": "c", "name": "工本费", "amount_fen": 2000, "per": "证", "basis": ["law-33"]}


def pointers(**changes: Any) -> list[str]:
    return [fault.pointer for fault in lint(a_guide(**changes))]


def test_a_whole_guide_has_no_fault():
    assert lint(a_guide()) == []


def test_an_empty_guide_gets_everything_that_is_missing():
    missing = {fault.pointer for fault in lint(Guide(summary=""))}

    assert missing >= {
        "/summary",
        "/subjects",
        "/basis",
        "/conditions",
        "/steps",
        "/statutory_days",
        "/promised_days",
        "/fee",
        "/contact",
        "/complaint_phone",
        "/outcomes",
        "/hall_ids",
    }


@pytest.mark.parametrize(
    "name",
    [
        "其他材料",
        "其它材料",
        "其他相关材料",
        "其他有关证明材料",
        "其他申请材料",
        "相关材料",
        "有关证件",
        "必要的材料",
        "全部资料",
        "法律法规规定的其他材料",
        "窗口认为需要提供的其他材料",
        "身份证等材料",
        "视情况提供",
        "其余手续",
    ],
)
def test_a_vague_material_is_refused(name: str):
    assert pointers(materials=[{**MATERIAL, "name": name}], forms=[]) == ["/materials/0/name"]


@pytest.mark.parametrize(
    "name",
    ["居民身份证", "其他权利人的同意书", "申请材料接收凭证", "资产来源、资金数额和产权的证明文件", "建筑材料检测报告"],
)
def test_a_definite_material_is_accepted(name: str):
    assert pointers(materials=[{**MATERIAL, "name": name}], forms=[]) == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"basis": []}, "/materials/0/basis"),
        ({"basis": ["nowhere"]}, "/materials/0/basis/0"),
        ({"need": "conditional"}, "/materials/0/when"),
        ({"need": "conditional", "when": "按规定需要的其他情形，提供相关材料"}, "/materials/0/when"),
        ({"form": "nowhere"}, "/materials/0/form"),
        ({"name": "入学申请表", "source": "applicant"}, "/materials/0/form"),
        ({"name": "  "}, "/materials/0/name"),
        ({"original": "copy", "copies": 0}, "/materials/0/copies"),
        ({"note": "另交相关材料"}, "/materials/0/note"),
    ],
)
def test_a_material_is_faulty(changes: dict[str, Any], pointer: str):
    assert pointers(materials=[{**MATERIAL, **changes}], forms=[]) == [pointer]


def test_the_same_material_is_asked_for_once():
    twice = [MATERIAL, {**MATERIAL, "ref": "n"}]

    assert pointers(materials=twice, forms=[]) == ["/materials/1/name"]


def test_two_materials_do_not_share_a_ref():
    twice = [MATERIAL, {**MATERIAL, "name": "公司章程"}]

    assert pointers(materials=twice, forms=[]) == ["/materials/1/ref"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"conditions": [{"text": "年满八十周岁"}]}, ["/conditions/0/basis"]),
        ({"conditions": [{"text": "符合规定的其他条件", "basis": ["law-33"]}]}, ["/conditions/0/text"]),
        ({"conditions": [{"text": "", "basis": ["law-33"]}]}, ["/conditions/0/text"]),
        ({"basis": [{"ref": "law-33", "title": "某法"}]}, ["/basis/0/article"]),
        ({"basis": [{"ref": "law-33", "title": "", "article": "第一条"}]}, ["/basis/0/title"]),
        ({"promised_days": None}, ["/promised_days"]),
        ({"statutory_days": None}, ["/statutory_days"]),
        ({"statutory_days": None, "statutory_note": "法律没有规定"}, []),
        ({"statutory_days": 4}, ["/promised_days"]),
        ({"statutory_days": 7, "statutory_unit": "day"}, []),
        ({"statutory_days": 6, "statutory_unit": "day"}, ["/promised_days"]),
        ({"statutory_days": 1, "statutory_unit": "month"}, []),
        ({"handling": "immediate"}, ["/handling"]),
        ({"steps": []}, ["/steps"]),
        ({"steps": [{**STEP, "limit_days": 6}]}, ["/steps"]),
        ({"steps": [{**STEP, "limit_days": 60, "counted": False}]}, []),
        ({"steps": [{**STEP, "text": "审核"}]}, ["/steps/0/text"]),
        ({"steps": [{**STEP, "by": ""}]}, ["/steps/0/by"]),
        ({"fee": None}, ["/fee"]),
        ({"fee": {"free": False}}, ["/fee/charges"]),
        ({"fee": {"free": True, "charges": [CHARGE]}}, ["/fee/charges"]),
        ({"fee": {"free": False, "charges": [CHARGE]}}, []),
        ({"fee": {"free": False, "charges": [{**CHARGE, "basis": []}]}}, ["/fee/charges/0/basis"]),
        ({"contact": ""}, ["/contact"]),
        ({"contact": "见窗口"}, ["/contact"]),
        ({"complaint_phone": ""}, ["/complaint_phone"]),
        ({"contact": "0990-1234567", "complaint_phone": "13800000000"}, []),
        ({"visits": 1}, ["/visits", "/hall_ids"]),
        ({"visits": 1, "online_level": "pre-review"}, ["/hall_ids"]),
        ({"outcomes": [{"name": "证书"}]}, ["/outcomes/0/delivery"]),
        ({"forms": [{"ref": "apply", "name": "津贴申请表"}]}, ["/forms/0/fields"]),
        (
            {"forms": [{"ref": "apply", "name": "津贴申请表", "fields": [{"label": "姓名", "sample": ""}]}]},
            ["/forms/0/fields/0/sample"],
        ),
    ],
)
def test_a_rule_points_to_its_fault(changes: dict[str, Any], expected: list[str]):
    assert pointers(**changes) == expected


def test_a_form_that_no_material_names_is_refused():
    spare = {"ref": "spare", "name": "备用表", "fields": [{"label": "姓名", "sample": "张三"}]}
    forms = [*msgspec.to_builtins(a_guide().forms), spare]

    assert pointers(forms=forms) == ["/forms/1"]


def test_every_fault_says_in_chinese_what_to_do():
    for fault in lint(Guide(summary="")):
        assert any("\u4e00" <= character <= "\u9fff" for character in fault.message)


@pytest.mark.parametrize(
    ("days", "unit", "working"),
    [(20, "working-day", 20), (60, "day", 42), (1, "day", 1), (0, "day", 0), (1, "month", 21), (None, "day", None)],
)
def test_a_statutory_limit_is_compared_in_working_days(days: int | None, unit: str, working: int | None):
    guide = a_guide(statutory_days=days, statutory_unit=unit)

    assert guide.statutory_unit is Unit(unit)
    assert guide.statutory_working_days() == working


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"promised_days": -1},
        {"visits": 11},
        {"summary": "长" * 2001},
        {"basis": [{"ref": "第一条", "title": "某法"}]},
        {"fee": {"free": False, "charges": [{**CHARGE, "amount_fen": 0}]}},
        {"materials": [{**MATERIAL, "source": "neighbour"}]},
        {"steps": [STEP] * 61},
    ],
)
def test_what_is_no_guide_at_all_is_not_read(changes: dict[str, Any]):
    with pytest.raises(msgspec.ValidationError):
        a_guide(**changes)


def test_every_code_of_a_guide_has_a_chinese_name():
    from backend.catalogue import guide

    named = {
        "subject": guide.Subject,
        "handling": guide.Handling,
        "source": guide.Source,
        "format": guide.Format,
        "original": guide.Original,
        "need": guide.Need,
        "unit": guide.Unit,
        "online_level": guide.Level,
        "delivery": guide.Delivery,
    }

    assert {key: set(kind) for key, kind in named.items()} == {key: set(words) for key, words in WORDS.items()}
