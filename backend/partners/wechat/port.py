"""What the service needs of WeChat, in our own words. Domains see this file and nothing else of the partner.

Two accounts stand behind it: the mini-program and the official account, with different appids, secrets and
tokens; each call knows which one it belongs to. Every call may raise `PartnerBusy`, `PartnerUnreachable` and
`WechatMisconfigured` besides what it names; every error has its `remedy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct, field

from backend.partners.courier.port import Track
from backend.partners.errors import (
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    Remedy,
)
from backend.partners.wechat.errors import (
    WechatBusy,
    WechatConcurrentSend,
    WechatLoginCodeInvalid,
    WechatLoginCodeUsed,
    WechatMisconfigured,
    WechatNotFollowing,
    WechatNotSubscribed,
    WechatPageNotFound,
    WechatPhoneCodeInvalid,
    WechatPushExpired,
    WechatPushInvalid,
    WechatPushSignatureInvalid,
    WechatQuotaSpent,
    WechatRecipientNotFound,
    WechatRefused,
    WechatSceneRefused,
    WechatSessionKeyInvalid,
    WechatTemplateBanned,
    WechatTemplateNotFound,
    WechatUserBlocked,
    WechatUserNotRecent,
    WechatValueRefused,
    WechatWordRefused,
)

__all__ = [
    "Account",
    "CodeImage",
    "Follower",
    "Goods",
    "PartnerBusy",
    "PartnerError",
    "PartnerMisconfigured",
    "PartnerRefused",
    "PartnerUnreachable",
    "PhoneNumber",
    "Push",
    "Remedy",
    "Sent",
    "Session",
    "SubscribeMessage",
    "Template",
    "TemplateMessage",
    "TextVerdict",
    "TracedWaybill",
    "WeChat",
    "WechatBusy",
    "WechatConcurrentSend",
    "WechatLoginCodeInvalid",
    "WechatLoginCodeUsed",
    "WechatMisconfigured",
    "WechatNotFollowing",
    "WechatNotSubscribed",
    "WechatPageNotFound",
    "WechatPhoneCodeInvalid",
    "WechatPushExpired",
    "WechatPushInvalid",
    "WechatPushSignatureInvalid",
    "WechatQuotaSpent",
    "WechatRecipientNotFound",
    "WechatRefused",
    "WechatSceneRefused",
    "WechatSessionKeyInvalid",
    "WechatTemplateBanned",
    "WechatTemplateNotFound",
    "WechatUserBlocked",
    "WechatUserNotRecent",
    "WechatValueRefused",
    "WechatWordRefused",
]

Account = Literal["mini_program", "official_account"]
"""Which of our two WeChat accounts something belongs to."""


class Session(Struct, frozen=True):
    """Who a `wx.login` code belongs to. The session key never leaves the server and is not shown in a
    repr."""

    openid: str
    session_key: str
    unionid: str | None = None

    def __repr__(self) -> str:
        return "Session(…)"


class PhoneNumber(Struct, frozen=True):
    """A phone number that WeChat vouches for: `number` without the country code, `country_code` like `86`."""

    number: str
    country_code: str


class SubscribeMessage(Struct, frozen=True, kw_only=True):
    """A mini-program subscribe message. `data` maps keys such as `thing1` to texts within `values.py`'s
    limits; `page` is a page of the mini-program, it may hold a query."""

    openid: str
    template_id: str
    data: Mapping[str, str]
    page: str | None = None
    state: Literal["formal", "trial", "developer"] | None = None
    """Which build opens on a tap; None means the setting `wechat_miniprogram_state`."""
    lang: Literal["zh_CN", "en_US", "zh_HK", "zh_TW"] = "zh_CN"


class TemplateMessage(Struct, frozen=True, kw_only=True):
    """An official-account template message. `reference` (≤ 32 characters) is our own id: the same one
    within ten minutes is not sent twice. When a mini-program page is given it wins and `url` is for old
    clients."""

    openid: str
    template_id: str
    data: Mapping[str, str]
    reference: str
    url: str | None = None
    page: str | None = None


class Sent(Struct, frozen=True):
    """WeChat accepted a message; `message_id` is its id, empty when it gave none."""

    message_id: str = ""


class Template(Struct, frozen=True):
    """A subscribe-message template of the mini-program. `choices` lists the values of each `enum` key."""

    template_id: str
    title: str
    content: str
    kind: Literal["once", "long_term"]
    keys: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class CodeImage(Struct, frozen=True):
    """A mini-program code as image bytes."""

    content: bytes
    content_type: str


class TextVerdict(Struct, frozen=True):
    """WeChat's opinion of a text; `label` is its number (100 = nothing found)."""

    suggestion: Literal["pass", "review", "risky"]
    label: int
    trace_id: str = ""


class Follower(Struct, frozen=True):
    """A user known to the official account; without following, only the openid is given."""

    openid: str
    follows: bool
    unionid: str | None = None


class Goods(Struct, frozen=True):
    """What is in a parcel, as the trace component shows it: a name, and the https address of a picture."""

    name: str
    image: str


