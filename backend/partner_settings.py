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

    # -- payment channels -----------------------------------------------------------------------
    wechat_pay_api_base: str = "https://api.mch.weixin.qq.com"
    """Address of WeChat Pay; the sandbox's in development."""
    wechat_pay_backup_base: str = "https://api2.mch.weixin.qq.com"
    """Address that is tried when no connection to the first comes about; the same as the first means none."""
    wechat_pay_mchid: str = ""
    """The merchant (服务商 in partner mode); empty switches WeChat Pay off."""
    wechat_pay_appid: str = ""
    """The app that residents pay in; empty means `wechat_appid`."""
    wechat_pay_serial: str = ""
    """Serial number of the merchant's certificate, hexadecimal digits."""
    wechat_pay_key: str = ""
    """The merchant's private key as PEM; a file is better."""
    wechat_pay_key_file: str = ""
    """File with the merchant's private key (apiclient_key.pem)."""
    wechat_pay_api_v3_key: str = ""
    """APIv3 key, 32 ASCII characters; WeChat Pay sends no notices without it."""
    wechat_pay_v2_key: str = ""
    """APIv2 key, 32 characters; only opens the XML notices of refunds made in the merchant's console."""
    wechat_pay_public_key_id: str = ""
    """Id of the WeChat Pay public key, `PUB_KEY_ID_…`; empty means platform certificates only."""
    wechat_pay_public_key: str = ""
    """The WeChat Pay public key as PEM."""
    wechat_pay_public_key_file: str = ""
    """File with the WeChat Pay public key (pub_key.pem)."""
    wechat_pay_mode: Literal["direct", "partner"] = "direct"
    """`partner` when a 服务商 takes the money for its sub-merchants."""
    wechat_pay_sub_merchants: str = ""
    """Partner mode: which sub-merchant a department's fees go to, `department-code=sub_mchid`, comma separated."""
    wechat_pay_certificate_seconds: float = 36_000.0
    """Age at which platform certificates are fetched anew, at most 43 200."""
    wechat_pay_certificate_pause: float = 60.0
    """Least time between two fetches of certificates, however many unknown serials come."""
    wechat_pay_bill_limit: int = 268_435_456
    """Largest bill in bytes, as sent and after unpacking."""
    wechat_pay_bill_timeout: float = 120.0
    """How long downloading a bill may take."""
    alipay_api_base: str = "https://openapi.alipay.com/gateway.do"
    """Alipay's gateway; the sandbox's in development."""
    alipay_app_id: str = ""
    """The app of Alipay; empty switches Alipay off."""
    alipay_seller_id: str = ""
    """PID of the merchant that money goes to, 2088 and 12 digits."""
    alipay_key: str = ""
    """The app's private key, PEM or bare base64."""
    alipay_key_file: str = ""
    """File with the app's private key."""
    alipay_public_key: str = ""
    """Alipay's public key, PEM or bare base64."""
    alipay_public_key_file: str = ""
    """File with Alipay's public key."""
