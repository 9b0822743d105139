"""Sending: subscribe messages of the mini-program, template messages of the official account."""

from __future__ import annotations

import re
from typing import Any

from backend.partners.base import Repeat
from backend.partners.wechat.api import Errors, WeChatApi
from backend.partners.wechat.errors import (
    WechatBusy,
    WechatConcurrentSend,
    WechatNotFollowing,
    WechatNotSubscribed,
    WechatPageNotFound,
    WechatRecipientNotFound,
    WechatTemplateBanned,
    WechatTemplateNotFound,
    WechatValueRefused,
    WechatWordRefused,
)
from backend.partners.wechat.port import Sent, SubscribeMessage, Template, TemplateMessage
from backend.partners.wechat.values import check_value

LONGEST_REFERENCE = 32
_NAMED = re.compile(r"data\.([a-z_]+\d+)", re.ASCII)
_KEY = re.compile(r"\{\{([a-z_]+\d+)\.DATA\}\}", re.ASCII)


def _value_refused(partner: str, code: str, message: str) -> WechatValueRefused:
    named = _NAMED.search(message)
    return WechatValueRefused(partner, code, message, field=named.group(1) if named else "")


_SUBSCRIBE: Errors = {
    40003: WechatRecipientNotFound,
    40037: WechatTemplateNotFound,
    41030: WechatPageNotFound,
    43101: WechatNotSubscribed,
    43107: WechatTemplateBanned,
    43108: WechatConcurrentSend,
    45168: WechatWordRefused,
    47003: _value_refused,
}
_TEMPLATE: Errors = {
    40003: WechatRecipientNotFound,
    40037: WechatTemplateNotFound,
    43004: WechatNotFollowing,
    50005: WechatNotFollowing,
    47003: _value_refused,
}


async def send_subscribe_message(api: WeChatApi, message: SubscribeMessage, default_state: str) -> Sent:
    """Values are checked here first: what WeChat would refuse is not sent."""
    for key, value in message.data.items():
        if (wrong := check_value(key, value)) is not None:
            raise WechatValueRefused("wechat", "not-sent", f"{key} {wrong}", field=key)
    content: dict[str, Any] = {
        "touser": message.openid,
        "template_id": message.template_id,
        "data": {key: {"value": value} for key, value in message.data.items()},
        "miniprogram_state": message.state or default_state,
        "lang": message.lang,
    }
    if message.page:
        content["page"] = message.page.lstrip("/")
    return _sent(await api.post("/cgi-bin/message/subscribe/send", content, errors=_SUBSCRIBE))


async def send_template_message(api: WeChatApi, message: TemplateMessage, mini_program: str) -> Sent:
    """The reference makes it safe to repeat."""
    if not 1 <= len(message.reference) <= LONGEST_REFERENCE:
        raise ValueError(f"a reference has 1 to {LONGEST_REFERENCE} characters")
    content: dict[str, Any] = {
        "touser": message.openid,
        "template_id": message.template_id,
        "client_msg_id": message.reference,
        "data": {key: {"value": value} for key, value in message.data.items()},
    }
    if message.url:
        content["url"] = message.url
    if message.page and mini_program:
        content["miniprogram"] = {"appid": mini_program, "pagepath": message.page.lstrip("/")}
    return _sent(await api.post("/cgi-bin/message/template/send", content, errors=_TEMPLATE, repeat=Repeat.ALWAYS))


def _sent(answer: dict[str, Any]) -> Sent:
    return Sent(str(answer.get("msgid", "") or ""))


async def templates(api: WeChatApi) -> tuple[Template, ...]:
    """The account's templates of subscribe messages."""
    answer = await api.get("/wxaapi/newtmpl/gettemplate", query={}, errors={})
    listed = answer.get("data")
    if not isinstance(listed, list):
        raise WechatBusy("wechat", "no-templates")
    return tuple(_template(each) for each in listed if isinstance(each, dict))


def _template(entry: dict[str, Any]) -> Template:
    content = str(entry.get("content", ""))
    choices = {
        str(each.get("keywordCode", "")): tuple(str(value) for value in each.get("enumValueList") or ())
        for each in entry.get("keywordEnumValueList") or ()
        if isinstance(each, dict)
    }
    return Template(
        template_id=str(entry.get("priTmplId", "")),
        title=str(entry.get("title", "")),
        content=content,
        kind="long_term" if entry.get("type") == 3 else "once",
        keys=tuple(_KEY.findall(content)),
        choices={key.removesuffix(".DATA"): values for key, values in choices.items() if key},
    )
