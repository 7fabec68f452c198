"""What docker-compose.yml promises, read from the file; tests/compose shows it on an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
LAPTOP = {"localstack", "setup-local"}
PRODUCTION = sorted(SERVICES.keys() - LAPTOP)
JOBS = {"migrate", "setup", "host", "cli", "rebuild"}
SOFT_SHUTDOWN_S = 30
MIB = 2**20
SECRET = re.compile("PASSWORD|TOKEN|SECRET|AUTH|REDIS_URL|DATABASE_URL")
# The token is LocalStack's, and passed through from the user; the other two are paths.
NO_SECRETS = {"AWS_SHARED_CREDENTIALS_FILE", "LOCALSTACK_AUTH_TOKEN", "HIKYAKU_SECRETS"}
READERS = {"poller", "decryptor", "loader", "migrate", "flower", "redis", "postgres"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"localstack"}))
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 256
    assert service["mem_limit"] == service["memswap_limit"], "swap is a disk"
    assert service["ulimits"]["core"] == 0
    assert "privileged" not in service
    setup = name in {"setup", "setup-local", "host"}
    assert service.get("cap_add", []) == (["CHOWN", "DAC_OVERRIDE", "FOWNER"] if setup else [])
    assert ("user" in service and service["user"].startswith("0")) == setup


def test_what_makes_the_laptops_secrets_has_no_network() -> None:
    assert SERVICES["setup-local"]["network_mode"] == "none"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_logs_are_bounded(name: str) -> None:
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - JOBS - {"setup-local"}))
def test_a_service_that_stays_restarts_and_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_up_starts_no_tool() -> None:
    assert all(SERVICES[name]["profiles"] == ["tools"] for name in ("setup", "host", "cli", "rebuild"))
    assert {name for name in SERVICES if SERVICES[name].get("profiles") == ["local"]} == LAPTOP


def test_of_what_stays_only_poller_and_decryptor_reach_out() -> None:
    closed = {name: network["internal"] for name, network in FILE["networks"].items() if (network or {}).get("internal")}
    openable = {name: f"${{HIKYAKU_{name.upper()}_INTERNAL:-true}}" for name in ("broker", "database")}
    assert closed == {**openable, "metrics": True}
    assert {name for name in PRODUCTION if "egress" in SERVICES[name]["networks"]} == {
        "poller",
        "decryptor",
        "setup",
        "host",
        "cli",
        "rebuild",
    }
    assert {name for name in SERVICES if "window" in SERVICES[name].get("networks", [])} == {"flower"}
    assert FILE["networks"]["window"]["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_metrics_are_off_unless_asked_for_and_then_in_a_network_of_their_own() -> None:
    poller = SERVICES["poller"]
    assert poller["environment"]["HIKYAKU_METRICS_PORT"] == "${HIKYAKU_METRICS_PORT:-}"
    assert poller["networks"]["metrics"]["aliases"] == [poller["environment"]["HIKYAKU_METRICS_ADDRESS"]]
    assert {name for name in SERVICES if "metrics" in SERVICES[name].get("networks", [])} == {"poller", "cli"}
    assert "ports" not in poller


def test_only_those_who_need_the_database_reach_it() -> None:
    reaching = {name for name in SERVICES if "database" in SERVICES[name].get("networks", [])}
    assert reaching == {"loader", "migrate", "postgres", "host", "cli", "rebuild"}


def test_ports_are_published_on_loopback_only() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports.keys() == {"flower", "localstack"}
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_environment_names_files_for_secrets(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    assert "env_file" not in SERVICES[name]
    assert [key for key in environment if SECRET.search(key) and not key.endswith("_FILE") and key not in NO_SECRETS] == []


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_service_sees_its_own_folder_of_secrets_only(name: str) -> None:
    mounted = [volume for volume in SERVICES[name]["volumes"] if "HIKYAKU_SECRETS" in volume]
    assert mounted == [f"${{HIKYAKU_SECRETS:-./secrets}}/{name}:/run/secrets:ro"]


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_secret_is_a_file_that_the_docs_describe(name: str) -> None:
    docs = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    paths = re.findall(r"/run/secrets/([a-z_.]+)", str(SERVICES[name]))
    assert paths
    assert [path for path in paths if f"{name}/{path}" not in docs] == []


def test_the_decryptor_has_room_for_a_full_spool() -> None:
    """What lies in a tmpfs counts as memory of the container that wrote it."""
    spool = default(FILE["volumes"]["spool"]["driver_opts"]["o"], "HIKYAKU_SPOOL_SIZE")
    limit = default(SERVICES["decryptor"]["mem_limit"], "HIKYAKU_DECRYPTOR_MEMORY")
    assert in_bytes(limit) - in_bytes(spool) >= 512 * MIB


def default(text: str, variable: str) -> str:
    (found,) = re.findall(rf"\$\{{{variable}:-([^}}]+)\}}", text)
    return str(found)


def in_bytes(size: str) -> int:
    return int(size[:-1]) * {"m": MIB, "g": 1024 * MIB}[size[-1]]


@pytest.mark.parametrize("name", ["poller", "decryptor", "loader"])
def test_a_stop_waits_for_the_soft_shutdown(name: str) -> None:
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > SOFT_SHUTDOWN_S


def test_every_variable_has_a_default() -> None:
    """So that nothing warns without `.env`; what is missing is named by the service, and by `hikyaku setup`."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"\$\{\w+\}|\$\w+", text) == []


def test_every_variable_of_the_example_is_used() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:# ?)?([A-Z][A-Z_]+)=", example, re.MULTILINE)) - {"COMPOSE_PROFILES"}
    assert len(names) > 8
    assert [name for name in names if f"{name}:" not in text] == []


HOSTS_OWN = {"pid", "ipc", "uts", "userns_mode", "cgroup", "cgroup_parent", "devices", "device_cgroup_rules"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_shares_a_namespace_or_a_device_of_the_host(name: str) -> None:
    service = SERVICES[name]
    assert service.keys().isdisjoint(HOSTS_OWN)
    assert service.get("network_mode", "none") == "none"
    assert "network_mode" in service or service["networks"], "without a network of ours it would be on docker0"
    assert not [volume for volume in service.get("volumes", []) if re.search(r"docker\.sock|shared|slave", volume)]


@pytest.mark.parametrize("name", ["hardening.md", "security.md"])
def test_the_tables_name_tests_that_there_are(name: str) -> None:
    docs = (ROOT / "docs" / name).read_text(encoding="utf-8")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", docs))
    assert len(named) > 20
    assert [test for test in sorted(named) if f"def {test}(" not in tests] == []


def test_a_pause_travels_from_the_operator_to_the_poller_and_not_back() -> None:
    mounted = {name: [each for each in SERVICES[name].get("volumes", []) if str(each).startswith("pause:")] for name in SERVICES}
    assert {name: volumes for name, volumes in mounted.items() if volumes} == {
        "poller": ["pause:/var/lib/hikyaku:ro"],
        "cli": ["pause:/var/lib/hikyaku"],
    }
    files = {SERVICES[name]["environment"]["HIKYAKU_PAUSE_FILE"] for name in ("poller", "cli")}
    assert files == {"/var/lib/hikyaku/pause.json"}, "in the folder that the image makes for its own user"


def test_gpgs_homes_are_in_memory_and_the_decryptors_alone() -> None:
    decryptor = SERVICES["decryptor"]
    place = decryptor["environment"]["HIKYAKU_GNUPG_DIR"]
    assert f"{place}:size=16m,uid=10001,gid=10001,mode=0700" in decryptor["tmpfs"]
