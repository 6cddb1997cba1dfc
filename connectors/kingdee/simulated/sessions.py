"""Who may speak at the pretend site: three login styles, sessions with an idle limit, licence seats.

Checks what a real site checks: the stamp and both signatures of signed headers, the app secret, the password
(three wrong ones lock the account), and that a session is still alive.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.kingdee.simulated import books

LOST = "会话信息已丢失，请重新登录"
KEYSTREAM = b"0054f397c6234378b09ca7d3e5debce7"
SKEW = 300
LOCK_AFTER = 3


@dataclass(slots=True)
class Session:
    """One login; ``used`` is the Unix time of its last call."""

    id: str
    user: str
    used: float


class Door:
    """The sessions of one site. ``settings`` holds the credentials the site knows."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        self.settings = settings
        self.now = now
        self.sessions: dict[str, Session] = {}
        self.logins = 0
        self.wrong = 0

    def login(self, service: str, values: list[Any]) -> dict[str, Any]:
        """The bare login answer of ValidateUser, LoginByAppSecret or LoginBySign."""
        known = self.settings
        self.logins += 1
        names = [str(value) for value in values] + [""] * 6
        if names[0] != known["acct_id"]:
            return refusal(0, "数据中心不存在")
        if self.wrong >= LOCK_AFTER:
            return refusal(-1, "用户登录失败次数超限，请30分钟后再试")
        match service:
            case "ValidateUser":
                good = names[1] == known["user_name"] and _same(names[2], known["password"])
            case "LoginByAppSecret":
                good = names[1:3] == [known["user_name"], known["app_id"]] and _same(names[3], known["app_secret"])
            case _:
                proof = sorted([*names[:3], known["app_secret"], names[3]])
                good = _fresh(names[3], self.now()) and _same(
                    names[4], hashlib.sha256("".join(proof).encode()).hexdigest()
                )
        if not good:
            self.wrong += 1
            return refusal(2, "用户名或密码错误")
        self.wrong = 0
        if len(self.alive()) >= int(known["seats"]):
            return refusal(-5, "许可并发数已用完，请联系管理员")
        session = Session(secrets.token_hex(12), names[1], self.now())
        self.sessions[session.id] = session
        return welcome(session, known)

    def alive(self) -> list[Session]:
        """Sessions not idle for too long; the others are forgotten, which frees their seats."""
        oldest = self.now() - 60 * float(self.settings["session_minutes"])
        self.sessions = {key: one for key, one in self.sessions.items() if one.used > oldest}
        return list(self.sessions.values())

    def admit(self, path: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str | None:
        """The id of the session to set as a cookie, or None. Raises Refused when the caller has no right."""
        if headers.get("x-kd-appkey"):
            self._signed(path, headers)
            return self._seat(cookies.get("kdservice-sessionid", ""))
        key = cookies.get("kdservice-sessionid") or headers.get("kdservice-sessionid", "")
        self.alive()
        session = self.sessions.get(key)
        if session is None:
            raise books.Refused(1, LOST)
        session.used = self.now()
        return None

    def _seat(self, key: str) -> str:
        """Signed callers share one session: theirs when they echo it, else the site's."""
        session = self.sessions.get(key) or next((one for one in self.alive() if one.id.startswith("signed")), None)
        if session is None:
            session = Session(f"signed{secrets.token_hex(9)}", str(self.settings["user_name"]), self.now())
            self.sessions[session.id] = session
        session.used = self.now()
        return session.id

    def _signed(self, path: str, headers: Mapping[str, str]) -> None:
        known = self.settings
        stamp, nonce = headers.get("x-api-timestamp", ""), headers.get("x-api-nonce", "")
        if not _fresh(stamp, self.now()):
            raise books.Refused(1, f"{LOST}（时间戳超出允许范围）")
        client, _, segment = str(known["app_id"]).partition("_")
        key = base64.b64encode(bytes(a ^ b for a, b in zip(base64.b64decode(segment), KEYSTREAM, strict=False)))
        line = quote(path, safe="/").replace("/", "%2F")
        proof = f"POST\n{line}\n\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"
        secret = str(known["app_secret"]).encode()
        claims = base64.b64decode(headers.get("x-kd-appdata", "") or b"").decode()
        good = (
            headers.get("x-api-clientid") == client
            and headers["x-kd-appkey"] == known["app_id"]
            and claims.split(",")[:2] == [known["acct_id"], known["user_name"]]
            and _same(headers.get("x-api-signature", ""), _mac(key, proof))
            and _same(headers.get("x-kd-signature", ""), _mac(secret, headers["x-kd-appkey"] + claims))
        )
        if not good:
            raise books.Refused(1, LOST)

    def expire(self) -> int:
        """Forget every session, as an application pool recycle does; gives how many there were."""
        count = len(self.sessions)
        self.sessions.clear()
        return count


def _mac(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).hexdigest().encode()).decode()


def _same(given: str, right: Any) -> bool:
    return hmac.compare_digest(given.encode(), str(right).encode())


def _fresh(stamp: str, now: float) -> bool:
    return stamp.isdigit() and abs(int(stamp) - now) <= SKEW


def refusal(kind: int, message: str) -> dict[str, Any]:
    """A login that failed."""
    return {
        "Message": message,
        "MessageCode": None,
        "LoginResultType": kind,
        "Context": None,
        "KDSVCSessionId": None,
        "IsSuccessByAPI": False,
    }


def welcome(session: Session, known: Mapping[str, Any]) -> dict[str, Any]:
    """A login that held. MessageCode says CheckPasswordPolicy on success too, as real sites do."""
    organisation = {"ID": 1, "AcctOrgType": "1", "Name": "示例组织", "FunctionIds": [101, 102, 103, 104]}
    return {
        "Message": None,
        "MessageCode": "CheckPasswordPolicy",
        "LoginResultType": 1,
        "Context": {
            "UserLocale": "zh-CN",
            "DBid": known["acct_id"],
            "SessionId": session.id,
            "UserId": 100101,
            "UserName": session.user,
            "DataCenterName": "示例账套",
            "CurrentOrganizationInfo": organisation,
        },
        "KDSVCSessionId": session.id,
        "Lcid": 0,
        "AccessToken": None,
        "IsSuccessByAPI": True,
    }
