"""The invariants hold after a life, and each of them notices its violation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backend import auditing, cache, clock, invariants, privacy_scan
from backend.events import kinds
from backend.invariants import Verdict
from backend.settings import using
from notifications import draining
from tests.factories.appointments import a_slot, an_appointment
from tests.factories.cases import ID_NUMBER
from tests.factories.ledger import tamper
from tests.journeys.lives import a_notified_case
from tests.owner import as_owner, owner_fetch_value


@pytest.fixture
async def life() -> AsyncIterator[None]:
    """A case that was notified to its end and sealed; and a visit that is booked."""
    async with a_notified_case():
        await an_appointment(await a_slot())
        await draining.drain_outbox(once=False)
        await auditing.seal_all()
        yield


async def verdicts() -> dict[str, Verdict]:
    return {each.id: each for each in await invariants.check()}


@pytest.mark.usefixtures("life")
async def test_after_a_life_everything_holds_that_can_be_judged():
    found = await verdicts()

    assert {name: each.findings for name, each in found.items() if each.status == "violated"} == {}
    assert {name for name, each in found.items() if each.status == "holds"} == {
        "I-1", "I-2", "I-3", "I-4", "I-5", "I-7", "I-8", "I-9", "I-10", "I-11", "D-1", "D-2", "D-3", "D-4", "D-5",
    }  # fmt: skip
    assert [f"I-{n}" for n in range(1, 15)] == [name for name in found if name.startswith("I-")]
    assert invariants.worst(list(found.values())) == 0


async def test_what_cannot_be_judged_is_said_to_be_so_with_the_reason():
    found = await verdicts()

    for name in ("I-6", "I-12", "I-13", "I-14"):
        assert found[name].status == "not-applicable"
        assert len(found[name].reason) > 20
        assert found[name].findings == []


_LAST_EVENT = "(SELECT id FROM case_events WHERE cardinality(path) > 0 ORDER BY occurred_at DESC LIMIT 1)"


@pytest.mark.usefixtures("life")
@pytest.mark.parametrize(
    ("name", "sql", "finding"),
    [
        ("I-5", "UPDATE slots SET booked = booked + 1", "says 0 held and 2 booked, there are 0 and 1"),
        ("I-5", "UPDATE appointments SET state = 'missed'", "says 0 held and 1 booked, there are 0 and 0"),
        ("I-7", "INSERT INTO idempotency_keys (scope, key, fingerprint, status, body, media_type, expires_at) "
                "VALUES ('resident:x POST /y', 'k', repeat('0', 64), 500, 'x', 'application/json', now())", "POST /y"),
        ("I-8", "DELETE FROM message_attempts", "without a proof"),
        ("I-8", "INSERT INTO message_attempts "
                "(message_id, n, channel, started_at, finished_at, outcome, code, partner_id, receipt) "
                "SELECT message_id, n + 900, channel, started_at, finished_at, outcome, code, partner_id, receipt "
                "FROM message_attempts WHERE outcome = 'accepted'", "accepted 2 times"),
        ("I-9", f"UPDATE case_events SET path = '{{in_review,delivered}}' WHERE id = {_LAST_EVENT}",
                "from in_review to delivered"),
        ("I-9", f"UPDATE case_events SET path = '{{draft,submitted}}' WHERE id = {_LAST_EVENT}",
                "begins at draft"),
        ("I-9", "UPDATE cases SET state = 'suspended'", "is suspended, its events come to"),
        ("I-10", "UPDATE cases SET state = 'suspended'", "differ by -1 at suspended"),
        ("I-10", "DELETE FROM events WHERE name = 'case.progressed'", "the ledger and the case differ"),
        ("I-10", "DELETE FROM events WHERE name = 'case.opened'", "was opened 0 times"),
        ("I-10", "UPDATE events SET actor_id = 'somebody else' WHERE name = 'case.opened'", "ledger: altered"),
        ("I-11", "UPDATE residents SET phone = '13800138000' WHERE phone IS NOT NULL", "residents.phone"),
        ("I-11", "UPDATE cases SET applicant_name = '张三丰'", "cases.applicant_name"),
        ("I-11", f"UPDATE cases SET title = '身份证 {ID_NUMBER} 换领'", "cases.title: id-number"),
        ("I-11", f"UPDATE case_events SET public_remark = '{ID_NUMBER.lower()}'",
                 "case_events.public_remark: id-number"),
        ("I-11", f"UPDATE events SET payload = '{{\"x\": \"{ID_NUMBER}\"}}'", "events.payload: id-number"),
        ("I-11", "UPDATE messages SET context = '{\"phone\": \"13800138000\"}'", "messages.context: phone"),
        ("I-11", "UPDATE agencies SET name = '13800138000'", None),
        ("I-11", "UPDATE cases SET item_name = '请致电13800138000'", "cases.item_name: phone"),
        ("D-1", "ALTER TABLE event_seals DISABLE TRIGGER event_seals_append_only",
                "event_seals_append_only"),
        ("D-2", "GRANT DELETE ON events TO zhangban_service", "may DELETE"),
    ],
)  # fmt: skip
async def test_every_broken_invariant_is_found(name: str, sql: str, finding: str | None):
    await tamper(sql)
    try:
        found = (await verdicts())[name]
    finally:
        async with as_owner() as owner:
            await owner.execute("ALTER TABLE event_seals ENABLE TRIGGER event_seals_append_only")
            await owner.execute("REVOKE DELETE ON events FROM zhangban_service")

    if finding is None:
        assert found.status == "holds", "there is no agency to change"
        return
    assert found.status == "violated"
    assert any(finding in finding for finding in found.findings), found.findings
    for finding in found.findings:
        assert ID_NUMBER not in finding
        assert "13800138000" not in finding


@pytest.mark.usefixtures("life")
async def test_an_event_that_a_subscriber_never_handled_is_found_unless_a_job_is_left():
    identity = await owner_fetch_value("SELECT id FROM events WHERE name = 'case.progressed' ORDER BY id DESC LIMIT 1")
    await tamper("DELETE FROM subscriber_receipts WHERE event_id = $1", identity)

    with clock.travel(by=invariants.PATIENCE + timedelta(seconds=1)):
        lost = (await verdicts())["I-8"]
        await tamper(
            "INSERT INTO pgqueuer (priority, entrypoint, status, payload) VALUES (0, 'events.dispatch', 'failed', $1)",
            f'{{"event_id":"{identity}"}}'.encode(),
        )
        kept = (await verdicts())["I-8"]

    assert lost.status == "violated"
    assert any(str(identity) in finding and "never ran" in finding for finding in lost.findings)
    assert not any("never ran" in finding for finding in kept.findings)


@pytest.mark.usefixtures("life")
async def test_a_message_that_is_due_and_not_sent_is_found_after_a_while():
    await tamper("UPDATE messages SET state = 'pending', waiting = true, finished_at = NULL, due_at = now()")

    at_once = (await verdicts())["I-8"]
    with clock.travel(by=invariants.PATIENCE + timedelta(seconds=1)):
        later = (await verdicts())["I-8"]

    assert at_once.status == "holds"
    assert any("no worker sends it" in finding for finding in later.findings)


@pytest.mark.usefixtures("life")
async def test_personal_data_in_the_queue_and_in_the_cache_is_found():
    await tamper(
        "INSERT INTO pgqueuer (priority, entrypoint, status, payload) VALUES (0, 'x', 'failed', $1)",
        f'{{"id":"{ID_NUMBER}"}}'.encode(),
    )
    await cache.ask(lambda r: r.set("code:13800138000", "1"))
    await cache.ask(lambda r: r.set("answer:1", f"x{ID_NUMBER}"))
    await cache.ask(lambda r: r.set("answer:2", f"x {ID_NUMBER}"))

    found = (await verdicts())["I-11"]

    assert sorted(found.findings) == [
        "cache, under answer: id-number in clear", "cache, under code: phone in clear",
        "pgqueuer.payload: id-number in clear",
    ]  # fmt: skip


@pytest.mark.usefixtures("life")
async def test_a_value_whose_key_has_left_the_ring_is_found():
    with using(data_keys="new:" + "22" * 32):
        found = (await verdicts())["I-11"]

    assert any(finding.startswith("residents.phone: 1 values are not sealed") for finding in found.findings)


async def test_in_production_the_guarantees_of_postgresql_are_judged():
    strict = {"data_keys": "a:" + "11" * 32, "fingerprint_keys": "a:" + "22" * 32, "token_secret": "x" * 48}
    durable = await owner_fetch_value(
        "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' "
        "AND current_setting('synchronous_commit') <> 'off'"
    )

    with using(profile="production", sandbox=False, **strict):
        found = (await verdicts())["I-6"]

    assert found.status == ("holds" if durable else "violated")


@pytest.mark.parametrize(
    ("text", "kinds_of"),
    [
        (ID_NUMBER, ["id-number"]), (f"证件{ID_NUMBER.lower()}。", ["id-number"]), ("110105194912310021", []),
        ("13800138000", ["phone"]), ("+8613800138000", ["phone"]), ("电话：13800138000，", ["phone"]),
        ("0194a1b2-c3d4-7e5f-8a6b-13800138000f", []), ("1732249200.13800138000", []),
        ("12441500196720244T3442199806003", []),
        ("12800138000", []), ("138001380001", []),
    ],
)  # fmt: skip
def test_personal_data_is_known_by_its_form(text: str, kinds_of: list[str]):
    assert privacy_scan.personal(text) == kinds_of


def test_the_exceptions_to_where_phones_may_stand_have_reasons():
    assert all(len(why) > 10 for why in privacy_scan.BY_DEPARTMENTS.values())
    assert kinds()
