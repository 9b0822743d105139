"""Access tokens: everything that is not exactly one of ours is refused (B-01 … B-06, B-12)."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backend import clock
from backend.database import execute, fetch, fetch_value
from backend.identity import keys, session_watch, tokens
from backend.identity.errors import TokenExpired, TokenInvalid
from backend.settings import using
from tests.factories.identity import signed_in

RESIDENT, SESSION = uuid4(), uuid4()


@pytest.fixture(autouse=True)
async def _ring(_clean: None) -> None:
    await session_watch.ensure_fresh()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None leaves one out."""
    now = int(clock.now().timestamp())
    good = {
        "iss": "zhangban",
        "aud": "zhangban/resident",
        "sub": str(RESIDENT),
        "sid": str(SESSION),
        "iat": now,
        "exp": now + 600,
        "jti": uuid4().hex,
        "client_id": "zhangban",
        "scope": "resident",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def part(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def made(header: Any = None, payload: Any = None) -> str:
    """A token with a real signature of ours over any header and payload."""
    key = keys.get_signing_key()
    head = header if header is not None else {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    body = f"{part(head)}.{part(payload if payload is not None else claims())}"
    algorithm = jwt.get_algorithm_by_name("ES256")
    return f"{body}.{part(algorithm.sign(body.encode(), key.private))}"


def header(**changes: Any) -> dict[str, Any]:
    good = {"alg": "ES256", "kid": keys.get_signing_key().kid, "typ": "at+jwt"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def test_a_token_of_ours_says_who_and_in_which_session() -> None:
    issued = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900)

    checked = tokens.check_token(issued.token, "resident")

    assert (checked.subject, checked.session_id) == (RESIDENT, SESSION)
    assert jwt.get_unverified_header(issued.token) == header()


def test_the_hand_made_token_of_these_tests_is_good_until_something_is_changed() -> None:
    assert tokens.check_token(made(), "resident").subject == RESIDENT


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS256", "RS256", "ES384", "", None, 5])
def test_no_other_algorithm_is_taken(algorithm: Any) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made(header(alg=algorithm)), "resident")


@pytest.mark.parametrize("tail", [".", "", ".AAAA", "." + "A" * 86])
def test_a_token_without_its_signature_is_refused(tail: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made().rpartition(".")[0] + tail, "resident")


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    public = keys.get_signing_key().public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = f"{part(header(alg='HS256'))}.{part(claims())}"
    forged = jwt.get_algorithm_by_name("HS256").sign(body.encode(), public)

    with pytest.raises(TokenInvalid):
        tokens.check_token(f"{body}.{part(forged)}", "resident")


def test_keys_of_another_kind_or_of_another_place_are_refused() -> None:
    strangers = jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers=header())
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    of_rsa = jwt.encode(claims(), rsa_key, "RS256", headers={"kid": keys.get_signing_key().kid, "typ": "at+jwt"})

    for token in (strangers, of_rsa):
        with pytest.raises(TokenInvalid):
            tokens.check_token(token, "resident")


@pytest.mark.parametrize(
    "kid",
    ["../../etc/passwd", "' OR 1=1 --", "https://evil.example/jwks.json", "0" * 32, "k" * 2000, "", 7, ["a"], None],
)
def test_a_kid_names_one_of_our_keys_or_nothing(kid: Any) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made(header(kid=kid)), "resident")


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "EC"}},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ],
)
def test_a_header_with_anything_more_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made({**header(), **extra}), "resident")


@pytest.mark.parametrize("typ", ["JWT", "refresh+jwt", "logout+jwt", "AT+JWT", "application/at+jwt", "", None])
def test_only_access_tokens_are_access_tokens(typ: Any) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made(header(typ=typ)), "resident")


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "sid", "iat", "exp", "jti", "client_id", "scope"])
def test_no_claim_may_be_missing(name: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made(payload=claims(**{name: None})), "resident")


