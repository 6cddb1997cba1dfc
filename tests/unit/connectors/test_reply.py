from connectors.core import cipher, decode, jsontext, model, registry, reply, xmltext
from tests.unit.connectors import conftest

KEY = "1234567890123456789012345678901234567890123"
SPEC = registry.parse(
    conftest.HEAD
    + """
success: {path: status, equals: 200}
probe: a
operations: {a: {label: {zh: a, en: a}, method: GET}}
events:
  empty: {label: {zh: 空, en: empty}, door: hook, verify: {scheme: none}}
  json:
    label: {zh: 回, en: json}
    door: hook
    verify: {scheme: none}
    reply:
      body: {code: 0, nonce: "${verified.nonce}", echo: "${hook.body.id}", q: "${hook.query.q}", no: "${verified.x}"}
  text:
    label: {zh: 文, en: text}
    door: hook
    verify: {scheme: none}
    reply: {status: 202, body: "ok ${hook.headers.h}"}
  sealed:
    label: {zh: 密, en: sealed}
    door: hook
    verify:
      scheme: sha1_aes
      options: {token: "${secret.t}", key: "${secret.k}", receive_ids: [app], timestamp: ms, envelope: json}
    reply: {body: success, style: encrypted}
  sealed_xml:
    label: {zh: 密, en: sealed}
    door: hook
    verify: {scheme: sha1_aes, options: {token: "${secret.t}", key: "${secret.k}", receive_ids: [app]}}
    reply: {body: success, style: encrypted}
"""
)
CONNECTION = model.Connection("c", SPEC, {}, {"t": "tok", "k": KEY})
CONTEXT = {"nonce": "n1", "receive_id": "corp", "query": {"q": "1"}, "headers": {"h": "there"}}
VERIFIED = model.VerifiedHook(b'{"id": 4171301100123456789}', CONTEXT)


def answered(source, verified=VERIFIED):
    return reply.reply(CONNECTION, SPEC.events[source], verified, 1700000000.5)


def test_empty_is_really_empty():
    assert answered("empty") == model.HookReply(200, b"", "text/plain; charset=utf-8")


def test_objects_become_json_with_what_the_hook_said():
    found = answered("json")
    assert jsontext.loads(found.body) == {"code": 0, "nonce": "n1", "echo": 4171301100123456789, "q": "1"}
    assert found.content_type == "application/json"
    garbled = model.VerifiedHook(b"<", CONTEXT)
    assert "echo" not in jsontext.loads(answered("json", garbled).body)


def test_text():
    assert answered("text") == model.HookReply(202, b"ok there", "text/plain; charset=utf-8")


def test_handshake_is_exactly_what_verification_found():
    bare = model.VerifiedHook(b"161", CONTEXT, handshake=b"161")
    assert answered("sealed", bare) == model.HookReply(200, b"161", "text/plain; charset=utf-8")
    challenge = model.VerifiedHook(b"{}", CONTEXT, handshake=b'{"challenge":"x"}')
    assert answered("json", challenge).content_type == "application/json"


def test_encrypted_goes_to_the_id_that_came_in():
    found = jsontext.loads(answered("sealed").body)
    assert list(found) == ["msg_signature", "timeStamp", "nonce", "encrypt"]
    assert found["timeStamp"] == "1700000000500"
    assert found["msg_signature"] == cipher.signature("tok", found["timeStamp"], found["nonce"], found["encrypt"])
    assert cipher.decrypt(KEY, found["encrypt"]) == (b"success", "corp")
    parts = xmltext.loads(answered("sealed_xml").body)
    assert parts["TimeStamp"] == "1700000000"
    assert parts["MsgSignature"] == cipher.signature("tok", parts["TimeStamp"], parts["Nonce"], parts["Encrypt"])
    assert cipher.decrypt(KEY, parts["Encrypt"]) == (b"success", "corp")


def test_reply_and_decode_agree_on_the_format():
    assert decode.parse("json", VERIFIED.plaintext) == {"id": 4171301100123456789}
