"""How a request is read: strictly, and so that no bytes a stranger sends can become a 500."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.types import Empty

from api.problems import invalid_body
from backend import strict_json
from backend.errors import Malformed, UnsupportedMediaType

_anything = msgspec.json.Decoder()


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON must be JSON, sent as JSON, and exactly of the type the handler asks for.

    Litestar would accept JSON sent as text/plain (a browser form can do that), turn "1" into 1, and answer 500 to
    invalid UTF-8 or to very deep nesting.
    """

    async def json(self) -> Any:
        """The decoded body. Raises UnsupportedMediaType, Malformed or Invalid."""
        if self._json is Empty:
            if self.content_type[0] != "application/json":
                raise UnsupportedMediaType("请使用 application/json")
            self._json = decoded(await self.body(), self._wanted())
        return self._json

    def _wanted(self) -> Any:
        field = self.route_handler.parsed_data_field
        return Any if field is None else field.annotation


def decoded(body: bytes, kind: Any = Any) -> Any:
    """JSON bytes as the type. Raises Malformed when they are no JSON, Invalid when they are not of the type."""
    if b"\\u0000" in body or b"\x00" in body:
        raise Malformed("内容中有不允许的字符")
    try:
        value = _anything.decode(body) if kind is Any else msgspec.json.decode(body, type=kind)
        strict_json.decode(body)
        return value
    except msgspec.ValidationError as error:
        raise invalid_body(error) from error
    except strict_json.NameRepeated as error:
        raise Malformed("同一字段出现了两次") from error
    except (strict_json.StrictJsonInvalid, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("内容不是有效的 JSON") from error
