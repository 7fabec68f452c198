"""What docker-compose.yml promises, read from the file; tests/compose shows it on an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
PRODUCTION = sorted(SERVICES.keys() - {"localstack"})
SOFT_SHUTDOWN_S = 30
SECRET = re.compile("PASSWORD|TOKEN|SECRET|AUTH|REDIS_URL|DATABASE_URL")
# The token is AWS's stand-in's, and passed through from the user.
NO_SECRETS = {"AWS_SHARED_CREDENTIALS_FILE", "LOCALSTACK_AUTH_TOKEN"}


@pytest.mark.parametrize("name", PRODUCTION)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 256
    assert service["mem_limit"]
    assert service["ulimits"]["core"] == 0
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("name", PRODUCTION)
def test_logs_are_bounded(name: str) -> None:
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_only_poller_and_decryptor_reach_out() -> None:
    closed = {name for name, network in FILE["networks"].items() if (network or {}).get("internal")}
    assert closed == {"broker", "database"}
    assert {name for name in PRODUCTION if "egress" in SERVICES[name]["networks"]} == {"poller", "decryptor"}
    assert {name for name in SERVICES if "window" in SERVICES[name]["networks"]} == {"flower"}
    assert FILE["networks"]["window"]["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_only_those_who_need_the_database_reach_it() -> None:
    assert {name for name in SERVICES if "database" in SERVICES[name]["networks"]} == {"loader", "migrate", "postgres"}


def test_ports_are_published_on_loopback_only() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports.keys() == {"flower", "localstack"}
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_environment_names_files_for_secrets(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    assert "env_file" not in SERVICES[name]
    assert [key for key in environment if SECRET.search(key) and not key.endswith("_FILE") and key not in NO_SECRETS] == []


def test_every_secret_is_a_file_that_the_docs_describe() -> None:
    docs = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    files = [secret["file"].rsplit("/", 1)[1] for name, secret in FILE["secrets"].items() if name != "ca_bundle"]
    assert files
    rows = "\n".join(line for line in docs.splitlines() if line.startswith("| `"))
    shortened = {f"redis_url_{user}": f"_{user}`" for user in ("decryptor", "loader", "flower")}
    assert [file for file in files if f"`{file}`" not in rows and shortened.get(file, "\0") not in rows] == []


@pytest.mark.parametrize("name", ["poller", "decryptor", "loader"])
def test_a_stop_waits_for_the_soft_shutdown(name: str) -> None:
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > SOFT_SHUTDOWN_S
