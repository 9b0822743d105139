"""Who is it: `wx.login` codes, phone numbers, session keys, followers."""

from __future__ import annotations

from backend.partners.wechat.api import Errors, WeChatApi
from backend.partners.wechat.errors import (
    WechatBusy,
    WechatLoginCodeInvalid,
    WechatLoginCodeUsed,
    WechatPhoneCodeInvalid,
    WechatRecipientNotFound,
    WechatSessionKeyInvalid,
    WechatUserBlocked,
)
from backend.partners.wechat.port import Follower, PhoneNumber, Session
from backend.partners.wechat.user_data import session_signature

_LOGIN: Errors = {40029: WechatLoginCodeInvalid, 40163: WechatLoginCodeUsed, 40226: WechatUserBlocked}
_PHONE: Errors = {40029: WechatPhoneCodeInvalid, 40163: WechatPhoneCodeInvalid}
_SESSION_KEY: Errors = {
    87007: WechatSessionKeyInvalid,
    87008: WechatSessionKeyInvalid,
    87009: WechatSessionKeyInvalid,
    40003: WechatRecipientNotFound,
}
_FOLLOWER: Errors = {40003: WechatRecipientNotFound}


async def session_of(api: WeChatApi, code: str) -> Session:
    """Exchange a login code for the session."""
    query = {"js_code": code, "grant_type": "authorization_code"}
    answer = await api.without_token("/sns/jscode2session", query=query, errors=_LOGIN)
    openid, key = answer.get("openid"), answer.get("session_key")
    if not isinstance(openid, str) or not isinstance(key, str) or not openid or not key:
        raise WechatBusy("wechat", "no-session")
    return Session(openid, key, answer.get("unionid") or None)


async def phone_of(api: WeChatApi, code: str, openid: str | None) -> PhoneNumber:
    """The watermark must be ours: a code of another app would be another app's consent."""
    content = {"code": code} if openid is None else {"code": code, "openid": openid}
    answer = await api.post("/wxa/business/getuserphonenumber", content, errors=_PHONE)
    phone_info = answer.get("phone_info")
    if not isinstance(phone_info, dict) or not phone_info.get("purePhoneNumber"):
        raise WechatBusy("wechat", "no-phone")
    if (phone_info.get("watermark") or {}).get("appid") != api.account.appid:
        raise WechatPhoneCodeInvalid("wechat", "watermark")
    return PhoneNumber(str(phone_info["purePhoneNumber"]), str(phone_info.get("countryCode", "86")))


def _proof(openid: str, session_key: str) -> dict[str, str]:
    return {"openid": openid, "signature": session_signature(session_key), "sig_method": "hmac_sha256"}


async def session_holds(api: WeChatApi, openid: str, session_key: str) -> bool:
    """Whether WeChat still accepts the session key."""
    try:
        await api.get("/wxa/checksession", query=_proof(openid, session_key), errors=_SESSION_KEY)
    except WechatSessionKeyInvalid:
        return False
    return True


async def new_session_key(api: WeChatApi, openid: str, session_key: str) -> str:
    """Renew the session key and return it."""
    answer = await api.get("/wxa/resetusersessionkey", query=_proof(openid, session_key), errors=_SESSION_KEY)
    fresh = answer.get("session_key")
    if not isinstance(fresh, str) or not fresh or answer.get("openid") != openid:
        raise WechatBusy("wechat", "no-session")
    return fresh


async def follower(api: WeChatApi, openid: str) -> Follower:
    """(`GET /cgi-bin/user/info`: recalled, not in the documents at hand.)"""
    answer = await api.get("/cgi-bin/user/info", query={"openid": openid, "lang": "zh_CN"}, errors=_FOLLOWER)
    return Follower(openid, answer.get("subscribe") == 1, answer.get("unionid") or None)
