"""The simulated Stream: tickets for one socket each, JSON frames, acknowledgements, pings and planned disconnects."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.websockets import WebSocket

from connectors.core import jsontext
from connectors.simulator import sockets

TICKET_LIVES = 90
ROBOT = "/v1.0/im/bot/messages/get"


class Channel(sockets.Sockets):
    """What an event is owed as: (type, header members, data). ``subscribed`` is what each socket asked for."""

    def __init__(
        self, owner: sockets.Owner, deadline: float, retries: Sequence[float], now: Callable[[], float], corp: str
    ) -> None:
        super().__init__(owner, deadline, retries)
        self.now, self.corp = now, corp
        self.tickets: dict[str, tuple[float, frozenset[str]]] = {}
        self.subscribed: dict[str, frozenset[str]] = {}
        self.pongs: list[Any] = []
        self._by_message: dict[str, sockets.Event] = {}

    def opening(self, body: Mapping[str, Any], base: str) -> dict[str, Any]:
        """The answer to connections/open. Raises ValueError for subscriptions that say nothing."""
        wanted = body.get("subscriptions")
        if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
            raise ValueError("subscriptions")
        topics = frozenset(f"{one.get('type')} {one.get('topic')}" for one in wanted)
        ticket = secrets.token_hex(16)
        self.tickets[ticket] = (self.now() + TICKET_LIVES, topics)
        return {"endpoint": f"{base}/connect", "ticket": ticket}

    async def connected(self, socket: WebSocket) -> None:
        """One client, from its handshake to its end."""
        until, topics = self.tickets.pop(socket.query_params.get("ticket", ""), (0.0, frozenset()))
        if until <= self.now():
            await socket.close(1008)
            return
        await socket.accept()
        id = secrets.token_hex(8)
        self.subscribed[id] = topics
        self.arrived(id, socket)
        try:
            while True:
                self._heard(jsontext.loads(await socket.receive_text()))
        except (*sockets.Lost, jsontext.JsonError, KeyError):
            with contextlib.suppress(RuntimeError):
                await socket.close(1002)
        finally:
            self.left(id)
            self.subscribed.pop(id, None)

    def _heard(self, answer: Mapping[str, Any]) -> None:
        """An event counts as taken with SUCCESS (one official SDK says the event's own data instead)."""
        event = self._by_message.get(str(answer["headers"].get("messageId")))
        data = answer.get("data")
        if event is None:
            self.pongs.append(answer)
            return
        event.answers.append(answer)
        said = jsontext.loads(data) if isinstance(data, str) and data else data
        later = isinstance(said, dict) and said.get("status") == "LATER"
        if answer.get("code") == 200 and not later:
            self.confirm(event)

    async def send(self, socket: WebSocket, event: sockets.Event) -> None:
        kind, head, data = event.payload
        message = secrets.token_hex(12)
        self._by_message[message] = event
        await self._write(socket, kind, {**head, "messageId": message}, data)

    async def system(self, topic: str, data: Mapping[str, Any]) -> None:
        """A ping or the announcement of a disconnect, to every socket."""
        for socket in list(self.open.values()):
            await self._write(socket, "SYSTEM", {"topic": topic, "messageId": secrets.token_hex(12)}, data)

    async def raw(self, text: str) -> None:
        """Anything at all, to every socket."""
        for socket in list(self.open.values()):
            await socket.send_text(text)

    async def _write(self, socket: WebSocket, kind: str, head: Mapping[str, Any], data: Any) -> None:
        fixed = {
            "appId": "bbb381b6-simulated",
            "connectionId": "simulated",
            "contentType": "application/json",
            "time": str(int(self.now() * 1000)),
        }
        frame = {
            "specVersion": "1.0",
            "type": kind,
            "headers": {**fixed, **head},
            "data": jsontext.dumps(data).decode(),
        }
        await socket.send_text(jsontext.dumps(frame).decode())

    def event(self, whole: Mapping[str, Any]) -> None:
        """Owe an event given in the shape of the HTTP push."""
        inner = ("EventType", "EventTime", "CorpId", "BizId", "eventId")
        head = {
            "topic": "*",
            "eventId": whole["eventId"],
            "eventType": whole["EventType"],
            "eventCorpId": self.corp,
            "eventBornTime": str(whole["EventTime"]),
            "eventUnifiedAppId": "bbb381b6-simulated",
        }
        data = {name: value for name, value in whole.items() if name not in inner}
        self.tell(str(whole["EventType"]), ("EVENT", head, data))

    def callback(self, topic: str, data: Mapping[str, Any]) -> None:
        """Owe a callback (a message to the robot, a card's button)."""
        self.tell(topic, ("CALLBACK", {"topic": topic}, data))


def asked(wish: Mapping[str, Any], robot: str, at: int) -> dict[str, Any]:
    """A message to the robot as its callback carries it; ``at`` in milliseconds."""
    kind = str(wish.get("msgtype", "text"))
    message = {
        "conversationId": "cidsimulated01==",
        "conversationType": "2",
        "conversationTitle": "售后群",
        "msgId": f"msg{secrets.token_hex(12)}",
        "msgtype": kind,
        "text": {"content": f" {wish.get('text', '查订单')}"},
        "senderStaffId": str(wish.get("sender", "sales01")),
        "senderNick": "客服",
        "createAt": at,
        "robotCode": robot,
        "sessionWebhook": f"https://oapi.dingtalk.com/robot/sendBySession?session={secrets.token_hex(16)}",
        "sessionWebhookExpiredTime": at + 5_400_000,
    }
    if kind != "text":
        del message["text"]
    return message
