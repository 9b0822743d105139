"""Guide lint: what keeps a guide from being published. Pure.

The rules answer the findings of 国办函〔2017〕115号: a third of the guides checked had no limit, fee or contact, 13 %
asked for vague "其他材料", 25 % had steps of a name only, 41 % had no forms or samples. Each fault points into the
guide (JSON pointer) and says in Chinese what to do about it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from backend.catalogue.guide import Basis, Guide, Handling, Level, Material, Need, Original, Source
from backend.errors import Fault

VAGUE = re.compile(
    r"其[他它余](?:的)?(?:相关|有关|必要|所需|规定|证明|申请)*(?:的)?(?:材料|资料|文件|证件|证明|手续|条件|要求)"
    r"|(?:相关|有关|必要的?|所需|全部|一切)(?:的)?(?:证明)?(?:材料|资料|文件|证件|手续)"
    r"|(?:认为|规定)(?:需要|应当|必要)?(?:提供|提交)?的其[他它]|视情况|等材料|等资料|等相关"
)
"""Words that ask for something without saying what."""

PHONE = re.compile(r"(?:0\d{2,3}-\d{7,8}(?:-\d{1,6})?|1[3-9]\d{9}|1\d{4}|\d{7,8}|[48]00-?\d{3}-?\d{4})", re.ASCII)
"""A number that can be dialled: with area code, mobile, hotline of five digits, local, 400/800."""


def lint(guide: Guide) -> list[Fault]:
    """Everything that must be mended before the guide may be published; an empty list when nothing."""
    return [fault for rule in RULES for fault in rule(guide)]


def _audience(guide: Guide) -> Iterator[Fault]:
    if not guide.summary.strip():
        yield Fault("/summary", "请用一两句话说明这件事是办什么的")
    if not guide.subjects:
        yield Fault("/subjects", "请写明服务对象")
    if not guide.outcomes:
        yield Fault("/outcomes", "请写明办理结果")
    for index, outcome in enumerate(guide.outcomes):
        if not outcome.delivery:
            yield Fault(f"/outcomes/{index}/delivery", "请写明结果的领取或送达方式")


def _basis(guide: Guide) -> Iterator[Fault]:
    if not guide.basis:
        yield Fault("/basis", "请写明办理依据")
    for index, basis in enumerate(guide.basis):
        if not basis.title.strip():
            yield Fault(f"/basis/{index}/title", "请写明依据的名称")
        if not (basis.article.strip() or basis.number.strip()):
            yield Fault(f"/basis/{index}/article", "请写明依据的条款或文号，让人查得到")
    yield from _repeated(guide.basis, "/basis")


def _conditions(guide: Guide) -> Iterator[Fault]:
    if not guide.conditions:
        yield Fault("/conditions", "请写明受理条件")
    for index, condition in enumerate(guide.conditions):
        at = f"/conditions/{index}"
        if not condition.text.strip():
            yield Fault(f"{at}/text", "请写明条件的内容")
        if found := VAGUE.search(condition.text):
            yield Fault(f"{at}/text", f"条件要写具体，不能写“{found[0]}”")
        yield from _unfounded(guide, condition.basis, at, "没有依据的条件不得设定")


def _materials(guide: Guide) -> Iterator[Fault]:
    for index, material in enumerate(guide.materials):
        at = f"/materials/{index}"
        if not material.name.strip():
            yield Fault(f"{at}/name", "请写明材料名称")
        for part in ("name", "when", "note"):
            if found := VAGUE.search(getattr(material, part)):
                yield Fault(f"{at}/{part}", f"材料要写具体，不能写“{found[0]}”")
        yield from _unfounded(guide, material.basis, at, "没有依据的材料不得要求提供")
        yield from _material_details(guide, material, at)
    yield from _repeated(guide.materials, "/materials")
    for name, count in Counter(material.name for material in guide.materials).items():
        if count > 1:
            where = [index for index, material in enumerate(guide.materials) if material.name == name][-1]
            yield Fault(f"/materials/{where}/name", f"“{name}”列了 {count} 次，同一材料只要一次")


def _material_details(guide: Guide, material: Material, at: str) -> Iterator[Fault]:
    if material.copies < 1 and material.original is not Original.ORIGINAL:
        yield Fault(f"{at}/copies", "要求复印件时请写明份数")
    if material.need is Need.CONDITIONAL and not material.when.strip():
        yield Fault(f"{at}/when", "请写明在什么情形下才需要这份材料")
    if material.form and all(form.ref != material.form for form in guide.forms):
        yield Fault(f"{at}/form", "所指的表格不在表格清单里")
    if material.source is Source.APPLICANT and not material.form and _is_form(material.name):
        yield Fault(f"{at}/form", "表格类材料请附空白表格和填写样例")


def _is_form(name: str) -> bool:
    return re.search(r"(?:申请|登记|申报|审批|备案|变更|报名)(?:书|表|单)$|承诺书$|声明书?$", name) is not None


def _forms(guide: Guide) -> Iterator[Fault]:
    for index, form in enumerate(guide.forms):
        at = f"/forms/{index}"
        if not form.fields:
            yield Fault(f"{at}/fields", "请列出表格的填写项")
        for position, line in enumerate(form.fields):
            if not line.sample.strip():
                yield Fault(f"{at}/fields/{position}/sample", "请给出填写样例")
        if all(material.form != form.ref for material in guide.materials):
            yield Fault(at, "没有材料用到这张表格")
    yield from _repeated(guide.forms, "/forms")


def _steps(guide: Guide) -> Iterator[Fault]:
    if not guide.steps:
        yield Fault("/steps", "请写明办理流程")
    for index, step in enumerate(guide.steps):
        at = f"/steps/{index}"
        if not step.name.strip():
            yield Fault(f"{at}/name", "请写明环节名称")
        if len(step.text.strip()) < 4 or step.text.strip() == step.name.strip():
            yield Fault(f"{at}/text", "不能只有环节名称，请写明这一步做什么")
        if not step.by.strip():
            yield Fault(f"{at}/by", "请写明这一步由谁办理")


def _limits(guide: Guide) -> Iterator[Fault]:
    statutory = guide.statutory_working_days()
    if statutory is None and not guide.statutory_note.strip():
        yield Fault("/statutory_days", "请写明法定办结时限；法律没有规定的，请在说明里写明")
    if guide.promised_days is None:
        yield Fault("/promised_days", "请写明承诺办结时限")
        return
    if statutory is not None and guide.promised_days > statutory:
        yield Fault("/promised_days", f"承诺时限不得长于法定时限（约合 {statutory} 个工作日）")
    counted = sum(step.limit_days for step in guide.steps if step.counted)
    if counted > guide.promised_days:
        yield Fault("/steps", f"各环节时限合计 {counted} 个工作日，超过承诺的 {guide.promised_days} 个工作日")
    if guide.handling is Handling.IMMEDIATE and guide.promised_days > 1:
        yield Fault("/handling", "即办件应当当场或一个工作日内办结，否则请改为承诺件")


def _fee(guide: Guide) -> Iterator[Fault]:
    if guide.fee is None:
        yield Fault("/fee", "请写明是否收费")
        return
    if guide.fee.free and guide.fee.charges:
        yield Fault("/fee/charges", "写明不收费的，不能再列收费项目")
    if not guide.fee.free and not guide.fee.charges:
        yield Fault("/fee/charges", "收费的，请写明项目、标准和依据")
    for index, charge in enumerate(guide.fee.charges):
        yield from _unfounded(guide, charge.basis, f"/fee/charges/{index}", "没有依据的费用不得收取")
    yield from _repeated(guide.fee.charges, "/fee/charges")


def _contact(guide: Guide) -> Iterator[Fault]:
    for name, label in (("contact", "咨询电话"), ("complaint_phone", "监督投诉电话")):
        value = getattr(guide, name)
        if not value.strip():
            yield Fault(f"/{name}", f"请写明{label}")
        elif not PHONE.fullmatch(value):
            yield Fault(f"/{name}", f"{label}无法拨打，请写成区号-号码或热线号码")


def _visits(guide: Guide) -> Iterator[Fault]:
    if guide.online_level is Level.FULL and guide.visits > 0:
        yield Fault("/visits", "全程网办的事项不应要求到现场")
    if guide.visits > 0 and not guide.hall_ids:
        yield Fault("/hall_ids", "需要到现场的，请写明在哪些大厅办理")


def _unfounded(guide: Guide, cited: tuple[str, ...], at: str, why: str) -> Iterator[Fault]:
    if not cited:
        yield Fault(f"{at}/basis", why)
    known = {basis.ref for basis in guide.basis}
    for index, ref in enumerate(cited):
        if ref not in known:
            yield Fault(f"{at}/basis/{index}", f"所引依据“{ref}”不在办理依据里")


def _repeated(entries: tuple[Basis, ...] | tuple[Material, ...] | tuple[object, ...], at: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        ref = str(getattr(entry, "ref"))  # noqa: B009 - every list given here has entries with a ref
        if ref in seen:
            yield Fault(f"{at}/{index}/ref", f"标识“{ref}”重复")
        seen.add(ref)


RULES: tuple[Callable[[Guide], Iterator[Fault]], ...] = (
    _audience,
    _basis,
    _conditions,
    _materials,
    _forms,
    _steps,
    _limits,
    _fee,
    _contact,
    _visits,
)
"""In the order in which an editor reads the guide."""