@pytest.mark.parametrize(
    "change",
    [
        {"exp": "9999999999"},
        {"exp": 1e308},
        {"exp": -1},
        {"exp": True},
        {"exp": 2**60},
        {"exp": 9999999999.5},
        {"iat": "1"},
        {"iat": 4102444800},
        {"iat": -5},
        {"iss": "somebody"},
        {"iss": ["zhangban"]},
        {"aud": "zhangban/staff"},
        {"aud": "somebody"},
        {"aud": ["zhangban/resident"]},
        {"aud": ["zhangban/resident", "zhangban/staff"]},
        {"sub": "nobody"},
        {"sub": 7},
        {"sid": "none"},
        {"sid": 7},
        {"jti": 7},
        {"scope": "staff"},
        {"scope": "resident staff"},
        {"nbf": 1},
        {"role": "admin"},
    ],
)
def test_a_claim_of_another_kind_or_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(made(payload=claims(**change)), "resident")


def test_a_life_longer_than_we_give_is_refused_even_with_our_signature() -> None:
    now = int(clock.now().timestamp())

    with pytest.raises(TokenInvalid):
        tokens.check_token(made(payload=claims(iat=now, exp=now + 86_400)), "resident")


def test_names_that_come_twice_are_refused() -> None:
    twice_in_claims = json.dumps(claims())[:-1] + f', "sub": "{uuid4()}"}}'
    twice_in_header = json.dumps(header())[:-1] + ', "alg": "ES256"}'

    for token in (made(payload=twice_in_claims.encode()), made(twice_in_header.encode())):
        with pytest.raises(TokenInvalid):
            tokens.check_token(token, "resident")


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda t: t + "=",
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t + ".x",
        lambda t: t.replace(".", "..", 1),
        lambda t: t[:-1],
        lambda t: t + "A" * 5000,
        lambda t: "A" * 2_000_000,
        lambda t: "",
        lambda t: "é.é.é",
        lambda t: "a.b.c",
        lambda t: f"{part([1])}.{part(claims())}.AAAA",
        lambda t: f"{part(b'[' * 3000)}.e30.AAAA",
        lambda t: f"{part(bytes([255, 254]))}.e30.AAAA",
    ],
)
def test_anything_but_three_clean_parts_is_refused(spoiled: Any) -> None:
    with pytest.raises(TokenInvalid):
        tokens.check_token(spoiled(made()), "resident")


def test_a_token_whose_time_is_over_says_so() -> None:
    token = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900).token

    with clock.travel(by=timedelta(seconds=1000)), pytest.raises(TokenExpired):
        tokens.check_token(token, "resident")


def test_a_staff_token_is_no_residents_token_and_the_other_way_round() -> None:
    of_staff = tokens.issue_token(RESIDENT, SESSION, "staff", seconds=900).token
    of_resident = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900).token

    assert tokens.check_token(of_staff, "staff").subject == RESIDENT
    for token, door in ((of_staff, "resident"), (of_resident, "staff")):
        with pytest.raises(TokenInvalid):
            tokens.check_token(token, door)  # type: ignore[arg-type]


def test_lives_are_scattered_by_a_tenth_so_that_a_crowd_does_not_come_back_at_once() -> None:
    lives = {tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900).expires_in for _ in range(200)}

    assert min(lives) >= 810
    assert max(lives) <= 990
    assert len(lives) > 50


def test_a_remembered_token_is_known_until_it_expires_or_its_session_ends() -> None:
    issued = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900)
    tokens.remember_token(issued.token, tokens.check_token(issued.token, "resident"), "the principal")

    assert tokens.get_remembered(issued.token, lambda _: True) == "the principal"
    assert tokens.get_remembered(issued.token, lambda _: False) is None
    assert tokens.get_remembered(issued.token + "x", lambda _: True) is None
    with clock.travel(by=timedelta(seconds=1000)):
        assert tokens.get_remembered(issued.token, lambda _: True) is None


def test_no_more_tokens_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED", 3)
    issued = [tokens.issue_token(uuid4(), SESSION, "resident", seconds=900).token for _ in range(5)]

    for number, token in enumerate(issued):
        tokens.remember_token(token, tokens.check_token(token, "resident"), number)

    assert [tokens.get_remembered(token, lambda _: True) for token in issued] == [None, None, 2, 3, 4]


