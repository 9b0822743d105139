"""The messages, one TOML file each, read once and checked against the limits of every channel they may take.

A file lists the values it needs (`context`), the text of the inbox, and for each other channel which template of the
partner carries which value. The partner's template ids differ from account to account; they stand in
`partner_templates.toml` or in the file that the setting `notification_templates` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from backend.partners.wechat.values import check_value
from backend.settings import settings
from notifications import wording

HERE = Path(__file__).parent
TITLE_ROOM, BODY_ROOM, SMS_VALUE_ROOM = 64, 512, 20
ASKED_AT_ONCE = 5
"""How many templates one popup of WeChat may name."""


class TemplateError(ValueError):
    """A message file or the list of the partners' templates is invalid; the text names every fault."""


class Inbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of the inbox."""

    title: str
    body: str


class ChannelContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message on one channel: our name for the partner's template, and its keys with their texts."""

    template: str
    fields: dict[str, str]


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One message. `page` is where a tap leads; `ask_on` names the pages that request consent to it.

    The official account has the content of the mini-program without `official_account_omits`, unless it has its own.
    """

    context: tuple[str, ...]
    page: str
    inbox: Inbox
    ask_on: tuple[str, ...] = ()
    mini_program: ChannelContent | None = None
    official_account: ChannelContent | None = None
    official_account_omits: tuple[str, ...] = ()
    sms: ChannelContent | None = None

    def __post_init__(self) -> None:
        if self.mini_program and not self.official_account:
            fields = {
                key: text for key, text in self.mini_program.fields.items() if key not in self.official_account_omits
            }
            msgspec.structs.force_setattr(self, "official_account", ChannelContent(self.mini_program.template, fields))

    def texts(self) -> Iterator[str]:
        """Every text of the file that may hold placeholders."""
        yield from (self.page, self.inbox.title, self.inbox.body)
        for content in (self.mini_program, self.official_account, self.sms):
            yield from content.fields.values() if content else ()


class PartnerTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template as it exists in an account: its id, how consent to it works, and how its keys are numbered there."""

    id: str
    title: str = ""
    kind: Literal["one-off", "long-term"] = "one-off"
    keys: dict[str, str] = {}
    """Our key → the account's, where WeChat numbered them differently (`thing1` → `thing4`)."""


class PartnerTemplates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The templates of each account by our names."""

    mini_program: dict[str, PartnerTemplate]
    official_account: dict[str, PartnerTemplate] = {}
    sms: dict[str, PartnerTemplate] = {}


@lru_cache(maxsize=1)
def messages() -> Mapping[str, Template]:
    """Every message by its name. Raises TemplateError naming every fault."""
    found, faults = {}, []
    for file in sorted(HERE.glob("*.toml")):
        try:
            found[file.stem] = msgspec.toml.decode(file.read_bytes(), type=Template)
        except msgspec.DecodeError as error:
            faults.append(f"{file.name}: {error}")
    for name, template in found.items():
        faults += [f"{name}.toml: {fault}" for fault in faults_of(template)]
    if faults:
        raise TemplateError("\n".join(faults))
    return found


def partner_templates() -> PartnerTemplates:
    """The partners' templates of this installation. Raises TemplateError when the file cannot be used."""
    return _partner_templates(settings().notification_templates or str(HERE.parent / "partner_templates.toml"))


@lru_cache(maxsize=4)
def _partner_templates(path: str) -> PartnerTemplates:
    try:
        return msgspec.toml.decode(Path(path).read_bytes(), type=PartnerTemplates)
    except (OSError, msgspec.DecodeError) as error:
        raise TemplateError(f"{path}: {error}") from error


def check_all() -> None:
    """Refuse to start with messages that cannot be sent: called once by every process.

    Raises TemplateError naming every fault.
    """
    known, faults = partner_templates(), []
    for name, template in messages().items():
        for content, listed in (
            (template.mini_program, known.mini_program),
            (template.official_account, known.official_account),
            (template.sms, known.sms),
        ):
            if content and content.template not in listed:
                faults.append(f"{name}.toml: the partner's template {content.template!r} is not listed")
    ids = [each.id for each in known.mini_program.values()]
    faults += [f"two mini-program templates with the id {one}" for one in sorted({i for i in ids if ids.count(i) > 1})]
    if faults:
        raise TemplateError("\n".join(faults))


def faults_of(template: Template) -> Iterator[str]:
    """The faults of a message, checked with usual values and with the longest possible ones."""
    names = set().union(*map(wording.placeholders, template.texts())) - {"message"}
    if different := names ^ set(template.context):
        yield f"`context` and the placeholders differ in {', '.join(map(repr, sorted(different)))}"
        return
    usual, longest = ({name: values[name] for name in names} for values in (USUAL, LONGEST))
    for content in (template.mini_program, template.official_account):
        for key, text in (content.fields if content else {}).items():
            yield from _faults_of_value(key, wording.fill(text, usual), wording.fill(text, longest))
    if len(wording.fill(template.inbox.title, longest)) > TITLE_ROOM:
        yield "the title may become too long for the inbox"
    if len(wording.fill(template.inbox.body, longest)) > BODY_ROOM:
        yield "the body may become too long for the inbox"


def _faults_of_value(key: str, usual: str, longest: str) -> Iterator[str]:
    if wording.fit(key, usual) != usual:
        yield f"{key} has to be shortened even with usual values: {usual!r}"
    for text in (usual, longest):
        if fault := check_value(key, wording.fit(key, text)):
            yield f"{key} {fault}: {wording.fit(key, text)!r}"


ITEM_ROOM = 40
"""Names of items are shortened to this in the inbox; in a WeChat value to 20."""

USUAL: Mapping[str, str] = {
    "item": "居民身份证申领",
    "number": "202611220001",
    "department": "市公安局",
    "at": "2026年11月22日 15:04",
    "due": "2026年12月6日",
    "until": "2026年11月29日",
    "device": "微信小程序",
    "phone_end": "5678",
    "fee": "居民身份证工本费",
    "amount": "20.00元",
    "hall": "市政务服务中心",
    "time": "2026年11月23日 09:00",
    "deadline": "2026年11月22日 15:34",
    "day": "2026年11月23日",
    "ticket": "A007",
    "ahead": "前面还有2人",
    "contents": "居民身份证",
    "point": "市政务服务中心出件窗口",
}
"""A usual value for every placeholder."""

LONGEST: Mapping[str, str] = {
    **USUAL,
    "item": "企业职工基本养老保险参保登记（个人身份参保2026年度）变更申请及补缴证明办理"[:ITEM_ROOM],
    "number": "12441500196720244T3442199806003202206230068",
    "department": "新疆生产建设兵团第一师阿拉尔市人力资源和社会保障局政务服务大厅"[:ITEM_ROOM],
    "due": "以办理部门通知为准",
    "fee": "不动产登记费（非住宅类不动产权利首次登记、变更登记、转移登记）及证书工本费"[:ITEM_ROOM],
    "amount": "12345678.90元",
    "hall": "新疆生产建设兵团第一师阿拉尔市政务服务中心（塔里木大道办事大厅）"[:ITEM_ROOM],
    "ticket": "AB100007",
    "ahead": "下一个就是您",
    "contents": "不动产权证书、不动产登记证明、申请材料（非住宅类首次登记、转移登记）原件及复印件"[:ITEM_ROOM],
    "point": "新疆生产建设兵团第一师阿拉尔市政务服务中心综合出件窗口（塔里木大道办事大厅）"[:ITEM_ROOM],
}
"""The longest possible value for every placeholder."""
