from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0001_tables")]

    initial = False

    operations = [
        ops.AddConstraint(
            model_name="Address",
            constraint=CheckConstraint(check="region_code ~ '^[1-9][0-9]{5}([0-9]{6})?$'", name="address_region_form"),
        ),
        ops.AddConstraint(
            model_name="Address",
            constraint=CheckConstraint(check="version >= 1", name="address_version_positive"),
        ),
        ops.AddConstraint(
            model_name="Address",
            constraint=CheckConstraint(
                check="NOT (is_default AND removed_at IS NOT NULL)", name="address_default_is_there"
            ),
        ),
        ops.AddConstraint(
            model_name="Address",
            constraint=UniqueConstraint(fields=("resident_id",), name="address_default_once", condition="is_default"),
        ),
        ops.AddConstraint(
            model_name="AgencyKey",
            constraint=CheckConstraint(
                check="algorithm IN ('hmac-sha256', 'ed25519')", name="agency_key_algorithm_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Appointment",
            constraint=UniqueConstraint(
                fields=("person_id", "item_id", "day"),
                name="appointment_once_a_day",
                condition="state IN ('held', 'booked', 'checked-in')",
            ),
        ),
        ops.AddConstraint(
            model_name="Appointment",
            constraint=CheckConstraint(
                check="(state = 'held') = (hold_until IS NOT NULL)", name="appointment_hold_ends"
            ),
        ),
        ops.AddConstraint(
            model_name="AppointmentReminder",
            constraint=CheckConstraint(check="ahead IN ('day', 'hours')", name="appointment_reminder_ahead_known"),
        ),
        ops.AddConstraint(
            model_name="BillDay",
            constraint=CheckConstraint(
                check="state IN ('waiting','empty','compared','refused')", name="bill_day_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="BillDay",
            constraint=CheckConstraint(check="runs >= 1", name="bill_day_ran"),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="kind IN ('missing-here','missing-there','amount','state','unknown')",
                name="bill_difference_kind_known",
            ),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="state IN ('open','repaired','resolved')", name="bill_difference_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="(state = 'open') = (ended_at IS NULL)", name="bill_difference_ended_has_time"
            ),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="state <> 'resolved' OR resolution IS NOT NULL", name="bill_difference_resolved_in_words"
            ),
        ),
        ops.AddConstraint(
            model_name="Case",
            constraint=CheckConstraint(
                check="number = upper(number) AND length(number) >= 4", name="case_number_spelling"
            ),
        ),
        ops.AddConstraint(
            model_name="Case",
            constraint=CheckConstraint(
                check="state IN ('draft','submitted','correction','accepted','not_accepted','lapsed','in_review','suspended','approved','rejected','issued','delivered','closed','withdrawn')",
                name="case_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Case",
            constraint=CheckConstraint(
                check="promised_days IS NULL OR promised_days BETWEEN 0 AND 3650", name="case_limit_sane"
            ),
        ),
        ops.AddConstraint(
            model_name="Case",
            constraint=CheckConstraint(
                check="(applicant_id_number IS NULL) = (applicant_id_fingerprint IS NULL) AND (applicant_id_number IS NULL) = (applicant_id_tail_fingerprint IS NULL) AND (applicant_phone IS NULL) = (applicant_phone_fingerprint IS NULL)",
                name="case_applicant_findable",
            ),
        ),
        ops.AddConstraint(
            model_name="Case",
            constraint=CheckConstraint(check="version >= 1", name="case_version_positive"),
        ),
        ops.AddConstraint(
            model_name="CaseEvent",
            constraint=CheckConstraint(check="cardinality(path) <> 1", name="case_event_path_moves"),
        ),
        ops.AddConstraint(
            model_name="CaseEvent",
            constraint=CheckConstraint(check="length(event_id) >= 1 AND length(code) >= 1", name="case_event_named"),
        ),
        ops.AddConstraint(
            model_name="CaseSequence",
            constraint=CheckConstraint(check="used >= 1", name="case_sequence_positive"),
        ),
        ops.AddConstraint(
            model_name="ConsentBalance",
            constraint=CheckConstraint(check="remaining >= 0", name="consent_never_overdrawn"),
        ),
        ops.AddConstraint(
            model_name="ConsentChange",
            constraint=CheckConstraint(check="pairs_with IS NULL OR delta = 0", name="consent_popup_counts_once"),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="(accepted_at IS NULL) = (delegate_id IS NULL)", name="delegation_accepted_by_somebody"
            ),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(check="delegate_id <> principal_id", name="delegation_to_somebody_else"),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="cardinality(matters) > 0 AND matters <@ ARRAY['all', 'appointments', 'cases', 'payments', 'deliveries']::text[]",
                name="delegation_matters_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="(ended_at IS NULL) = (end_reason IS NULL)", name="delegation_end_has_a_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="end_reason IN ('withdrawn', 'lapsed', 'revoked', 'renounced', 'over', 'erased')",
                name="delegation_end_reason_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Delivery",
            constraint=CheckConstraint(
                check="state IN ('waiting','to_send','ordered','picked_up','in_transit','out_for_delivery','at_station','signed','returning','returned','lost','ready','handed_over','cancelled')",
                name="delivery_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Delivery",
            constraint=CheckConstraint(
                check="(method = 'post') = (street IS NOT NULL) AND (method = 'pickup') = (pickup_point_id IS NOT NULL)",
                name="delivery_goes_somewhere",
            ),
        ),
        ops.AddConstraint(
            model_name="Delivery",
            constraint=CheckConstraint(check="postage_fen >= 0", name="delivery_postage_sane"),
        ),
        ops.AddConstraint(
            model_name="Delivery",
            constraint=CheckConstraint(check="version >= 1", name="delivery_version_positive"),
        ),
        ops.AddConstraint(
            model_name="Delivery",
            constraint=UniqueConstraint(
                fields=("subject_kind", "subject_id", "direction"),
                name="delivery_once_under_way",
                condition="state NOT IN ('signed', 'returned', 'lost', 'handed_over', 'cancelled')",
            ),
        ),
        ops.AddConstraint(
            model_name="DeliveryProblem",
            constraint=CheckConstraint(
                check="ended_at IS NULL OR answer IS NOT NULL", name="delivery_problem_ended_in_words"
            ),
        ),
        ops.AddConstraint(
            model_name="DeliveryProblem",
            constraint=UniqueConstraint(
                fields=("delivery_id", "kind"), name="delivery_problem_open_once", condition="ended_at IS NULL"
            ),
        ),
        ops.AddConstraint(
            model_name="Department",
            constraint=CheckConstraint(check="length(uscc) = 18", name="department_uscc_length"),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(check="state IN ('open','paid','waived','cancelled')", name="fee_state_known"),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(
                check="unit_fen > 0 AND quantity BETWEEN 1 AND 1000 AND amount_fen = unit_fen * quantity",
                name="fee_amount",
            ),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(
                check="(state <> 'paid') OR (paid_by_id IS NOT NULL)", name="fee_paid_by_somebody"
            ),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(
                check="(state NOT IN ('waived', 'cancelled')) OR (reason IS NOT NULL)", name="fee_ended_with_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="Hall",
            constraint=CheckConstraint(check="latitude BETWEEN -90 AND 90", name="hall_latitude_on_earth"),
        ),
        ops.AddConstraint(
            model_name="Hall",
            constraint=CheckConstraint(check="longitude BETWEEN -180 AND 180", name="hall_longitude_on_earth"),
        ),
        ops.AddConstraint(
            model_name="ItemVersion",
            constraint=UniqueConstraint(
                fields=("item_id",), name="item_published_once", condition="state = 'published'"
            ),
        ),
        ops.AddConstraint(
            model_name="ItemVersion",
            constraint=CheckConstraint(check="number >= 1 AND revision >= 1", name="item_version_counts_from_one"),
        ),
        ops.AddConstraint(
            model_name="ItemVersion",
            constraint=CheckConstraint(
                check="state = 'draft' OR published_at IS NOT NULL", name="item_version_published_some_time"
            ),
        ),
        ops.AddConstraint(
            model_name="ItemVersion",
            constraint=CheckConstraint(
                check="(state = 'withdrawn') = (withdrawn_at IS NOT NULL)", name="item_version_withdrawn_some_time"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerGroup",
            constraint=CheckConstraint(check="kind IN ('payment', 'refund')", name="ledger_group_kind_known"),
        ),
        ops.AddConstraint(
            model_name="LedgerPosting",
            constraint=CheckConstraint(check="amount_fen <> 0", name="ledger_posting_of_something"),
        ),
        ops.AddConstraint(
            model_name="Message",
            constraint=CheckConstraint(
                check="waiting = (state IN ('pending', 'leased'))", name="message_waits_while_it_is_open"
            ),
        ),
        ops.AddConstraint(
            model_name="Message",
            constraint=CheckConstraint(check="waiting OR finished_at IS NOT NULL", name="message_end_has_a_time"),
        ),
        ops.AddConstraint(
            model_name="Message",
            constraint=CheckConstraint(
                check="tries >= 0 AND attempts >= 0 AND unanswered >= 0", name="message_counts_from_zero"
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationOutcome",
            constraint=CheckConstraint(
                check="messages >= 0 AND (messages = 0) = (reason <> '')", name="notification_outcome_has_a_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationOutcome",
            constraint=CheckConstraint(
                check="erased BETWEEN 0 AND messages", name="notification_outcome_erases_what_it_counted"
            ),
        ),
        ops.AddConstraint(
            model_name="OpeningHours",
            constraint=CheckConstraint(check="weekday BETWEEN 0 AND 7", name="opening_hours_weekday"),
        ),
        ops.AddConstraint(
            model_name="OpeningHours",
            constraint=CheckConstraint(check="closes > opens", name="opening_hours_close_after_opening"),
        ),
        ops.AddConstraint(
            model_name="OpeningHours",
            constraint=CheckConstraint(check="capacity >= 0 AND walk_ins >= 0", name="opening_hours_places"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="state IN ('created','prepaid','paid','surplus','part_refunded','refunded','closed')",
                name="payment_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(check="number ~ '^[0-9A-Za-z]{6,32}$'", name="payment_number_form"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(check="amount_fen >= 1", name="payment_of_something"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="refunding_fen >= 0 AND refunded_fen >= 0 AND refunding_fen + refunded_fen <= paid_fen",
                name="payment_refunds_within_paid",
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="(state IN ('created','prepaid','closed')) = (paid_fen = 0)", name="payment_paid_has_money"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(check="(paid_fen = 0) = (paid_at IS NULL)", name="payment_paid_has_time"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="state <> 'refunded' OR refunded_fen = paid_fen", name="payment_refunded_whole"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=UniqueConstraint(
                fields=("fee_id", "channel"), name="payment_open_once", condition="state IN ('created', 'prepaid')"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=UniqueConstraint(
                fields=("fee_id",), name="payment_counts_once", condition="state IN ('paid', 'part_refunded')"
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentTransition",
            constraint=CheckConstraint(check="entity IN ('payment', 'refund')", name="payment_transition_of_something"),
        ),
        ops.AddConstraint(
            model_name="Receipt",
            constraint=CheckConstraint(
                check="fiscal_state IN ('none','waiting','issued','refused')", name="receipt_fiscal_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Receipt",
            constraint=CheckConstraint(
                check="(fiscal_state = 'issued') = (fiscal_number IS NOT NULL)", name="receipt_fiscal_issued_has_number"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="state IN ('requested','rejected','approved','processing','succeeded','abnormal','closed')",
                name="refund_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(check="amount_fen >= 1", name="refund_of_something"),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="(cause = 'staff') = (requested_by IS NOT NULL)", name="refund_staff_named"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="approved_by IS NULL OR (requested_by IS NOT NULL AND approved_by <> requested_by)",
                name="refund_second_person",
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="(state = 'succeeded') = (succeeded_at IS NOT NULL)", name="refund_succeeded_has_time"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=UniqueConstraint(
                fields=("payment_id",), name="refund_automatic_once", condition="cause NOT IN ('staff', 'console')"
            ),
        ),
        ops.AddConstraint(
            model_name="Region",
            constraint=UniqueConstraint(fields=("code",), name="region_code_in_use_once", condition="valid_to IS NULL"),
        ),
        ops.AddConstraint(
            model_name="Region",
            constraint=CheckConstraint(check="code ~ '^[1-9][0-9]{5}([0-9]{6})?$'", name="region_code_form"),
        ),
        ops.AddConstraint(
            model_name="Region",
            constraint=CheckConstraint(
                check="valid_to IS NULL OR valid_to > valid_from", name="region_ends_after_it_begins"
            ),
        ),
        ops.AddConstraint(
            model_name="Region",
            constraint=CheckConstraint(
                check="successor_id IS NULL OR valid_to IS NOT NULL", name="region_successor_when_ended"
            ),
        ),
        ops.AddConstraint(
            model_name="Region",
            constraint=CheckConstraint(
                check="(level = 'province') = (parent_id IS NULL)", name="region_parent_unless_province"
            ),
        ),
        ops.AddConstraint(
            model_name="Resident",
            constraint=CheckConstraint(
                check="(phone IS NULL) = (phone_fingerprint IS NULL) AND (phone IS NULL) = (phone_confirmed_at IS NULL)",
                name="resident_phone_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="ServiceItem",
            constraint=CheckConstraint(check="level BETWEEN '1' AND '6'", name="service_item_level_known"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="slot_minutes BETWEEN 5 AND 480", name="service_line_slot_minutes"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="release_days BETWEEN 0 AND 60", name="service_line_release_days"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="hold_seconds > 0 AND draw_seconds > 0", name="service_line_seconds"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="code ~ '^[A-Z]{1,2}$'", name="service_line_code_letters"),
        ),
        ops.AddConstraint(
            model_name="Session",
            constraint=CheckConstraint(
                check="(ended_at IS NULL) = (end_reason IS NULL)", name="session_end_has_a_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="Session",
            constraint=CheckConstraint(check="generation >= 0", name="session_generation_grows"),
        ),
        ops.AddConstraint(
            model_name="Session",
            constraint=CheckConstraint(
                check="(previous_digest IS NULL) = (successor IS NULL)", name="session_successor_has_a_predecessor"
            ),
        ),
        ops.AddConstraint(
            model_name="Shipment",
            constraint=CheckConstraint(check="attempt >= 1", name="shipment_attempt_positive"),
        ),
        ops.AddConstraint(
            model_name="Shipment",
            constraint=CheckConstraint(
                check="(waybill IS NULL) OR (ordered_at IS NOT NULL)", name="shipment_waybill_when_ordered"
            ),
        ),
        ops.AddConstraint(
            model_name="Shipment",
            constraint=UniqueConstraint(
                fields=("waybill", "company"),
                name="shipment_waybill_once",
                condition="ended_at IS NULL AND waybill IS NOT NULL",
            ),
        ),
        ops.AddConstraint(
            model_name="Shipment",
            constraint=UniqueConstraint(
                fields=("delivery_id",), name="shipment_one_under_way", condition="ended_at IS NULL"
            ),
        ),
        ops.AddConstraint(
            model_name="Slot",
            constraint=CheckConstraint(
                check="held >= 0 AND booked >= 0 AND held + booked <= capacity", name="slot_not_oversold"
            ),
        ),
        ops.AddConstraint(
            model_name="Slot",
            constraint=CheckConstraint(
                check="walk_ins >= 0 AND walk_ins <= walk_in_quota", name="slot_walk_ins_within_quota"
            ),
        ),
        ops.AddConstraint(
            model_name="Slot",
            constraint=CheckConstraint(check="ends_at > starts_at", name="slot_ends_after_it_starts"),
        ),
        ops.AddConstraint(
            model_name="StaffMember",
            constraint=CheckConstraint(
                check="login = lower(login) AND length(login) >= 2", name="staff_login_spelling"
            ),
        ),
        ops.AddConstraint(
            model_name="StaffSession",
            constraint=CheckConstraint(
                check="(ended_at IS NULL) = (end_reason IS NULL)", name="staff_session_end_has_a_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(check="kind IN ('no-show', 'late-cancel')", name="strike_kind_known"),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(
                check="(decided_by IS NULL) = (decided_at IS NULL)", name="strike_decided_whole"
            ),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(check="(appeal IS NULL) = (appealed_at IS NULL)", name="strike_appeal_whole"),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(
                check="waived_at IS NULL OR decided_at IS NOT NULL", name="strike_waived_by_somebody"
            ),
        ),
        ops.AddConstraint(
            model_name="Ticket",
            constraint=UniqueConstraint(
                fields=("window_id", "day"), name="ticket_one_per_window", condition="state = 'called'"
            ),
        ),
        ops.AddConstraint(
            model_name="Ticket",
            constraint=CheckConstraint(
                check="state <> 'called' OR (window_id IS NOT NULL AND called_at IS NOT NULL)",
                name="ticket_called_somewhere",
            ),
        ),
        ops.AddConstraint(
            model_name="Ticket",
            constraint=CheckConstraint(
                check="(state = 'served') = (served_at IS NOT NULL)", name="ticket_served_sometime"
            ),
        ),
        ops.AddConstraint(
            model_name="WaitingEntry",
            constraint=UniqueConstraint(
                fields=("person_id", "item_id", "day"),
                name="waiting_once_a_day",
                condition="state IN ('waiting', 'offered')",
            ),
        ),
        ops.AddConstraint(
            model_name="WaitingEntry",
            constraint=CheckConstraint(
                check="state IN ('waiting', 'offered', 'taken', 'declined', 'lapsed', 'left')",
                name="waiting_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="WaitingEntry",
            constraint=CheckConstraint(
                check="(state = 'offered') = (offer_until IS NOT NULL)", name="waiting_offer_has_an_end"
            ),
        ),
        ops.AddConstraint(
            model_name="WeChatAccount",
            constraint=CheckConstraint(
                check="account IN ('mini_program', 'official_account')", name="wechat_account_known"
            ),
        ),
        ops.AddConstraint(
            model_name="WeChatAccount",
            constraint=CheckConstraint(
                check="resident_id IS NOT NULL OR account = 'official_account'", name="wechat_account_owned"
            ),
        ),
        ops.AddConstraint(
            model_name="WeChatAccount",
            constraint=CheckConstraint(
                check="(unionid IS NULL) = (unionid_fingerprint IS NULL)", name="wechat_unionid_findable"
            ),
        ),
    ]
