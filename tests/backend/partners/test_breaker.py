"""The circuit breaker: five failures, a rest, one probe."""

from __future__ import annotations

import pytest

from backend import clock
from backend.partners.breaker import Breaker
from backend.partners.errors import PartnerUnreachable


class Watch:
    """A monotonic clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    standing = Watch()
    monkeypatch.setattr(clock, "monotonic", standing)
    return standing


def tripped(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        breaker.enter()
        breaker.failed()


def test_it_opens_after_five_failures_in_a_row(watch: Watch):
    breaker = Breaker("partner")

    tripped(breaker, 4)
    breaker.enter()
    breaker.failed()

    with pytest.raises(PartnerUnreachable) as refusal:
        breaker.enter()
    assert refusal.value.retry_after == pytest.approx(10)
    assert not refusal.value.maybe_done


def test_one_success_forgets_the_failures(watch: Watch):
    breaker = Breaker("partner")
    tripped(breaker, 4)
    breaker.enter()
    breaker.succeeded()

    tripped(breaker, 4)

    breaker.enter()
    assert not breaker.is_open


def test_after_its_rest_one_call_probes_and_the_others_wait(watch: Watch):
    breaker = Breaker("partner")
    tripped(breaker)
    watch.seconds += 10

    breaker.enter()

    with pytest.raises(PartnerUnreachable):
        breaker.enter()


def test_a_probe_that_succeeds_closes_it(watch: Watch):
    breaker = Breaker("partner")
    tripped(breaker)
    watch.seconds += 10
    breaker.enter()

    breaker.succeeded()

    breaker.enter()
    breaker.enter()
    assert not breaker.is_open


def test_a_probe_that_fails_opens_it_for_another_rest(watch: Watch):
    breaker = Breaker("partner")
    tripped(breaker)
    watch.seconds += 10
    breaker.enter()
    breaker.failed()

    watch.seconds += 9
    with pytest.raises(PartnerUnreachable):
        breaker.enter()
    watch.seconds += 1
    breaker.enter()


def test_a_probe_that_is_cancelled_lets_the_next_call_probe(watch: Watch):
    breaker = Breaker("partner")
    tripped(breaker)
    watch.seconds += 10
    breaker.enter()

    breaker.abandoned()

    breaker.enter()
