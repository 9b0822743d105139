"""docs/agency-signing.md says what the code does: its example is computed, its program is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from backend.identity import signatures

TEXT = (Path(__file__).parents[3] / "docs" / "agency-signing.md").read_text()
SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ADDRESS = "/v1/agency/me?b=2&a=%E5%BC%A0 三"
BODY = '{"text":"你好"}'.encode()
FIXED: dict[str, Any] = {"timestamp": 1795200000, "nonce": "f3b1c2d4e5f60718"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_worked_example_is_what_we_compute() -> None:
    path, _, query = ADDRESS.partition("?")
    lines = signatures.canonical("POST", path, query, body=BODY, **FIXED).decode()

    assert lines + "\n" in blocks("text")
    assert ADDRESS in TEXT
    assert signatures.sign(lines.encode(), SECRET, "hmac-sha256") in TEXT


def test_the_python_program_signs_as_we_do() -> None:
    (program,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(program, "agency-signing.md", "exec"), names)  # noqa: S102 - the document is ours

    for method, address, body in (
        ("POST", ADDRESS, BODY),
        ("get", "/v1/agency/me", b""),
        ("PUT", "/a/%2f/办?x=&x=1", b"\0"),
    ):
        theirs = names["signed_headers"](method, address, body, "ak_0123", SECRET, **FIXED)
        assert theirs == signatures.sign_request(method, address, body, key="ak_0123", secret=SECRET, **FIXED)


def test_the_shell_program_signs_the_lines_in_their_order() -> None:
    (program,) = blocks("sh")

    assert re.search(r"printf 'ZHANGBAN-1(\\n%s){6}'", program)
    used = ["$METHOD", "$REQUEST_PATH", "$QUERY", "$TIMESTAMP", "$NONCE", "$BODY_HASH"]
    places = [program.index(f'"{name}"', program.index("ZHANGBAN-1")) for name in used]
    assert places == sorted(places)
    assert all(f"{name}: " in program for name in (signatures.KEY, signatures.NONCE, signatures.TIMESTAMP))


def test_every_refusal_is_explained() -> None:
    for code in ("signature-missing", "signature-stale", "signature-invalid", "signature-replayed"):
        assert f"`{code}`" in TEXT
