"""Receipts: once per payment that counts, void when everything is refunded, verified by the holder of the paper."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from pypdf import PdfReader
from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend import partners as partners_module
from backend.database import fetch, fetch_row, fetch_value, transaction
from backend.events import record
from backend.identity import AsResident
from backend.partners import partners_from
from backend.partners.fiscal_receipt import envelope
from backend.partners.sandbox import Sandbox
from backend.payments import fiscal_receipts, receipt_pdf, receipts
from backend.payments.errors import ReceiptNotFound
from backend.payments.events import PaymentSucceeded, RefundSucceeded
from backend.payments.receipts import ReceiptDetail
from backend.settings import settings
from models.payments import Payment
from tests.factories.ledger import tamper
from tests.factories.payments import a_fee, a_paid_payment, a_payment


def payer_of(payment: Payment) -> AsResident:
    return AsResident(payment.resident_id, uuid7())


async def a_receipt(payment: Payment | None = None) -> ReceiptDetail:
    payment = payment or await a_paid_payment()
    await receipts.issue_receipt(payment.id)
    return await receipts.get_own_receipt(payer_of(payment), payment.number)


async def all_back(payment: Payment) -> None:
    await tamper("UPDATE payments SET state = 'refunded', refunded_fen = paid_fen WHERE id = $1", payment.id)
    await receipts.void_refunded_receipt(payment.id)


async def test_a_payment_that_counts_has_one_receipt_however_often_its_event_comes():
    payment = await a_paid_payment()
    succeeded = PaymentSucceeded(
        payment_id=payment.id, fee_id=uuid7(), resident_id=payment.resident_id, amount_fen=2000,
        paid_at=clock.now(), known_by="notice",
    )  # fmt: skip
    async with transaction():
        await record(succeeded)
    await jobs.drain(strict=False)  # the subscriber that notifies the resident is missing

    await asyncio.gather(*(receipts.issue_receipt(payment.id) for _ in range(8)))

    assert await fetch_value("SELECT count(*) FROM receipts") == 1
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'receipt.issued'") == 1


async def test_money_that_does_not_count_has_no_receipt():
    unpaid = await a_payment()
    surplus = await a_paid_payment()
    await tamper("UPDATE payments SET state = 'surplus' WHERE id = $1", surplus.id)

    for each in (unpaid, surplus):
        assert await receipts.issue_receipt(each.id) is None
        with pytest.raises(ReceiptNotFound):
            await receipts.get_own_receipt(payer_of(each), each.number)


async def test_a_receipt_is_void_when_everything_is_back_and_only_then():
    payment = await a_paid_payment()
    issued = await a_receipt(payment)
    await tamper("UPDATE payments SET state = 'part_refunded', refunded_fen = 500 WHERE id = $1", payment.id)
    await receipts.void_refunded_receipt(payment.id)
    partly = await receipts.get_own_receipt(payer_of(payment), payment.number)

    await tamper("UPDATE payments SET state = 'refunded', refunded_fen = 2000 WHERE id = $1", payment.id)
    succeeded = RefundSucceeded(
        refund_id=uuid7(), payment_id=payment.id, resident_id=payment.resident_id, amount_fen=2000
    )
    async with transaction():
        await record(succeeded)
    await jobs.drain(strict=False)  # the subscriber that notifies the resident is missing
    await receipts.void_refunded_receipt(payment.id)

    assert (partly.valid, partly.refunded_fen) == (True, 500)
    gone = await receipts.get_own_receipt(payer_of(payment), payment.number)
    assert (gone.valid, gone.number) == (False, issued.number)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'receipt.voided'") == 1


async def test_a_refund_that_overtakes_the_receipt_leaves_none():
    payment = await a_paid_payment()
    await all_back(payment)

    assert await receipts.issue_receipt(payment.id) is None


async def test_another_residents_receipt_does_not_exist():
    payment = await a_paid_payment()
    await a_receipt(payment)

    with pytest.raises(ReceiptNotFound):
        await receipts.get_own_receipt(AsResident(uuid7(), uuid7()), payment.number)


async def test_only_the_holder_of_the_paper_can_verify_it():
    payment = await a_paid_payment()
    receipt = await a_receipt(payment)
    code = parse_qs(urlsplit(receipt.verify_url).query)["code"][0]

    good = await receipts.verify_receipt(receipt.number, code.lower())
    wrong = await receipts.verify_receipt(receipt.number, "B" * 16)
    none = await receipts.verify_receipt("S20260302BCDFGHJKLMNP", code)

    assert (good.state, good.amount_fen, good.item_name) == ("valid", 2000, "居民身份证工本费")
    assert {wrong.state, none.state} == {"unknown"}
    hidden = [getattr(each, name) for each in (wrong, none) for name in ("item_name", "amount_fen", "paid_on")]
    assert hidden == [None] * 6
    await all_back(payment)
    assert (await receipts.verify_receipt(receipt.number, code)).state == "voided"


async def test_numbers_and_codes_cannot_be_guessed_from_others():
    seen = [await a_receipt() for _ in range(5)]

    codes = {parse_qs(urlsplit(each.verify_url).query)["code"][0] for each in seen}
    assert len(codes) == len({each.number for each in seen}) == 5
    assert {len(each) for each in codes} == {receipts.CODE_LENGTH}


def text_of(content: bytes) -> str:
    (page,) = PdfReader(io.BytesIO(content)).pages
    return page.extract_text()


async def test_the_pdf_says_everything_and_carries_its_font():
    payment = await a_paid_payment(await a_fee(unit_fen=12_305, quantity=2))
    receipt = await a_receipt(payment)

    content = receipt_pdf.render_pdf(receipt)

    said = text_of(content)
    for words in ("缴费电子收据", receipt.number, "居民身份证工本费", "人民币贰佰肆拾陆元壹角整", "¥246.10",
                  "¥123.05 × 2", payment.number, "微信支付", "不替代财政电子票据"):  # fmt: skip
        assert words in said
    assert "已作废" not in said
    fonts = PdfReader(io.BytesIO(content)).pages[0]["/Resources"]["/Font"]  # type: ignore[index]
    programs = [
        each.get_object()["/FontDescriptor"] for each in fonts.values() if "/FontDescriptor" in each.get_object()
    ]
    assert programs
    assert all("/FontFile2" in each.get_object() for each in programs), "every font is inside the file"
    assert "STSong" not in str(fonts)
    assert receipt_pdf.render_pdf(receipt) == content, "the same receipt gives the same bytes"
    assert len(content) < 200_000


async def test_the_pdf_of_a_void_receipt_says_so_across_the_page():
    payment = await a_paid_payment()
    await a_receipt(payment)
    await all_back(payment)

    receipt = await receipts.get_own_receipt(payer_of(payment), payment.number)

    assert "已作废" in text_of(receipt_pdf.render_pdf(receipt))


async def test_a_rare_character_is_shown_with_the_fallback_font():
    receipt = await a_receipt(await a_paid_payment(await a_fee(name="𠮷村宅基地登记费")))

    content = receipt_pdf.render_pdf(receipt)

    assert "村宅基地登记费" in text_of(content)
    fonts = PdfReader(io.BytesIO(content)).pages[0]["/Resources"]["/Font"]  # type: ignore[index]
    assert "STSong" in str([each.get_object() for each in fonts.values()])


async def test_receipts_drawn_at_once_keep_their_own_characters():
    receipt = await a_receipt(await a_paid_payment())
    names = [f"{chr(0x4E00 + n)}{chr(0x6000 + n)}登记费" for n in range(8)]
    different = [msgspec.structs.replace(receipt, item_name=name) for name in names]

    contents = await asyncio.gather(*(asyncio.to_thread(receipt_pdf.render_pdf, each) for each in different))

    for name, content in zip(names, contents, strict=True):
        assert name in text_of(content)
        assert "STSong" not in str(PdfReader(io.BytesIO(content)).pages[0]["/Resources"])  # type: ignore[index]


async def test_long_words_stay_inside_the_page():
    receipt = await a_receipt(await a_paid_payment(await a_fee(name="工本费" * 40, basis="依据" * 200)))

    (page,) = PdfReader(io.BytesIO(receipt_pdf.render_pdf(receipt))).pages
    heights: list[float] = []

    def see(text: str, matrix: list[float], where: list[float], *_: object) -> None:
        if text.strip() and "…" in text:
            heights.append(where[5])

    said = page.extract_text(visitor_text=see)

    assert said.count("…") == 2
    assert said.index("交易单号") > said.index("…")
    assert min(heights) > 17 * receipt_pdf.mm


@pytest.fixture
async def fiscal(sandbox: Sandbox) -> AsyncIterator[Sandbox]:
    """A platform for 财政电子票据 that answers."""
    bundle = partners_from(settings())
    partners_module.equip(bundle)
    yield sandbox
    partners_module.equip(None)
    await bundle.close()


async def test_a_fiscal_receipt_is_asked_for_and_shown(fiscal: Sandbox):
    payment = await a_paid_payment()
    waiting = await a_receipt(payment)
    await jobs.drain()

    issued = await receipts.get_own_receipt(payer_of(payment), payment.number)

    assert waiting.fiscal.state == "waiting"
    assert (issued.fiscal.state, issued.fiscal.code, issued.fiscal.number) == ("issued", "99060126", "0000000001")
    assert issued.fiscal.url
    assert fiscal.fiscal.issued[issued.number]["totalAmt"] == "20.00"
    assert "99060126 0000000001" in text_of(receipt_pdf.render_pdf(issued))


async def test_asking_twice_gives_one_fiscal_receipt(fiscal: Sandbox):
    payment = await a_paid_payment()
    await a_receipt(payment)
    await jobs.drain()
    receipt_id = await fetch_value("SELECT id FROM receipts")
    await tamper("UPDATE receipts SET fiscal_state = 'waiting', fiscal_number = NULL")

    await fiscal_receipts.issue_fiscal_receipt(receipt_id)

    assert len(fiscal.fiscal.issued) == 1
    assert await fetch_value("SELECT fiscal_number FROM receipts") == "0000000001"


async def test_a_platform_that_is_slow_is_asked_again_later(fiscal: Sandbox):
    payment = await a_paid_payment()
    await a_receipt(payment)
    fiscal.fiscal.mode = "slow"
    await jobs.drain()
    assert await fetch_value("SELECT fiscal_state FROM receipts") == "waiting"
    queued = await fetch(
        "SELECT 1 FROM pgqueuer WHERE entrypoint = 'payments.fiscal-receipt' AND execute_after > now()"
    )
    assert len(queued) == 1

    fiscal.fiscal.mode = "ok"
    await fiscal_receipts.issue_fiscal_receipt(await fetch_value("SELECT id FROM receipts"))

    assert await fetch_value("SELECT fiscal_state FROM receipts") == "issued"


async def test_what_the_platform_refuses_is_kept_with_its_words(fiscal: Sandbox):
    fiscal.fiscal.mode = "refuse"
    payment = await a_paid_payment()
    await a_receipt(payment)

    await jobs.drain()

    row = await fetch_row("SELECT fiscal_state, fiscal_problem FROM receipts")
    assert row is not None
    assert (row["fiscal_state"], row["fiscal_problem"]) == ("refused", "E0201 收费项目未维护")


async def test_a_wrong_secret_is_a_matter_of_configuration(fiscal: Sandbox):
    fiscal.fiscal.secret = "another"
    await a_receipt(await a_paid_payment())

    await jobs.drain()

    assert str(await fetch_value("SELECT fiscal_problem FROM receipts")).startswith("E0101")


async def test_when_the_money_went_back_the_fiscal_receipt_is_written_off(fiscal: Sandbox):
    payment = await a_paid_payment()
    receipt = await a_receipt(payment)
    await jobs.drain()

    await all_back(payment)
    await jobs.drain()

    assert list(fiscal.fiscal.voided) == [receipt.number]
    assert "已冲红" in str(await fetch_value("SELECT fiscal_problem FROM receipts"))


async def test_without_a_platform_none_is_asked_for():
    receipt = await a_receipt()
    await jobs.drain()

    assert receipt.fiscal.state == "none"
    assert await fetch_value("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'payments.fiscal-receipt'") == 0


def test_an_envelope_that_was_changed_is_not_opened():
    names = {"region": "990100", "deptcode": "1", "appid": "a"}
    body = envelope.wrapped({"busNo": "1"}, names=names, noise="n", secret="s", digest="sha256")
    fields = msgspec.json.decode(body)

    assert envelope.opened(fields, "s", "sha256") == {"busNo": "1"}
    assert envelope.opened({**fields, "appid": "b"}, "s", "sha256") is None
    assert envelope.opened(fields, "t", "sha256") is None
    with pytest.raises(ValueError, match="base64"):
        envelope.read({"data": "<html>"})
