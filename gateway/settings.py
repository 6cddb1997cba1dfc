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

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SHUNIU_"
SCRIPT_ONLY = frozenset({"CI", "PYTHON", "NO_APT", "SKIP_UI", "TEST_POSTGRES_URL"})
"""Names that ``./shuniu`` and the test suite read, not the product."""

MIN_SECRET = 32
SOCKET_LIMIT = 100
"""Bytes of a unix socket's path; Linux stops at 107, macOS at 103."""

_SIZES = {"": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2, "mib": 1024**2, "mb": 1000**2}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Unusable(Exception):
    """The configuration cannot be used; ``str()`` says what to set, in Chinese and English."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh}\n{en}")
        self.zh = zh
        self.en = en


class Settings(BaseSettings):
    """The settings of one hub; build them with :func:`load`, which explains what is wrong."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(default_factory=lambda: _default_data_dir())  # noqa: PLW0108  # defined further down
    database_url: str = Field(default="", repr=False)
    """Always the asynchronous form: ``sqlite+aiosqlite:///…`` or ``postgresql+asyncpg://…``."""
    redis_url: str = Field(default="", repr=False)
    """Empty: ``serve`` starts the embedded Valkey. The address to use either way is :attr:`redis`."""
    secret_key: SecretStr = SecretStr("")
    """Encrypts credentials at rest; never empty after :func:`load`."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: str = ""
    """How browsers and vendors reach the hub; without a trailing slash."""
    egress_allow: Annotated[tuple[Network, ...], NoDecode] = ()
    """Private networks that connections may call; every other private address is refused."""
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
    instance: str = ""
    """Which child of the supervisor this process is, such as ``worker-2``; set by it."""
    metrics_dir: Path = Path()
    """Where the processes of one hub share their metrics; wiped at every start."""

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
        known = {
            "sqlite": "sqlite+aiosqlite",
            "sqlite+aiosqlite": "sqlite+aiosqlite",
            "postgres": "postgresql+asyncpg",
            "postgresql": "postgresql+asyncpg",
            "postgresql+asyncpg": "postgresql+asyncpg",
        }.get(scheme)
        if known is None:
            raise ValueError("not a database address")
        if known.startswith("postgresql"):
            rest = rest.replace("sslmode=", "ssl=", 1)  # libpq's spelling; asyncpg takes the same words as ssl
        return f"{known}://{rest}"

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("not a Redis address")
        return value

    @field_validator("public_url", "otlp_endpoint")
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
            "HOST": self.host,
            "PORT": str(self.port),
            "PUBLIC_URL": self.public_url,
            "EGRESS_ALLOW": ",".join(str(network) for network in self.egress_allow),
            "WORKERS": str(self.workers),
            "LOG_LEVEL": self.log_level,
            "LOG_FORMAT": self.log_format,
            "MAX_BODY": str(self.max_body),
            "OTLP_ENDPOINT": self.otlp_endpoint,
            "TRACE_RATIO": str(self.trace_ratio),
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
    if len(secret) < MIN_SECRET:
        raise Unusable(
            f"SHUNIU_SECRET_KEY 太短:至少 {MIN_SECRET} 个字符",
            f"SHUNIU_SECRET_KEY is too short: at least {MIN_SECRET} characters",
        )
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


def expand(text: str, extra: Mapping[str, str] | None = None) -> str:
    """Fill ``${NAME}`` from the environment (or ``extra`` first), as ``hub.yaml`` does for secrets.

    Raises :class:`Unusable` naming the first variable that is not set, so that a credential is never
    silently empty.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        known = (extra or {}).get(name, os.environ.get(name))
        if known is None:
            raise Unusable(
                f"环境变量 {name} 没有设置(配置中写了 ${{{name}}})",
                f"the environment variable {name} is not set (the configuration says ${{{name}}})",
            )
        return known

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)


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


_HINTS = {
    "database_url": (
        "应为 sqlite:///路径 或 postgresql://用户:密码@主机:端口/库名",
        "expected sqlite:///path or postgresql://user:password@host:port/name",
    ),
    "redis_url": ("应为 redis://、rediss:// 或 unix:// 地址", "expected a redis://, rediss:// or unix:// address"),
    "public_url": ("应为 http(s)://主机 形式的网址", "expected an address such as https://hub.example.com"),
    "otlp_endpoint": (
        "应为 http(s)://主机:端口 形式的网址",
        "expected an address such as http://collector:4318",
    ),
    "trace_ratio": ("应为 0 到 1 的数", "expected a number from 0 to 1"),
    "port": ("应为 0–65535 的整数", "expected a whole number from 0 to 65535"),
    "metrics_port": ("应为 0–65535 的整数", "expected a whole number from 0 to 65535"),
    "workers": ("应为 1–64 的整数", "expected a whole number from 1 to 64"),
    "egress_allow": (
        "应为逗号分隔的网段,如 10.0.0.0/8,192.168.1.0/24",
        "expected networks separated by commas, such as 10.0.0.0/8,192.168.1.0/24",
    ),
    "max_body": ("应为 1KiB–256MiB 的大小,如 1MiB", "expected a size from 1KiB to 256MiB, such as 1MiB"),
    "log_level": ("应为 DEBUG、INFO、WARNING 或 ERROR", "expected DEBUG, INFO, WARNING or ERROR"),
    "log_format": ("应为 json 或 console", "expected json or console"),
}


def _explain(error: ValidationError) -> Unusable:
    """Names and expectations only: the refused value may hold a password."""
    fields = dict.fromkeys(str(problem["loc"][0]) if problem["loc"] else "" for problem in error.errors())
    lines = [(PREFIX + name.upper(), *_HINTS.get(name, ("的值无效", "has an unusable value"))) for name in fields]
    return Unusable(
        "配置有误:" + ";".join(f"{name} {zh}" for name, zh, _ in lines),
        "wrong configuration: " + "; ".join(f"{name}: {en}" for name, _, en in lines),
    )
