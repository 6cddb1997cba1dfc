"""Everything that may be set from outside, read once: the only file that looks at the environment.

Each setting is an environment variable ``SHUNIU_<NAME>``. Nothing needs to be set for the embedded
default (SQLite and an embedded Valkey in ``DATA_DIR``); a PostgreSQL address means production, which
refuses to start without its own ``SECRET_KEY``. Lower rooms receive settings as arguments.
"""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway import hints, references
from retry_queue import redis_address

PREFIX = "SHUNIU_"
SCRIPT_ONLY = frozenset({"CI", "PYTHON", "NO_APT", "SKIP_UI", "TEST_POSTGRES_URL"})
"""Names that ``./shuniu`` and the test suite read, not the product."""

MIN_SECRET = 32
SOCKET_LIMIT = 100
"""Bytes of a unix socket's path; Linux stops at 107, macOS at 103."""

_SIZES = {"": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2, "mib": 1024**2, "mb": 1000**2}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


Unusable = references.Unusable
"""The configuration cannot be used; says what to set, in Chinese and English."""


class Settings(BaseSettings):
    """The settings of one hub; build them with :func:`load`, which explains what is wrong."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    vault_addr: str = ""
    vault_token: SecretStr = SecretStr("")
    vault_namespace: str = ""
    """HashiCorp Vault (KV version 2), for values that read ``vault:mount/path#field``."""
    secret_sources: Annotated[tuple[references.Source, ...], NoDecode] = ()
    """Where secrets of connections may be, as ``file:/run/secrets/shops,vault:kv/shops,env:SHOP_*``; empty: nowhere."""
    data_dir: Path = Field(default_factory=lambda: _default_data_dir())  # noqa: PLW0108  # defined further down
    database_url: str = Field(default="", repr=False)
    """Always the asynchronous form: ``sqlite+aiosqlite:///…`` or ``postgresql+asyncpg://…``."""
    redis_url: str = Field(default="", repr=False)
    """Empty: ``serve`` starts the embedded Valkey. The address to use either way is :attr:`redis`."""
    secret_key: SecretStr = SecretStr("")
    """Encrypts credentials at rest; never empty after :func:`load`."""
    old_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Master keys of before, while ``shuniu keys rotate`` has not yet made them needless."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: str = ""
    """How browsers and vendors reach the hub; without a trailing slash."""
    egress_allow: Annotated[tuple[Network, ...], NoDecode] = ()
    """Private networks that connections may call; every other private address is refused."""
    sandbox_url: str = ""
    """Where simulators of the vendors' systems answer, such as ``http://127.0.0.1:9100``; empty: no sandbox."""
    oidc_issuer: str = ""
    """The identity provider's issuer, exactly as it writes it; empty: passwords only."""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_scope: str = "openid profile email"
    oidc_role_claim: str = "groups"
    oidc_roles: Annotated[dict[str, Literal["owner", "editor", "operator", "viewer"]], NoDecode] = Field(
        default_factory=dict
    )
    """Group of the provider -> role here, as ``admins=owner,sales=viewer``; the highest counts."""
    oidc_default_role: Literal["", "owner", "editor", "operator", "viewer"] = ""
    """The role of people whose groups give none; empty: they may not sign in."""
    scan_login: Annotated[tuple[str, ...], NoDecode] = ()
    """Connections by whose own page people may sign in, such as ``wecom-main``; only an owner may change these."""
    scan_roles: Annotated[dict[str, Literal["owner", "editor", "operator", "viewer"]], NoDecode] = Field(
        default_factory=dict
    )
    """``connection/member id`` -> role here; ``connection/*`` for every member who is not named."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    max_body: Annotated[int, Field(ge=1024, le=256 * 1024**2)] = 1024**2
    """Bytes of the largest accepted hook or API body."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Where a worker or poller that runs alone answers /livez, /readyz and /metrics; 0: nowhere."""
    otlp_endpoint: str = ""
    """An OpenTelemetry collector's OTLP/HTTP address, such as ``http://collector:4318``; empty: no traces."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How much of all traces is sent, 0 to 1."""
    probe_seconds: Annotated[float, Field(ge=0.05, le=3600)] = 30.0
    """Seconds between two probes of a system whose breaker is open."""
    instance: str = ""
    """Which child of the supervisor this process is, such as ``worker-2``; set by it."""
    metrics_dir: Path = Path()
    """Where the processes of one hub share their metrics; wiped at every start."""

    @field_validator(
        "vault_token", "oidc_client_secret", "database_url", "redis_url", "secret_key", "old_secret_keys", mode="before"
    )
    @classmethod
    def _referred(cls, value: object, known: ValidationInfo) -> object:
        """The value itself, or what ``file:`` or ``vault:`` names; old keys are separated by commas or blanks."""
        token = known.data.get("vault_token", SecretStr(""))
        vault = references.Vault(
            known.data.get("vault_addr", ""), token.get_secret_value(), known.data.get("vault_namespace", "")
        )
        if not isinstance(value, str):
            return value
        if known.field_name == "old_secret_keys":
            found = " ".join(references.resolved(one, vault) for one in re.split(r"[,\s]+", value) if one)
            return tuple(part for part in re.split(r"[,\s]+", found) if part)
        return references.resolved(value, vault)

    @field_validator("data_dir", "metrics_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute() if value != Path() else value

    @field_validator("database_url")
    @classmethod
    def _asynchronous(cls, value: str) -> str:
        scheme, mark, rest = value.partition("://")
        if not mark:
            if value:
                raise ValueError("not a database address")
            return value
        names = {"sqlite+aiosqlite": ("sqlite",), "postgresql+asyncpg": ("postgres", "postgresql")}
        known = next((whole for whole, short in names.items() if scheme in (whole, *short)), None)
        if known is None:
            raise ValueError("not a database address")
        if known.startswith("postgresql"):
            rest = rest.replace("sslmode=", "ssl=", 1)  # libpq's spelling; asyncpg takes the same words as ssl
        return f"{known}://{rest}"

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str) -> str:
        if value and redis_address.group(value) is None and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("not a Redis address")
        return value

    @field_validator("public_url", "otlp_endpoint", "sandbox_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
            raise ValueError("not a web address")
        return value.rstrip("/")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("max_body", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        if isinstance(value, str):
            found = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", value.lower())
            if found is None or found[2] not in _SIZES:
                raise ValueError("not a size")
            return int(found[1]) * _SIZES[found[2]]
        return value

    @field_validator("oidc_roles", "scan_roles", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if isinstance(value, str):
            pairs = [part.rpartition("=") for part in value.split(",") if part.strip()]
            return {group.strip(): role.strip() for group, _, role in pairs}
        return value

    @field_validator("scan_login", "secret_sources", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ipaddress.ip_network(part, strict=False) for part in re.split(r"[,\s]+", value) if part)
        return value

    @model_validator(mode="after")
    def _derived(self) -> Self:
        derived: dict[str, object] = {}
        if not self.database_url:
            derived["database_url"] = f"sqlite+aiosqlite:///{self.data_dir / 'shuniu.sqlite3'}"
        if not self.public_url:
            host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104  # compared, not bound
            derived["public_url"] = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        if self.metrics_dir == Path():
            derived["metrics_dir"] = self.data_dir / "metrics"
        self.__dict__.update(derived)
        return self

    @property
    def production(self) -> bool:
        """True on PostgreSQL: secrets must then come from the operator."""
        return self.database_url.startswith("postgresql")

    @property
    def masters(self) -> tuple[str, ...]:
        """The master keys, the current one first; for ``secrets.Sealer``."""
        return (self.secret_key.get_secret_value(), *(one.get_secret_value() for one in self.old_secret_keys))

    @property
    def embedded_redis(self) -> bool:
        """True when ``serve`` has to start the embedded Valkey itself."""
        return not self.redis_url

    @property
    def redis(self) -> str:
        """The Redis address to use, embedded or not; the same for every process of one DATA_DIR."""
        return self.redis_url or f"unix://{quote(str(self.valkey_socket))}?db=0"

    @property
    def valkey_socket(self) -> Path:
        """The embedded server's socket, in a directory short enough for a socket path."""
        return self.runtime_dir / "valkey.sock"

    @property
    def runtime_dir(self) -> Path:
        """A short private directory that belongs to this DATA_DIR; made by :func:`private_dir`."""
        mark = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = Path(base) / f"shuniu-{mark}" if base else Path()
        if not base or not Path(base).is_dir() or len(os.fsencode(folder / "valkey.sock")) > SOCKET_LIMIT:
            folder = Path("/tmp") / f"shuniu-{os.getuid()}-{mark}"  # noqa: S108  # private_dir checks owner and mode
        return folder

    def environment(self) -> dict[str, str]:
        """The environment for a child process: ours, with every setting made explicit."""
        own = {
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": self.secret_key.get_secret_value(),
            "OLD_SECRET_KEYS": " ".join(one.get_secret_value() for one in self.old_secret_keys),
            "HOST": self.host,
            "PORT": str(self.port),
            "PUBLIC_URL": self.public_url,
            "EGRESS_ALLOW": ",".join(str(network) for network in self.egress_allow),
            "SANDBOX_URL": self.sandbox_url,
            "OIDC_CLIENT_SECRET": self.oidc_client_secret.get_secret_value(),
            "WORKERS": str(self.workers),
            "LOG_LEVEL": self.log_level,
            "LOG_FORMAT": self.log_format,
            "MAX_BODY": str(self.max_body),
            "OTLP_ENDPOINT": self.otlp_endpoint,
            "TRACE_RATIO": str(self.trace_ratio),
            "PROBE_SECONDS": str(self.probe_seconds),
            "METRICS_DIR": str(self.metrics_dir),
            "METRICS_PORT": "0",  # the children of one supervisor are told about by the API
            "REDIS_URL": self.redis,
        }
        return {
            **os.environ,
            **{PREFIX + name: value for name, value in own.items()},
            "PROMETHEUS_MULTIPROC_DIR": str(self.metrics_dir),
        }


def load(**overrides: object) -> Settings:
    """Read the environment and return usable settings, with DATA_DIR made and SECRET_KEY present.

    ``overrides`` are field values that win over the environment (command-line options; None means not
    given). Raises :class:`Unusable` naming every wrong variable.
    """
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise _explain(error) from None
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unusable(
            f"无法使用数据目录 {settings.data_dir}({error.strerror});请把 SHUNIU_DATA_DIR 设为可写的目录",
            f"the data directory {settings.data_dir} cannot be used ({error.strerror}); "
            "set SHUNIU_DATA_DIR to a directory that can be written",
        ) from None
    secret = settings.secret_key.get_secret_value()
    if not secret:
        if settings.production:
            raise Unusable(
                "使用 PostgreSQL(生产环境)时必须设置 SHUNIU_SECRET_KEY:请生成一次并妥善保存,"
                '例如 python3 -c "import secrets; print(secrets.token_urlsafe(48))"',
                "SHUNIU_SECRET_KEY must be set when SHUNIU_DATABASE_URL is PostgreSQL (production): make one once "
                'and keep it safe, for example python3 -c "import secrets; print(secrets.token_urlsafe(48))"',
            )
        secret = _own_secret(settings.data_dir / "secret_key")
    if any(len(one) < MIN_SECRET for one in (secret, *settings.masters[1:])):
        zh, en = f"太短:至少 {MIN_SECRET} 个字符", f"is too short: at least {MIN_SECRET} characters"
        raise Unusable(f"SHUNIU_SECRET_KEY {zh}", f"SHUNIU_SECRET_KEY {en}")
    return settings.model_copy(update={"secret_key": SecretStr(secret)})


def surroundings() -> dict[str, str]:
    """A copy of this process's environment, for child programs that are not ours."""
    return dict(os.environ)


def unknown() -> dict[str, str]:
    """Variables with our prefix that mean nothing, each with the nearest known name (or ``""``)."""
    names = [name.upper() for name in Settings.model_fields]
    strangers = {
        name.removeprefix(PREFIX) for name in os.environ if name.startswith(PREFIX) and name.removeprefix(PREFIX)
    } - {*names, *SCRIPT_ONLY}
    return {
        PREFIX + name: PREFIX + near[0] if (near := difflib.get_close_matches(name, names, 1)) else ""
        for name in sorted(strangers)
    }


def vault() -> references.Vault:
    """Vault as the environment names it; a token that lives in a file is read again, since others renew it."""
    address, token, space = (os.environ.get(f"{PREFIX}VAULT_{name}", "") for name in ("ADDR", "TOKEN", "NAMESPACE"))
    return references.Vault(address, references.resolved(token, None), space)


def expand(text: str, extra: Mapping[str, str] | None = None) -> str:
    """Fill ``${NAME}`` from the environment (or ``extra`` first), as ``hub.yaml`` does for secrets.

    ``${file:/run/secrets/key}`` and ``${vault:mount/path#field}`` are read from there. Raises :class:`Unusable`
    naming the first that is not set or cannot be read, so that a credential is never silently empty.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if references.is_one(name):
            return references.resolved(name, vault())
        known = (extra or {}).get(name, os.environ.get(name))
        if known is None:
            raise Unusable(
                f"环境变量 {name} 没有设置(配置中写了 ${{{name}}})",
                f"the environment variable {name} is not set (the configuration says ${{{name}}})",
            )
        return known

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*|(?:file|vault):[^}]+)\}", value, text)


def private_dir(folder: Path) -> Path:
    """Make ``folder`` for our eyes only and return it; raises :class:`Unusable` if another owns it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.lstat()
    if folder.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise Unusable(
            f"目录 {folder} 不是本用户私有的,拒绝使用;请删除它或检查权限(应为 700)",
            f"the directory {folder} is not private to this user and is refused; remove it or make it mode 700",
        )
    return folder


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "shuniu"


def _own_secret(path: Path) -> str:
    """The embedded default's key, made once; whoever links the file first wins, the others read it."""
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # mode 600 from birth
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                return path.read_text().strip()
        finally:
            Path(draft).unlink()
    elif path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return path.read_text().strip()


def _explain(error: ValidationError) -> Unusable:
    """Names and expectations only: the refused value may hold a password."""
    fields = dict.fromkeys(str(problem["loc"][0]) if problem["loc"] else "" for problem in error.errors())
    lines = [(PREFIX + name.upper(), *hints.HINTS.get(name, ("的值无效", "has an unusable value"))) for name in fields]
    return Unusable(
        "配置有误:" + ";".join(f"{name} {zh}" for name, zh, _ in lines),
        "wrong configuration: " + "; ".join(f"{name}: {en}" for name, _, en in lines),
    )
