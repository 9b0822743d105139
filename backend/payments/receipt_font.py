"""The font of a receipt: Noto Sans SC, cut to the characters of that one receipt.

The font comes from a package (17 MB, thirty thousand characters, every weight in one file); reportlab embeds TrueType
outlines of one weight. So each receipt gets an instance of its own: the same characters give the same bytes.
"""

from __future__ import annotations

import io
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

REGULAR = 400.0
"""The weight, on the scale of the font's `wght` axis."""
_DROPPED = ["BASE", "DSIG", "GDEF", "GPOS", "GSUB", "HVAR", "MVAR", "STAT", "VORG", "VVAR", "vhea", "vmtx"]
"""Tables of layout and of vertical writing, which a receipt does not use."""


@cache
def source() -> Path:
    """The font file of the package."""
    return Path(str(files("justmytype_intl_cjk") / "fonts" / "ofl" / "notosanssc" / "NotoSansSC[wght].ttf"))


@lru_cache(maxsize=16)
def cut(characters: frozenset[str]) -> bytes:
    """A TrueType font with these characters, and with an empty box for those that the source lacks."""
    options = Options()
    options.layout_features, options.hinting, options.name_IDs = [], False, [1, 2, 3, 4, 6]
    options.drop_tables = [*options.drop_tables, *_DROPPED]
    font = TTFont(source(), lazy=True, recalcTimestamp=False)
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(sorted(characters)))
    subsetter.subset(font)
    instantiateVariableFont(font, {"wght": REGULAR}, inplace=True)
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()
