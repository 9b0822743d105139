"""State machines of Hypothesis against the real thing: a machine runs in a thread and does everything on the loop of
the tests, so that the use cases, PostgreSQL and Valkey are the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

T = TypeVar("T")


class Machine(RuleBasedStateMachine):
    """A machine whose rules do what they do on the loop of the tests."""

    loop: asyncio.AbstractEventLoop

    def do(self, work: Awaitable[T]) -> T:
        """Have it done, and wait for it."""

        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)


async def play(machine: type[Machine], *, examples: int, steps: int, **more: Any) -> None:
    """So many lives of so many steps, the same ones each time; `more` are settings of Hypothesis."""
    machine.loop = asyncio.get_running_loop()
    options = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        **more,
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=options)
