"""The SMS gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SmsSettings:
    """The settings of SMS."""

    # -- SMS --------------------------------------------------------------------------------------
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


SANDBOX_VALUES: dict[str, str] = {
    "sms_secret_id": "AKIDSandbox",
    "sms_secret_key": "sandbox-sms-secret",
    "sms_app_id": "1400000000",
    "sms_sign_name": "掌办",
    "sms_push_token": "sandbox-sms-push-token-0123456789",
}
"""What the simulator expects where the settings are empty. Public, so production refuses those that are secret."""
HARMLESS = frozenset({"sms_app_id", "sms_sign_name"})
"""Those that prove nothing: an installation may have the same."""
