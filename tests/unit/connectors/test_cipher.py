"""Published vectors, and an independent implementation (wechatpy) both ways."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.work import crypto as wechatpy

from connectors.core import cipher

# Sources: the platforms' developer documentation (callback decryption pages 90968 and "HTTP callback"), the official
# sample programs WXBizMsgCrypt and DingTalk-Callback-Crypto, and wechatpy's own tests.
PUBLISHED = [
    pytest.param(
        "QDG6eK",
        "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
        "1409659813",
        "1372623149",
        "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvu"
        "JTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwG"
        "c2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9"
        "EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0"
        "lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==",
        "477715d11cdb4164915debcba66cb864d751f3e6",
        "<Content><![CDATA[hello]]></Content>",
        "wx5823bf96d3bd56c7",
        id="documentation: text message",
    ),
    pytest.param(
        "QDG6eK",
        "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
        "1409659589",
        "263014780",
        "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
        "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "1616140317555161061",
        "wx5823bf96d3bd56c7",
        id="documentation: URL check",
    ),
    pytest.param(
        "123456",
        "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR",
        "1411443780",
        "437374425",
        "4ByGGj+sVCYcvGeQYhaKIk1o0pQRNbRjxybjTGblXrBaXlTXeOo1+bXFXDQQb1o6co6Yh9Bv41n7hOchLF6p+Q==",
        "dd6b9c95b495b3f7e2901bfbc76c664930ffdb96",
        "5927782489442352469",
        "wx49f0ab532d5d035a",
        id="wechatpy: echo",
    ),
    pytest.param(
        "123456",
        "1234567890123456789012345678901234567890123",
        "1614767836",
        "A7Co0cJLMzIDtMMI",
        "YvkvaGe4hQxd3VxRmEty0dVlnCOAqwf56xwTRHDHoOURqhalbmBJQk5FNcRk42Gl5T0YQXZNwpwWSm1xAFJ5ZA==",
        "9a95a004dd16f5c307e849b994173f76aa26e5eb",
        "success",
        "dingsnotzck6pm5veliw",
        id="callback-crypto repository 1",
    ),
    pytest.param(
        "123456",
        "4g5j64qlyl3zvetqxz5jiocdr586fn2zvjpa8zls3ij",
        "1445827045067",
        "nEXhMP4r",
        "1a3NBxmCFwkCJvfoQ7WhJHB+iX3qHPsc9JbaDznE1i03peOk1LaOQoRz3+nlyGNhwmwJ3vDMG+OzrHMeiZI7gTRWVdUBmfxjZ8Ej23JVYa9V"
        "rYeJ5as7XM/ZpulX8NEQis44w53h1qAgnC3PRzM7Zc/D6Ibr0rgUathB6zRHP8PYrfgnNOS9PhSBdHlegK+AGGanfwjXuQ9+0pZcy0w9lQ==",
        "5a65ceeef9aab2d149439f82dc191dd6c5cbe2c0",
        "check_create_suite_url",
        "suite4xxxxxxxxxxxxxxx",
        id="callback-crypto repository, suite",
    ),
    pytest.param(
        "tokenxxxx",
        "o1w0aum42yaptlz8alnhwikjd3jenzt9cb9wmzptgus",
        "1605695694141",
        "WelUQl6bCqcBa2fM",
        "X1VSe9cTJUMZu60d3kyLYTrBq5578ZRJtteU94wG0Q4Uk6E/wQYeJRIC0/UFW5Wkya1Ihz9oXAdLlyC9TRaqsQ==",
        "f36f4ba5337d426c7d4bca0dbcb06b3ddc1388fc",
        "success",
        "dingxxxxxx",
        id="callback-crypto repository 2",
    ),
]


@pytest.mark.parametrize(("token", "key", "timestamp", "nonce", "text", "proof", "part", "owner"), PUBLISHED)
def test_published_vectors(token, key, timestamp, nonce, text, proof, part, owner):
    assert cipher.signature(token, timestamp, nonce, text) == proof
    message, found = cipher.decrypt(key, text)
    assert part in message.decode()
    assert found == owner
    # The same bytes again, given the same randomness.
    random = cipher.unseal(key, base64.b64decode(text))[:16]
    assert cipher.encrypt(key, message, owner, random=random) == text


def test_published_encryption_vector():
    message = (
        "<xml>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[test]]></Content>\n"
        "<FromUserName><![CDATA[wx49f0ab532d5d035a]]></FromUserName>\n<ToUserName><![CDATA[messense]]></ToUserName>\n"
        "<AgentID>1</AgentID>\n<CreateTime>1411525903</CreateTime>\n</xml>"
    )
    key = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
    text = cipher.encrypt(key, message.encode(), "wx49f0ab532d5d035a", random=b"1234567890123456")
    assert text.startswith("9s4gMv99m88kKTh/H8IdkOiMg6bisoy3ypwy9H4hvSPe9nsGaqyw5hhSjdYbcrKk")
    assert cipher.signature("123456", "1411525903", "461056294", text) == "407518b7649e86ef23978113f92d27afa9296533"


def test_published_raw_layer():
    key = "4g5j64qlyl3zvetqxz5jiocdr586fn2zvjpa8zls3ij"
    plain = b"5p7b4jXMWUshiBCosucc111esssuite4xxxxxxxxxxxxxxx221"
    sealed = "DwCJ9BMxu4r+VTe9TD+AWc1yfxqs7d2YgepFe4XruMgh1+6pTjCCq4nqAM6StRcafOx5a1OfwmX3ckSBifatlA=="
    assert base64.b64encode(cipher.seal(key, plain)).decode() == sealed
    assert cipher.unseal(key, base64.b64decode(sealed)) == plain


KEY = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"


@given(st.binary(max_size=200))
def test_round_trip_of_any_bytes(message):
    assert cipher.decrypt(KEY, cipher.encrypt(KEY, message, "wwcorp")) == (message, "wwcorp")


@pytest.mark.parametrize("message", ["hello", "你好，枢纽", "x" * 31, "x" * 32, "x" * 12])
def test_wechatpy_reads_what_we_write_and_we_read_what_it_writes(message):
    theirs = wechatpy.WeChatCrypto("tok", KEY, "wwcorp")
    ours = cipher.encrypt(KEY, message.encode(), "wwcorp")
    proof = cipher.signature("tok", "1700000000", "n1", ours)
    envelope = f"<xml><Encrypt><![CDATA[{ours}]]></Encrypt></xml>"
    opened = theirs.decrypt_message(envelope, proof, "1700000000", "n1")
    assert (opened.decode() if isinstance(opened, bytes) else opened) == message
    from connectors.core import xmltext

    reply = xmltext.loads(theirs.encrypt_message(message, "n2", "1700000001"))
    assert reply["MsgSignature"] == cipher.signature("tok", "1700000001", "n2", reply["Encrypt"])
    assert cipher.decrypt(KEY, reply["Encrypt"]) == (message.encode(), "wwcorp")


def test_every_failure_says_the_same():
    good = base64.b64decode(cipher.encrypt(KEY, b"hello", "wwcorp"))
    spoiled = [
        "",
        "not base64 !",
        "AAAA",
        base64.b64encode(good[:-16]).decode(),
        base64.b64encode(good[:-1]).decode(),
        base64.b64encode(good[:-1] + bytes([good[-1] ^ 1])).decode(),
        base64.b64encode(cipher.seal(KEY, b"short")).decode(),
        base64.b64encode(cipher.seal(KEY, b"0" * 16 + b"\xff\xff\xff\xff" + b"m")).decode(),
        base64.b64encode(cipher.seal(KEY, b"0" * 16 + b"\x00\x00\x00\x01" + b"m\xff\xfe")).decode(),
    ]
    words = set()
    for text in spoiled:
        with pytest.raises(cipher.CipherError) as caught:
            cipher.decrypt(KEY, text)
        words.add(str(caught.value))
    assert len(words) == 1


@pytest.mark.parametrize("key", ["", "short", KEY + "A", KEY[:-1] + "=", KEY[:-1] + "é"])
def test_a_key_that_is_none_is_its_own_error(key):
    with pytest.raises(cipher.CipherKeyError, match="43"):
        cipher.encrypt(key, b"x", "y")
    with pytest.raises(cipher.CipherKeyError):
        cipher.decrypt(key, "AAAA")


def test_the_last_key_character_may_carry_unused_bits():
    # 43 characters hold 258 bits, two of which real keys set; a strict decoder refuses such keys.
    assert cipher.decrypt("A" * 42 + "B", cipher.encrypt("A" * 43, b"m", "o")) == (b"m", "o")
