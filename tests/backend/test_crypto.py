"""What is sealed opens only where it belongs, and only whole; fingerprints find and reveal nothing."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import combinations
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import crypto
from backend.crypto import SealBroken, fingerprint, fingerprints, open_sealed, seal, sealed_with
from backend.settings import SettingsError, using

ROW = uuid4()
OLD, NEW = "old:" + "11" * 32, "new:" + "22" * 32


@pytest.fixture(params=["aes-gcm", "sm4-gcm"], autouse=True)
def _cipher(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(data_cipher=request.param, data_keys=NEW, fingerprint_keys=NEW):
        yield


def test_what_is_sealed_opens_in_its_place_and_never_looks_the_same():
    one, two = (seal("11010519491231002X", where="residents.id", row=ROW) for _ in range(2))

    assert one != two
    assert "110105" not in one
    assert open_sealed(one, where="residents.id", row=ROW) == "11010519491231002X"
    assert open_sealed(two, where="residents.id", row=str(ROW)) == "11010519491231002X"


def test_a_ciphertext_moved_to_another_row_or_column_does_not_open():
    sealed = seal("13800138000", where="residents.phone", row=ROW)

    with pytest.raises(SealBroken):
        open_sealed(sealed, where="residents.phone", row=uuid4())
    with pytest.raises(SealBroken):
        open_sealed(sealed, where="cases.phone", row=ROW)


def test_any_flipped_bit_is_noticed():
    sealed = seal("13800138000", where="residents.phone", row=ROW)
    head, packed = sealed.rsplit(".", 1)
    raw = bytearray(urlsafe_b64decode(packed))
    for byte in range(len(raw)):
        raw[byte] ^= 1 << (byte % 8)
        with pytest.raises(SealBroken):
            open_sealed(f"{head}.{urlsafe_b64encode(raw).decode()}", where="residents.phone", row=ROW)
        raw[byte] ^= 1 << (byte % 8)


@pytest.mark.parametrize(
    "spoil",
    [lambda s: s[:-8], lambda s: s.replace("v1.", "v0."), lambda s: s.replace(".new.", ".gone."),
     lambda s: "", lambda s: "plain text",
     lambda s: s.replace("gcm", "ecb"), lambda s: "v1.aes-gcm.new.", lambda s: s.split(".", 1)[1], lambda s: s + "!",
     lambda s: s.replace("aes", "xxx").replace("sm4", "aes").replace("xxx", "sm4")],
)  # fmt: skip
def test_a_value_that_is_not_whole_gives_nothing_out(spoil):
    with pytest.raises(SealBroken):
        open_sealed(spoil(seal("张三", where="a.b", row=ROW)), where="a.b", row=ROW)


def test_values_under_an_old_key_open_until_the_key_is_retired():
    with using(data_keys=OLD):
        old = seal("张三", where="a.b", row=ROW)

    with using(data_keys=f"{NEW}, {OLD}"):
        assert open_sealed(old, where="a.b", row=ROW) == "张三"
        renewed = seal(open_sealed(old, where="a.b", row=ROW), where="a.b", row=ROW)

    assert (sealed_with(old), sealed_with(renewed)) == ("old", "new")
    assert open_sealed(renewed, where="a.b", row=ROW) == "张三"
    with pytest.raises(SealBroken):
        open_sealed(old, where="a.b", row=ROW)


def test_both_ciphers_open_whichever_is_in_force():
    with using(data_cipher="aes-gcm"):
        one = seal("甲", where="a.b", row=ROW)
    with using(data_cipher="sm4-gcm"):
        two = seal("乙", where="a.b", row=ROW)

    assert [open_sealed(each, where="a.b", row=ROW) for each in (one, two)] == ["甲", "乙"]


@pytest.mark.parametrize(
    "ring", ["", ",", "kid", "kid:zz", "kid:" + "11" * 31, "k-d:" + "11" * 32, "kid:" + "11" * 32 + ",x"]
)
def test_a_malformed_key_ring_is_refused_and_nothing_is_sealed_without_a_key(ring: str):
    with using(data_keys=ring), pytest.raises(SettingsError):
        seal("x", where="a.b", row=ROW)


@given(st.text())
def test_every_text_comes_back(text: str):
    assert open_sealed(seal(text, where="a.b", row=ROW), where="a.b", row=ROW) == text


def test_spellings_of_one_number_have_one_fingerprint_and_domains_have_their_own():
    spellings = [
        "11010519491231002X",
        "11010519491231002x",
        "１１０１０５１９４９１２３１００２Ｘ",
        " 110105 19491231 002X ",
        "110105-19491231-002x",
    ]

    assert len({fingerprint(each, "id-number") for each in spellings}) == 1
    assert fingerprint("13800138000", "phone") != fingerprint("13800138000", "id-number")
    assert fingerprint("13800138000", "phone") != fingerprint("13800138001", "phone")
    assert len(fingerprint("13800138000", "phone")) == 32


def test_an_openid_is_taken_as_it_is():
    assert fingerprint("oAbC", "openid") != fingerprint("oABC", "openid")
    assert fingerprint("oA-C", "openid") != fingerprint("oAC", "openid")


def test_while_fingerprint_keys_change_a_value_is_found_under_both():
    with using(fingerprint_keys=OLD):
        old = fingerprint("13800138000", "phone")
    with using(fingerprint_keys=f"{NEW},{OLD}"):
        assert fingerprints("138 0013 8000", "phone") == [fingerprint("13800138000", "phone"), old]
        assert fingerprint("13800138000", "phone") != old


@pytest.mark.parametrize(
    ("name", "shown"),
    [("", "*"), ("张", "*"), ("张三", "张*"), ("王小二", "王**"), ("欧阳锋", "欧**"), ("欧阳娜娜", "欧**娜"),
     ("阿卜杜拉·买买提", "阿******提")],
)  # fmt: skip
def test_names_are_masked(name: str, shown: str):
    assert crypto.mask_name(name) == shown


@pytest.mark.parametrize(
    ("phone", "shown"),
    [("13800138000", "138****8000"), ("+8613800138000", "+86*******8000"), ("1234567", "*****67"), ("1", "1")],
)
def test_phones_are_masked(phone: str, shown: str):
    assert crypto.mask_phone(phone) == shown


@pytest.mark.parametrize(
    "number", ["11010519491231002X", "110105491231002", "H12345678", "E12345678", "830000199001010022"]
)
def test_id_numbers_never_show_the_birthday(number: str):
    shown, to_owner = crypto.mask_id_number(number), crypto.mask_id_number(number, to_owner=True)

    assert shown == number[0] + "*" * (len(number) - 2) + number[-1]
    assert len(to_owner) == len(number)
    hidden = number[3:-4] if len(number) >= 15 else number[1:-1]
    for start, end in combinations(range(len(hidden) + 1), 2):
        if end - start >= 4:
            assert hidden[start:end] not in to_owner
