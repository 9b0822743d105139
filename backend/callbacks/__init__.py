"""What partners push to us: verified, stored once, answered at once, and handled later by subscribers."""

from backend.callbacks.errors import PushReplayed
from backend.callbacks.events import SmsPushed, WechatPushed
from backend.callbacks.inbound import delete_old_pushes
from backend.callbacks.sms import consume_sms_push, find_gateway, receive_sms
from backend.callbacks.wechat import answer_address_check, consume_wechat_push, receive_wechat

__all__ = [
    "PushReplayed",
    "SmsPushed",
    "WechatPushed",
    "answer_address_check",
    "consume_sms_push",
    "consume_wechat_push",
    "delete_old_pushes",
    "find_gateway",
    "receive_sms",
    "receive_wechat",
]
