"""Everything hostile that we can think of, sent to every address that partners call: refused, and nothing is kept.

Where a partner signs, the same comes rightly signed too: the holder of a key may still send rubbish.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, quote_plus, urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7
from litestar import Litestar

from backend import clock, jobs
from backend.partners import Partners, sandbox_keys
from backend.partners.courier.signing import kdniao_signature, kuaidi100_signature
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.message_crypto import Envelope
from backend.partners.wechat.sandbox import pushing
from backend.partners.wechat_pay.sandbox.signing import seal, signed_headers
from backend.settings import settings
from models.callbacks import InboundMessage
from models.events import EventRecord
from tests.backend.partners.courier.test_hostile_pushes import CORPUS as OF_COURIERS
from tests.backend.partners.wechat.test_hostile_bodies import LAUGHS
from tests.callers import operations

MEGABYTE = 1 << 20
KINDS = (
    "text/xml; charset=GBK", "application/x-www-form-urlencoded; charset=utf-16", "application/json", "",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "image/png", "text/xml; charset=\u00e9",
)  # fmt: skip


def as_xml(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="{name}"?><Request>{inner}</Request>'.encode()


CORPUS: dict[str, bytes] = {
    **OF_COURIERS,
    "billion laughs as SF's": f'<!DOCTYPE Request [<!ENTITY l0 "l">{LAUGHS}]><Request>&l9;</Request>'.encode(),
    "external entity in an attribute": b'<!DOCTYPE Request [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<Request><Body><WaybillRoute mailno="&x;"/></Body></Request>',
    "XInclude": b'<Request xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></Request>',
    "declared as GBK, written in GBK": '<?xml version="1.0" encoding="GBK"?><xml><A>中文</A></xml>'.encode("gbk"),
    "a form in GBK": urlencode({"content": "<Request>中文</Request>"}, encoding="gbk").encode(),
    "declared as an encoding that nobody has": as_xml("x-klingon", "<A>1</A>"),
    "declared as EBCDIC": '<?xml version="1.0" encoding="cp037"?><Request><A>1</A></Request>'.encode("cp037"),
    "a megabyte of form": b"param=" + b"%E4" * (MEGABYTE // 3),
    "a megabyte of JSON": b'[{"a":"' + b"x" * MEGABYTE + b'"}]',
    "a megabyte of lists": b"[" * MEGABYTE,
    "a megabyte of XML": b"<xml>" + b"<a>" * (MEGABYTE // 3),
    "a list of a hundred thousand": b"[" + b"{}," * 100_000 + b"{}]",
    "a list of lists": b"[" + b"[1],[2]]",
    "receipts with huge numbers": b'[{"sid":' + b"9" * 5000 + b',"biz_id":' + b"9" * 5000 + b',"success":true}]',
    "a receipt with a name twice": b'[{"sid":"a","sid":"b","biz_id":"a","biz_id":"b",'
    b'"report_status":"SUCCESS","success":true}]',
    "a receipt whose status is a group": b'[{"sid":"a","report_status":{},"biz_id":"a","success":[]}]',
    "a receipt with half a character": b'[{"sid":"\\ud800","biz_id":"\\ud800",'
    b'"report_status":"SUCCESS","success":true}]',
    "a boundary and no parts": b"--x\r\n\r\n--x--",
    "an upload": b'--x\r\nContent-Disposition: form-data; name="param"\r\n\r\n{}\r\n--x--\r\n',
    "every byte": bytes(range(256)) * 64,
    "zeros": b"\x00" * 4096,
    "two hundred signs": b"&".join(b"sign=%d" % n for n in range(200)),
    "semicolons": b"param={};sign=1",
    "brackets": b"param[]={}&sign[]=x&__proto__[a]=1",
    "a null byte in a name": b"para%00m={}&sign=1",
    "a plus for everything": b"+++&+=+&=",
}
SMALL = {name: body.decode("utf-8", "replace") for name, body in CORPUS.items() if len(body) <= 40_000}


class Sent(NamedTuple):
    """A request: which operation is meant, and what is sent where."""

    path: str
    address: str
    body: bytes
    headers: Mapping[str, str]


Way = Callable[[Sandbox, str], tuple[str, bytes, Mapping[str, str]]]


def addresses() -> dict[str, list[str]]:
    """The addresses that exist behind each path of the description."""
    courier, sms = settings().courier_push_token, settings().sms_push_token
    return {
        "/v1/callbacks/wechat": ["wechat"],
        "/v1/callbacks/wechat-pay": ["wechat-pay"],
        "/v1/callbacks/alipay": ["alipay"],
        "/v1/callbacks/courier/{name}": ["courier/kuaidi100", "courier/kdniao"],
        "/v1/callbacks/courier/{name}/{token}": [f"courier/sf/{courier}"],
        "/v1/callbacks/sms/{name}/{token}": [f"sms/tencent/{sms}", f"sms/aliyun/{sms}"],
    }


# -- the same, signed by the holder of the key ------------------------------------------------------


def of_kuaidi100(_: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    sign = kuaidi100_signature(text, settings().kuaidi100_salt)
    return "courier/kuaidi100", urlencode({"param": text, "sign": sign}).encode(), {}


def of_kdniao(_: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    sign = kdniao_signature(text, settings().kdniao_app_key)
    return "courier/kdniao", urlencode({"RequestData": text, "DataSign": sign, "RequestType": "101"}).encode(), {}


def of_sf(_: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    return f"courier/sf/{settings().courier_push_token}", urlencode({"content": quote_plus(text)}).encode(), {}


def of_wechat(sandbox: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    app = sandbox.world.mini_program
    with pytest.MonkeyPatch.context() as patch:
        envelope = Envelope(app.push.token, app.push.aes_key, app.appid)
        patch.setattr(pushing, "_sealed", lambda *_: envelope.seal(text))
        query, body, kind = pushing.written(app, {"ToUserName": app.original_id}, pushing.EventFault())
    return f"wechat?{urlencode(query)}", body, {"content-type": kind}


def of_wechat_pay(sandbox: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    body = text.encode()
    return "wechat-pay", body, dict(signed_headers(sandbox.pay.world.keys.for_notice(), body))


def within_wechat_pay(sandbox: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    resource = seal(sandbox.pay.world.api_v3_key, text, "transaction")
    inner = ",".join(f'"{name}":"{value}"' for name, value in resource.items())
    body = (
        f'{{"id":"x1","create_time":"{clock.now().isoformat()}","resource_type":"encrypt-resource",'
        f'"event_type":"TRANSACTION.SUCCESS","summary":"","resource":{{"original_type":"transaction",{inner}}}}}'
    ).encode()
    return "wechat-pay", body, dict(signed_headers(sandbox.pay.world.keys.for_notice(), body))


def within_the_old_form(sandbox: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    world, padder = sandbox.pay.world, PKCS7(128).padder()
    key = hashlib.md5(world.v2_key.encode(), usedforsecurity=False).hexdigest().encode()
    cipher = Cipher(AES(key), modes.ECB()).encryptor()
    sealed = cipher.update(padder.update(text.encode()) + padder.finalize()) + cipher.finalize()
    head = f"<xml><return_code>SUCCESS</return_code><mch_id>{world.mchid}</mch_id>"
    body = f"{head}<req_info>{b64encode(sealed).decode()}</req_info></xml>"
    return "wechat-pay", body.encode(), {"content-type": "text/xml"}


def of_alipay(sandbox: Sandbox, text: str) -> tuple[str, bytes, Mapping[str, str]]:
    fields = {"app_id": text, "charset": "utf-8", "notify_id": text, "out_trade_no": text, "total_amount": text}
    content = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value).encode()
    sign = sandbox_keys.sign(sandbox.alipay.world.own_key, content)
    return "alipay", urlencode({**fields, "sign": sign, "sign_type": "RSA2"}).encode(), {}


SIGNED: list[Way] = [
    of_kuaidi100, of_kdniao, of_sf, of_wechat, of_wechat_pay, within_wechat_pay, within_the_old_form, of_alipay,
]  # fmt: skip


def kinds() -> Iterator[str]:
    while True:
        yield from KINDS


async def refused(client: httpx.AsyncClient, address: str, body: bytes, headers: Mapping[str, str], what: str) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await client.post(f"/v1/callbacks/{address}", content=body, headers=raw)
    assert 400 <= answer.status_code < 500, f"{what} at {address}: {answer.status_code} {answer.text[:200]}"
    assert answer.headers["content-type"] == "application/problem+json", f"{what} at {address}"


async def nothing_was_kept() -> bool:
    await jobs.drain()
    return await InboundMessage.all().count() == 0 and await EventRecord.all().count() == 0


def test_no_address_is_forgotten_here(app: Litestar):
    told = {each.path for each in operations(app) if each.path.startswith("/v1/callbacks/") and each.method == "POST"}

    assert told == set(addresses())


@pytest.mark.usefixtures("partners")
@pytest.mark.parametrize("path", list(addresses()))
async def test_everything_hostile_that_is_sent_to_a_callback_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, path: str
):
    for address in addresses()[path]:
        for (what, body), kind in zip(CORPUS.items(), kinds(), strict=False):
            await refused(client, address, body, {"content-type": kind}, what)

    assert await nothing_was_kept()


@pytest.mark.usefixtures("partners")
@pytest.mark.parametrize("way", SIGNED)
async def test_rightly_signed_rubbish_is_refused_too(client: httpx.AsyncClient, sandbox: Sandbox, way: Way):
    for what, text in SMALL.items():
        address, body, headers = way(sandbox, text)
        await refused(client, address, body, headers, what)

    assert await nothing_was_kept()


@pytest.mark.usefixtures("partners")
@pytest.mark.parametrize("wrong", ["%00", "%ff", "..%2f..", "x" * 5000, quote("税"), "%0d%0ax:1", "'%20OR%201=1"])
async def test_no_name_or_token_in_the_address_breaks_us(client: httpx.AsyncClient, partners: Partners, wrong: str):
    for address in (f"courier/{wrong}", f"courier/sf/{wrong}", f"courier/{wrong}/{wrong}", f"sms/tencent/{wrong}"):
        answer = await client.post(f"/v1/callbacks/{address}", content=b"{}")
        assert answer.status_code in {400, 404, 414}, address

    assert await nothing_was_kept()