# -- rotation of the signing key -------------------------------------------------------------------


async def test_a_new_key_is_published_before_it_signs_and_the_old_one_is_accepted_until_its_tokens_are_dead() -> None:
    old = keys.get_signing_key().kid
    before = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900).token
    new = await keys.rotate_keys()
    await session_watch.refresh_watch()

    assert keys.get_signing_key().kid == old
    assert {each["kid"] for each in keys.get_key_set()["keys"]} == {old, new}
    with clock.travel(by=timedelta(seconds=601)):
        assert keys.get_signing_key().kid == new
        assert tokens.check_token(before, "resident").subject == RESIDENT
        still_old = made(header(kid=old))
        assert still_old.startswith(part(header(kid=old)))
    with clock.travel(by=timedelta(seconds=601) + timedelta(seconds=keys.longest_life() + 1)):
        await session_watch.refresh_watch()
        assert {each["kid"] for each in keys.get_key_set()["keys"]} == {new}
        assert keys.get_verification_key(old) is None


async def test_a_stolen_key_is_thrown_away_at_once_and_with_it_every_token_it_signed() -> None:
    token = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900).token
    tokens.remember_token(token, tokens.check_token(token, "resident"), "the principal")
    new = await keys.rotate_keys(at_once=True)
    await session_watch.refresh_watch()

    assert tokens.get_remembered(token, lambda _: True) is None
    with pytest.raises(TokenInvalid):
        tokens.check_token(token, "resident")
    assert keys.get_signing_key().kid == new


async def test_rotating_twice_while_a_key_waits_makes_no_third_key() -> None:
    first = await keys.rotate_keys()

    assert await keys.rotate_keys() == first
    assert await fetch_value("SELECT count(*) FROM signing_keys") == 2


async def test_private_halves_are_sealed_and_erased_when_the_key_is_not_accepted_any_more() -> None:
    await keys.rotate_keys(at_once=True)
    with clock.travel(by=timedelta(seconds=1)):
        await keys.erase_ended_keys()

    kept = [row["private_key"] for row in await fetch("SELECT private_key FROM signing_keys ORDER BY signs_from")]
    assert kept[0] == ""
    assert kept[1].startswith("v1.")
    assert "PRIVATE" not in kept[1]


async def test_twenty_processes_that_start_at_once_agree_on_one_first_key() -> None:
    keys.clear_keys()
    await execute("DELETE FROM signing_keys")
    await asyncio.gather(*(keys.load_keys() for _ in range(20)))

    assert await fetch_value("SELECT count(*) FROM signing_keys") == 1


async def test_the_published_set_holds_public_halves_only_and_checks_our_tokens() -> None:
    given = await signed_in()
    key_set = jwt.PyJWKSet.from_dict(keys.get_key_set())
    kid = jwt.get_unverified_header(given.access_token)["kid"]
    public = next(key for key in key_set.keys if key.key_id == kid)

    decoded = jwt.decode(given.access_token, public.key, ["ES256"], audience="zhangban/resident")

    assert UUID(decoded["sub"]) == given.resident_id
    assert all(set(each) == {"kty", "crv", "use", "alg", "kid", "x", "y"} for each in keys.get_key_set()["keys"])


async def test_coordinates_that_begin_with_a_zero_keep_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    private = ec.derive_private_key(379, ec.SECP256R1())
    public = private.public_key()
    assert public.public_numbers().x < 1 << 248
    monkeypatch.setattr(keys, "_ring", {"k": keys.SigningKey("k", private, public, 0.0, None)})

    [published] = keys.get_key_set()["keys"]

    # RFC 7518, 6.2.1.2: the full size of a coordinate, 32 bytes.
    assert [len(published[each]) for each in "xy"] == [43, 43]
    assert "d" not in published


async def test_a_token_of_another_environment_is_refused() -> None:
    with using(token_issuer="another"):
        token = tokens.issue_token(RESIDENT, SESSION, "resident", seconds=900).token

    with pytest.raises(TokenInvalid):
        tokens.check_token(token, "resident")
