"""What there is to keep in order at the living hub: a conflict, differences to compare, things that wait, history."""

from __future__ import annotations

import itertools
import time
from typing import Any

from tests.browser import living

CONFIG = """
apiVersion: shuniu/v1
entities:
  customer:
    conflicts: newest
    owners: {tags: crm, level: crm, note: crm}
    fields: {phone: manual}
routes:
  - key: remind-unpaid
    label: 下单三天还没付款 → 提醒销售
    from: {connection: own-shop, entity: order}
    when: 'order.status == "created"'
    to: [{connection: warehouse, operation: send}]
    after: 3d
    unless: [{connection: own-shop, entity: order, when: 'order.status == "paid"'}]
    hours: {days: [mon, tue, wed, thu, fri], from: "09:00", to: "18:00"}
"""
SCHEDULE = {"key": "customers-nightly", "label": "客户资料每晚核对", "left": "crm", "right": "k3", "entity": "customer",
            "at": ["02:30"], "window": "2d"}  # fmt: skip
ROUTES = ("customer-to-erp", "customer-to-crm")
PERSON = {"name": "周倩", "phone": "13987654321"}
"""Who has not paid yet; an order of theirs would end what waits for them."""
_places = itertools.count(40)


def seed(hub: living.Living) -> None:
    """Once per hub."""
    hub.apply(CONFIG)
    people = hub.panel("world")
    until(lambda: _known_there(hub) >= {one["ids"]["crm.id"] for one in people}, "every customer in the ERP")
    for number in range(3):
        assert hub.push(living.order(f"WAIT-{number}", status="created", buyer=PERSON)) == 200
    hub.panel("crm/customers", {"name": PERSON["name"], "mobile": PERSON["phone"], "level": "金卡"})
    conflict(hub, people)
    spoil(hub, people)
    assert hub.api("PUT", f"/reconciliations/schedules/{SCHEDULE['key']}", SCHEDULE)["next_at"]
    compared(hub)
    since = time.strftime("%Y-%m-%dT00:00:00+08:00", time.localtime(time.time() - 40 * 86400))
    for number, source in enumerate(("sales_orders", "shipments")):
        made = hub.api("POST", "/backfills", {"connection": "k3", "source": source, "since": since, "budget": 20})
        if number:
            hub.api("POST", f"/backfills/{made['id']}/pause", accept=(200, 409))


def compared(hub: living.Living) -> str:
    """Compares the customers of both systems up to this very moment; returns the comparison's id."""
    wanted = {"left": "crm", "right": "k3", "entity": "customer", "hours": 72, "grace": 0}
    run = hub.api("POST", "/reconciliations", wanted)
    until(lambda: hub.api("GET", f"/reconciliations/{run['id']}")["state"] == "done", "a comparison")
    return str(run["id"])


def conflict(hub: living.Living, people: list[dict[str, Any]]) -> str:
    """Two systems give one customer a phone at the same time; returns the conflict's id."""
    before = len(hub.api("GET", "/conflicts?state=open")["items"])
    one = people[next(_places)]
    mine, yours = (f"139{number:08d}" for number in (time.time_ns() // 1000 % 10**8, time.time_ns() // 7 % 10**8))
    hub.api("POST", "/connections/crm/pause")
    edit_there(hub, one, yours)
    until(lambda: _changes(hub, yours), "the first side of a conflict")
    hub.tell(hub.place.story.edit, {**one, **one["ids"], "new_phone": mine})
    hub.api("POST", "/connections/crm/enable")
    until(lambda: len(hub.api("GET", "/conflicts?state=open")["items"]) > before, "a conflict")
    return str(hub.api("GET", "/conflicts?state=open")["items"][0]["id"])


def edit_there(hub: living.Living, one: dict[str, Any], phone: str) -> None:
    """Somebody edits a customer in the ERP; the hub made it there, under the number it has in the CRM."""
    names = {kind: one["ids"]["crm.id"] for kind in one["ids"] if kind.endswith(".number")}
    hub.tell(hub.place.story.meet.touched[0], {**one, **names, "phone": phone})


def _known_there(hub: living.Living) -> set[str]:
    """Numbers of the customers that the ERP has; those of the CRM come with its first poll."""
    followed = hub.place.story.followed
    return {str(one["Number"]) for one in hub.panel(followed.path)[followed.rows]}


def _changes(hub: living.Living, phone: str) -> list[Any]:
    """What the ERP told of the customer who has this phone by now, and was planned."""
    query = f"connection=k3&entity=customer&q={phone}&state=planned"
    found: list[Any] = hub.api("GET", f"/events?{query}")["items"]
    return found


def spoil(hub: living.Living, people: list[dict[str, Any]]) -> None:
    """Makes the CRM and the ERP disagree about customers, while nothing keeps them in step."""
    those = [people[next(_places)] for _ in range(3)]
    number = next(_places)
    for key in ROUTES:
        hub.api("POST", f"/routes/{key}/disable")
    for place in range(3):
        hub.panel("crm/customers", {"name": f"漏单客户{number}-{place}", "mobile": f"1370000{number:02d}{place:02d}"})
    for place, one in enumerate(those):
        edit_there(hub, one, f"1360000{number:02d}{place:02d}")
    time.sleep(2.0)  # the ERP is polled: what changed there has to be known before the routes are on again
    hub.quiet()
    for key in ROUTES:
        hub.api("POST", f"/routes/{key}/enable")


def until(check: Any, what: str, seconds: float = 60.0) -> None:
    """Waits for something that the hub does by itself."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)
