"""Structured logs: one JSON object a line, with the request id, without personal data.

Code never logs personal data; the scrubber is the second line of defence for text that partners and
libraries put into their messages.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

from backend import clock

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_SCRUBBED = (
    (re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"), "[id-number]"),
    (re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d{9}(?!\d)"), "[phone]"),
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+"), "[token]"),
    (
        re.compile(
            r"(?i)((?:access_token|secret|session_key|js_code|openid|password|authorization)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+"
        ),
        r"\1[hidden]",
    ),
    (re.compile(r"://([^:/@\s]+):[^@/\s]+@"), r"://\1:[hidden]@"),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def scrub(text: str) -> str:
    """The text without anything that looks like an id number, a phone, a token or a secret."""
    for pattern, instead in _SCRUBBED:
        text = pattern.sub(instead, text)
    return text


# JSON leaves these as they are, and some readers of logs take them for the end of a line.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029", 0x7F: "\\u007f"}


def _fit(value: Any) -> Any:
    """The value as it may stand in a log: scrubbed at every depth, and text that UTF-8 can hold."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_fit(str(key)): _fit(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_fit(each) for each in value]
    return scrub(str(value)).encode(errors="backslashreplace").decode()


class JsonLines(logging.Formatter):
    """One line per record: control characters are escaped, so a value cannot forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": request_id.get(),
            "message": _fit(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                line[name] = _fit(value)
        if record.exc_info:
            line["error"] = _fit(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode().translate(_LINE_ENDS)


def configure(level: str = "INFO") -> None:
    """Send every log of the process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "tortoise", "asyncio", "pgqueuer", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


security = logging.getLogger("zhangban.security")
"""Security events: sign-in, refusals, signatures, limits. Never a value that was refused, only what happened."""
