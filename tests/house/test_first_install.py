"""The first `make demo` on a machine: pip works for a minute or two, and the terminal says how far it is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.house.reading import HOUSE

LOCK = """\
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
msgspec==0.22.0 \\
    --hash=sha256:01
argon2-cffi==25.1.0 \\
    --hash=sha256:02
"""
PIP = """\
import sys, time
print("Ignoring colorama: markers 'sys_platform == \\"win32\\"' don't match your environment")
print("Collecting msgspec==0.22.0 (from -r lock.txt (line 3))")
print("  Downloading msgspec-0.22.0.whl (210 kB)")
print("Processing /opt/wheels/argon2_cffi-25.1.0-py3-none-any.whl (from -r lock.txt (line 5))")
print("Installing collected packages: msgspec, argon2-cffi", flush=True)
time.sleep(4)
sys.exit(int(sys.argv[1]))
"""


def shown(tmp_path: Path, status: int) -> tuple[int, list[str]]:
    """What the program says about such a run of pip, and how it ends."""
    (tmp_path / "lock.txt").write_text(LOCK)
    command = [sys.executable, "-c", PIP, str(status), "-r", str(tmp_path / "lock.txt")]
    done = subprocess.run(
        [sys.executable, HOUSE / "requirements/progress.py", "installing", *command], capture_output=True, text=True
    )
    return done.returncode, done.stderr.splitlines()


def test_every_package_is_counted_and_a_long_silence_is_broken(tmp_path: Path):
    status, said = shown(tmp_path, 0)

    assert status == 0
    assert said[:4] == [
        "· installing",
        "    1/2 msgspec 0.22.0",
        "    2/2 argon2_cffi 25.1.0",
        "  unpacking 2 packages",
    ]
    assert said[4:]
    assert all(re.fullmatch(r"  … unpacking 2 packages, \d+ s", line) for line in said[4:])


def test_a_failure_shows_all_that_was_printed(tmp_path: Path):
    status, said = shown(tmp_path, 3)

    assert status == 3
    assert "  Downloading msgspec-0.22.0.whl (210 kB)" in said


def test_every_step_of_the_installation_shows_how_far_it_is():
    steps = [line for line in (HOUSE / "Makefile").read_text().splitlines() if "$(LOCKED)" in line or "-e ." in line]

    assert len(steps) == 4
    assert all(line.startswith("\t@$(SHOW) ") for line in steps)
