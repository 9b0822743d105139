"""The settings of the partners, a part of `Settings`, which reads and checks them.

A partner without its key or address is switched off: its routes and its channel to the resident report that plainly.
Each courier declares its own settings, in `couriers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from backend.partner_settings.couriers import COURIERS

if TYPE_CHECKING:
    CourierSettings = object
else:
    CourierSettings = type("CourierSettings", tuple(each.settings for each in COURIERS.values()), {})

Own = TypeVar("Own")


@dataclass(frozen=True, kw_only=True)
class PartnerSettings(CourierSettings):
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
    sms_provider: Literal["tencent", "aliyun"] = "tencent"
    """Whose interface the SMS gateway speaks: Tencent Cloud's or Alibaba Cloud's."""
    sms_api_base: str = ""
    """Address of the gateway, such as https://sms.tencentcloudapi.com or https://dysmsapi.aliyuncs.com; empty switches
    the SMS channel off."""
    sms_secret_id: str = ""
    """SecretId (Tencent) or AccessKey id (Alibaba Cloud)."""
    sms_secret_key: str = ""
    """SecretKey (Tencent) or AccessKey secret (Alibaba Cloud)."""
    sms_app_id: str = ""
    """SmsSdkAppId; Tencent only."""
    sms_sign_name: str = ""
    """The approved signature that every text begins with, without brackets."""
    sms_region: str = "ap-guangzhou"
    """Region of the gateway; Tencent only."""
    sms_push_token: str = ""
    """Unguessable last part of the address that gateways push receipts to, which are not signed; 32 random characters
    or more. Empty means that they cannot push."""
    sms_push_networks: str = ""
    """Networks that receipts of texts may come from, comma separated; empty means from anywhere."""
    sms_tables: str = ""
    """Folder with tables (`tencent.toml`, `aliyun.toml`) whose entries go before those of the service: codes, pauses,
    fields of receipts and the answers to them."""

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
    """Partner mode: who a department (by its USCC) is paid through, `USCC=sub_mchid`, comma separated."""
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

    # -- couriers -------------------------------------------------------------------------------
    courier_push_token: str = ""
    """Unguessable last part of the address that partners push to who sign nothing; 32 random characters or more. Empty
    means that they cannot push."""
    courier_push_networks: str = ""
    """Networks that pushes without a signature may come from, comma separated; empty means from anywhere."""
    courier_tables: str = ""
    """Folder with tables (`<courier>.toml`) whose entries go before those of the service: codes of nodes, answers,
    names of services."""

    # -- fiscal receipts ------------------------------------------------------------------------
    fiscal_receipt_base: str = ""
    """Address of the platform for 财政电子票据; empty: none are requested. [recalled: its protocol]"""
    fiscal_receipt_issue_path: str = "/invoiceEBill"
    """Behind the base: issue one. [recalled]"""
    fiscal_receipt_void_path: str = "/writeOffEBill"
    """Behind the base: write one off (冲红). [recalled]"""
    fiscal_receipt_app_id: str = ""
    """appid that the platform gave us."""
    fiscal_receipt_secret: str = ""
    """Key that requests are signed with."""
    fiscal_receipt_digest: Literal["md5", "sha256"] = "md5"
    """Digest of the signature, as the platform has it. [recalled]"""
    fiscal_receipt_region: str = ""
    """行政区划 of the finance department."""
    fiscal_receipt_unit: str = ""
    """Code of the issuing unit (单位识别码)."""
    fiscal_receipt_place: str = ""
    """开票点 of the unit."""
    fiscal_receipt_kind: str = ""
    """票据种类代码."""
    fiscal_receipt_pause: float = 600.0
    """How long after no answer the request is repeated."""

    def of(self, kind: type[Own]) -> Own:
        """These settings, typed as those that one courier declares. Raises TypeError for an undeclared `kind`."""
        if not isinstance(self, kind):
            raise TypeError(f"{kind.__name__} belongs to no declared courier")
        return self
