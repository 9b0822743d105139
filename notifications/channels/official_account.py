"""Template messages of the official account: the second way, for residents who follow it."""

from __future__ import annotations

from backend.identity.residents import openid_of
from backend.partners import Partners
from backend.partners.wechat.port import TemplateMessage
from backend.settings import settings
from notifications import wording
from notifications.channels.letters import NO_ADDRESS, NOT_FOR_THIS, SWITCHED_OFF, Letter, Skipped, data_of
from notifications.outbox import Parcel
from notifications.templates import messages, partner_templates


async def prepare(parcel: Parcel, partners: Partners) -> Letter | Skipped:
    """The template message. Its reference is the message's own id, so WeChat suppresses what we repeat by mistake."""
    template = messages()[parcel.name]
    if not settings().wechat_oa_appid:
        return SWITCHED_OFF
    if template.official_account is None:
        return NOT_FOR_THIS
    if (openid := await openid_of(parcel.resident_id, "official_account")) is None:
        return NO_ADDRESS
    known = partner_templates().official_account[template.official_account.template]
    message = TemplateMessage(
        openid=openid,
        template_id=known.id,
        data=data_of(template.official_account, known, parcel.context),
        reference=parcel.id.hex,
        page=wording.page(template.page, parcel.context, parcel.id),
    )

    async def send() -> str:
        return (await partners.wechat.send_template_message(message)).message_id

    return Letter(send)
