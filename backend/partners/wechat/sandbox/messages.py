"""Sending, as the platform does it: permissions, limits, quotas, and the event afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.pushing import EventSender
from backend.partners.wechat.sandbox.world import App, Delivered, Persona, Template, World
from backend.partners.wechat.values import check_value, kind_of

REFERENCE_LIVES = timedelta(minutes=10)
_STATES = ("developer", "trial", "formal")
_LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")


async def send_subscribe(world: World, pusher: EventSender, app: App, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /cgi-bin/message/subscribe/send."""
    someone = world.persona_with(str(content.get("touser", "")), "mini_program")
    if someone.openid in world.sending:
        raise Errcode(43108, "concurrent sends to one fan")
    world.sending.add(someone.openid)
    try:
        await asyncio.sleep(world.send_seconds)
        return _send_subscribe(world, pusher, app, someone, content)
    finally:
        world.sending.discard(someone.openid)


def _send_subscribe(
    world: World, pusher: EventSender, app: App, someone: Persona, content: Mapping[str, Any]
) -> dict[str, Any]:
    template = _template(world, app, content)
    data = _data(world, template, content)
    page = str(content.get("page", ""))
    if world.pages is not None and page and page.partition("?")[0] not in world.pages:
        raise Errcode(41030, "invalid page")
    state, lang = content.get("miniprogram_state", "formal"), content.get("lang", "zh_CN")
    if state not in _STATES or lang not in _LANGUAGES:
        raise Errcode(47003, "argument invalid! miniprogram_state or lang")
    allowed = template.template_id in someone.long_term or someone.quota.get(template.template_id, 0) > 0
    if not allowed:
        raise Errcode(43101, "user refuse to accept the msg")
    world.count_send(app)
    if template.template_id not in someone.long_term:
        someone.quota[template.template_id] -= 1
    message_id = world.next_id()
    details = {"page": page, "miniprogram_state": state, "lang": lang}
    _deliver(world, "subscribe", someone, someone.openid, template, data, message_id, details)
    entry = {
        "TemplateId": template.template_id,
        "MsgID": message_id,
        "ErrorCode": "0",
        "ErrorStatus": "success",
    }
    pusher.event(app, someone, "subscribe_msg_sent_event", List=[entry])
    return {"errcode": 0, "errmsg": "ok", "msgid": int(message_id)}


async def send_template(world: World, pusher: EventSender, app: App, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /cgi-bin/message/template/send: the same client_msg_id within ten minutes is not sent twice."""
    reference = str(content.get("client_msg_id", ""))
    if len(reference) > 32:
        raise Errcode(40097, "invalid args")
    known = world.references.get(reference) if reference else None
    if known is not None and world.now() - known[0] < REFERENCE_LIVES:
        return {"errcode": 0, "errmsg": "ok", "msgid": int(known[1])}
    someone = world.persona_with(str(content.get("touser", "")), "official_account")
    template = _template(world, app, content)
    data = _data(world, template, content)
    program = content.get("miniprogram")
    if program and program.get("appid") != world.mini_program.appid:
        raise Errcode(40165, "invalid weapp pagepath")
    if not someone.follows:
        raise Errcode(43004, "require subscribe")
    world.count_send(app)
    message_id = world.next_id()
    if reference:
        world.references[reference] = (world.now(), message_id)
    details = {"url": content.get("url", ""), "miniprogram": program or {}, "client_msg_id": reference}
    status = "failed:user block" if someone.rejects_account else "success"
    if status == "success":
        _deliver(world, "template", someone, someone.oa_openid, template, data, message_id, details)
    pusher.event(app, someone, "TEMPLATESENDJOBFINISH", MsgID=int(message_id), Status=status)
    return {"errcode": 0, "errmsg": "ok", "msgid": int(message_id)}


def _template(world: World, app: App, content: Mapping[str, Any]) -> Template:
    template_id = str(content.get("template_id", ""))
    template = app.templates.get(template_id)
    if template is None and world.open_templates and template_id:
        template = app.templates[template_id] = Template(template_id, template_id)
    if template is None:
        raise Errcode(40037, "invalid template_id")
    if template.banned:
        raise Errcode(43107, "template banned")
    return template


def _data(world: World, template: Template, content: Mapping[str, Any]) -> dict[str, str]:
    given = content.get("data")
    if not isinstance(given, Mapping):
        raise Errcode(47003, "argument invalid! data")
    values: dict[str, str] = {}
    for key in template.keys or given:
        entry = given.get(key)
        value = entry.get("value") if isinstance(entry, Mapping) else None
        if not isinstance(value, str):
            raise Errcode(47003, f"argument invalid! data.{key}.value is empty")
        checked = kind_of(key) is not None
        if checked and check_value(key, value, choices=template.choices.get(key)) is not None:
            raise Errcode(47003, f"argument invalid! data.{key}.value invalid")
        if any(word in value for word in world.sensitive_words):
            raise Errcode(45168, "hit sensitive word")
        values[key] = value
    return values


def _deliver(
    world: World,
    channel: Any,
    someone: Persona,
    openid: str,
    template: Template,
    data: dict[str, str],
    message_id: str,
    details: dict[str, Any],
) -> None:
    world.delivered.append(
        Delivered(
            at=world.now(),
            channel=channel,
            persona=someone.name,
            openid=openid,
            template_id=template.template_id,
            title=template.title,
            data=data,
            message_id=message_id,
            details=details,
        )
    )


def template_list(app: App) -> dict[str, Any]:
    """GET /wxaapi/newtmpl/gettemplate."""
    return {"errcode": 0, "errmsg": "ok", "data": [_listed(each) for each in app.templates.values()]}


def _listed(template: Template) -> dict[str, Any]:
    return {
        "priTmplId": template.template_id,
        "title": template.title,
        "content": "".join(f"{key}:{{{{{key}.DATA}}}}\n" for key in template.keys),
        "example": "",
        "type": 3 if template.kind == "long_term" else 2,
        "keywordEnumValueList": [
            {"keywordCode": f"{key}.DATA", "enumValueList": list(values)} for key, values in template.choices.items()
        ],
    }


def popup(world: World, pusher: EventSender, someone: Persona, answers: Mapping[str, str]) -> None:
    """The user answered the popup: `accept` gives one send (or lasting consent), `reject` none."""
    entries = []
    for template_id, answer in answers.items():
        template = world.mini_program.templates.get(template_id)
        if answer == "accept" and template is not None and template.kind == "long_term":
            someone.long_term.add(template_id)
        elif answer == "accept":
            someone.quota[template_id] = someone.quota.get(template_id, 0) + 1
        entries.append({"TemplateId": template_id, "SubscribeStatusString": answer, "PopupScene": "0"})
    pusher.event(world.mini_program, someone, "subscribe_msg_popup_event", List=entries)


def withdraw(world: World, pusher: EventSender, someone: Persona, template_ids: list[str]) -> None:
    """The user switched messages off in the settings; only this direction has an event."""
    for template_id in template_ids:
        someone.long_term.discard(template_id)
        someone.quota.pop(template_id, None)
    entries = [{"TemplateId": each, "SubscribeStatusString": "reject"} for each in template_ids]
    pusher.event(world.mini_program, someone, "subscribe_msg_change_event", List=entries)


def follow(world: World, pusher: EventSender, someone: Persona, follows: bool) -> None:
    """The user begins or ends following the official account."""
    someone.follows = follows
    name = "subscribe" if follows else "unsubscribe"
    pusher.event(world.official_account, someone, name, EventKey="")
