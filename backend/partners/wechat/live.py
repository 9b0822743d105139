"""WeChat over HTTP: the body of the port that production uses, and the sandbox too, at another address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from backend.partners.base import PartnerClient, Wire
from backend.partners.courier.port import Track
from backend.partners.courier.tables import load
from backend.partners.wechat import codes, logistics, messages, sessions
from backend.partners.wechat.api import Account, WeChatApi
from backend.partners.wechat.message_push import PushAccount, PushReader
from backend.partners.wechat.port import (
    CodeImage,
    Follower,
    PhoneNumber,
    Push,
    Sent,
    Session,
    SubscribeMessage,
    Template,
    TemplateMessage,
    TextVerdict,
    TracedWaybill,
)
from backend.partners.wechat.user_data import open_user_data
from backend.settings import Settings


class LiveWeChat:
    """The port `WeChat`; what each call means and raises is written there."""

    def __init__(self, wire: Wire, values: Settings) -> None:
        client = PartnerClient("wechat", values.wechat_api_base, wire, values)
        self.mini_program = WeChatApi(client, Account(values.wechat_appid, values.wechat_secret))
        self.official_account = WeChatApi(client, Account(values.wechat_oa_appid, values.wechat_oa_secret))
        self._state = values.wechat_miniprogram_state
        self._pushes = PushReader(push_accounts(values))
        self._parcels = load("wechat", values.courier_tables)

    async def session_of(self, code: str) -> Session:
        return await sessions.session_of(self.mini_program, code)

    async def phone_of(self, code: str, *, openid: str | None = None) -> PhoneNumber:
        return await sessions.phone_of(self.mini_program, code, openid)

    async def session_holds(self, openid: str, session_key: str) -> bool:
        return await sessions.session_holds(self.mini_program, openid, session_key)

    async def new_session_key(self, openid: str, session_key: str) -> str:
        return await sessions.new_session_key(self.mini_program, openid, session_key)

    def user_data(self, encrypted: str, iv: str, *, session_key: str) -> dict[str, Any]:
        return open_user_data(encrypted, iv, session_key=session_key, appid=self.mini_program.account.appid)

    async def send_subscribe_message(self, message: SubscribeMessage) -> Sent:
        return await messages.send_subscribe_message(self.mini_program, message, self._state)

    async def send_template_message(self, message: TemplateMessage) -> Sent:
        mini_program = self.mini_program.account.appid
        return await messages.send_template_message(self.official_account, message, mini_program)

    async def follower(self, openid: str) -> Follower:
        return await sessions.follower(self.official_account, openid)

    async def templates(self) -> tuple[Template, ...]:
        return await messages.templates(self.mini_program)

    async def mini_program_code(
        self,
        scene: str,
        *,
        page: str | None = None,
        width: int = 430,
        check_page: bool = True,
        version: Literal["release", "trial", "develop"] = "release",
    ) -> CodeImage:
        return await codes.mini_program_code(self.mini_program, scene, page, width, check_page, version)

    async def check_text(
        self,
        openid: str,
        text: str,
        *,
        scene: Literal["profile", "comment", "forum", "social"],
        title: str = "",
    ) -> TextVerdict:
        return await codes.check_text(self.mini_program, openid, text, scene, title)

    async def trace_waybill(self, parcel: TracedWaybill) -> str:
        return await logistics.trace_waybill(self.mini_program, parcel, self._parcels)

    async def query_trace(self, openid: str, token: str) -> str:
        return await logistics.query_trace(self.mini_program, openid, token, self._parcels)

    def parcel_path(self, push: Push) -> Track:
        return logistics.parcel_path(push, self._parcels)

    def echo(self, query: Mapping[str, str]) -> str:
        return self._pushes.echo(query)

    def open_push(self, query: Mapping[str, str], body: bytes) -> Push:
        return self._pushes.open(query, body)

    def seal_reply(self, push: Push, text: str) -> bytes:
        return self._pushes.seal_reply(push, text)


def push_accounts(values: Settings) -> list[PushAccount]:
    """The accounts whose pushes we can check: those that have a token."""
    mini_program = PushAccount(
        account="mini_program",
        appid=values.wechat_appid,
        token=values.wechat_push_token,
        aes_key=values.wechat_push_aes_key,
        mode=values.wechat_push_mode,
    )
    official_account = PushAccount(
        account="official_account",
        appid=values.wechat_oa_appid,
        token=values.wechat_oa_push_token,
        aes_key=values.wechat_oa_push_aes_key,
        mode=values.wechat_push_mode,
    )
    return [each for each in (mini_program, official_account) if each.token]
