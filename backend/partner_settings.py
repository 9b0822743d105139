"""What the environment says about the partners: a part of `Settings`, where it is read and checked.

A partner without its key or address is switched off: its routes and its way to the resident say so plainly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PartnerSettings:
    """Addresses, names and keys of the outside world. Times are in seconds unless the name says otherwise."""

    # -- partners -------------------------------------------------------------------------------
    partner_connect_timeout: float = 2.0
    """How long connecting to a partner may take."""
    partner_timeout: float = 5.0
    """How long a call to a partner may take."""
    partner_body_limit: int = 1_048_576
    """Largest answer of a partner in bytes."""
    wechat_api_base: str = "https://api.weixin.qq.com"
    """Address of WeChat's API; the sandbox's in development."""
    wechat_appid: str = ""
    """The mini-program."""
    wechat_secret: str = ""
    """AppSecret of the mini-program."""
    wechat_oa_appid: str = ""
    """The official account that sends template messages; empty switches that channel off."""
    wechat_oa_secret: str = ""
    """AppSecret of the official account."""
    wechat_push_token: str = ""
    """Token of the mini-program's message push; empty means that it pushes nothing."""
    wechat_push_aes_key: str = ""
    """EncodingAESKey of the mini-program's message push, 43 characters."""
    wechat_push_mode: Literal["plain", "compat", "safe"] = "safe"
    """How both accounts push; `plain` accepts bodies that nothing signs."""
    wechat_oa_push_token: str = ""
    """Token of the official account's message push; empty means that it pushes nothing."""
    wechat_oa_push_aes_key: str = ""
    """EncodingAESKey of the official account's message push."""
    inbound_kept_days: int = 30
    """How long what a partner pushed is kept, sealed."""
    wechat_miniprogram_state: Literal["formal", "trial", "developer"] = "formal"
    """Which version of the mini-program a message opens."""
    sms_api_base: str = ""
    """Empty switches the SMS channel off."""
    sms_secret_id: str = ""
    """SecretId of the gateway."""
    sms_secret_key: str = ""
    """SecretKey of the gateway."""
    sms_app_id: str = ""
    """SmsSdkAppId of the gateway."""
    sms_sign_name: str = ""
    """The approved signature that every text begins with, without brackets."""
    sms_region: str = "ap-guangzhou"
    """Region of the gateway."""
