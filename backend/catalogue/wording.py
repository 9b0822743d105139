"""Chinese as people type it: normal form, words of a query, synonyms, pinyin, and the pairs that the index holds. Pure.

PostgreSQL has no segmentation of Chinese and our bundled one no trigrams, so the index holds single characters and
pairs ("grams"): the pairs of a typed fragment must all be there, and the row is then looked at closely.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

MAX_TERMS = 6
MAX_ALTERNATIVES = 8
_SUFFIX = 40
"""How many letters of full pinyin are kept from each syllable on; longer input is not typed."""

_SEPARATORS = re.compile(r"[\W_]+")
_RUNS = re.compile(r"[a-z0-9]+|[^a-z0-9\W_]+")


class Dictionary(NamedTuple):
    """What `words.toml` says."""

    synonyms: tuple[tuple[str, ...], ...]
    noise: tuple[str, ...]


@lru_cache(maxsize=1)
def dictionary() -> Dictionary:
    """Groups of words that mean the same, and words that say nothing about the item; longest first."""
    data = tomllib.loads(resources.files("backend.catalogue").joinpath("words.toml").read_text("utf-8"))
    groups = tuple(tuple(normal(word) for word in group) for group in data["synonyms"])
    return Dictionary(groups, tuple(sorted(map(normal, data["noise"]), key=len, reverse=True)))


def normal(text: str) -> str:
    """Full width to half width, small letters, no spaces and punctuation."""
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).casefold())


def terms(query: str) -> list[str]:
    """The words of a query, each of which must be found: cut at spaces, punctuation, and between Chinese and Latin."""
    spelled = unicodedata.normalize("NFKC", query).casefold()
    found = [run for part in _SEPARATORS.split(spelled) for run in _RUNS.findall(part)]
    return list(dict.fromkeys(found))[:MAX_TERMS]


def content_words(words: Iterable[str]) -> list[str]:
    """The words once more, cut at every word of the dictionary, without those that say nothing of the matter.

    我要补办身份证 → 补办, 身份证. What remains may be more words, or none.
    """
    pieces: list[str] = []
    noise = frozenset(dictionary().noise)
    for word in words:
        end = 0
        for hit in _known().finditer(word):
            pieces += [word[end : hit.start()], "" if hit[0] in noise else hit[0]]
            end = hit.end()
        pieces.append(word[end:])
    return list(dict.fromkeys(piece for piece in pieces if piece))[:MAX_TERMS]


@lru_cache(maxsize=1)
def _known() -> re.Pattern[str]:
    """Any word of the dictionary, the longest that begins at a place."""
    synonyms = {word for group in dictionary().synonyms for word in group}
    ordered = sorted({*synonyms, *dictionary().noise}, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, ordered)))


def alternatives(term: str) -> list[str]:
    """The term first, then what it becomes when a word in it is exchanged for one that means the same."""
    found = [term]
    for group in dictionary().synonyms:
        for word in group:
            if word in term:
                found += [term.replace(word, other) for other in group if other != word]
    return list(dict.fromkeys(found))[:MAX_ALTERNATIVES]


def is_latin(term: str) -> bool:
    """Whether the term may be pinyin."""
    return term.isascii() and term.isalpha()


def initials(text: str) -> str:
    """First letters of the pinyin: 居民身份证 → jmsfz. Letters and digits stay."""
    return "".join(_syllables(text, whole=False))


def pinyin_words(text: str) -> list[str]:
    """Full pinyin from each syllable on: 补领 → buling, ling. So "ling" is found, and "ul" is not."""
    syllables = _syllables(text, whole=True)
    return ["".join(syllables[start:])[:_SUFFIX] for start in range(len(syllables))]


def _syllables(text: str, *, whole: bool) -> list[str]:
    # Loaded here: pypinyin reads a dictionary of 47,000 phrases, and only the index of service items needs it.
    from pypinyin import Style, lazy_pinyin

    return lazy_pinyin(normal(text), style=Style.NORMAL if whole else Style.FIRST_LETTER)


def pairs(text: str) -> set[str]:
    """Neighbouring characters, two by two; of a single character, itself."""
    return {text[at : at + 2] for at in range(len(text) - 1)} or {text} - {""}


def cover(text: str) -> list[str]:
    """As few pairs as hold every character: what a search asks the index for; the rest is looked at closely."""
    if len(text) < 3:
        return [text] if text else []
    starts = [*range(0, len(text) - 1, 2), len(text) - 2]
    return sorted({text[at : at + 2] for at in starts})


def text_grams(text: str) -> set[str]:
    """What the index holds for a text: its characters and its pairs."""
    return set(text) | pairs(text)


def marked(mark: str, grams: Iterable[str]) -> set[str]:
    """The grams of another reading of the text, kept apart from those of the text."""
    return {f"{mark}:{gram}" for gram in grams}
