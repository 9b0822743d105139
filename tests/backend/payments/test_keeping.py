"""What is kept of a payer: sealed, sealed anew, copied and forgotten; and what stays, because it is an account."""

from __future__ import annotations

import os
from datetime import timedelta

from backend import callbacks, clock, crypto, data_subjects, key_rotation, payments
from backend.database import fetch_value
from backend.settings import settings, using
from models.callbacks import InboundMessage
from models.payments import Fee, Payment
from tests.factories.identity import a_resident
from tests.factories.payments import OPENID, a_channel_order, a_fee, a_paid_payment, a_payment, balance, payment_row
from tests.factories.till import Till

OLD, NEW = (f"{name}:{os.urandom(32).hex()}" for name in ("k1", "k2"))
OLD_INDEX, NEW_INDEX = (f"{name}:{os.urandom(32).hex()}" for name in ("f1", "f2"))


async def test_with_a_new_key_the_payer_is_sealed_anew_and_notices_fit_before_and_after(till: Till):
    with using(data_keys=OLD, fingerprint_keys=OLD_INDEX):
        first, second = await a_payment(), await a_payment()
    with using(data_keys=f"{NEW},{OLD}", fingerprint_keys=f"{NEW_INDEX},{OLD_INDEX}"):
        await payments.ingest_notice(till, {}, till.notice(a_channel_order(first)))
        done = await key_rotation.reseal()
    with using(data_keys=NEW, fingerprint_keys=NEW_INDEX):
        await payments.ingest_notice(till, {}, till.notice(a_channel_order(second)))
        row = await payment_row(second.number)

        assert done["payments.payer"] == 2
        assert crypto.open_sealed(row["payer"], where="payments.payer", row=row["id"]) == OPENID
        assert row["payer_fingerprint"] == crypto.fingerprint(OPENID, "openid")
        assert (await payment_row(first.number))["state"] == row["state"] == "paid"


async def test_a_person_gets_a_copy_of_what_they_owed_and_paid():
    resident = await a_resident()
    await a_paid_payment(await a_fee(resident_id=resident.id), resident_id=resident.id)
    await a_paid_payment()

    copy = await data_subjects.export(resident.id)

    assert [each["amount_fen"] for each in copy["fees"]] == [2000]
    assert [(each["payer"], each["paid_fen"]) for each in copy["payments"]] == [(OPENID, 2000)]
    assert "payer_fingerprint" not in copy["payments"][0]


async def test_an_erased_resident_leaves_accounts_without_their_openid(till: Till):
    resident = await a_resident()
    paid = await a_paid_payment(await a_fee(resident_id=resident.id), resident_id=resident.id)
    open_fee = await a_fee(resident_id=resident.id)
    order = await a_payment(open_fee, resident_id=resident.id)

    erased = await data_subjects.erase(resident.id)
    await payments.ingest_notice(till, {}, till.notice(a_channel_order(order, payer=OPENID)))

    assert (erased["payments"], erased["fees"]) == (2, 1)
    assert await Payment.filter(payer__isnull=False).count() == 0
    assert (await Fee.get(id=open_fee.id)).resident_id is None
    # Money that comes afterwards still finds its order.
    assert (await payment_row(order.number))["state"] == "paid"
    assert await balance(f"channel:wechat_pay:{paid.merchant_id}") == 4000


async def test_a_notice_that_was_forgotten_and_comes_again_moves_nothing(till: Till):
    payment = await a_payment()
    body = till.notice(a_channel_order(payment))
    await payments.ingest_notice(till, {}, body)

    with clock.travel(by=timedelta(days=settings().inbound_kept_days + 1)):
        assert await callbacks.delete_old_pushes() == 1
        await payments.ingest_notice(till, {}, body)

    assert await InboundMessage.all().count() == 1
    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 1


def test_notices_are_kept_for_longer_than_any_channel_repeats_them():
    assert settings().inbound_kept_days > 2
