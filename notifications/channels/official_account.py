"""Template messages of the official account: the second channel, for residents who follow it."""

from __future__ import annotations

from backend.identity import openid_of
from backend.partners import Partners
from backend.partners.wechat.port import TemplateMessage
from backend.settings import settings
from notifications import wording
from notifications.channels.prepared import (
    NO_ADDRESS,
    NOT_FOR_THIS,
    SWITCHED_OFF,
    PreparedMessage,
    Skipped,
    template_data,
)
from notifications.outbox import LeasedMessage
from notifications.templates import messages, partner_templates


async def prepare(message: LeasedMessage, partners: Partners) -> PreparedMessage | Skipped:
    """The template message. Its reference is the message's own id, so WeChat suppresses an accidental repeat."""
    template = messages()[message.name]
    if not settings().wechat_oa_appid:
        return SWITCHED_OFF
    if template.official_account is None:
        return NOT_FOR_THIS
    if (openid := await openid_of(message.resident_id, "official_account")) is None:
        return NO_ADDRESS
    known = partner_templates().official_account[template.official_account.template]
    request = TemplateMessage(
        openid=openid,
        template_id=known.id,
        data=template_data(template.official_account, known, message.context),
        reference=message.id.hex,
        page=wording.page(template.page, message.context, message.id),
    )

    async def send() -> str:
        return (await partners.wechat.send_template_message(request)).message_id

    return PreparedMessage(send)
