"""The names and keys that our simulators expect where the settings name none, published in the declarations.

RSA keys are not among them: every simulator makes its own.
"""

from __future__ import annotations

from backend.partner_settings import alipay, fiscal_receipt, sms, wechat, wechat_pay
from backend.partner_settings.couriers import COURIERS as _DECLARED

WECHAT = wechat.SANDBOX_VALUES
SMS = sms.SANDBOX_VALUES
COURIERS: dict[str, str] = {
    **{name: value for each in _DECLARED.values() for name, value in each.sandbox_settings.items()},
    "courier_push_token": "sandbox-courier-push-token-40-letters-xx",
}
MONEY = {**wechat_pay.SANDBOX_VALUES, **alipay.SANDBOX_VALUES}
FISCAL = fiscal_receipt.SANDBOX_VALUES
HARMLESS = frozenset[str]().union(
    *(each.HARMLESS for each in (wechat, sms, wechat_pay, alipay, fiscal_receipt)),
    *(each.harmless for each in _DECLARED.values()),
)
"""Names that prove nothing: an installation may happen to have the same."""
