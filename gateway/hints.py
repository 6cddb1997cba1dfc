"""What each setting should look like, for people whose value cannot be used: zh and en. Never the value itself."""

from __future__ import annotations

HINTS: dict[str, tuple[str, str]] = {
    "database_url": (
        "应为 sqlite:///路径 或 postgresql://用户:密码@主机:端口/库名",
        "expected sqlite:///path or postgresql://user:password@host:port/name",
    ),
    "redis_url": (
        "应为 redis://、rediss://、unix:// 或 redis+sentinel://主机:端口,主机:端口/主库名",
        "expected redis://, rediss://, unix:// or redis+sentinel://host:port,host:port/master",
    ),
    "public_url": ("应为 http(s)://主机 形式的网址", "expected an address such as https://hub.example.com"),
    "otlp_endpoint": (
        "应为 http(s)://主机:端口 形式的网址",
        "expected an address such as http://collector:4318",
    ),
    "sandbox_url": (
        "应为模拟器的网址，如 http://127.0.0.1:9100",
        "expected the simulators' address, such as http://127.0.0.1:9100",
    ),
    "trace_ratio": ("应为 0 到 1 的数", "expected a number from 0 to 1"),
    "port": ("应为 0–65535 的整数", "expected a whole number from 0 to 65535"),
    "metrics_port": ("应为 0–65535 的整数", "expected a whole number from 0 to 65535"),
    "workers": ("应为 1–64 的整数", "expected a whole number from 1 to 64"),
    "egress_allow": (
        "应为逗号分隔的网段,如 10.0.0.0/8,192.168.1.0/24",
        "expected networks separated by commas, such as 10.0.0.0/8,192.168.1.0/24",
    ),
    "secret_sources": (
        "应为逗号分隔的 file:/目录、vault:挂载点/路径、env:变量名",
        "expected file:/folder, vault:mount/path and env:NAME, separated by commas",
    ),
    "max_body": ("应为 1KiB–256MiB 的大小,如 1MiB", "expected a size from 1KiB to 256MiB, such as 1MiB"),
    "oidc_roles": ("应为 组名=角色，以逗号分隔", "expected group=role, separated by commas"),
    "scan_roles": ("应为 连接/成员账号=角色，以逗号分隔", "expected connection/member=role, separated by commas"),
    "log_level": ("应为 DEBUG、INFO、WARNING 或 ERROR", "expected DEBUG, INFO, WARNING or ERROR"),
    "log_format": ("应为 json 或 console", "expected json or console"),
}
"""Field of the settings -> expectation."""
