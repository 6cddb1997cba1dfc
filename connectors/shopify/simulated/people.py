"""Customers of the simulated store: unique by mail and by phone, as the vendor keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from connectors.shopify.simulated import store
from connectors.simulator import world

Record = dict[str, Any]
FIRST = 207119551
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


class People:
    """``tell(topic, body)`` sends a webhook in REST's shape; ``commit`` journals an effect."""

    def __init__(
        self, folk: world.World, now: Callable[[], float], commit: Callable[[str, str, Any], object],
        tell: Callable[[str, Record], None],
    ) -> None:  # fmt: skip
        self.now, self.commit, self.tell = now, commit, tell
        at = store.moment(now())
        self.known: dict[str, Record] = {}
        for one in folk.customers:
            number = str(FIRST + one.index)
            self.known[number] = {
                "legacyResourceId": number, "firstName": one.name, "lastName": None, "email": one.email,
                "phone": f"+86{one.phone}", "note": None, "state": "ENABLED", "tags": [], "createdAt": at,
                "updatedAt": at,
            }  # fmt: skip

    def rest(self, one: Record) -> Record:
        """A customer as webhooks show it."""
        return {
            "id": int(one["legacyResourceId"]), "first_name": one["firstName"], "last_name": one["lastName"] or "",
            "email": one["email"], "phone": one["phone"], "note": one["note"], "state": one["state"].lower(),
            "tags": ", ".join(one["tags"]), "created_at": one["createdAt"], "updated_at": one["updatedAt"],
        }  # fmt: skip

    # The API.

    def list_rows(self, given: Record) -> Record:
        return store.page([*self.known.values()], given)

    def by_identifier(self, given: Record) -> Record | None:
        (kind, value), *more = given["i"].items()
        field = {"emailAddress": "email", "phoneNumber": "phone"}.get(kind)
        if more or field is None:
            raise KeyError(kind)
        return next((one for one in self.known.values() if one[field] == value), None)

    def create(self, given: Record) -> Record:
        wish = given["c"]
        if told := self._wrong(wish, ""):
            return {"customer": None, "userErrors": [told]}
        number, at = str(FIRST + len(self.known)), store.moment(self.now())
        fresh: Record = {"lastName": None, "email": None, "phone": None, "note": None, "firstName": None, "tags": []}
        dates = {"state": "DISABLED", "createdAt": at, "updatedAt": at}
        self.known[number] = {"legacyResourceId": number, **fresh, **dates, **wish}
        self.commit("customer", number, wish)
        self.tell("customers/create", self.rest(self.known[number]))
        return {"customer": self.known[number], "userErrors": []}

    def update(self, given: Record) -> Record:
        wish = dict(given["c"])
        number = str(wish.pop("id")).rpartition("/")[2]
        if number not in self.known:
            return {"customer": None, "userErrors": [{"field": ["id"], "message": "Customer does not exist"}]}
        if told := self._wrong({**self.known[number], **wish}, number):
            return {"customer": None, "userErrors": [told]}
        if any(self.known[number][key] != value for key, value in wish.items()):
            self.known[number] |= {**wish, "updatedAt": store.moment(self.now())}
            self.commit("customer", number, wish)
            self.tell("customers/update", self.rest(self.known[number]))
        return {"customer": self.known[number], "userErrors": []}

    def _wrong(self, wish: Record, number: str) -> Record | None:
        if not any(wish.get(key) for key in ("firstName", "lastName", "email", "phone")):
            words = "A name, phone number, or email address must be present"
            return {"field": None, "message": words}
        if wish.get("phone") and not _PHONE.fullmatch(wish["phone"]):
            return {"field": ["phone"], "message": "Phone is invalid"}
        for key in ("email", "phone"):
            others = (one for at, one in self.known.items() if at != number)
            if wish.get(key) and any(one[key] == wish[key] for one in others):
                return {"field": [key], "message": f"{key.capitalize()} has already been taken"}
        return None
