"""An SMS gateway of our own: SendSms as Tencent Cloud and as Alibaba Cloud answer it, signatures checked, frequency
limited, and receipts pushed back with whatever lies a tester asks for. What it imitates: docs/sandbox.md.
"""

from backend.partners.sms.sandbox.levers import SmsLevers, sms_gateways
from backend.partners.sms.sandbox.world import DEFAULTS, SmsWorld

__all__ = ["DEFAULTS", "SmsLevers", "SmsWorld", "sms_gateways"]
