"""The simulated corp itself: what each API call does to its members, customers and messages. No HTTP here.

Every call takes the JSON body and the query and gives the answer without errcode, or raises messages.Refusal.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.simulator import world
from connectors.wecom.simulated import approvals, cards, chats, contacts, mass, messages

Body = dict[str, Any]
Query = Mapping[str, str]


class Corp:
    """State and rules. ``commit(kind, key, data)`` journals an effect at the moment it becomes final."""

    def __init__(
        self, people: world.World, settings: Mapping[str, Any], now: Callable[[], float], commit: Callable[..., Any]
    ) -> None:
        self.settings = settings
        self.now = now
        self.commit = commit
        self.messages = messages.Messages()
        self.contacts = contacts.Contacts(people, int(now()) - 86400)
        self.members = {person.ids["staff.userid"].lower(): person for person in people.staff}
        self.codes: dict[str, tuple[float, str]] = {}
        """Welcome code -> until when, and for which customer."""
        self.spent: set[str] = set()
        self.scans: dict[str, tuple[float, Body]] = {}
        """Sign-in code -> until when, and who scanned."""
        self.groups: dict[str, Body] = {}
        self.made_tags: dict[str, Body] = {}
        self.media: dict[str, Body] = {}
        self.approvals = approvals.Approvals(settings, now, commit, self.members)
        self.cards = cards.Cards(settings, now, commit)
        self.chats = chats.Chats(now, commit, self.messages, self.members)
        self.mass = mass.Mass(settings, now, commit, self.messages, self.contacts, self.groups)

    # Messages.

    def agent(self, _body: Body, query: Query) -> Body:
        self.check_agent(query.get("agentid"))
        users = [{"userid": member.ids["staff.userid"]} for member in self.members.values()]
        return {
            "agentid": self.settings["agent_id"],
            "name": "枢纽",
            "close": 0,
            "allow_userinfos": {"user": users},
        }

    def check_agent(self, agent: Any) -> None:
        if str(agent) != str(self.settings["agent_id"]):
            raise messages.Refusal(40056, "invalid agentid")

    def send(self, body: Body, _query: Query) -> Body:
        """message/send: errcode 0 with the receivers it could not reach, or 81013 when it reached none."""
        self.check_agent(body.get("agentid"))
        digest, task = messages.checked(body), self.cards.sending(body)
        wanted = messages.several(body.get("touser"))
        parties, tags = messages.several(body.get("toparty")), messages.several(body.get("totag"))
        if not wanted and not parties and not tags:
            raise messages.Refusal(82001, "touser, toparty and totag are all empty")
        if wanted == ["@all"] or "1" in parties:
            wanted = [member.ids["staff.userid"] for member in self.members.values()]
        invalid = [name for name in wanted if name.lower() not in self.members]
        unlicensed = [name for name in wanted if name in self.settings["unlicensed"]]
        reached = [name for name in dict.fromkeys(wanted) if name not in invalid and name not in unlicensed]
        if not reached:
            raise messages.Refusal(81013, "user & party & tag all invalid")
        now, copies = self.now(), []
        if not self.messages.repeated(body, messages.joined(sorted(reached)), digest, now):
            for name in reached:
                # Beyond the member's limit the platform says ok and drops the message.
                if self.messages.allowed(name, int(self.settings["member_per_minute"]), now):
                    copies.append(self.messages.keep(name, "app", body, now))
                    self.commit("message", f"{name}:{digest}", copies[-1])
        msgid = f"MSG{secrets.token_hex(16)}"
        self.cards.remember(msgid, copies)
        return {
            "invaliduser": messages.joined(invalid),
            "invalidparty": messages.joined(party for party in parties if party != "1"),
            "invalidtag": messages.joined(tags),
            "unlicenseduser": messages.joined(unlicensed),
            "msgid": msgid,
            **({"response_code": self.cards.show(task, reached, body["template_card"])} if task else {}),
        }

    def robot(self, body: Body, query: Query) -> Body:
        if query.get("key") != self.settings["robot_key"]:
            raise messages.Refusal(93000, "invalid webhook url")
        digest = messages.checked(body)
        if not self.messages.allowed("robot", int(self.settings["robot_per_minute"]), self.now()):
            raise messages.Refusal(45009, "api freq out of limit")
        kept = self.messages.keep("robot", "robot", body, self.now())
        self.commit("group_message", digest, kept)
        return {}

    def welcome_code(self, external: str) -> str:
        """A code for one welcome message to this customer, good for 20 seconds."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = (self.now() + 20, external)
        return code

    def welcome(self, body: Body, _query: Query) -> Body:
        """send_welcome_msg: the code lives 20 seconds and works once."""
        code = str(body.get("welcome_code", ""))
        until, external = self.codes.get(code, (0.0, ""))
        if code in self.spent:
            raise messages.Refusal(41051, "externaluser has started chatting")
        if until <= self.now():
            raise messages.Refusal(41050, "invalid welcome_code or expired")
        text = body.get("text") or {}
        if not text.get("content") and not body.get("attachments"):
            raise messages.Refusal(44004, "empty content")
        self.spent.add(code)
        kept = self.messages.keep(external, "welcome", {"msgtype": "text", "text": text}, self.now())
        self.commit("welcome", code, kept)
        return {}

    # Customers.

    def contact(self, _body: Body, query: Query) -> Body:
        found = self.contacts.get(query.get("external_userid", ""))
        if found is None:
            raise messages.Refusal(84061, "not external contact")
        return found

    def contact_list(self, _body: Body, query: Query) -> Body:
        found = self.contacts.of(query.get("userid", ""))
        if not found:
            raise messages.Refusal(84061, "not external contact")
        return {"external_userid": found}

    def batch(self, body: Body, _query: Query) -> Body:
        userids = [str(one) for one in body.get("userid_list") or []]
        unknown = [one for one in userids if one.lower() not in self.members]
        if not userids or len(userids) > 100 or unknown:
            raise messages.Refusal(40003 if unknown else 40058, "invalid userid_list")
        limit = min(int(body.get("limit") or 50), 100)
        try:
            rows, cursor = self.contacts.page(userids, str(body.get("cursor") or ""), limit)
        except ValueError:
            raise messages.Refusal(40058, "invalid cursor") from None
        return {"external_contact_list": rows, "next_cursor": cursor}

    def relation(self, body: Body) -> dict[str, Any]:
        """The relation a write is about. Raises Refusal 84061 where there is none."""
        follow = self.contacts.follow(str(body.get("external_userid", "")), str(body.get("userid", "")))
        if follow is None:
            raise messages.Refusal(84061, "not external contact")
        return follow

    def remark(self, body: Body, _query: Query) -> Body:
        follow = self.relation(body)
        for name, most in (("remark", 20), ("description", 150), ("remark_company", 20)):
            if len(str(body.get(name) or "")) > most:
                raise messages.Refusal(40058, f"{name} too long")
        before = copy.deepcopy(follow)
        for given, kept in (
            ("remark", "remark"),
            ("description", "description"),
            ("remark_company", "remark_corp_name"),
        ):
            if given in body:
                follow[kept] = body[given]
        if "remark_mobiles" in body:
            follow["remark_mobiles"] = [one for one in body["remark_mobiles"] if one]
        if follow != before:
            self.commit("remark", f"{body['external_userid']}:{messages.digest_of(body)}", body)
        return {}

    def mark(self, body: Body, _query: Query) -> Body:
        follow = self.relation(body)
        before = list(follow["tags"])
        self.contacts.mark(follow, body.get("add_tag") or [], body.get("remove_tag") or [])
        if follow["tags"] != before:
            self.commit("tag", f"{body['external_userid']}:{messages.digest_of(body)}", body)
        return {}

    def by_unionid(self, body: Body, _query: Query) -> Body:
        for external, one in self.contacts.found.items():
            if one["external_contact"].get("unionid") == body.get("unionid"):
                return {"external_userid": external}
        raise messages.Refusal(40096, "invalid external userid")

    def tags(self, _body: Body, _query: Query) -> Body:
        used = {
            tag["tag_id"]: tag
            for one in self.contacts.found.values()
            for row in one["follow_user"]
            for tag in row["tags"]
        }
        rows = [{"id": key, "name": tag["tag_name"], "order": 0} for key, tag in used.items()]
        known = [{"group_id": "etGROUP", "group_name": "客户标签", "order": 0, "tag": rows}]
        return {"tag_group": [*known, *self.made_tags.values()]}

    def make_tags(self, body: Body, _query: Query) -> Body:
        """add_corp_tag: into a group by its id or name; a name is there once."""
        name, wanted = str(body.get("group_name") or ""), [str(one.get("name") or "") for one in body.get("tag") or []]
        key = str(body.get("group_id") or "") or f"etG{messages.digest_of(name)}"
        if not (body.get("group_id") or name) or not all(wanted) or not wanted:
            raise messages.Refusal(40058, "group or tag missing")
        group = self.made_tags.get(key, {"group_id": key, "group_name": name, "order": 0, "tag": []})
        if set(wanted) & {one["name"] for one in group["tag"]}:
            raise messages.Refusal(40071, "tag name already exists")
        fresh = [{"id": f"et{messages.digest_of(key, one)}", "name": one, "order": 0} for one in wanted]
        self.made_tags[key] = {**group, "tag": [*group["tag"], *fresh]}
        self.commit("tags", f"{key}:{messages.digest_of(wanted)}", fresh)
        return {"tag_group": {**group, "tag": fresh}}

    def upload(self, body: Body, query: Query) -> Body:
        """media/upload: ``body`` is the one part of the form."""
        if query.get("type") not in ("image", "voice", "video", "file") or len(body["content"]) <= 5:
            raise messages.Refusal(40004, "invalid media type or size")
        made = f"MEDIA{secrets.token_hex(16)}"
        self.media[made] = body
        return {"type": query["type"], "media_id": made, "created_at": str(int(self.now()))}

    def followers(self, _body: Body, _query: Query) -> Body:
        """get_follow_user_list: who looks after customers."""
        rows = (row["userid"] for one in self.contacts.found.values() for row in one["follow_user"])
        return {"follow_user": sorted(set(rows))}

    def member(self, _body: Body, query: Query) -> Body:
        """user/get: newer applications are told no mobile and no address."""
        member = self.members.get(query.get("userid", "").lower())
        if member is None:
            raise messages.Refusal(60111, "userid not found")
        return {"userid": member.ids["staff.userid"], "name": member.name, "department": [1], "status": 1}

    def contact_way(self, body: Body, _query: Query) -> Body:
        """A QR code to be scanned; nothing finds it again but its config_id."""
        users = [str(one).lower() for one in body.get("user") or []]
        if body.get("type") not in (1, 2) or body.get("scene") not in (1, 2) or not set(users) <= set(self.members):
            raise messages.Refusal(40058, "invalid parameter")
        if len(str(body.get("state") or "")) > 30:
            raise messages.Refusal(40058, "state too long")
        made = secrets.token_hex(16)
        self.commit("contact_way", made, body)
        return {"config_id": made, "qr_code": f"https://wework.qpic.cn/{made}"}

    def group(self, body: Body, _query: Query) -> Body:
        found = self.groups.get(str(body.get("chat_id", "")))
        if found is None:
            raise messages.Refusal(40050, "chatid not exist")
        return {"group_chat": found}

    def group_list(self, body: Body, _query: Query) -> Body:
        owners = (body.get("owner_filter") or {}).get("userid_list")
        rows = [
            {"chat_id": key, "status": 0}
            for key, one in self.groups.items()
            if owners is None or one.get("owner") in owners
        ]
        return messages.page(rows, body, "group_chat_list", min(1000, int(self.settings["page_size"])))

    def scan(self, who: str) -> str:
        """Somebody scans the code of the sign-in page and agrees; strangers get a code too."""
        member = self.members.get(who.lower())
        told = {"userid": member.ids["staff.userid"]} if member else {"openid": f"o{who}"}
        code = secrets.token_urlsafe(32)
        self.scans[code] = (self.now() + 300, told)
        return code

    def scanned(self, _body: Body, query: Query) -> Body:
        """auth/getuserinfo: a code lives five minutes and works once."""
        until, told = self.scans.pop(query.get("code", ""), (0.0, {}))
        if until <= self.now():
            raise messages.Refusal(40029, "invalid code")
        return told

    def by_mobile(self, body: Body, _query: Query) -> Body:
        for member in self.members.values():
            if member.phone == str(body.get("mobile", "")):
                return {"userid": member.ids["staff.userid"]}
        raise messages.Refusal(46004, "user no exist")


