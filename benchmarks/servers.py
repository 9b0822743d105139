"""The programs that are compared, each a process on the same server with the same options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.drain import packed
from benchmarks.processes import Process, free_port, run_module, running, waited_for
from benchmarks.rounds import in_turns as rounds_of

OPTIONS = (
    "--factory", "--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "on", "--no-access-log",
    "--no-server-header", "--no-proxy-headers", "--log-level", "warning", "--timeout-keep-alive", "75",
)  # fmt: skip


class Servers:
    """One process per program, by its name; `folder` is for the requests."""

    def __init__(self, programs: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> None:
        self.programs, self.environment, self.folder = programs, environment, folder
        self.names = list(programs)
        self.ports = {name: free_port() for name in programs}
        self.processes: dict[str, Process] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Servers:
        commands = [
            ("-m", "uvicorn", program, *OPTIONS, "--port", str(self.ports[name]))
            for name, program in self.programs.items()
        ]
        with ExitStack() as stack:
            started = stack.enter_context(running(commands, self.environment))
            self.processes = dict(zip(self.names, started, strict=True))
            for name, process in self.processes.items():
                waited_for(process, self.ports[name], name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, name: str, requests: Sequence[bytes], connections: int) -> dict[str, Any]:
        """Have a generator send each of them once."""
        file = self.folder / "requests.bin"
        file.write_bytes(packed(requests))
        order = {"requests": str(file), "connections": min(connections, len(requests))}
        one, used = self.generated("benchmarks.drain", name, order)
        one["cpu_us"] = used / len(requests) * 1e6 if used is not None else None
        return one

    def in_turns(self, rounds: int, made: Callable[[], Sequence[bytes]], connections: int, good: str) -> dict[str, Any]:
        """Give the programs new requests in turns. Raises RuntimeError when one is not answered as it should be."""

        def once(name: str, _: int) -> dict[str, Any]:
            one = self.send(name, made(), connections)
            if set(one["answers"]) != {good}:
                raise RuntimeError(f"{name} answered {one['answers']}")
            return one

        return rounds_of(self.names, rounds, once)

    def generated(self, module: str, name: str, order: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
        """What a generator says of the program, and the processor time that the program took meanwhile."""
        pid = self.processes[name].pid
        before = machine.cpu_seconds(pid)
        one = run_module(module, {**order, "host": "127.0.0.1", "port": self.ports[name]})
        after = machine.cpu_seconds(pid)
        return one, after - before if before is not None and after is not None else None