class TracedWaybill(Struct, frozen=True, kw_only=True):
    """A parcel of a paid order, to be followed in WeChat's trace component."""

    openid: str
    waybill: str
    company: str
    """In kuaidi100's lower-case words."""
    receiver_phone: str
    transaction: str
    """WeChat Pay's transaction id: without a paid order there is no component."""
    goods: tuple[Goods, ...]
    """One to ten."""
    page: str | None = None
    """Page of the mini-program that shows the order."""


class Push(Struct, frozen=True, kw_only=True):
    """A message or event that WeChat pushed to us, verified, decrypted and put into one shape.

    `content` holds every field of the body: texts as `str`, groups as `dict`, repeated groups always as
    `list` (WeChat sends a bare object when there is one). `identity` is the same for every repeat of one
    push and different for different ones.
    """

    account: Account
    identity: str
    to_user: str
    openid: str
    created_at: int
    """WeChat's clock, seconds since 1970."""
    kind: str
    """`event`, or the kind of an ordinary message such as `text`."""
    event: str = ""
    content: Mapping[str, Any]
    nonce: str
    """Signed once per push; a second push with it and other content is a forgery."""
    encrypted: bool
    written: Literal["json", "xml"] = "json"


class WeChat(Protocol):
    """The calls to WeChat."""

    async def session_of(self, code: str) -> Session:
        """Exchange a `wx.login` code (single use, five minutes). Raises WechatLoginCodeInvalid, WechatLoginCodeUsed,
        WechatUserBlocked."""
        ...

    async def phone_of(self, code: str, *, openid: str | None = None) -> PhoneNumber:
        """Exchange a `getPhoneNumber` code (single use, five minutes). Raises WechatPhoneCodeInvalid."""
        ...

    async def session_holds(self, openid: str, session_key: str) -> bool:
        """Whether the session key is still the user's."""
        ...

    async def new_session_key(self, openid: str, session_key: str) -> str:
        """Replace the user's session key. Raises WechatSessionKeyInvalid."""
        ...

    def user_data(self, encrypted: str, iv: str, *, session_key: str) -> dict[str, Any]:
        """Open what the client received as `encryptedData`. Raises WechatSessionKeyInvalid when it does not open,
        or was made for another app."""
        ...

    async def send_subscribe_message(self, message: SubscribeMessage) -> Sent:
        """Send one; never repeated by itself once it may have arrived. Raises WechatNotSubscribed,
        WechatRecipientNotFound, WechatTemplateNotFound, WechatTemplateBanned, WechatConcurrentSend,
        WechatWordRefused, WechatValueRefused, WechatPageNotFound, WechatQuotaSpent."""
        ...

    async def send_template_message(self, message: TemplateMessage) -> Sent:
        """Send one from the official account. Raises WechatNotFollowing, WechatRecipientNotFound,
        WechatTemplateNotFound, WechatQuotaSpent, WechatValueRefused."""
        ...

    async def follower(self, openid: str) -> Follower:
        """Whether this openid follows the official account, and its unionid. Raises WechatRecipientNotFound."""
        ...

    async def templates(self) -> tuple[Template, ...]:
        """The subscribe-message templates of the mini-program."""
        ...

    async def mini_program_code(
        self,
        scene: str,
        *,
        page: str | None = None,
        width: int = 430,
        check_page: bool = True,
        version: Literal["release", "trial", "develop"] = "release",
    ) -> CodeImage:
        """A code that opens the mini-program with `scene`. Raises WechatSceneRefused, WechatPageNotFound."""
        ...

    async def check_text(
        self,
        openid: str,
        text: str,
        *,
        scene: Literal["profile", "comment", "forum", "social"],
        title: str = "",
    ) -> TextVerdict:
        """Ask whether a text of ≤ 2500 characters may be published. Raises WechatUserNotRecent,
        WechatRecipientNotFound."""
        ...

    async def trace_waybill(self, parcel: TracedWaybill) -> str:
        """The token with which the front end shows WeChat's trace component. Raises WechatRecipientNotFound,
        WechatRefused (no such waybill, not this payer's order)."""
        ...

    async def query_trace(self, openid: str, token: str) -> str:
        """Where the parcel of a token is, a value of models.shipments.TrackStatus; unconfirmed, good for a
        question. Raises WechatRecipientNotFound, WechatRefused."""
        ...

    def parcel_path(self, push: Push) -> Track:
        """The track in a push of the event `add_express_path`. Raises CourierPushInvalid of the couriers' port
        for another event or shape."""
        ...

    def echo(self, query: Mapping[str, str]) -> str:
        """The text to answer when WeChat checks our address. Raises WechatPushSignatureInvalid, WechatPushInvalid,
        WechatPushExpired."""
        ...

    def open_push(self, query: Mapping[str, str], body: bytes) -> Push:
        """Verify, decrypt and read what WeChat pushed. Raises WechatPushSignatureInvalid, WechatPushInvalid,
        WechatPushExpired."""
        ...

    def seal_reply(self, push: Push, text: str) -> bytes:
        """A reply with more than `success`, encrypted if the push was."""
        ...
