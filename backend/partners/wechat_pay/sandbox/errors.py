"""The sandbox's refusals, as WeChat Pay writes them."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """Answer `status` with `{"code", "message", "detail"}`."""

    def __init__(self, status: int, code: str, message: str, *, field: str = "") -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        said: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field:
            said["detail"] = {"field": self.field, "issue": self.message, "location": "body"}
        return said


def wrong(field: str, message: str) -> Refusal:
    """400 PARAM_ERROR at a field of the body, named as a pointer."""
    return Refusal(400, "PARAM_ERROR", message, field=field)


def impossible(message: str) -> Refusal:
    """400 INVALID_REQUEST: well written and against the rules."""
    return Refusal(400, "INVALID_REQUEST", message)
