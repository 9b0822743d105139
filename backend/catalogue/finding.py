"""Finding items by what people type.

Every word must be found: as it is typed, as a word that means the same, or as pinyin (whole, or first letters).
Best first: a name that begins with it, a name that holds it, a keyword, and last the text of the guide. When
nothing holds every word, the words that say nothing ("怎么办理") are left out; when that finds nothing either, the
items that share at least half of the pairs of characters are offered as similar.

The statement is put together here because its shape depends on the number of words and of their alternatives;
what was typed goes in as parameters only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from backend.catalogue import wording
from backend.catalogue.indexing import Card
from backend.database import fetch
from backend.paging import USUAL, CursorInvalid, cursor_of, place_of

NAME_STARTS, NAME_HOLDS, KEYWORD_HOLDS, BODY_HOLDS = 80, 60, 40, 10
PINYIN_LESS = 5
"""Taken off for a hit by pinyin: typing characters says more."""
SYNONYM_LESS = 3
"""Taken off when not the word itself was found but one that means the same."""
SIMILAR_FROM = 0.5
"""The least share of the query's pairs that a similar item holds."""
_PURPOSE = "catalogue"


class Match(StrEnum):
    """How the items of a page were found."""

    ALL = "all"
    EXACT = "exact"
    REWORDED = "reworded"
    SIMILAR = "similar"


class Filters(Struct, frozen=True, kw_only=True):
    """What narrows the list. `region_codes` are a region and everything above it."""

    region_codes: tuple[str, ...] = ()
    department_id: UUID | None = None
    domain: str | None = None
    theme: str | None = None
    subject: str | None = None


class FoundItems(Struct, frozen=True, kw_only=True):
    """One page: the cards, how they were found, and where the next page begins."""

    items: list[Card]
    match: Match
    next_cursor: str | None


