from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0013_deliveries")]

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
    ]
