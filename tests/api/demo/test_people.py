"""The demo's own idea of how residents are reached holds together, and fits the messages that exist."""

from __future__ import annotations

from collections import Counter

from api.demo.people import ACCOUNT, BY_TEXT, INBOX, SUBSCRIBE, TEMPLATE_OF, TEXT, cast
from notifications.templates import messages, partner_templates


def test_a_consent_is_used_once_and_then_the_next_way_is_taken():
    person = cast()[-1]
    person.consents = Counter({TEMPLATE_OF["case_accepted"]: 1})

    assert person.way("case_accepted") == SUBSCRIBE
    assert person.way("case_in_review") == INBOX
    assert person.way("case_approved") == TEXT


def test_each_channel_has_a_person_who_is_reached_over_it():
    people = cast()
    people[0].consents.update(TEMPLATE_OF.values())

    assert {person.way("case_approved") for person in people} == {SUBSCRIBE, ACCOUNT, TEXT, INBOX}


def test_messages_use_the_templates_that_the_demo_expects():
    titles = {name: each.title for name, each in partner_templates().mini_program.items()}

    for name, title in TEMPLATE_OF.items():
        template = messages()[name]
        assert template.mini_program is not None
        assert titles[template.mini_program.template] == title
        assert (template.sms is not None) == (name in BY_TEXT)


def test_everybody_has_a_case_of_their_own_and_reports_with_ids_of_their_own():
    people = cast()

    numbers = [person.number for person in people]
    reports = [(person.number, each.event_id) for person in people for each in (*person.before, *person.after)]

    assert len({*numbers}) == len(people) >= 5
    # One report is pushed twice on purpose.
    assert Counter(Counter(reports).values()) == {1: len(reports) - 2, 2: 1}


def test_the_story_holds_what_makes_it_hard():
    reports = [each for person in cast() for each in (*person.before, *person.after)]

    notes = " ".join(each.note for each in reports)

    assert all(word in notes for word in ("先到", "迟到", "重复", "没见过"))
