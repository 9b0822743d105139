"""Check the subject of a commit: `commit_message.py FILE`, as git's commit-msg hook calls it. Standard library only.

A subject is one imperative sentence of at most 60 characters, without a full stop: a CHANGELOG is written from it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONGEST = 60
_MADE_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ")
_IMPERATIVES = {
    *("bring", "string", "embed", "exceed", "feed", "need", "proceed", "seed", "shed", "speed", "bus", "focus"),
    *("address", "compress", "cross", "discuss", "express", "pass", "press", "process"),
}
"""Imperatives that end like a participle or a third person."""
_NOT_FIRST = {"a", "an", "the", "this", "that", "these", "it", "its", "there", "no", "some", "one", "we", "i", "when"}


def faults(message: str) -> list[str]:
    """What is wrong with the subject of the message; nothing for a subject that git writes itself."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if subject.startswith(_MADE_BY_GIT):
        return []
    first = re.match(r"[A-Za-z]+", subject)
    found = []
    if len(subject) > LONGEST:
        found.append(f"the subject has {len(subject)} characters, at most {LONGEST} are allowed")
    if subject.endswith("."):
        found.append("the subject ends with a full stop")
    if first is None or not first[0][0].isupper():
        found.append("the subject begins with a capital letter")
    elif not _imperative(first[0].lower()):
        found.append(f"the subject begins with an imperative (Add, Name, Refuse), not with {first[0]!r}")
    if len(lines) > 1 and lines[1].strip():
        found.append("an empty line stands between subject and body")
    return found


def _imperative(word: str) -> bool:
    if word in _NOT_FIRST:
        return False
    return word in _IMPERATIVES or not re.search(r"(?:ing|ed|s)$", word)


def main(path: str) -> int:
    """Print the faults of the message in the file; 1 when there are any."""
    found = faults(Path(path).read_text("utf-8"))
    for each in found:
        print(f"commit message: {each}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
