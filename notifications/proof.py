"""The proof of delivery in plain words: what was tried, how it ended, and why."""

from __future__ import annotations

from collections.abc import Mapping

from models.notifications import ChannelName, MessageState, Outcome

CHANNELS: Mapping[ChannelName, str] = {
    ChannelName.MINI_PROGRAM: "小程序订阅消息",
    ChannelName.OFFICIAL_ACCOUNT: "公众号消息",
    ChannelName.SMS: "短信",
    ChannelName.INBOX: "站内信",
}

STATES: Mapping[MessageState, str] = {
    MessageState.PENDING: "正在发送",
    MessageState.LEASED: "正在发送",
    MessageState.SENT: "已发出",
    MessageState.INBOX: "已送达站内信",
    MessageState.DEAD: "已送达站内信，对外发送已暂停，工作人员正在处理",
}

OUR_MISTAKE = "our-mistake"
"""What residents see of a code that begins so: the rest names an internal error."""
_NO_ADDRESS: Mapping[ChannelName, str] = {
    ChannelName.MINI_PROGRAM: "没有您的微信账号",
    ChannelName.OFFICIAL_ACCOUNT: "没有查到您关注了公众号",
    ChannelName.SMS: "您没有验证过手机号",
}
_CODES: Mapping[str, str] = {
    "not-for-this-message": "这类消息不通过此方式发送",
    "no-consent": "您没有订阅这类消息，或订阅次数已用完",
    "switched-off": "本平台未启用此方式",
    OUR_MISTAKE: "本平台处理出错，我们会修复",
    "quota-pause": "该平台当日发送额度已用完，稍后再试",
    "timeout": "对方平台没有及时答复",
    "connect": "暂时联系不上对方平台",
    "connect-timeout": "暂时联系不上对方平台",
    "breaker-open": "暂时联系不上对方平台",
    "tls": "与对方平台的连接不安全",
    "broken-connection": "与对方平台的连接中断",
    "not-json": "对方平台的答复无法识别",
    "too-large": "对方平台的答复无法识别",
    "redirect": "对方平台的答复无法识别",
    "429": "对方平台繁忙",
    "-1": "微信系统繁忙",
    "40001": "与微信的连接凭证失效",
    "40014": "与微信的连接凭证失效",
    "42001": "与微信的连接凭证过期",
    "40003": "微信账号不存在或已注销",
    "40037": "消息模板不可用",
    "41030": "消息指向的页面不可用",
    "43004": "您没有关注公众号",
    "43101": "您没有订阅这类消息，或订阅次数已用完",
    "43107": "消息模板已被微信停用",
    "43108": "微信正在向您发送另一条消息",
    "45009": "微信当日发送额度已用完",
    "45011": "微信调用过于频繁",
    "45168": "消息内容未通过微信检查",
    "47003": "消息内容不符合微信的格式要求",
    "50005": "您没有关注公众号",
    "48001": "微信没有开放此功能",
    "FailedOperation.PhoneNumberInBlacklist": "您的手机号拒收这类短信",
    "isv.PHONENUMBER_BLACKLIST": "您的手机号拒收这类短信",
    "InvalidParameterValue.IncorrectPhoneNumber": "手机号无法接收短信",
    "isv.MOBILE_NUMBER_ILLEGAL": "手机号无法接收短信",
    "LimitExceeded.PhoneNumberThirtySecondLimit": "短信发送过于频繁",
    "LimitExceeded.PhoneNumberOneHourLimit": "短信发送过于频繁",
    "LimitExceeded.PhoneNumberDailyLimit": "今天发给您的短信已达上限",
    "isv.BUSINESS_LIMIT_CONTROL": "短信发送过于频繁",
    "isv.DAY_LIMIT_CONTROL": "短信平台当日发送额度已用完",
}
_OUTCOMES: Mapping[Outcome | None, str] = {
    None: "没有收到结果",
    Outcome.ACCEPTED: "对方平台已接收",
    Outcome.RETRY: "没有成功，稍后再试",
    Outcome.UNCERTAIN: "对方平台没有答复，稍后再试",
    Outcome.REFUSED: "对方平台未接收，改用其他方式",
    Outcome.EXHAUSTED: "多次尝试没有成功，改用其他方式",
    Outcome.SKIPPED: "没有使用",
    Outcome.POSTPONED: "暂缓发送",
    Outcome.LATE: "对方平台的答复到得太晚",
}
_RECEIPTS: Mapping[str, str] = {
    "success": "微信确认已送达",
    "failed:user block": "您拒收了公众号消息",
}
_SMS_ARRIVED, _SMS_LOST = "短信平台确认手机已收到", "短信平台报告没有送达，请查看站内信"


def state_in_words(state: MessageState, channel: ChannelName | None) -> str:
    """Where a message is, with the channel that carried it."""
    name = STATES[state]
    return f"{name}（{CHANNELS[channel]}）" if state is MessageState.SENT and channel else name


def attempt_in_words(channel: ChannelName, outcome: Outcome | None, code: str, receipt: str) -> str:
    """One sentence about an attempt, addressed to the resident."""
    result = _OUTCOMES[outcome]
    if outcome is Outcome.ACCEPTED:
        return f"{result}，{_reported(channel, receipt)}" if receipt else result
    if why := _why(channel, code):
        return f"{result}：{why}"
    return f"{result}（代码 {code}）" if code and code != "0" else result


def public(code: str) -> str:
    """The code as residents see it: the partner's own, never an internal error."""
    return OUR_MISTAKE if code.startswith(OUR_MISTAKE) else code


def _why(channel: ChannelName, code: str) -> str | None:
    if code == "no-address":
        return _NO_ADDRESS.get(channel)
    if len(code) == 3 and code.startswith("5") and code.isdigit():
        return "对方平台出错"
    return _CODES.get(public(code))


def _reported(channel: ChannelName, receipt: str) -> str:
    if channel is ChannelName.SMS:
        return _SMS_ARRIVED if receipt == "success" else _SMS_LOST
    return _RECEIPTS.get(receipt, "微信报告没有送达，改用其他方式")


def about_resident(words: str) -> str:
    """The same sentence, addressed to staff."""
    return words.replace("您", "居民")
