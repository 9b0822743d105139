"""The platform's keys: several at once, renewed in time, and no storm however many serials are forged."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from backend import clock
from backend.partners.base import Reply
from backend.partners.errors import PartnerUnreachable
from backend.partners.paying.port import PaymentNoticeSignatureInvalid
from backend.partners.wechat_pay.merchant import merchant_from
from backend.partners.wechat_pay.platform_keys import CertificatesInvalid, PlatformKeys, opened
from tests.backend.partners.wechat_pay.platform import JAVA, Platform, Signer, a_signer, private, published


def keys_of(platform: Platform, *, pause: float = 60.0, fetch: Any = None, oldest: float = 36_000) -> PlatformKeys:
    return PlatformKeys(merchant_from(platform.settings()), fetch or platform.fetch, oldest=oldest, pause=pause)


async def test_several_certificates_and_the_public_key_are_alive_at_once():
    platform = Platform(signers=[a_signer(), a_signer()], public=Signer("PUB_KEY_ID_01", a_signer().key))
    assert platform.public is not None
    keys = keys_of(platform)

    found = [await keys.key_of(each.serial) for each in (*platform.signers, platform.public)]

    held = [each.key.public_key().public_numbers() for each in (*platform.signers, platform.public)]
    assert [key.public_numbers() for key in found] == held
    assert platform.fetches == 1


async def test_a_thousand_forged_serials_cost_one_fetch():
    platform = Platform()
    keys = keys_of(platform)

    async def forged(number: int) -> bool:
        try:
            await keys.key_of(f"{number:040X}")
        except PaymentNoticeSignatureInvalid:
            return True
        return False

    outcomes = await asyncio.gather(*(forged(number) for number in range(1000)))
    outcomes += [await forged(number) for number in range(2000, 2100)]

    assert all(outcomes)
    assert platform.fetches == 1
    assert await keys.key_of(platform.signers[0].serial)


async def test_forged_ids_of_public_keys_cost_nothing():
    platform = Platform()

    with pytest.raises(PaymentNoticeSignatureInvalid):
        await keys_of(platform).key_of("PUB_KEY_ID_404")

    assert platform.fetches == 0


async def test_a_new_certificate_is_learnt_at_its_first_signature_after_the_pause():
    platform, newer = Platform(), a_signer()
    keys = keys_of(platform, pause=0.5)
    await keys.key_of(platform.signers[0].serial)
    platform.signers.append(newer)

    with pytest.raises(PaymentNoticeSignatureInvalid):
        await keys.key_of(newer.serial)
    await asyncio.sleep(0.6)

    assert await keys.key_of(newer.serial)
    assert platform.fetches == 2


async def test_old_certificates_are_renewed_beside_the_call_that_still_uses_them():
    platform = Platform()
    keys = keys_of(platform, pause=0.0)
    await keys.key_of(platform.signers[0].serial)
    newer = a_signer()
    platform.signers.append(newer)

    with clock.travel(by=timedelta(hours=11)):
        await keys.key_of(platform.signers[0].serial)
        await asyncio.sleep(0.01)

    assert platform.fetches == 2
    assert keys.known(newer.serial) is not None


async def test_a_platform_that_cannot_be_reached_takes_nothing_away_that_was_known():
    platform = Platform()
    answers: list[Reply | Exception] = [platform.certificates(), PartnerUnreachable("wechat-pay", "timeout")]

    async def fetch() -> Reply:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    keys = keys_of(platform, pause=0.0, fetch=fetch)
    await keys.key_of(platform.signers[0].serial)
    with pytest.raises(PaymentNoticeSignatureInvalid):
        await keys.key_of("5" * 40)

    assert answers == []
    assert await keys.key_of(platform.signers[0].serial)


async def test_sensitive_fields_are_sealed_for_the_newest_certificate_or_the_public_key():
    older = a_signer(begins=clock.now() - timedelta(days=90))
    newer = a_signer(begins=clock.now() - timedelta(days=1))
    platform = Platform(signers=[newer, older])
    with_public = Platform(public=Signer("PUB_KEY_ID_02", a_signer().key))

    assert (await keys_of(platform).sealing_key()).serial == newer.serial
    assert (await keys_of(with_public).sealing_key()).serial == "PUB_KEY_ID_02"


async def test_without_certificates_nothing_can_be_sealed():
    async def fetch() -> Reply:
        raise PartnerUnreachable("wechat-pay", "timeout")

    with pytest.raises(PaymentNoticeSignatureInvalid):
        await keys_of(Platform(), fetch=fetch).sealing_key()


def reply_of(body: bytes, signer: Signer) -> Reply:
    return Reply(200, signer.headers(body), body)


def test_a_list_of_certificates_that_contradicts_itself_is_refused():
    platform = Platform(signers=[a_signer(), a_signer()])
    merchant = merchant_from(platform.settings())
    entry, other = (platform.listing(each) for each in platform.signers)
    lists: dict[str, Any] = {
        "empty": [],
        "no list": {},
        "no certificate": ["x"],
        "another's serial": [{**entry, "serial_no": other["serial_no"]}],
        "sealed with another key": [Platform(signers=platform.signers).listing(platform.signers[0])],
        "no PEM": [{**entry, "encrypt_certificate": platform.seal(b"hello")}],
        "too many": [entry] * 51,
    }
    for name, listed in lists.items():
        body = json.dumps({"data": listed}).encode()
        with pytest.raises(CertificatesInvalid):
            opened(merchant, reply_of(body, platform.signers[0]), {})
        assert name

    stranger = a_signer()
    good = platform.certificates()
    with pytest.raises(CertificatesInvalid):
        opened(merchant, platform.certificates(signed_by=stranger), {})
    with pytest.raises(CertificatesInvalid):
        opened(merchant, Reply(200, good.headers, good.body.replace(b"certificate", b"certificatE", 1)), {})
    assert set(opened(merchant, good, {})) == {each.serial for each in platform.signers}


def test_certificates_of_other_algorithms_are_left_out():
    platform = Platform()
    sm2 = platform.listing(a_signer())
    sm2["encrypt_certificate"]["algorithm"] = "AEAD_SM4_GCM"
    body = json.dumps({"data": [sm2, platform.listing(platform.signers[0])]}).encode()

    found = opened(merchant_from(platform.settings()), reply_of(body, platform.signers[0]), {})

    assert list(found) == [platform.signers[0].serial]


def test_the_answer_may_narrow_the_life_of_a_certificate_and_never_widen_it():
    signer = a_signer()
    platform = Platform(signers=[signer])
    entry = platform.listing(signer)
    merchant = merchant_from(platform.settings())
    wide = {**entry, "expire_time": "2099-01-01T00:00:00+08:00"}
    narrow = {**entry, "expire_time": (clock.now() + timedelta(days=1)).isoformat(timespec="seconds")}

    def end(listed: dict[str, Any]) -> Any:
        body = json.dumps({"data": [listed]}).encode()
        return opened(merchant, reply_of(body, signer), {})[signer.serial].ends

    assert end(wide) == end(entry)
    assert end(narrow) < clock.now() + timedelta(days=2)


def test_a_certificate_with_a_published_key_is_refused_outside_the_sandbox():
    key = private(JAVA["pem"]["wechat_pay_private_key"])
    public = Signer(JAVA["platform_serial"], key, JAVA["pem"]["wechat_pay_certificate"].encode())
    platform = Platform(signers=[public])
    inside = merchant_from(published(wechat_pay_api_v3_key=platform.api_v3_key))

    with clock.travel(by=timedelta(0)):
        body = json.dumps({"data": [platform.listing(public)]}).encode()
        with pytest.raises(CertificatesInvalid, match="published"):
            opened(merchant_from(platform.settings()), reply_of(body, public), {})
        own = Signer(inside.public_key_id, key)
        assert list(opened(inside, reply_of(body, own), {})) == [public.serial]
