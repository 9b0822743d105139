"""What partners push to us: verified, stored once, answered at once, dealt with later by whoever listens."""

from backend.callbacks.errors import PushReplayed
from backend.callbacks.events import SmsPushed, WechatPushed
from backend.callbacks.receiving import forget_old, receive_wechat, take

__all__ = ["PushReplayed", "SmsPushed", "WechatPushed", "forget_old", "receive_wechat", "take"]
