from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0001_initial")]

    initial = False

    operations = [
        ops.AddConstraint(
            model_name="AgencyKey",
            constraint=CheckConstraint(
                check="algorithm IN ('hmac-sha256', 'ed25519')", name="agency_key_algorithm_known"
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
            model_name="Department",
            constraint=CheckConstraint(check="length(uscc) = 18", name="department_uscc_length"),
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
