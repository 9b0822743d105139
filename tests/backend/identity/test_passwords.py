"""What a staff password must be like, and how it is kept."""

from __future__ import annotations

import asyncio

import pytest

from backend.identity import passwords
from backend.identity.errors import PasswordWeak


@pytest.mark.parametrize(
    "good",
    ["Correct-Horse-42", "jian guo lu 48 hao yuan nei", "Aa1!Bb2?Cc3.", "办事大厅-Window-7号", "x7-" * 5 + "YZQ!"],
)
def test_a_good_password_is_taken(good: str) -> None:
    passwords.check_strength(good, login="li.na")


@pytest.mark.parametrize(
    ("weak", "complaint"),
    [
        ("Short-Pass1", "长度"),
        ("x" * 129, "长度"),
        ("onlylowercase", "至少"),
        ("lowercase-with-dash", "至少"),
        ("Aa1-Aa1-Aa1-", "重复"),
        ("Li.Na-Window-7", "账号名"),
        ("Passw0rd-2026!", "常见"),
        ("ZhangBan-2026!x", "常见"),
    ],
)
def test_a_weak_one_is_refused_with_its_reason(weak: str, complaint: str) -> None:
    with pytest.raises(PasswordWeak) as refused:
        passwords.check_strength(weak, login="li.na")

    assert complaint in refused.value.fields[0].message


def test_the_new_one_is_another_one() -> None:
    with pytest.raises(PasswordWeak):
        passwords.check_strength("Correct-Horse-42", login="li.na", previous="Correct-Horse-42")


async def test_the_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    first, second = await passwords.hash_password("Correct-Horse-42"), await passwords.hash_password("Correct-Horse-42")

    assert first != second
    assert first.startswith("$argon2id$")
    assert await passwords.verify_password("Correct-Horse-42", first)
    assert not await passwords.verify_password("Correct-Horse-43", first)


@pytest.mark.parametrize("kept", [None, "", "plain", "$argon2id$broken"])
async def test_nothing_matches_what_is_no_hash(kept: str | None) -> None:
    assert not await passwords.verify_password("Correct-Horse-42", kept)


async def test_hashing_leaves_the_loop_free_and_takes_only_so_many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0
    real = asyncio.to_thread

    async def counted(*arguments: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await real(*arguments)  # type: ignore[arg-type]
        finally:
            running -= 1

    monkeypatch.setattr(asyncio, "to_thread", counted)
    await asyncio.gather(*(passwords.hash_password("Correct-Horse-42") for _ in range(12)))

    assert most == passwords.AT_ONCE
