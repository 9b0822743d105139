"""The refusals of WeChat that a caller may want to distinguish, named after what happened.

Codes and meanings: the error tables of the calls in the platform's documentation; those that only concern the operator
share one class.
"""

from __future__ import annotations

from backend.errors import Malformed, Refused
from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerRefused, Remedy, WithReason


class WechatBusy(PartnerBusy):
    """-1, or a frequency limit (45011, 44991 …): come back later."""

    title = "微信繁忙，请稍后再试"


class WechatQuotaSpent(PartnerBusy):
    """45009: today's quota of this interface is used up."""

    title = "今日微信接口调用次数已用完"
    remedy = Remedy.TOMORROW


class WechatMisconfigured(PartnerMisconfigured):
    """appid, secret, IP whitelist or permission (40013, 40125, 40164, 48001 …)."""


class WechatRefused(PartnerRefused):
    """Any refusal that has no name of its own; the code is in `partner_code`."""

    title = "微信未接受该请求"


# -- signing in ------------------------------------------------------------------------------------


class WechatLoginCodeInvalid(WechatRefused):
    """40029: no such `wx.login` code, or older than five minutes, or of another app."""

    title = "微信登录凭证无效或已过期，请重新登录"


class WechatLoginCodeUsed(WechatRefused):
    """40163: the code has been exchanged before."""

    title = "微信登录凭证已被使用，请重新登录"


class WechatUserBlocked(WechatRefused):
    """40226: WeChat holds this user to be of high risk."""

    title = "该微信账号存在风险，暂时无法登录"


class WechatPhoneCodeInvalid(WechatRefused):
    """40029 of getuserphonenumber: unknown, used or expired phone code."""

    title = "手机号凭证无效或已过期，请重新授权"


class WechatSessionKeyInvalid(WechatRefused):
    """87007, 87008, 87009: the session key is no longer the user's."""

    title = "微信登录状态已失效，请重新登录"


# -- messages --------------------------------------------------------------------------------------


class WechatRecipientNotFound(WechatRefused):
    """40003: no such openid in this app or account."""

    title = "微信用户不存在"


class WechatNotSubscribed(WechatRefused):
    """43101: the user did not subscribe, or the one-off permission is used up."""

    title = "用户未订阅该消息"


class WechatNotFollowing(WechatRefused):
    """43004, 50005: the user does not follow the official account."""

    title = "用户未关注公众号"


class WechatTemplateNotFound(WechatRefused):
    """40037: the template is not in this account."""

    title = "消息模板不存在"
    remedy = Remedy.CONFIGURE


class WechatTemplateBanned(WechatRefused):
    """43107: the capability or the template is banned."""

    title = "消息模板已被停用"
    remedy = Remedy.CONFIGURE


class WechatConcurrentSend(PartnerBusy):
    """43108: another message to the same person is being sent."""

    title = "正在向该用户发送另一条消息"
    remedy = Remedy.SERIALISE


class WechatWordRefused(WechatRefused):
    """45168: the text contains a word that WeChat does not pass on."""

    title = "消息内容含有敏感词"


class WechatValueRefused(WechatRefused):
    """47003: a value breaks the limits of its kind; `field` is the key that WeChat names, if it names one."""

    title = "消息内容不符合模板要求"

    def __init__(self, partner: str, partner_code: str = "", message: str = "", *, field: str = "") -> None:
        super().__init__(partner, partner_code, message)
        self.field = field


class WechatPageNotFound(WechatRefused):
    """41030: the mini-program has no such page."""

    title = "小程序页面不存在"
    remedy = Remedy.CONFIGURE


# -- codes and texts -------------------------------------------------------------------------------


class WechatSceneRefused(WechatRefused):
    """40129, 40169, or our own check before: the scene of a mini-program code is not ≤ 32 allowed
    characters."""

    title = "小程序码参数不符合要求"


class WechatUserNotRecent(WechatRefused):
    """61010: the text check needs a user who opened the mini-program within two hours."""

    title = "用户近期未访问小程序"


# -- what is pushed to us --------------------------------------------------------------------------


class WechatPushInvalid(WithReason, Malformed):
    """A push that cannot be read: not JSON or XML as WeChat writes it, a DTD, too deep, not UTF-8, a field
    missing."""

    title = "推送内容无法识别"


class WechatPushSignatureInvalid(WithReason, Refused):
    """A push that WeChat did not make for us: wrong signature, wrong key, wrong appid."""

    title = "推送签名校验未通过"


class WechatPushExpired(WithReason, Refused):
    """A push whose signed time is too far from ours: an old one sent again, or a clock that is wrong."""

    title = "推送时间超出允许范围"
