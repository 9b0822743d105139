"""The sandbox's refusals: HTTP 200 with an errcode, as WeChat gives them."""

from __future__ import annotations

import secrets


class Errcode(Exception):
    """Answer `{"errcode": …, "errmsg": …}`; the message ends with a request id, as WeChat's does."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message

    def body(self) -> dict[str, object]:
        """The JSON of the answer."""
        parts = "-".join(secrets.token_hex(4) for _ in range(3))
        return {"errcode": self.code, "errmsg": f"{self.message} rid: {parts}"}