CALLS: dict[str, tuple[str, Callable[[Corp, Body, Query], Body]]] = {
    "agent/get": ("GET", Corp.agent),
    "message/send": ("POST", Corp.send),
    "message/recall": ("POST", lambda corp, *given: corp.cards.recall(*given)),
    "message/update_template_card": ("POST", lambda corp, *given: corp.cards.update(*given)),
    "appchat/create": ("POST", lambda corp, *given: corp.chats.create(*given)),
    "appchat/get": ("GET", lambda corp, *given: corp.chats.get(*given)),
    "appchat/send": ("POST", lambda corp, *given: corp.chats.send(*given)),
    "webhook/send": ("POST", Corp.robot),
    "externalcontact/get": ("GET", Corp.contact),
    "externalcontact/list": ("GET", Corp.contact_list),
    "externalcontact/batch/get_by_user": ("POST", Corp.batch),
    "externalcontact/remark": ("POST", Corp.remark),
    "externalcontact/mark_tag": ("POST", Corp.mark),
    "externalcontact/unionid_to_external_userid": ("POST", Corp.by_unionid),
    "externalcontact/get_corp_tag_list": ("POST", Corp.tags),
    "externalcontact/add_corp_tag": ("POST", Corp.make_tags),
    "externalcontact/get_follow_user_list": ("GET", Corp.followers),
    "media/upload": ("POST", Corp.upload),
    "user/get": ("GET", Corp.member),
    "externalcontact/add_contact_way": ("POST", Corp.contact_way),
    "externalcontact/send_welcome_msg": ("POST", Corp.welcome),
    "externalcontact/add_msg_template": ("POST", lambda corp, *given: corp.mass.create(*given)),
    "externalcontact/get_groupmsg_task": ("POST", lambda corp, *given: corp.mass.progress(*given)),
    "externalcontact/get_groupmsg_send_result": ("POST", lambda corp, *given: corp.mass.results(*given)),
    "externalcontact/get_groupmsg_list_v2": ("POST", lambda corp, *given: corp.mass.listed(*given)),
    "externalcontact/groupchat/list": ("POST", Corp.group_list),
    "externalcontact/groupchat/get": ("POST", Corp.group),
    "auth/getuserinfo": ("GET", Corp.scanned),
    "user/getuserid": ("POST", Corp.by_mobile),
    "oa/applyevent": ("POST", lambda corp, *given: corp.approvals.apply(*given)),
    "oa/gettemplatedetail": ("POST", lambda corp, *given: corp.approvals.template(*given)),
    "oa/getapprovalinfo": ("POST", lambda corp, *given: corp.approvals.listed(*given)),
    "oa/getapprovaldetail": ("POST", lambda corp, *given: corp.approvals.detail(*given)),
}
"""Path below /cgi-bin/ -> method and call."""