class Statement:
    """SQL and its parameters, growing together."""

    def __init__(self) -> None:
        self.parameters: list[Any] = []

    def put(self, value: Any) -> str:
        """The placeholder for a value."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"


async def find_items(
    query: str = "", *, filters: Filters | None = None, limit: int = USUAL, cursor: str | None = None
) -> FoundItems:
    """One page of published items, best first; without a query all of them by name.

    Raises CursorInvalid when the cursor is not of this query and these filters.
    """
    filters = filters or Filters()
    purpose = f"{_PURPOSE} {query} {msgspec.json.encode(filters, order='deterministic').decode()}"
    place = place_of(cursor, purpose) if cursor else None
    words = wording.terms(query)
    if query.strip() and not words:
        return FoundItems(items=[], match=Match.EXACT, next_cursor=None)
    if place is not None and (len(place) != 4 or place[0] not in set(Match)):
        raise CursorInvalid
    ways = [Match(place[0])] if place else _ways(words)
    rows: list[Any] = []
    way = ways[-1]
    for way in ways:
        rows = await _rows(way, words, filters, limit, place)
        if rows:
            break
    more = len(rows) > limit
    rows = rows[:limit]
    after = [way, rows[-1]["score"], rows[-1]["name"], rows[-1]["code"]] if more else None
    return FoundItems(
        items=[msgspec.json.decode(row["card"], type=Card) for row in rows],
        match=way,
        next_cursor=cursor_of(after, purpose) if after else None,
    )


def _ways(words: list[str]) -> list[Match]:
    if not words:
        return [Match.ALL]
    content = wording.content_words(words)
    ways = [Match.EXACT, *([Match.REWORDED] if content and content != words else [])]
    return [*ways, Match.SIMILAR] if len(_pairs(content or words)) > 1 else ways


def _pairs(words: list[str]) -> list[str]:
    return sorted({pair for word in words for pair in wording.pairs(word) if len(pair) == 2})


async def _rows(way: Match, words: list[str], filters: Filters, limit: int, place: list[Any] | None) -> list[Any]:
    sql, parameters = statement(way, words, filters, limit + 1, place)
    return await fetch(sql, *parameters)


def statement(
    way: Match, words: list[str], filters: Filters, limit: int, place: list[Any] | None
) -> tuple[str, list[Any]]:
    """The SELECT for one way of finding, and its parameters."""
    made = Statement()
    if way is Match.ALL:
        conditions: list[str] = []
        score = "0"
    elif way is Match.SIMILAR:
        conditions, score = _similar(made, wording.content_words(words) or words)
    else:
        of = wording.content_words(words) if way is Match.REWORDED else words
        hits = [_term(made, word) for word in of]
        conditions = [condition for condition, _ in hits]
        score = " + ".join(each for _, each in hits)
    conditions += _filtered(made, filters)
    if place is not None:
        score_at, name_at, code_at = (made.put(value) for value in place[1:])
        beyond = f"(-score, name, code) > (-{score_at}::int, {name_at}::text, {code_at}::text)"
    else:
        beyond = "TRUE"
    where = " AND ".join(conditions) or "TRUE"
    return (
        f"SELECT name, code, score, card FROM ("
        f"SELECT name, code, card::text AS card, ({score})::int AS score FROM catalogue_entries WHERE {where}"
        f") AS found WHERE {beyond} ORDER BY score DESC, name, code LIMIT {made.put(limit)}",
        made.parameters,
    )


def _filtered(made: Statement, filters: Filters) -> list[str]:
    conditions = []
    if filters.region_codes:
        conditions.append(f"region_code = ANY({made.put(list(filters.region_codes))}::text[])")
    if filters.department_id is not None:
        conditions.append(f"department_id = {made.put(filters.department_id)}")
    if filters.domain is not None:
        conditions.append(f"domain = {made.put(filters.domain)}")
    if filters.theme is not None:
        conditions.append(f"{made.put(filters.theme)} = ANY(themes)")
    if filters.subject is not None:
        conditions.append(f"{made.put(filters.subject)} = ANY(subjects)")
    return conditions


def _term(made: Statement, term: str) -> tuple[str, str]:
    """The condition that one word is found, and its score: the best of its alternatives."""
    conditions, scores = [], []
    for position, word in enumerate(wording.alternatives(term)):
        less = SYNONYM_LESS if position else 0
        text = made.put(word)
        grams = made.put(wording.cover(word))
        holds = f"(strpos(name_text, {text}) > 0 OR strpos(keyword_text, {text}) > 0 OR strpos(body_text, {text}) > 0)"
        conditions.append(f"(grams @> {grams}::text[] AND {holds})")
        scores.append(
            f"CASE WHEN starts_with(name_text, {text}) THEN {NAME_STARTS - less}"
            f" WHEN strpos(name_text, {text}) > 0 THEN {NAME_HOLDS - less}"
            f" WHEN strpos(keyword_text, {text}) > 0 THEN {KEYWORD_HOLDS - less}"
            f" WHEN strpos(body_text, {text}) > 0 THEN {BODY_HOLDS - less} ELSE 0 END"
        )
    if wording.is_latin(term):
        for mark, column in (("i", "initials"), ("p", "pinyin")):
            condition, score = _spelled(made, term, mark, column)
            conditions.append(condition)
            scores.append(score)
    return f"({' OR '.join(conditions)})", f"GREATEST({', '.join(scores)})"


def _spelled(made: Statement, term: str, mark: str, column: str) -> tuple[str, str]:
    """The same for a word in Latin letters as pinyin. The first word of the column is the name's."""
    text = made.put(term)
    grams = made.put(sorted(wording.marked(mark, wording.cover(term))))
    begins_word = "' ' || " if mark == "p" else ""
    holds = f"strpos(' ' || {column}, {begins_word}{text}) > 0"
    first = f"split_part({column}, ' ', 1)"
    in_name = f"strpos({first}, {text}) > 0" if mark == "i" else f"starts_with({first}, {text})"
    return (
        f"(grams @> {grams}::text[] AND {holds})",
        f"CASE WHEN starts_with({column}, {text}) THEN {NAME_STARTS - PINYIN_LESS}"
        f" WHEN {in_name} THEN {NAME_HOLDS - PINYIN_LESS}"
        f" WHEN {holds} THEN {KEYWORD_HOLDS - PINYIN_LESS} ELSE 0 END",
    )


def _similar(made: Statement, words: list[str]) -> tuple[list[str], str]:
    """The condition that enough pairs are shared with name, keywords or text, and how many per cent of them are."""
    pairs = _pairs(words)
    wanted = made.put(pairs)
    share = (
        f"(SELECT count(*) * 100 / {len(pairs)} FROM unnest({wanted}::text[]) AS pair"
        " WHERE strpos(name_text || '\n' || keyword_text, pair) > 0)"
    )
    return [f"grams && {wanted}::text[]", f"{share} >= {int(SIMILAR_FROM * 100)}"], share
