"""What of the caller's environment reaches the stack's processes."""

from collections.abc import Mapping

BASE = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
LOOPBACK = ("127.0.0.1", "localhost")
OWN = frozenset(
    f"HIKYAKU_{name}"
    for name in (
        "BUCKET",
        "DATABASE_URL",
        "DATASETS",
        "DLQ_URL",
        "FLOWER_ADDRESS",
        "FLOWER_AUTH",
        "FLOWER_PORT",
        "FLOWER_URL",
        "HEALTH_FILE",
        "IDENTITIES_DIR",
        "LOCAL_DIR",
        "LOCAL_TOOLS",
        "QUEUE_URL",
        "RECEIPT_KEY_FILE",
        "RECIPIENT",
        "REDIS_URL",
    )
)
"""Where the stack's own value is the only right one: the caller may well have sourced another stack's endpoints.env."""


def base(caller: Mapping[str, str]) -> dict[str, str]:
    """Locale, certificates and proxies. Never AWS_*: the caller's own cloud account must stay out of reach."""
    kept = {name: value for name, value in caller.items() if name in BASE or name.startswith("LC_")}
    proxies = {name: caller[name] for name in PROXIES if name in caller}
    return {**kept, **proxies, **_without_proxy(caller)}


def _without_proxy(caller: Mapping[str, str]) -> dict[str, str]:
    """The stack's servers are on loopback, where no proxy must stand between."""
    told = caller.get("NO_PROXY") or caller.get("no_proxy") or ""
    hosts = ",".join(dict.fromkeys([*filter(None, told.split(",")), *LOOPBACK]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def settings(caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's HIKYAKU_* that the services shall have."""
    return {name: value for name, value in caller.items() if name.startswith("HIKYAKU_") and not is_own(name)}


def is_own(name: str) -> bool:
    """Whether the stack alone sets this variable (or its `_FILE`)."""
    return name.removesuffix("_FILE") in OWN or name.startswith("HIKYAKU_PID_")
