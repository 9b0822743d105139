"""What the demo prints, in Chinese: who did what, what came back, how long it took. The same is kept as data."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import Any, TextIO

import msgspec

from backend import clock

WHO, WHAT = 14, 46


class Step(msgspec.Struct):
    """A step of the story. `at` and `ms` are milliseconds: since the story began, and of the step itself."""

    at: float
    ms: float
    who: str
    what: str
    result: str
    facts: dict[str, Any] = {}


class Received(msgspec.Struct):
    """A message as it arrived outside. `ms` is counted from the moment when the department's report was answered."""

    at: float
    ms: float
    who: str
    case: str
    event: str
    channel: str
    template: str
    values: dict[str, str]
    copies: int = 1


class Check(msgspec.Struct):
    """One thing that must be true in the end."""

    name: str
    ok: bool
    detail: str


class Record(msgspec.Struct):
    """Everything that `--json` writes."""

    chaos: bool
    ok: bool = False
    seconds: float = 0.0
    addresses: dict[str, str] = {}
    people: list[dict[str, Any]] = []
    steps: list[Step] = []
    messages: list[Received] = []
    faults: list[str] = []
    checks: list[Check] = []


CHANNELS = {"mini_program": "订阅消息", "official_account": "公众号模板消息", "sms": "短信", "inbox": "站内信"}


class Timeline:
    """Prints as things happen and keeps the record."""

    def __init__(self, *, chaos: bool, out: TextIO | None = None) -> None:
        self.record = Record(chaos=chaos)
        self._out = out or sys.stdout
        self._colour = self._out.isatty()
        self._began = clock.monotonic()

    def begin(self) -> None:
        """Time is counted from now: starting the servers is not part of the story."""
        self._began = clock.monotonic()

    def now(self) -> float:
        """Milliseconds since the story began."""
        return (clock.monotonic() - self._began) * 1000

    def say(self, text: str) -> None:
        """A line about how we get ready."""
        self._print(self._dim(f"· {text}"))

    def heading(self, text: str) -> None:
        """A new part of the story."""
        self._print("")
        self._print(self._bold(f"── {text} {'─' * max(4, 72 - width(text))}"))

    def step(self, who: str, what: str, result: str, ms: float, **facts: Any) -> Step:
        """Show a step of a person or a system."""
        step = Step(self.now() - ms, ms, who, what, result, facts)
        self.record.steps.append(step)
        self._print(f"{_at(step.at)}  {pad(who, WHO)}{pad(what, WHAT)}→ {result}{self._dim(f'  {ms:.0f} ms')}")
        return step

    def received(self, message: Received) -> None:
        """A message arrived."""
        self.record.messages.append(message)
        values = "，".join(message.values.values())
        copies = f" ×{message.copies}" if message.copies > 1 else ""
        arrow = self._green("↳ " + CHANNELS[message.channel])
        template = f"「{message.template}」" if message.template else ""
        took = self._dim(f"  {message.ms:.0f} ms")
        self._print(f"{_at(message.at)}    {arrow} → {message.who}{copies}{template}：{values}{took}")

    def fault(self, text: str) -> None:
        """Something was broken on purpose."""
        self.record.faults.append(text)
        self._print(f"{_at(self.now())}  {self._red('⚡ ' + text)}")

    def check(self, name: str, ok: bool, detail: str) -> None:
        """Whether something is as it must be."""
        self.record.checks.append(Check(name, ok, detail))
        mark = self._green("✔") if ok else self._red("✘")
        self._print(f"  {mark} {pad(name, 34)}{detail}")

    def end(self) -> bool:
        """The last line; whether everything was as it must be."""
        record = self.record
        record.seconds = round(self.now() / 1000, 2)
        record.ok = bool(record.checks) and all(each.ok for each in record.checks)
        bad = sum(not each.ok for each in record.checks)
        self._print("")
        self._print(
            self._bold(self._green(f"全部一致，用时 {record.seconds:.1f} 秒。"))
            if record.ok
            else self._bold(self._red(f"有 {bad} 项不一致，详见上面带 ✘ 的行。"))
        )
        return record.ok

    def write(self, path: str) -> None:
        """The record as JSON. A reader of the file meanwhile sees the whole of it or nothing."""
        half = Path(f"{path}.half")
        half.write_bytes(msgspec.json.format(msgspec.json.encode(self.record), indent=2) + b"\n")
        half.replace(path)

    def plain(self, text: str = "") -> None:
        """Print as it is: addresses and commands to copy."""
        self._print(text)

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _bold(self, text: str) -> str:
        return self._paint("1", text)

    def _dim(self, text: str) -> str:
        return self._paint("2", text)

    def _green(self, text: str) -> str:
        return self._paint("32", text)

    def _red(self, text: str) -> str:
        return self._paint("31", text)


def width(text: str) -> int:
    """How many columns the text takes in a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def pad(text: str, columns: int) -> str:
    """The text filled up with spaces to so many columns."""
    return text + " " * max(1, columns - width(text))


def _at(milliseconds: float) -> str:
    return f"{milliseconds / 1000:7.2f} s"
