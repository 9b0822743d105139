"""WeChat Pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class WeChatPaySettings:
    """The settings of WeChat Pay."""

    # -- WeChat Pay -------------------------------------------------------------------------------
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


SANDBOX_VALUES: dict[str, str] = {
    "wechat_pay_mchid": "1900000001",
    "wechat_pay_api_v3_key": "sandbox-api-v3-key-of-32-letters",
    "wechat_pay_v2_key": "sandbox-api-v2-key-of-32-letters",
}
"""What the simulator expects where the settings are empty. Public, so production refuses those that are secret."""
HARMLESS = frozenset({"wechat_pay_mchid"})
"""Those that prove nothing: an installation may have the same."""
