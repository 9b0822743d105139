"""The model of sessions (E-5): after any steps in any order, the tokens that are accepted are those of the model.

The machine runs in a thread and does everything on the loop of the tests, so that the use cases, PostgreSQL and
Valkey are the real ones.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from backend import cache, clock, identity
from backend.errors import DomainError
from backend.identity import AsResident, session_watch, tokens
from backend.identity.errors import AccountDisabled, RefreshElsewhere, RefreshInvalid, RefreshReused
from backend.settings import using
from tests.factories.identity import an_openid, signed_in
from tests.machines import Machine, play

T = TypeVar("T")

ACCESS, IDLE, ABSOLUTE, GRACE, ROOM = 900, 3_600, 14_400, 10, 3
WIDTH = 0.1 * ACCESS + 10
"""Seconds around the end of an access token in which either answer is right: lives are scattered by a tenth."""


@dataclass
class Family:
    """A session as the model knows it. Times are seconds since the machine began."""

    owner: int
    session_id: Any
    resident_id: Any
    refreshes: list[str]
    used_at: float
    began_at: float
    over: bool = False
    access: list[tuple[str, float]] = field(default_factory=list)


class Sessions(Machine):
    """Two people with several phones each."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(
            using(
                access_token_seconds=ACCESS,
                refresh_token_seconds=IDLE,
                session_absolute_seconds=ABSOLUTE,
                refresh_grace_seconds=GRACE,
                sessions_per_resident=ROOM,
            )
        )
        self.openids = [an_openid(), an_openid()]
        self.disabled = [False, False]
        self.families: list[Family] = []
        self.moved = 0.0
        self.began = clock.monotonic()

    def now(self) -> float:
        return self.moved + clock.monotonic() - self.began

    def dead(self, family: Family) -> bool:
        now = self.now()
        return family.over or now >= family.used_at + IDLE or now >= family.began_at + ABSOLUTE

    def ended(self, family: Family) -> None:
        family.over = True

    @initialize()
    def begin(self) -> None:
        self.sign_in(0)
        self.sign_in(0)
        self.sign_in(1)

    @rule(owner=st.integers(0, 1))
    def somebody_signs_in(self, owner: int) -> None:
        self.sign_in(owner)

    def sign_in(self, owner: int) -> None:
        self.do(cache.redis().flushdb())
        try:
            given = self.do(signed_in(openid=self.openids[owner]))
        except AccountDisabled:
            assert self.disabled[owner]
            return
        assert not self.disabled[owner]
        assert all(family.session_id != given.session_id for family in self.families)
        now = self.now()
        fresh = Family(owner, given.session_id, given.resident_id, [given.refresh_token], now, now)
        fresh.access.append((given.access_token, now))
        self.families.append(fresh)
        open_ones = [family for family in self.families if family.owner == owner and not family.over]
        for family in sorted(open_ones, key=lambda each: each.used_at, reverse=True)[ROOM:]:
            self.ended(family)

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def refresh_with_the_latest(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        self.refreshed(family, family.refreshes[-1], times=1)

    @precondition(lambda self: self.families)
    @rule(data=st.data(), times=st.integers(2, 5))
    def refresh_in_a_burst(self, data: st.DataObject, times: int) -> None:
        family = data.draw(st.sampled_from(self.families))
        self.refreshed(family, family.refreshes[-1], times=times)

    def refreshed(self, family: Family, token: str, *, times: int) -> None:
        async def crowd() -> list[Any]:
            each = (identity.refresh_session(token, device="ios") for _ in range(times))
            return await asyncio.gather(*each, return_exceptions=True)

        dead = self.dead(family) or self.disabled[family.owner]
        answers = self.do(crowd())
        if dead:
            assert all(isinstance(answer, RefreshInvalid) for answer in answers), answers
            return
        assert all(isinstance(answer, identity.Tokens) for answer in answers), answers
        assert len({answer.refresh_token for answer in answers}) == 1
        assert {answer.session_id for answer in answers} == {family.session_id}
        family.refreshes.append(answers[0].refresh_token)
        family.used_at = self.now()
        family.access += [(answer.access_token, family.used_at) for answer in answers]

    @precondition(lambda self: any(len(family.refreshes) > 1 for family in self.families))
    @rule(data=st.data())
    def repeat_an_older_one(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from([each for each in self.families if len(each.refreshes) > 1]))
        self.repeated(family, data.draw(st.integers(0, len(family.refreshes) - 2)))

    def repeated(self, family: Family, place: int) -> None:
        since = self.now() - family.used_at
        if abs(since - GRACE) < 1:
            return
        graceful = place == len(family.refreshes) - 2 and since < GRACE
        dead = self.dead(family) or self.disabled[family.owner]
        outcome = self.do(self.outcome_of(family.refreshes[place], "ios"))
        if dead:
            assert isinstance(outcome, RefreshInvalid), outcome
        elif not graceful:
            assert isinstance(outcome, RefreshReused), outcome
            self.ended(family)
        else:
            assert isinstance(outcome, identity.Tokens), outcome
            assert outcome.refresh_token == family.refreshes[-1]
            family.access.append((outcome.access_token, self.now()))

    async def outcome_of(self, token: str, device: Any) -> Any:
        (outcome,) = await asyncio.gather(identity.refresh_session(token, device=device), return_exceptions=True)
        return outcome

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def refresh_on_another_device(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        dead = self.dead(family) or self.disabled[family.owner]
        outcome = self.do(self.outcome_of(family.refreshes[-1], "other"))
        assert isinstance(outcome, RefreshInvalid if dead else RefreshElsewhere), outcome
        self.ended(family)

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def sign_out(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        self.do(identity.sign_out_resident(AsResident(family.resident_id, family.session_id)))
        self.ended(family)

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def end_all_others(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        self.do(identity.end_other_sessions(AsResident(family.resident_id, family.session_id)))
        for other in self.families:
            if other.owner == family.owner and other is not family:
                self.ended(other)

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def disable(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        self.do(identity.disable_resident(family.resident_id))
        self.disabled[family.owner] = True
        for each in self.families:
            if each.owner == family.owner:
                self.ended(each)

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def enable(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        self.do(identity.enable_resident(family.resident_id))
        self.disabled[family.owner] = False

    @rule(seconds=st.sampled_from([1, 5, 12, 60, 1_100]))
    def time_goes_by(self, seconds: int) -> None:
        self.time_passes(seconds)

    def time_passes(self, seconds: int) -> None:
        self.stack.enter_context(clock.travel(by=timedelta(seconds=seconds)))
        self.moved += seconds

    @precondition(lambda self: any(not self.dead(family) for family in self.families))
    @rule(data=st.data(), seconds=st.sampled_from([5, 12, 1_100, 3_500, 3_700]))
    def somebody_comes_back_after_a_while(self, data: st.DataObject, seconds: int) -> None:
        family = data.draw(st.sampled_from([each for each in self.families if not self.dead(each)]))
        for _ in range(data.draw(st.sampled_from([1, 1, 2, 5]))):
            self.time_passes(seconds)
            self.refreshed(family, family.refreshes[-1], times=1)

    @precondition(lambda self: any(not self.dead(f) and len(f.refreshes) > 1 for f in self.families))
    @rule(data=st.data(), seconds=st.sampled_from([1, 5, 12, 60]))
    def somebody_repeats_the_last_one_after_a_while(self, data: st.DataObject, seconds: int) -> None:
        able = [each for each in self.families if not self.dead(each) and len(each.refreshes) > 1]
        family = data.draw(st.sampled_from(able))
        self.time_passes(seconds)
        self.repeated(family, len(family.refreshes) - 2)

    @rule()
    def redis_is_emptied(self) -> None:
        self.do(cache.redis().flushdb())

    @rule()
    def the_process_starts_anew(self) -> None:
        identity.clear_watch()

    @rule()
    def the_process_asks(self) -> None:
        self.do(session_watch.refresh_watch())

    @invariant()
    def the_tokens_that_are_accepted_are_the_models(self) -> None:
        self.do(session_watch.ensure_fresh())
        now = self.now()
        for family in self.families:
            for token, given_at in family.access[-3:]:
                end = given_at + ACCESS
                if abs(now - end) < WIDTH or abs(now - family.began_at - ABSOLUTE) < ACCESS + WIDTH:
                    continue
                assert self.accepted(token, family) == (now < end and not family.over), (family, now, end)

    @invariant()
    def families_never_merge(self) -> None:
        every = [token for family in self.families for token in family.refreshes]
        assert len(every) == len(set(every))

    def accepted(self, token: str, family: Family) -> bool:
        try:
            checked = tokens.check_token(token, "resident")
        except DomainError:
            return False
        assert (checked.subject, checked.session_id) == (family.resident_id, family.session_id)
        return session_watch.is_live(checked.session_id)

    def teardown(self) -> None:
        self.stack.close()


async def test_the_tokens_that_are_accepted_are_those_of_the_model() -> None:
    await play(Sessions, examples=50, steps=30)
