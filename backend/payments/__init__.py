"""One payment platform for every fee: what is owed, the orders that ask a channel for it, refunds, and the bills.

The face of the domain: other packages use these names, and the modules `errors`, `events` and `invariants`.
"""

from __future__ import annotations

from backend.payments.approving import (
    approve_refund,
    refund_to_card,
    reject_refund,
    repeat_refund,
    request_refund,
)
from backend.payments.callbacks import ingest_notice, ingest_v2_notice
from backend.payments.cancelling import cancel_fees
from backend.payments.charging import PaymentAttempt, charge, close_stale_order, reserve_order, start_payment
from backend.payments.checking import check_payment, close_order, enqueue_due_checks
from backend.payments.differences import (
    RECONCILE,
    BillDaySummary,
    BillDifferenceDetail,
    get_bill_difference,
    list_bill_days,
    list_bill_differences,
    resolve_bill_difference,
    take_over_bill_difference,
)
from backend.payments.fees import (
    FEE_NAMES,
    MANAGE_FEES,
    FeeDetail,
    hand_over_fees,
    list_own_fees,
    list_subject_fees,
    raise_fee,
    set_fee_quantity,
    waive_fee,
)
from backend.payments.receipts import (
    ReceiptDetail,
    ReceiptVerification,
    get_own_receipt,
    issue_on_success,
    render_receipt,
    verify_receipt,
    void_on_refund,
)
from backend.payments.reconciliation_runs import (
    CatchUpReport,
    catch_up,
    enqueue_comparison,
    enqueue_due_bills,
    reconcile_day,
)
from backend.payments.reconciling import BillComparison
from backend.payments.refund_sending import enqueue_due_refund_checks
from backend.payments.resident_views import (
    NOT_COUNTED,
    PaymentDetail,
    PaymentSummary,
    get_own_payment,
    list_own_payments,
)
from backend.payments.settling import settle_payment
from backend.payments.staff_views import (
    StaffPaymentDetail,
    StaffPaymentSummary,
    StaffRefundDetail,
    get_department_payment,
    get_department_refund,
    list_department_payments,
    list_department_refunds,
)
from backend.payments.unrequested_refunds import adopt_refund

__all__ = [
    "FEE_NAMES",
    "MANAGE_FEES",
    "NOT_COUNTED",
    "RECONCILE",
    "BillComparison",
    "BillDaySummary",
    "BillDifferenceDetail",
    "CatchUpReport",
    "FeeDetail",
    "PaymentAttempt",
    "PaymentDetail",
    "PaymentSummary",
    "ReceiptDetail",
    "ReceiptVerification",
    "StaffPaymentDetail",
    "StaffPaymentSummary",
    "StaffRefundDetail",
    "adopt_refund",
    "approve_refund",
    "cancel_fees",
    "catch_up",
    "charge",
    "check_payment",
    "close_order",
    "close_stale_order",
    "enqueue_comparison",
    "enqueue_due_bills",
    "enqueue_due_checks",
    "enqueue_due_refund_checks",
    "get_bill_difference",
    "get_department_payment",
    "get_department_refund",
    "get_own_payment",
    "get_own_receipt",
    "hand_over_fees",
    "ingest_notice",
    "ingest_v2_notice",
    "issue_on_success",
    "list_bill_days",
    "list_bill_differences",
    "list_department_payments",
    "list_department_refunds",
    "list_own_fees",
    "list_own_payments",
    "list_subject_fees",
    "raise_fee",
    "reconcile_day",
    "refund_to_card",
    "reject_refund",
    "render_receipt",
    "repeat_refund",
    "request_refund",
    "reserve_order",
    "resolve_bill_difference",
    "set_fee_quantity",
    "settle_payment",
    "start_payment",
    "take_over_bill_difference",
    "verify_receipt",
    "void_on_refund",
    "waive_fee",
]
