"""The images: small, labelled, the same from the same sources."""

import json

import pytest
from conftest import SERVICES
from host import REPORT, ROOT, VERSION, run

LIMIT_MB = 120


def inspect(image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("docker", "image", "inspect", image).stdout)[0]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_small(images: None, base_image: str, service: str) -> None:
    layers = [int(str(inspect(image)["Size"])) for image in (f"hikyaku-{service}:{VERSION}", base_image)]
    above = (layers[0] - layers[1]) / 1e6
    REPORT.append(f"image hikyaku-{service}: {above:.0f} MB above its base")
    assert above <= LIMIT_MB


def test_an_image_says_what_it_is(images: None) -> None:
    config = inspect(f"hikyaku-loader:{VERSION}")["Config"]
    assert isinstance(config, dict)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "hikyaku-loader"
    assert labels["version"] == VERSION
    assert labels["licenses"] == "MIT"
    assert labels["revision"].startswith(run("git", "rev-parse", "--short=12", "HEAD").stdout.strip())
    assert labels["created"].endswith("Z")
    assert not labels["created"].startswith("1970")
    assert config["User"] == "10001:10001"


def test_the_same_sources_give_the_same_layers(images: None) -> None:
    epoch = run("git", "log", "-1", "--format=%ct").stdout.strip()
    run("docker", "compose", "build", "--no-cache", "loader", environment={"HIKYAKU_VERSION": "again", "SOURCE_DATE_EPOCH": epoch})
    first, second = (inspect(f"hikyaku-loader:{tag}")["RootFS"] for tag in (VERSION, "again"))
    assert first == second


def test_the_build_context_holds_no_secret() -> None:
    """Everything is ignored that is not named."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*"
    assert not [line for line in lines if line.startswith("!") and ("secret" in line or "env" in line)]
