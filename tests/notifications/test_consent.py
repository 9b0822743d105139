"""The consent ledger: each popup once, whichever source reports it, in any order, however often."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.database import fetch, fetch_row, fetch_value, transaction
from backend.settings import using
from models.identity import Resident
from models.notifications import ConsentAnswer as A
from models.notifications import ConsentKind, ConsentSource
from notifications import consent, subscribing
from notifications.consent import Balance, Report, balance_after
from notifications.subscribing import PageTemplate, next_popup
from tests.factories.notifications import template_id

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
FRONT, POPUP, CHANGE, SEND = (
    ConsentSource.FRONT_END,
    ConsentSource.POPUP,
    ConsentSource.CHANGE,
    ConsentSource.SEND,
)


def a_report(source: ConsentSource, name: str, *, answer: A = A.ACCEPT, at: float = 0, template: str = "") -> Report:
    return Report(template or template_id(), answer, source, name, NOON + timedelta(seconds=at))


async def remaining(resident: Resident) -> int:
    value = await fetch_value("SELECT remaining FROM consent_balances WHERE resident_id = $1", resident.id)
    return int(value or 0)


async def test_one_popup_counts_once_whichever_source_reports_first_and_however_often():
    for order in ((FRONT, POPUP), (POPUP, FRONT)):
        resident = await Resident.create()
        for source in (*order, *order):
            await consent.record_reports(resident.id, [a_report(source, f"{source}-{resident.id}")])

        assert await remaining(resident) == 1
        rows = await fetch(
            "SELECT delta, pairs_with IS NOT NULL FROM consent_changes WHERE resident_id = $1 ORDER BY created_at, id",
            resident.id,
        )
        assert [tuple(row) for row in rows] == [(1, False), (0, True)]


async def test_popups_further_apart_than_the_window_are_two():
    resident = await Resident.create()
    await consent.record_reports(resident.id, [a_report(FRONT, "f"), a_report(POPUP, "p", at=601)])

    assert await remaining(resident) == 2


async def test_a_hundred_reports_at_once_count_each_popup_once():
    resident = await Resident.create()
    reports = [
        a_report(source, f"{source}-{popup}", at=popup * 2000)
        for popup in range(10)
        for source in (FRONT, POPUP)
        for _ in range(5)
    ]

    await asyncio.gather(*(consent.record_reports(resident.id, [each]) for each in reports))

    assert await remaining(resident) == 10
    assert await fetch_value("SELECT sum(delta) FROM consent_changes") == 10


async def test_reports_of_several_templates_crosswise_never_wait_for_each_other():
    resident = await Resident.create()
    names = [template_id(name) for name in ("case-progress", "case-result", "case-supplement")]

    async def reported(number: int, listed: list[str]) -> None:
        await consent.record_reports(
            resident.id, [a_report(FRONT, f"{number}-{name}", template=name, at=number * 700) for name in listed]
        )

    async with asyncio.timeout(10):
        await asyncio.gather(*(reported(n, names if n % 2 else names[::-1]) for n in range(20)))

    assert await fetch_value("SELECT sum(remaining) FROM consent_balances") == 60


async def test_a_transaction_that_fails_leaves_no_line():
    resident = await Resident.create()
    try:
        async with transaction():
            await consent.record_reports(resident.id, [a_report(FRONT, "f")])
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass

    assert await remaining(resident) == 0
    assert await consent.record_reports(resident.id, [a_report(FRONT, "f")]) == 1


async def test_a_refusal_in_the_settings_takes_everything_and_an_older_acceptance_does_not_restore_it():
    resident = await Resident.create()
    reports = [a_report(FRONT, f"f{n}", at=n * 700) for n in range(3)]
    await consent.record_reports(resident.id, reports)
    await consent.record_reports(resident.id, [a_report(CHANGE, "c", answer=A.REJECT, at=5000)])
    assert await remaining(resident) == 0

    await consent.record_reports(resident.id, [a_report(POPUP, "late", at=4000)])
    assert await remaining(resident) == 0

    await consent.record_reports(resident.id, [a_report(POPUP, "new", at=6000)])
    assert await remaining(resident) == 1


async def test_a_long_term_consent_stands_until_it_is_withdrawn():
    resident, lasting = await Resident.create(), template_id("account-notice")
    await consent.record_reports(resident.id, [a_report(FRONT, "yes", template=lasting)])
    [balance] = (await consent.get_balances(resident.id)).values()
    assert (balance.kind, balance.allows, balance.remaining) == (ConsentKind.LONG_TERM, True, 0)

    await consent.record_reports(resident.id, [a_report(CHANGE, "no", answer=A.REJECT, at=10, template=lasting)])
    [balance] = (await consent.get_balances(resident.id)).values()
    assert not balance.allows


async def test_a_report_about_an_unknown_template_is_skipped():
    resident = await Resident.create()

    assert await consent.record_reports(resident.id, [a_report(POPUP, "p", template="OF-ANOTHER-ACCOUNT")]) == 0
    assert await fetch_row("SELECT 1 FROM consent_balances") is None


async def test_the_same_key_counts_once_even_when_its_answer_was_forgotten():
    resident = await Resident.create()
    for _ in range(2):
        await subscribing.report_popup(resident.id, "case", {template_id(): "accept"}, key="k")
    with using(consent_pairing_seconds=0.0):
        await subscribing.report_popup(resident.id, "case", {template_id(): "acceptWithAudio"}, key="other")

    assert await remaining(resident) == 2


POPUPS = st.lists(
    st.tuples(st.sampled_from([A.ACCEPT, A.REJECT]), st.sampled_from(["front", "event", "both"]), st.integers(1, 3)),
    max_size=6,
)


@given(POPUPS, st.randoms(use_true_random=False))
def test_any_order_of_reports_comes_to_the_same_count(popups, random):
    """The pure part: reports that count once each, shuffled, always come to the number of accepted popups."""
    counted = [(answer, NOON + timedelta(hours=n)) for n, (answer, _, _) in enumerate(popups)]
    random.shuffle(counted)

    balance = Balance(ConsentKind.ONE_OFF)
    for answer, at in counted:
        balance = balance_after(balance, answer, POPUP, at)

    assert balance.remaining == sum(answer is A.ACCEPT for answer, _, _ in popups)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([(A.ACCEPT, FRONT), (A.REJECT, POPUP), (A.REJECT, CHANGE), (A.BAN, FRONT), (A.USED, SEND),
                         (A.LOST, SEND), (A.FILTER, FRONT)]),
        st.integers(0, 20),
    ),
    max_size=30,
)  # fmt: skip


@given(STEPS, st.sampled_from(list(ConsentKind)))
def test_a_consent_is_never_overdrawn_and_never_stands_after_it_was_refused_last(steps, kind):
    balance = Balance(kind)
    for (answer, source), second in steps:
        before = balance
        balance = balance_after(before, answer, source, NOON + timedelta(seconds=second))
        assert balance.remaining >= 0
        assert balance.remaining - before.remaining <= (answer is A.ACCEPT)
        if answer in (A.REJECT, A.FILTER, A.USED, A.LOST):
            assert balance.remaining <= before.remaining
            assert balance.standing <= before.standing
        if kind is ConsentKind.ONE_OFF:
            assert not balance.standing
        else:
            assert balance.remaining == 0


@given(STEPS)
def test_in_the_order_of_time_the_last_report_about_a_long_term_consent_decides(steps):
    balance, expected = Balance(ConsentKind.LONG_TERM), False
    for number, ((answer, source), _) in enumerate(steps):
        balance = balance_after(balance, answer, source, NOON + timedelta(seconds=number))
        if answer is A.ACCEPT:
            expected = True
        elif answer in (A.REJECT, A.LOST):
            expected = False

    assert balance.standing is expected


def _a_template(kind: ConsentKind, name: str, *, remaining: int = 0, allowed: bool = False) -> PageTemplate:
    return PageTemplate(
        template_id=name, title="", kind=kind, remaining=remaining, allowed=allowed or remaining > 0, banned=False
    )


def test_a_popup_requests_long_term_consents_first_and_never_mixes_the_kinds():
    lasting, once = _a_template(ConsentKind.LONG_TERM, "L"), _a_template(ConsentKind.ONE_OFF, "O")

    assert next_popup([once, lasting]) == (ConsentKind.LONG_TERM, ["L"])
    given = _a_template(ConsentKind.LONG_TERM, "L", allowed=True)
    assert next_popup([once, given]) == (ConsentKind.ONE_OFF, ["O"])


def test_a_popup_requests_at_most_five_the_scarcest_first_and_none_that_is_in_store():
    many = [_a_template(ConsentKind.ONE_OFF, f"T{n}", remaining=n % 4) for n in range(12)]

    kind, ids = next_popup(many)

    assert kind is ConsentKind.ONE_OFF
    assert ids == ["T0", "T4", "T8", "T1", "T5"]
    assert next_popup([_a_template(ConsentKind.ONE_OFF, "T", remaining=3)]) == (None, [])
