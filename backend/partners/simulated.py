"""The names and keys that our simulators expect where the settings name none.

They are published here, so production refuses those of them that are secret. RSA keys are not
among them: every simulator makes its own.
"""

from __future__ import annotations

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
    "kuaidi100_key": "sandboxKEY100",
    "kuaidi100_customer": "SANDBOXCUSTOMER100",
    "kuaidi100_salt": "sandbox-salt-of-kuaidi100",
    "sf_partner_id": "SANDBOXSF",
    "sf_checkword": "sandbox-checkword-of-32-letters-x",
    "sf_monthly_card": "7551234567",
    "sf_label_template": "fm_76130_standard_SANDBOXSF",
    "ems_sender_no": "1100099999999",
    "ems_authorization": "sandbox-ems-authorization",
    "ems_sign_key": "c2FuZGJveC1lbXMta2V5IQ==",
    "kdniao_business_id": "1990001",
    "kdniao_app_key": "sandbox-app-key-of-kdniao",
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
    {"wechat_appid", "wechat_oa_appid", "sms_app_id", "sms_sign_name", "sf_monthly_card", *MONEY, *FISCAL}
    - _SECRETS_OF_MONEY
)
"""Names that prove nothing: an installation may happen to have the same."""
