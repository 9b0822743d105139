"""Subscribe messages of the mini-program: the first way, open as long as the resident's consent lasts."""

from __future__ import annotations

from backend.identity.residents import openid_of
from backend.partners import Partners
from backend.partners.wechat.port import SubscribeMessage
from notifications import wording
from notifications.channels.letters import NO_ADDRESS, NO_CONSENT, NOT_FOR_THIS, Letter, Skipped, data_of
from notifications.outbox import Parcel
from notifications.templates import messages, partner_templates


async def prepare(parcel: Parcel, partners: Partners) -> Letter | Skipped:
    """The subscribe message; skipped without consent or without an openid."""
    template = messages()[parcel.name]
    if template.mini_program is None:
        return NOT_FOR_THIS
    if not parcel.may_subscribe:
        return NO_CONSENT
    if (openid := await openid_of(parcel.resident_id, "mini_program")) is None:
        return NO_ADDRESS
    known = partner_templates().mini_program[template.mini_program.template]
    message = SubscribeMessage(
        openid=openid,
        template_id=known.id,
        data=data_of(template.mini_program, known, parcel.context),
        page=wording.page(template.page, parcel.context, parcel.id),
    )

    async def send() -> str:
        return (await partners.wechat.send_subscribe_message(message)).message_id

    return Letter(send, spends=known.id)
