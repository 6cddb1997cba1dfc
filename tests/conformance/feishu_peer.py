"""The vendor's own SDK, in a process of its own: it takes the event loop when it is imported.

``python -m tests.conformance.feishu_peer calls|cards|dispatch|frames|stream``; input is one line of JSON on stdin,
answers are lines of JSON on stdout. ``stream`` never ends by itself.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def calls(given: dict[str, Any]) -> None:
    """A message, an approval, and the approval again, by the official client."""
    import lark_oapi as lark
    from lark_oapi.api.approval.v4 import (
        CreateInstanceRequest,
        GetInstanceRequest,
        InstanceCreate,
    )
    from lark_oapi.api.contact.v3 import BatchGetIdUserRequest, BatchGetIdUserRequestBody
    from lark_oapi.api.im.v1 import CreateMessageRequest, CreateMessageRequestBody

    made = lark.Client.builder().app_id(given["app_id"]).app_secret(given["app_secret"])
    client = made.domain(given["domain"]).build()
    content = json.dumps({"text": "订单已付款"}, ensure_ascii=False)
    body = CreateMessageRequestBody.builder().receive_id(given["to"]).msg_type("text").content(content).uuid("peer-1")
    message = CreateMessageRequest.builder().receive_id_type("open_id").request_body(body.build()).build()
    sent = [client.im.v1.message.create(message) for _ in range(2)]
    form = json.dumps([{"id": "widget1", "type": "input", "value": "T1"}])
    wish = InstanceCreate.builder().approval_code(given["code"]).open_id(given["to"]).form(form).uuid("peer-uuid")
    start = CreateInstanceRequest.builder().request_body(wish.build()).build()
    started, again = client.approval.v4.instance.create(start), client.approval.v4.instance.create(start)
    read = client.approval.v4.instance.get(GetInstanceRequest.builder().instance_id("peer-uuid").build())
    asked = BatchGetIdUserRequestBody.builder().mobiles([given["mobile"], "10000000000"]).build()
    found = client.contact.v3.user.batch_get_id(
        BatchGetIdUserRequest.builder().user_id_type("open_id").request_body(asked).build()
    )
    print(
        json.dumps(
            {
                "messages": [one.data.message_id for one in sent],
                "instance": started.data.instance_code,
                "again": again.code,
                "read": [read.data.instance_code, read.data.status],
                "found": [one.user_id for one in found.data.user_list],
            }
        )
    )


def dispatch(given: dict[str, Any]) -> None:
    """Pushed events through the official dispatcher: its answer to each."""
    import lark_oapi as lark
    from lark_oapi.core.model import RawRequest

    taken: list[str] = []
    handler = (
        lark.EventDispatcherHandler.builder(given["encrypt_key"], given["token"])
        .register_p2_im_message_receive_v1(lambda event: taken.append(event.event.message.message_id))
        .register_p1_customized_event("approval_instance", lambda event: taken.append(event.event["instance_code"]))
        .build()
    )
    for one in given["hooks"]:
        request = RawRequest()
        request.uri = "/hook"
        # It looks its headers up as the platform writes them.
        request.headers = {
            "-".join(word.title() for word in key.split("-")): one["headers"][key] for key in one["headers"]
        }
        request.body = one["body"].encode()
        answer = handler.do(request)
        print(json.dumps({"status": answer.status_code, "body": answer.content.decode(), "taken": taken[-1:]}))


def cards(given: dict[str, Any]) -> None:
    """Callbacks of old cards through the official handler: its answer to each."""
    import lark_oapi as lark
    from lark_oapi.core.model import RawRequest

    taken: list[str] = []
    builder = lark.CardActionHandler.builder(given["encrypt_key"], given["token"])
    handler = builder.register(lambda card: taken.append(card.open_message_id)).build()
    for one in given["hooks"]:
        request = RawRequest()
        request.uri, request.body = "/hook", one["body"].encode()
        request.headers = {
            "-".join(word.title() for word in key.split("-")): one["headers"][key] for key in one["headers"]
        }
        answer = handler.do(request)
        print(json.dumps({"status": answer.status_code, "body": answer.content.decode(), "taken": taken[-1:]}))


def frames(given: dict[str, Any]) -> None:
    """Our frames read by the compiler's own code, and written by it again."""
    from lark_oapi.ws.pb.pbbp2_pb2 import Frame

    for text in given["frames"]:
        frame = Frame()
        frame.ParseFromString(bytes.fromhex(text))
        print(
            json.dumps(
                {
                    "method": frame.method,
                    "service": frame.service,
                    "headers": [[one.key, one.value] for one in frame.headers],
                    "payload": frame.payload.hex(),
                    "bytes": frame.SerializeToString().hex(),
                }
            )
        )


def stream(given: dict[str, Any]) -> None:
    """The official long connection: a line for every event it takes."""
    import lark_oapi as lark

    def tell(event: Any) -> None:
        print(json.dumps({"message": event.event.message.message_id}), flush=True)

    handler = lark.EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(tell).build()
    client = lark.ws.Client(given["app_id"], given["app_secret"], event_handler=handler, domain=given["domain"])
    client.start()


if __name__ == "__main__":
    {"calls": calls, "cards": cards, "dispatch": dispatch, "frames": frames, "stream": stream}[sys.argv[1]](
        json.loads(sys.stdin.readline())
    )
