"""Errors of authentication and authorisation. Titles are for residents; none reveals a secret."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused, TooMany, Unauthenticated, Unavailable

# -- access tokens ---------------------------------------------------------------------------------


class TokenMissing(Unauthenticated):
    """No access token came in the Authorization header."""


class TokenInvalid(Unauthenticated):
    """The access token is not one of ours for this door."""

    title = "登录状态无效，请重新登录"


class TokenExpired(Unauthenticated):
    """The access token was ours and its time is over: refresh it."""

    title = "登录状态已过期，请重新登录"


class TokenInAddress(Unauthenticated):
    """A token was put into the address, where every proxy and log can read it."""

    title = "登录凭证不得放在网址中"


class SessionEnded(Unauthenticated):
    """The session was ended: signed out, replaced, idle for too long, or revoked."""

    title = "登录已退出，请重新登录"


class SessionStoreUnavailable(Unavailable):
    """The ended sessions are unknown for too long, so no session is accepted."""


# -- signing in ------------------------------------------------------------------------------------


class SignInCodeInvalid(Unauthenticated):
    """The `wx.login` code is unknown, too old, of another app, or was used before."""

    title = "微信登录凭证无效或已过期，请重新打开小程序登录"


class SignInRisky(Refused):
    """WeChat holds this account to be of high risk."""

    title = "该微信账号存在风险，暂时无法登录"


class SignInBusy(TooMany):
    """WeChat asks us to slow down."""

    title = "登录人数较多，请稍后再试"


class AccountDisabled(Refused):
    """The account was closed to its owner."""

    title = "账号已停用，如有疑问请联系办事大厅"


# -- refreshing ------------------------------------------------------------------------------------


class RefreshInvalid(Unauthenticated):
    """The refresh token is not ours, too old, or its session was ended: sign in again."""

    title = "登录状态已失效，请重新登录"


class RefreshReused(Unauthenticated):
    """A refresh token that has a successor came again: there is a copy of it, so the session was ended."""

    title = "登录状态异常，为了您的账号安全，请重新登录"


class RefreshElsewhere(Unauthenticated):
    """The refresh token came from another kind of device than it was given to, so the session was ended."""

    title = "登录设备发生变化，请重新登录"


# -- what a resident keeps -------------------------------------------------------------------------


class SessionNotFound(NotFound):
    """No such session, or it is not yours."""

    title = "没有找到该登录设备"


class PhoneCodeInvalid(Invalid):
    """The `getPhoneNumber` code is unknown, too old, or was used before."""

    title = "手机号凭证无效或已过期，请重新授权"


class PhoneBusy(TooMany):
    """WeChat asks us to slow down with phone numbers."""

    title = "手机号验证繁忙，请稍后再试"


# -- delegation ------------------------------------------------------------------------------------


class DelegationNotFound(NotFound):
    """No such delegation, or it is between other people."""

    title = "没有找到该代办授权"


class InvitationInvalid(NotFound):
    """The invitation is forged, over, withdrawn or accepted already; the answer does not reveal which."""

    title = "代办邀请无效或已过期，请对方重新发起"


class OwnInvitation(Conflict):
    """A delegation to oneself is refused."""

    title = "不能接受自己发出的代办邀请"


class DelegationLimitExceeded(Conflict):
    """One person gives, or holds, only so many delegations at a time; the fact `limit` says how many."""

    title = "代办授权数量已达上限，请先结束不再需要的授权"


class DelegationPeriodInvalid(Invalid):
    """A delegation ends today at the earliest, and not later than `delegation_longest_days` from now."""

    title = "代办授权的截止日期不正确"


# -- staff -----------------------------------------------------------------------------------------


class CredentialsWrong(Unauthenticated):
    """Name, password or one-time code is wrong; the answer does not reveal which."""

    title = "账号、密码或动态验证码不正确"


class AttemptsExhausted(TooMany):
    """Too many failed attempts; the right password is refused too until the time is over."""

    title = "尝试次数过多，请稍后再试"


class PasswordExpired(Refused):
    """Both factors are right, and the password must be changed: send `new_password` with a fresh one-time code."""

    title = "密码已到期，请设置新密码"


class PasswordWeak(Invalid):
    """The new password does not follow the rules."""

    title = "新密码不符合要求"


class DutyMissing(Refused):
    """The member of staff does not have the duty that this needs."""

    title = "您没有办理此事项的权限"


class LoginTaken(Conflict):
    """Another member of staff has this login name."""

    title = "该账号名已被使用"


class DutyInvalid(Invalid):
    """There is no such duty."""

    title = "没有这项职责"


class DutiesInConflict(Refused):
    """The duties may not lie in one hand, or are one's own (三权分立)."""

    title = "职责不相容，不能授予同一人"


class StaffNotFound(NotFound):
    """No such member of staff."""

    title = "没有找到该工作人员"


# -- agencies --------------------------------------------------------------------------------------


class SignatureMissing(Unauthenticated):
    """One of the four Zhangban headers is missing, came twice, or cannot be read."""

    title = "请求缺少签名"


class SignatureInvalid(Unauthenticated):
    """The key is unknown or no longer valid, or the signature is not that of this request."""

    title = "请求签名不正确"


class SignatureStale(Unauthenticated):
    """The time of the request is more than `agency_clock_skew_seconds` away from ours."""

    title = "请求时间与服务器相差过大"


class SignatureReplayed(Unauthenticated):
    """A request with this nonce has been accepted before."""

    title = "请求已被处理过，请使用新的随机串重新签名"


class AgencyNotFound(NotFound):
    """No such agency or key."""

    title = "没有找到该机构"
