"""Subscribe messages of the mini-program: the first channel, open as long as the resident's consent lasts."""

from __future__ import annotations

from backend.identity import openid_of
from backend.partners import Partners
from backend.partners.wechat.port import SubscribeMessage
from notifications import wording
from notifications.channels.prepared import (
    NO_ADDRESS,
    NO_CONSENT,
    NOT_FOR_THIS,
    PreparedMessage,
    Skipped,
    template_data,
)
from notifications.outbox import LeasedMessage
from notifications.templates import messages, partner_templates


async def prepare(message: LeasedMessage, partners: Partners) -> PreparedMessage | Skipped:
    """The subscribe message; skipped without consent or without an openid."""
    template = messages()[message.name]
    if template.mini_program is None:
        return NOT_FOR_THIS
    if not message.may_subscribe:
        return NO_CONSENT
    if (openid := await openid_of(message.resident_id, "mini_program")) is None:
        return NO_ADDRESS
    known = partner_templates().mini_program[template.mini_program.template]
    request = SubscribeMessage(
        openid=openid,
        template_id=known.id,
        data=template_data(template.mini_program, known, message.context),
        page=wording.page(template.page, message.context, message.id),
    )

    async def send() -> str:
        return (await partners.wechat.send_subscribe_message(request)).message_id

    return PreparedMessage(send, spends=known.id)
