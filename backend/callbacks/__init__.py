"""What partners push to us: verified, stored once, answered at once, and handled later by subscribers."""

from backend.callbacks import addressing
from backend.callbacks.addressing import admits
from backend.callbacks.errors import PushReplayed
from backend.callbacks.events import SmsPushed, WechatPushed
from backend.callbacks.inbound import RECEIVED, consume_push, delete_old_pushes, log_refusal, store_push
from backend.callbacks.sms import consume_sms_push, find_gateway, receive_sms
from backend.callbacks.wechat import (
    answer_address_check,
    consume_wechat_push,
    log_wechat_refusal,
    receive_wechat,
)

__all__ = [
    "RECEIVED",
    "PushReplayed",
    "SmsPushed",
    "WechatPushed",
    "addressing",
    "admits",
    "answer_address_check",
    "consume_push",
    "consume_sms_push",
    "consume_wechat_push",
    "delete_old_pushes",
    "find_gateway",
    "log_refusal",
    "log_wechat_refusal",
    "receive_sms",
    "receive_wechat",
    "store_push",
]
