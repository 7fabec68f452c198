"""What each package declares and what it imports: the parting of the services, checked."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "shared": ROOT / "shared",
    "poller": ROOT / "services/poller",
    "decryptor": ROOT / "services/decryptor",
    "loader": ROOT / "services/loader",
    "hikyaku": ROOT / "cli",
}
DISTRIBUTIONS = {name: "hikyaku" if name == "hikyaku" else f"hikyaku-{name}" for name in PACKAGES}
SERVICES = ("poller", "decryptor", "loader")
FORBIDDEN = {
    "poller": {"psycopg", "pyrage", "isal"},
    "decryptor": {"psycopg"},
    # It encrypts what comes back to a sender; keys that open anything are the decryptor's alone.
    "loader": {"boto3", "botocore"},
    "shared": {"boto3", "botocore", "psycopg", "pyrage", "isal"},
}
COMPANIONS = {"boto3": {"botocore", "s3transfer"}, "celery": {"kombu", "billiard", "vine"}, "celery[redis]": {"redis"}}
"""What comes with a package by design and may be imported where that one is declared."""


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def declared(package: str) -> set[str]:
    """Distributions that the package's pyproject.toml asks for, optional ones too, with their companions."""
    project = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(item for group in project.get("optional-dependencies", {}).values() for item in group)]
    names: set[str] = set()
    for requirement in map(Requirement, asked):
        forms = [requirement.name, *(f"{requirement.name}[{extra}]" for extra in requirement.extras)]
        names |= {_name(requirement.name)}.union(*(COMPANIONS.get(form, set()) for form in forms))
    return names


def imported(package: str) -> set[str]:
    """Top-level names that the package's modules import at run time, wherever in the module."""
    return {
        name
        for path in sorted((PACKAGES[package] / "src").rglob("*.py"))
        for name in imports_of(ast.parse(path.read_text(encoding="utf-8")))
    }


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Top-level names of a module's imports, except those only for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and _imports_by_name(node):
            yield str(ast.literal_eval(node.args[0])).partition(".")[0]
        yield from imports_of(node)


def _imports_by_name(call: ast.Call) -> bool:
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return function in {"import_module", "__import__"} and bool(call.args) and isinstance(call.args[0], ast.Constant)


def installed_with(package: str) -> set[str]:
    """Everything that installing the package (without extras) brings in, by the installed distributions' own word."""
    start = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found: set[str] = set()
    waiting = [Requirement(item) for item in start]
    while waiting:
        requirement = waiting.pop()
        key = str((_name(requirement.name), sorted(requirement.extras)))
        if key in found:
            continue
        found |= {key, _name(requirement.name)}
        waiting += _asked_by(requirement)
    return found


def _asked_by(requirement: Requirement) -> list[Requirement]:
    try:
        asked = [Requirement(item) for item in requires(requirement.name) or []]
    except PackageNotFoundError:
        return []
    wanted = ("", *requirement.extras)
    return [each for each in asked if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in wanted)]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(package: str) -> None:
    distributions = dict(packages_distributions()) | {name: [distribution] for name, distribution in DISTRIBUTIONS.items()}
    third_party = imported(package) - set(sys.stdlib_module_names) - {package}
    undeclared = {name for name in third_party if not {_name(d) for d in distributions.get(name, [name])} & declared(package)}
    assert undeclared == set()


@pytest.mark.parametrize("package", FORBIDDEN)
def test_what_a_service_must_not_have_is_neither_imported_nor_declared_nor_installed(package: str) -> None:
    assert imported(package) & FORBIDDEN[package] == set()
    assert declared(package) & FORBIDDEN[package] == set()
    assert installed_with(package) & FORBIDDEN[package] == set()


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_imports_another_or_the_command(service: str) -> None:
    others = (set(SERVICES) | {"hikyaku"}) - {service}
    assert imported(service) & others == set()
    assert declared(service) & {f"hikyaku-{other}" for other in others} == set()


def test_shared_imports_no_service() -> None:
    assert imported("shared") & {*SERVICES, "hikyaku"} == set()


# The checks themselves see what they should.


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import boto3.session", {"boto3"}),
        ("from psycopg import sql", {"psycopg"}),
        ("def f():\n    import boto3", {"boto3"}),
        ("try:\n    import boto3\nexcept ImportError:\n    pass", {"boto3"}),
        ("import importlib\nimportlib.import_module('boto3.session')", {"importlib", "boto3"}),
        ("if TYPE_CHECKING:\n    import boto3", set()),
        ("from . import sibling", set()),
    ],
)
def test_imports_are_seen_wherever_they_hide(source: str, names: set[str]) -> None:
    assert set(imports_of(ast.parse(source))) == names


def test_what_comes_in_by_another_package_is_seen() -> None:
    assert {"boto3", "botocore", "kombu", "redis"} <= installed_with("poller")
    assert "kombu" in installed_with("loader")
