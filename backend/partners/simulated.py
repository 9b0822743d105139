"""The names and keys that our simulators expect where the settings name none.

They are published here, so production refuses those of them that are secret. RSA keys are not
among them: every simulator makes its own.
"""

from __future__ import annotations

from backend.partner_settings.couriers import COURIERS as _DECLARED

WECHAT: dict[str, str] = {
    "wechat_appid": "wx5a68616e6762616e",
    "wechat_secret": "sandbox-mini-program-secret",
    "wechat_push_token": "sandboxMiniToken",
    "wechat_push_aes_key": "c2FuZGJveE1pbmlQcm9ncmFtRW5jb2RpbmdBRVNLZXk",
    "wechat_oa_appid": "wx6f6666696369616c",
    "wechat_oa_secret": "sandbox-official-account-secret",
    "wechat_oa_push_token": "sandboxOfficialToken",
    "wechat_oa_push_aes_key": "c2FuZGJveE9mZmljaWFsQWNjb3VudEVuY29kQUVTS2U",
}
SMS: dict[str, str] = {
    "sms_secret_id": "AKIDSandbox",
    "sms_secret_key": "sandbox-sms-secret",
    "sms_app_id": "1400000000",
    "sms_sign_name": "掌办",
    "sms_push_token": "sandbox-sms-push-token-0123456789",
}
COURIERS: dict[str, str] = {
    **{name: value for each in _DECLARED.values() for name, value in each.sandbox_settings.items()},
    "courier_push_token": "sandbox-courier-push-token-40-letters-xx",
}
MONEY: dict[str, str] = {
    "wechat_pay_mchid": "1900000001",
    "wechat_pay_api_v3_key": "sandbox-api-v3-key-of-32-letters",
    "wechat_pay_v2_key": "sandbox-api-v2-key-of-32-letters",
    "alipay_app_id": "2021000000000001",
    "alipay_seller_id": "2088000000000001",
}
FISCAL: dict[str, str] = {
    "fiscal_receipt_app_id": "SANDBOX-FISCAL",
    "fiscal_receipt_secret": "sandbox-fiscal-secret",
    "fiscal_receipt_region": "990100",
    "fiscal_receipt_unit": "990100001",
    "fiscal_receipt_place": "001",
    "fiscal_receipt_kind": "0501",
}
_SECRETS_OF_MONEY = {"wechat_pay_api_v3_key", "wechat_pay_v2_key", "fiscal_receipt_secret"}
HARMLESS = frozenset(
    {"wechat_appid", "wechat_oa_appid", "sms_app_id", "sms_sign_name", *MONEY, *FISCAL} - _SECRETS_OF_MONEY
).union(*(each.harmless for each in _DECLARED.values()))
"""Names that prove nothing: an installation may happen to have the same."""
