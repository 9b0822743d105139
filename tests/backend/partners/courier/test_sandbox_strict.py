"""The simulated couriers take nothing that the real ones would not: every mistake in our signing is seen."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.padding import PKCS7

from backend import clock
from backend.partners.base import Request
from backend.partners.courier import ems, kdniao, kuaidi100, replies, sf_calls
from backend.partners.courier.port import PartnerError, Party
from backend.partners.courier.signing import ems_seal, kdniao_signature, kuaidi100_signature, sf_digest
from tests.backend.partners.courier.conftest import a_parcel
from tests.backend.partners.courier.ear import Ear, asked


def md5(text: str) -> Any:
    return hashlib.md5(text.encode(), usedforsecurity=False)


def sealed(text: str, key: str, mode: modes.Mode) -> str:
    """What `ems_seal` does, with each part of it to be chosen."""
    padder = PKCS7(128).padder()
    plain = padder.update(text.encode()) + padder.finalize()
    cipher = Cipher(SM4(b64decode(key)), mode).encryptor()
    return "|$4|" + b64encode(cipher.update(plain) + cipher.finalize()).decode()


OTHER_KEY = b64encode(b"k" * 16).decode()
MISTAKES: dict[str, tuple[str, Any, str, Callable[..., Any]]] = {
    "a question to 快递100 signed in lower case": (
        "kuaidi100", kuaidi100, "kuaidi100_signature", lambda *given: kuaidi100_signature(*given).lower()
    ),
    "a question to 快递100 with key and customer changed round": (
        "kuaidi100", kuaidi100, "kuaidi100_signature", lambda param, key, who: kuaidi100_signature(param, who, key)
    ),
    "a question to 快递100 signed without the key": (
        "kuaidi100", kuaidi100, "kuaidi100_signature", lambda param, _, who: kuaidi100_signature(param, who)
    ),
    "a digest for 顺丰 of hexadecimal digits": (
        "sf", sf_calls, "sf_digest", lambda *parts: b64encode(md5("".join(parts)).hexdigest().encode()).decode()
    ),
    "a digest for 顺丰 over a text that was not escaped": (
        "sf", sf_calls, "sf_digest", lambda *parts: b64encode(md5("".join(parts)).digest()).decode()
    ),
    "a digest for 顺丰 escaped as Python does": (
        "sf", sf_calls, "sf_digest", lambda *parts: b64encode(md5(quote_plus("".join(parts))).digest()).decode()
    ),
    "a digest for 顺丰 with spaces as %20": (
        "sf", sf_calls, "sf_digest", lambda data, *rest: sf_digest(data.replace(" ", "%20"), *rest)
    ),
    "a digest for 顺丰 without the time": (
        "sf", sf_calls, "sf_digest", lambda data, _, word: sf_digest(data, "", word)
    ),
    "a content for EMS without the key behind it": (
        "ems", ems, "ems_seal", lambda content, key: sealed(content, key, modes.ECB())
    ),
    "a content for EMS in another mode": (
        "ems", ems, "ems_seal", lambda content, key: sealed(content + key, key, modes.CBC(b"\0" * 16))
    ),
    "a content for EMS without its mark": ("ems", ems, "ems_seal", lambda *given: ems_seal(*given)[4:]),
    "a content for EMS with another key": (
        "ems", ems, "ems_seal", lambda content, _: ems_seal(content, OTHER_KEY)
    ),
    "the time of Greenwich for EMS": (
        "ems", ems, "_written", lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    ),
    "seconds since 1970 for EMS": ("ems", ems, "_written", lambda moment: str(int(moment.timestamp()))),
    "a signature for 快递鸟 of raw bytes": (
        "kdniao", kdniao, "kdniao_signature", lambda data, key: b64encode(md5(data + key).digest()).decode()
    ),
    "a signature for 快递鸟 of upper-case digits": (
        "kdniao", kdniao, "kdniao_signature",
        lambda data, key: b64encode(md5(data + key).hexdigest().upper().encode()).decode(),
    ),
    "a signature for 快递鸟 that was escaped twice": (
        "kdniao", kdniao, "kdniao_signature", lambda *given: quote_plus(kdniao_signature(*given))
    ),
    "a signature for 快递鸟 with the key in front": (
        "kdniao", kdniao, "kdniao_signature", lambda data, key: kdniao_signature(key, data)
    ),
}  # fmt: skip
WITHIN = Party(name="王 小*明~", phone="13800000001", region=("北京市", "市辖区", "东城区"), street="长安街 2号~*-_.")


async def ask(ear: Ear, name: str) -> None:
    """A call of ours whose content has all that is escaped in one way or another."""
    if name in ear.partners.couriers:
        await ear.partners.couriers[name].order(a_parcel(receiver=WITHIN, contents="居住证 ~*"))
        return
    parcel = await ear.couriers.parcel("ems")
    await ear.couriers.travel(parcel.waybill, "collected")
    await ear.partners.trackers[name].query(asked(parcel))


def test_what_is_wrong_here_is_one_thing_only():
    right = ems_seal("{}", OTHER_KEY)

    assert sealed("{}" + OTHER_KEY, OTHER_KEY, modes.ECB()) == right


@pytest.mark.parametrize("name", ["kuaidi100", "sf", "ems", "kdniao"])
async def test_what_is_right_is_taken(ear: Ear, name: str):
    await ask(ear, name)


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_of_ours_is_refused(ear: Ear, monkeypatch: pytest.MonkeyPatch, mistake: str):
    name, module, what, wrong = MISTAKES[mistake]
    monkeypatch.setattr(module, what, wrong)

    with pytest.raises(PartnerError):
        await ask(ear, name)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", "charset"])
@pytest.mark.parametrize("name", ["kuaidi100", "sf", "ems", "kdniao"])
async def test_what_is_not_sent_as_a_form_in_utf_8_is_refused(
    ear: Ear, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
):
    def form(path: str, fields: dict[str, str], **more: Any) -> Request:
        made = replies.form(path, fields, **more)
        said = kind if kind != "charset" else "application/x-www-form-urlencoded; charset=gbk"
        return Request(method="POST", path=path, body=made.body, headers={"Content-Type": said}, repeat=made.repeat)

    for module in (kuaidi100, sf_calls, ems, kdniao):
        monkeypatch.setattr(module, "form", form)

    with pytest.raises(PartnerError):
        await ask(ear, name)


async def said(ear: Ear, path: str, body: str) -> dict[str, Any]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(base_url=ear.sandbox.base) as client:
        return dict((await client.post(path, content=body, headers=headers)).json())


async def test_a_field_that_comes_twice_is_no_form(ear: Ear):
    named, data = ear.couriers.world.named, '{"ShipperCode":"EMS","LogisticCode":"EA123456785CN"}'
    fields = [("RequestData", data), ("EBusinessID", named["kdniao_business_id"]), ("RequestType", "1008")]
    fields += [("DataType", "2"), ("DataSign", kdniao_signature(data, named["kdniao_app_key"]))]

    bodies = [urlencode(each) for each in (fields, [*fields, fields[0]])]
    answers = [await said(ear, "/couriers/kdniao/api/dist", each) for each in bodies]

    assert [each["Success"] for each in answers] == [True, False]


@pytest.mark.parametrize(
    "wrong",
    [{"checkPhoneNo": "13800138000"}, {"methodType": "2"}, {"language": ""}, {"trackingNumber": ["SF1"] * 11},
     {"trackingNumber": "SF1"}, {"trackingType": "3"}],
    ids=str,
)  # fmt: skip
async def test_a_question_to_sf_that_is_not_as_it_should_be_is_refused(ear: Ear, wrong: dict[str, Any]):
    right = {"language": "0", "trackingType": "1", "trackingNumber": ["SF1"], "methodType": "1", "checkPhoneNo": "8000"}
    calls = ear.partners.trackers["sf"]._calls  # type: ignore[attr-defined]

    assert (await calls.ask("routes", right))[0] == "ok"
    with pytest.raises(PartnerError) as trouble:
        await calls.ask("routes", {**right, **wrong})
    assert trouble.value.partner_code == "S0001"


async def test_an_edition_that_does_not_exist_is_refused(ear: Ear, monkeypatch: pytest.MonkeyPatch):
    parcel, tracker = await ear.couriers.parcel("ems"), ear.partners.trackers["kuaidi100"]
    monkeypatch.setattr(tracker, "_values", replace(tracker._values, kuaidi100_edition="3"))  # type: ignore[attr-defined]

    with pytest.raises(PartnerError) as trouble:
        await tracker.subscribe(asked(parcel))
    assert trouble.value.partner_code == "700"


async def test_a_call_to_ems_of_an_hour_ago_is_refused(ear: Ear, monkeypatch: pytest.MonkeyPatch):
    stamp = f"{(clock.now() - timedelta(hours=1)).astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M:%S}"
    monkeypatch.setattr(ems, "_written", lambda _: stamp)

    with pytest.raises(PartnerError):
        await ask(ear, "ems")
