"""Reading the bodies that WeChat pushes, XML or JSON, into one plain shape, and refusing everything hostile.

Both are read with a bound on size, depth and number of elements before anything is built. XML is read with
the bare expat parser: a DTD, an entity declaration or a processing instruction ends it at once, so there
is nothing that could be expanded or fetched.
"""

from __future__ import annotations

import json
from typing import Any
from xml.parsers import expat

from backend.partners.wechat.errors import PushMalformed

LARGEST = 65_536
"""Bytes of a body; WeChat's own are a few hundred."""
DEEPEST = 16
MOST = 2_000
"""Elements or JSON values of a body."""


def read_body(body: bytes) -> dict[str, Any]:
    """The fields of the body: texts as `str`, groups as `dict`, repeated groups as `list`; numbers become
    text.

    Raises PushMalformed.
    """
    return read_marked(body)[0]


def read_marked(body: bytes) -> tuple[dict[str, Any], str]:
    """The fields, and whether they came as `xml` or `json`. Raises PushMalformed."""
    if len(body) > LARGEST:
        raise PushMalformed("too large")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PushMalformed("not UTF-8") from error
    if text.lstrip().startswith("<"):
        return _Xml().read(text), "xml"
    return _read_json(text), "json"


# -- JSON ------------------------------------------------------------------------------------------


def _read_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_twins,
            parse_constant=_no_constant,
            parse_int=str,
            parse_float=str,
        )
    except (ValueError, RecursionError) as error:
        raise PushMalformed("not JSON") from error
    if not isinstance(value, dict):
        raise PushMalformed("not an object")
    plain = _plain(value, 0, [0])
    assert isinstance(plain, dict)
    return plain


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal names one reader takes the first and another the last: nobody honest sends them.
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name twice")
    return names


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _plain(value: Any, depth: int, seen: list[int]) -> Any:
    seen[0] += 1
    if depth > DEEPEST or seen[0] > MOST:
        raise PushMalformed("too deep or too many")
    if isinstance(value, dict):
        return {name: _plain(each, depth + 1, seen) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, depth + 1, seen) for each in value]
    if value is None:
        return ""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise PushMalformed("a character that cannot be stored")
    return text


# -- XML -------------------------------------------------------------------------------------------


class _Group:
    """An element that is being read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.children: dict[str, list[Any]] = {}

    def value(self, *, top: bool) -> Any:
        """Its text, or its children. On the top level a repeated name is a forgery, below it is a list."""
        if not self.children:
            return "".join(self.text)
        if "".join(self.text).strip():
            raise PushMalformed("text between elements")
        if top and any(len(values) > 1 for values in self.children.values()):
            raise PushMalformed("an element twice")
        return {name: values[0] if len(values) == 1 else values for name, values in self.children.items()}


class _Xml:
    """One reading of one document."""

    def __init__(self) -> None:
        self._open: list[_Group] = []
        self._count = 0
        self._root: Any = None

    def read(self, text: str) -> dict[str, Any]:
        # The bytes are UTF-8 whatever the declaration says, so a lying declaration changes nothing.
        parser = expat.ParserCreate(encoding="utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        try:
            parser.Parse(text.strip().encode(), True)
        except expat.ExpatError as error:
            raise PushMalformed("not XML") from error
        if not isinstance(self._root, dict):
            raise PushMalformed("not an <xml> element")
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if attributes or len(self._open) > DEEPEST or self._count > MOST:
            raise PushMalformed("too deep, too many, or with attributes")
        if not self._open and name != "xml":
            raise PushMalformed("not an <xml> element")
        self._open.append(_Group(name))

    def _end(self, name: str) -> None:
        group = self._open.pop()
        value = group.value(top=not self._open)
        if self._open:
            self._open[-1].children.setdefault(name, []).append(value)
        else:
            self._root = value

    def _data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def _refuse(self, *_: Any) -> None:
        raise PushMalformed("a DTD, an entity or a processing instruction")
