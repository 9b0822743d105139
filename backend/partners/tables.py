"""Partners' codes are data: TOML files beside the adapters, which an installation may put its own before."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from backend.settings import SettingsError


def entries(package: str, name: str, *, folder: str, setting: str) -> dict[str, Any]:
    """What the file `name`.toml beside an adapter says; entries of the file of that name in `folder` go before ours.

    Raises SettingsError, naming the setting that the folder comes from, when that file cannot be read.
    """
    ours = tomllib.loads((files(package) / f"{name}.toml").read_text("utf-8"))
    theirs = Path(folder) / f"{name}.toml" if folder else None
    if theirs is None or not theirs.exists():
        return ours
    try:
        return _merged(ours, tomllib.loads(theirs.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{setting}: {name}.toml cannot be read: {error}") from error


def _merged(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    both = dict(ours)
    for key, value in theirs.items():
        before = both.get(key)
        both[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return both
