"""An SMS gateway of our own: SendSms as Tencent Cloud and as Alibaba Cloud answer it, signatures checked, frequency
limited, and receipts pushed back with the faults that a test sets. What it imitates: docs/sandbox.md.
"""

from backend.partners.sms.sandbox.test_control import SmsTestControl, sms_gateways
from backend.partners.sms.sandbox.world import DEFAULTS, SmsWorld

__all__ = ["DEFAULTS", "SmsTestControl", "SmsWorld", "sms_gateways"]
