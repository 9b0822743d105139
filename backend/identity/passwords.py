"""Passwords of staff: how they are kept (argon2id) and what they must be like."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.errors import Fault
from backend.identity.errors import PasswordWeak

T = TypeVar("T")

SHORTEST, LONGEST = 12, 128
KINDS = 3
"""Of lower case, upper case, digits and everything else: how many a password must mix (GB/T 22239: 复杂度)."""
LONG_ENOUGH_ALONE = 20
"""A passphrase of this length needs no mixture."""
DIFFERENT = 6
"""How many different characters there must be at least."""
AT_ONCE = 4
"""Hashes that are computed at the same time: each one holds a core and 19 MiB for about 20 ms."""

# The parameters that OWASP's password storage cheat sheet gives for argon2id.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_places: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

_COMMON = ("password", "passw0rd", "qwerty", "123456", "abcdef", "admin", "zhangban", "welcome", "letmein", "1qaz2wsx")


def check_strength(password: str, *, login: str, previous: str | None = None) -> None:
    """Raises PasswordWeak, saying what is missing, when the password does not follow the rules."""
    complaint = "新密码不能与原密码相同" if password == previous else _complaint(password, login)
    if complaint:
        raise PasswordWeak(fields=[Fault("/new_password", complaint)])


def _complaint(password: str, login: str) -> str | None:
    if not SHORTEST <= len(password) <= LONGEST:
        return f"密码长度应为 {SHORTEST} 至 {LONGEST} 个字符"
    kinds = {
        "lower" if c.islower() else "upper" if c.isupper() else "digit" if c.isdigit() else "other" for c in password
    }
    if len(kinds) < KINDS and len(password) < LONG_ENOUGH_ALONE:
        return f"密码应包含大写字母、小写字母、数字、其他字符中的至少 {KINDS} 类"
    if len(set(password)) < DIFFERENT:
        return "密码中重复的字符过多"
    plain = password.casefold()
    if login.casefold() in plain:
        return "密码不能包含账号名"
    if any(word in plain for word in _COMMON):
        return "密码过于常见"
    return None


async def hash_password(password: str) -> str:
    """What is kept of a password."""
    return await _aside(_hasher.hash, password)


async def verify_password(password: str, kept: str | None) -> bool:
    """Whether this is the password. Without a kept one (no such account) it takes the same time and is false."""
    right = await _aside(_verify, kept or _nobodys(), password[: LONGEST + 1])
    return right and kept is not None


@functools.cache
def _nobodys() -> str:
    return _hasher.hash("the password of a person who does not exist")


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


async def _aside(function: Callable[..., T], *arguments: str) -> T:
    """Run it in a thread (argon2 lets other threads run), a few at a time."""
    loop = asyncio.get_running_loop()
    place = _places.get(loop)
    if place is None:
        _places.clear()
        place = _places[loop] = asyncio.Semaphore(AT_ONCE)
    async with place:
        return await asyncio.to_thread(function, *arguments)
