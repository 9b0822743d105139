"""Text messages: the third channel, for what must not be missed and for phones that WeChat has verified."""

from __future__ import annotations

from backend.identity import phone_of
from backend.partners import Partners
from backend.partners.sms.port import SmsMessage
from notifications import wording
from notifications.channels.prepared import NO_ADDRESS, NOT_FOR_THIS, SWITCHED_OFF, PreparedMessage, Skipped
from notifications.outbox import LeasedMessage
from notifications.templates import SMS_VALUE_ROOM, messages, partner_templates


async def prepare(message: LeasedMessage, partners: Partners) -> PreparedMessage | Skipped:
    """The text; its parameters stand in the order of the template file, under the names of the account's template."""
    template, gateway = messages()[message.name], partners.sms
    if template.sms is None:
        return NOT_FOR_THIS
    if gateway is None:
        return SWITCHED_OFF
    if (phone := await phone_of(message.resident_id)) is None:
        return NO_ADDRESS
    known = partner_templates().sms[template.sms.template]
    request = SmsMessage(
        phone=phone,
        template=known.id,
        parameters={
            known.keys.get(key, key): sms_value(wording.fill(text, message.context))
            for key, text in template.sms.fields.items()
        },
        reference=message.id.hex,
    )

    async def send() -> str:
        return (await gateway.send(request)).serial

    return PreparedMessage(send)


def sms_value(text: str) -> str:
    """A parameter of a text: short, one line, and no address that a phone would turn into a link."""
    short = wording.short_number(text, SMS_VALUE_ROOM) if text.isascii() else text
    return wording.shorten(wording.clean(short), SMS_VALUE_ROOM)
