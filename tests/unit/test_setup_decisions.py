"""What setup decides, without a file being written."""

import os
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from decryptor.settings import DecryptorSettings
from hikyaku import redis_acl
from hikyaku.errors import UserError
from hikyaku.setup import broker, database, dotenv, environment, inventory, laptop, layout, machine, stack
from hikyaku.setup.inventory import Found
from loader.settings import LoaderSettings
from poller.settings import PollerSettings
from shared import settings_file
from shared.flower import FlowerSettings

ROOT = Path(__file__).parents[2]
TEMPLATE = (ROOT / "redis" / "users.acl.template").read_text(encoding="utf-8")
REDIS = {path: f"redis://{user}:{user}-pw@redis:6379/0" for user, path in broker.URLS.items()}
ROLES = {"loader": "loader", "migrate": "migrator", "operator": "operator", "owner": "owner"}
DATABASE = {f"{folder}/database_url": f"postgresql://hikyaku_{role}:{role}-pw@postgres/hikyaku" for folder, role in ROLES.items()}
ROLES_ENV = "".join(f"HIKYAKU_{role.upper()}_PASSWORD={role}-pw\n" for role in ROLES.values())


def password(url: str) -> str:
    (found,) = re.findall(r"//\w+:([^@]+)@", url)
    return str(found)


# Redis


def test_new_redis_secrets_fit_one_another_and_the_acl_comes_last() -> None:
    made = broker.decide({}, TEMPLATE).make
    assert list(made) == [*broker.URLS.values(), broker.ACL]
    for user, path in broker.URLS.items():
        assert re.fullmatch(rf"redis://{user}:[0-9a-f]{{48}}@redis:6379/0\n", made[path])
        assert redis_acl.opens(made[broker.ACL], user, password(made[path]))
    assert len({password(made[path]) for path in broker.URLS.values()}) == 4
    assert "%RW~" in made[broker.ACL], "as Redis 7 has it"


def test_the_acl_is_rendered_from_the_urls() -> None:
    (acl,) = broker.decide(REDIS, TEMPLATE).make.values()
    assert all(redis_acl.opens(acl, user, f"{user}-pw") for user in broker.URLS)


def test_a_killed_runs_urls_are_completed() -> None:
    first = dict(list(REDIS.items())[:2])
    made = broker.decide(first, TEMPLATE).make
    assert list(made) == ["loader/redis_url", "flower/redis_url", broker.ACL]
    texts = {**first, **made}
    assert all(redis_acl.opens(made[broker.ACL], user, password(texts[path])) for user, path in broker.URLS.items())


def test_no_password_comes_out_of_a_hash() -> None:
    acl = redis_acl.render(TEMPLATE, {user: f"{user}-pw" for user in broker.URLS})
    assert broker.decide({**REDIS, broker.ACL: acl}, TEMPLATE) == broker.Decision()
    found = {**REDIS, broker.ACL: acl}
    del found["loader/redis_url"]
    with pytest.raises(UserError, match=r"secrets/loader/redis_url is missing.*only the password's hash") as error:
        broker.decide(found, TEMPLATE)
    assert "remove secrets/redis/users.acl" in error.value.hint


def test_a_url_that_the_acl_does_not_know_is_told() -> None:
    acl = redis_acl.render(TEMPLATE, {user: f"{user}-pw" for user in broker.URLS} | {"flower": "another"})
    with pytest.raises(UserError, match="flower could not log in") as error:
        broker.decide({**REDIS, broker.ACL: acl}, TEMPLATE)
    assert "flower-pw" not in str(error.value.lines())


def test_a_redis_of_ones_own_is_left_alone() -> None:
    own = {path: url.replace("@redis:", "@redis.example.com:") for path, url in REDIS.items()}
    assert broker.decide(own, TEMPLATE) == broker.Decision(unneeded=frozenset({broker.ACL}))
    del own["poller/redis_url"]
    decision = broker.decide(own, TEMPLATE)
    assert (decision.make, list(decision.ask)) == ({}, ["poller/redis_url"])


def test_half_a_redis_of_ones_own_is_refused() -> None:
    own = {**REDIS, "poller/redis_url": "rediss://poller:pw@redis.example.com/0"}
    with pytest.raises(UserError, match=r"secrets/poller/redis_url names a Redis of your own, secrets/decryptor/redis_url the project's"):
        broker.decide(own, TEMPLATE)


@pytest.mark.parametrize("url", ["redis://admin:pw@redis:6379/0", "redis://poller@redis:6379/0", "redis://redis/0"])
def test_a_url_without_its_users_password_is_told_and_not_shown(url: str) -> None:
    with pytest.raises(UserError, match=r"secrets/poller/redis_url is not a URL of the form redis://poller:") as error:
        broker.decide({**REDIS, "poller/redis_url": url}, TEMPLATE)
    assert "pw" not in str(error.value.lines())


def test_a_url_that_is_none_is_a_persons_own() -> None:
    assert broker.decide({"poller/redis_url": "redis://[secret"}, TEMPLATE).unneeded == {broker.ACL}


# PostgreSQL


def test_new_database_secrets_fit_one_another() -> None:
    made = database.decide({}).make
    assert set(made) == {*DATABASE, database.ROLES, database.PASSWORD}
    for folder, role in ROLES.items():
        url = made[f"{folder}/database_url"]
        assert re.fullmatch(rf"postgresql://hikyaku_{role}:[0-9a-f]{{48}}@postgres/hikyaku\n", url)
        assert f"HIKYAKU_{role.upper()}_PASSWORD={password(url)}\n" in made[database.ROLES]
    assert re.fullmatch(r"[0-9a-f]{48}\n", made[database.PASSWORD])


def test_the_roles_are_those_of_the_urls() -> None:
    made = database.decide({**DATABASE, database.PASSWORD: "x"}).make
    assert list(made) == [database.ROLES]
    assert sorted(made[database.ROLES].splitlines()) == sorted(ROLES_ENV.splitlines())


@pytest.mark.parametrize("form", ["{name}={value}", "export {name}='{value}' # kept", '{name}="{value}"'])
def test_a_url_is_made_from_the_roles(form: str) -> None:
    roles = "\n".join(form.format(name=line.partition("=")[0], value=line.partition("=")[2]) for line in ROLES_ENV.splitlines())
    found = {**DATABASE, database.ROLES: roles, database.PASSWORD: "x"}
    del found["owner/database_url"]
    assert database.decide(found).make == {"owner/database_url": "postgresql://hikyaku_owner:owner-pw@postgres/hikyaku\n"}


def test_a_password_with_signs_survives_both_ways() -> None:
    odd = "it's; $HOME @/:%"
    url = "postgresql://hikyaku_owner:it%27s%3B%20%24HOME%20%40%2F%3A%25@postgres/hikyaku"
    roles = database.decide({**DATABASE, "owner/database_url": url}).make[database.ROLES]
    found = {**DATABASE, database.ROLES: roles, database.PASSWORD: "x"}
    del found["owner/database_url"]
    assert odd.replace("'", "'\"'\"'") in roles
    assert database.decide(found).make["owner/database_url"].strip() == url


def test_roles_without_a_password_are_told() -> None:
    found = {database.ROLES: ROLES_ENV.replace("HIKYAKU_OWNER_PASSWORD", "OTHER")}
    with pytest.raises(
        UserError, match=r"secrets/owner/database_url is missing, and secrets/postgres/roles.env has no HIKYAKU_OWNER_PASSWORD"
    ):
        database.decide(found)
    with pytest.raises(UserError, match="is no list"):
        database.decide({database.ROLES: "HIKYAKU_OWNER_PASSWORD='open"})


def test_a_url_that_was_changed_later_is_right() -> None:
    found = {**DATABASE, database.ROLES: "HIKYAKU_OWNER_PASSWORD=old\n", database.PASSWORD: "x"}
    assert database.decide(found) == database.Decision()


@pytest.mark.parametrize("server", ["db.example.com", "postgres.example.com", "10.0.0.5:5433"])
def test_a_database_of_ones_own_is_left_alone(server: str) -> None:
    own = {path: url.replace("@postgres/", f"@{server}/") for path, url in DATABASE.items()}
    assert database.decide(own) == database.Decision(unneeded=frozenset({database.ROLES, database.PASSWORD}))
    del own["operator/database_url"]
    assert (database.decide(own).make, list(database.decide(own).ask)) == ({}, ["operator/database_url"])


def test_a_single_url_elsewhere_leaves_the_others_their_roles() -> None:
    own = {**DATABASE, "loader/database_url": "postgresql://hikyaku_loader:x@pgbouncer/hikyaku"}
    made = database.decide(own).make
    assert set(made) == {database.ROLES, database.PASSWORD}
    assert "HIKYAKU_LOADER_PASSWORD" not in made[database.ROLES]


# identities and AWS


@pytest.mark.parametrize("name", ["2024.txt", "old-key", "id_ed25519"])
def test_no_identity_is_made_where_the_keyring_has_one(name: str) -> None:
    found = Found({f"decryptor/identities/{name}": "any"}, frozenset())
    assert not [path for path in inventory.decide(found, TEMPLATE, local=False).make if "identities" in path]
    public = Found({"decryptor/identities/id_ed25519.pub": "any"}, frozenset())
    assert [path for path in inventory.decide(public, TEMPLATE, local=False).make if "identities" in path]


@pytest.mark.parametrize(
    ("texts", "needed"),
    [
        ({}, True),
        ({"poller/aws_credentials": "\n"}, True),
        ({"poller/aws_credentials": "[default]"}, False),
        ({"poller/aws_config": "[default]\nregion = x"}, True),
        ({"poller/aws_config": "[default]\ncredential_process = /x"}, False),
    ],
)
def test_credentials_are_asked_for_unless_given(texts: dict[str, str], needed: bool) -> None:
    assert inventory.needs_credentials(Found(texts, frozenset()), "poller") is needed


# .env


def test_only_empty_values_are_filled_and_every_other_byte_stays() -> None:
    before = "# a comment\r\nA=\r\n\n  # B=\nB=kept # why\nC=  \n#C=\nD=''\nE= # empty\nF=\nA2=x"
    after = dotenv.fill(before, {"A": "1", "B": "2", "C": "3", "D": "4", "E": "5", "F": "6", "A2": "7", "G": "8"})
    assert after == "# a comment\r\nA=1\r\n\n  # B=\nB=kept # why\nC=3  \n#C=\nD=''\nE= # empty\nF=6\nA2=x"
    assert dotenv.fill(after, {"A": "9", "F": "9"}) == after


def test_of_two_lines_the_last_one_counts_as_for_compose() -> None:
    assert dotenv.parse("A=1\nA=\n") == {"A": ""}
    assert dotenv.fill("A=\nA=1\n", {"A": "2"}) == "A=\nA=1\n"
    assert dotenv.fill("A=1\nA=\n", {"A": "2"}) == "A=1\nA=2\n"


@pytest.mark.parametrize(
    ("line", "value"),
    [("A=x", "x"), ("export A=x", "x"), ("A='x # y' # z", "x # y"), ('A="x"', "x"), ("A = x y ", "x y"), ("A=x#y", "x#y"), ("A=x #y", "x")],
)
def test_a_line_means(line: str, value: str) -> None:
    assert dotenv.parse(line) == {"A": value}


@pytest.mark.parametrize(
    ("gib", "size", "limit"),
    [(0.5, "256m", "768m"), (4, "1g", "1536m"), (15.5, "3968m", "4480m"), (32, "8g", "8704m"), (999, "8g", "8704m")],
)
def test_the_spool_is_a_quarter_of_the_memory_within_bounds(gib: float, size: str, limit: str) -> None:
    assert machine.spool_size(int(gib * 1024**3)) == size
    assert machine.decryptor_memory(size) == limit


def test_a_spool_in_other_words_gives_no_limit() -> None:
    assert machine.decryptor_memory("50%") == ""
    assert "HIKYAKU_DECRYPTOR_MEMORY" not in machine.values({"HIKYAKU_SPOOL_SIZE": "50%"})
    assert machine.values({"HIKYAKU_SPOOL_SIZE": "3G"})["HIKYAKU_DECRYPTOR_MEMORY"] == "3584m"


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 2), (8, 4), (96, 4)])
def test_half_the_cores_work(cores: int, workers: int) -> None:
    assert machine.concurrency(cores) == workers


def test_the_example_has_each_name_once_and_is_filled_whole() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^(?:# ?)?([A-Z_]+)=", text, re.MULTILINE)
    assert len(names) == len(set(names))
    filled = dotenv.parse(dotenv.fill(text, machine.values({})))
    assert {name for name, value in filled.items() if not value} == set(stack.OUTPUTS)
    assert filled["AWS_REGION"] == "ap-northeast-1"
    assert filled["COMPOSE_PROFILES"] == "database"


# CloudFormation


def outputs(**values: str) -> dict[str, Any]:
    described = [{"OutputKey": key, "OutputValue": value} for key, value in values.items()]
    return {"Stacks": [{"StackName": "x", "CreationTime": "2026-01-01T00:00:00Z", "StackStatus": "CREATE_COMPLETE", "Outputs": described}]}


def stubbed() -> tuple[Any, Stubber]:
    client = boto3.client("cloudformation", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")  # noqa: S106
    return client, Stubber(client)


def test_the_stacks_outputs_are_read_by_name() -> None:
    client, stub = stubbed()
    stub.add_response("describe_stacks", outputs(BucketName="b", QueueUrl="q", DlqUrl="d", Other="o"), {"StackName": "mine"})
    with stub:
        assert stack.read(client, "mine") == {"HIKYAKU_BUCKET": "b", "HIKYAKU_QUEUE_URL": "q", "HIKYAKU_DLQ_URL": "d"}


def test_another_stack_is_told() -> None:
    client, stub = stubbed()
    stub.add_response("describe_stacks", outputs(BucketName="b"))
    with stub, pytest.raises(UserError, match="no output QueueUrl, DlqUrl"):
        stack.read(client, "mine")


def test_a_stack_that_is_not_there_is_told_with_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    client, stub = stubbed()
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id mine does not exist")
    monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: client)
    with stub, pytest.raises(UserError, match=r"the stack mine: .*does not exist") as error:
        stack.values("mine", "eu-west-1")
    assert "AWS_REGION" in error.value.hint


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError, match="credentials"):
        stack.values("mine", "eu-west-1")


def test_the_stack_fills_env_where_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def values(name: str, region: str) -> dict[str, str]:
        asked.append((name, region))
        return {**dict.fromkeys(stack.OUTPUTS, "new"), "AWS_REGION": "eu-west-1"}

    monkeypatch.setattr(stack, "values", values)
    (tmp_path / "docker-compose.yml").touch()
    env = tmp_path / ".env"
    env.write_text("AWS_REGION=eu-west-1\nHIKYAKU_BUCKET=mine\nHIKYAKU_QUEUE_URL=\n")
    planned = environment.plan(layout.find(tmp_path, None, None, {}), "hikyaku")
    assert asked == [("hikyaku", "eu-west-1")]
    assert planned.text == "AWS_REGION=eu-west-1\nHIKYAKU_BUCKET=mine\nHIKYAKU_QUEUE_URL=new\n"
    assert planned.asked == {"HIKYAKU_DLQ_URL": "add the line HIKYAKU_DLQ_URL=new"}
    env.write_text("AWS_REGION=r\nHIKYAKU_BUCKET=b\nHIKYAKU_QUEUE_URL=q\nHIKYAKU_DLQ_URL=d\n")
    assert environment.plan(layout.find(tmp_path, None, None, {}), "hikyaku").filled == []
    assert len(asked) == 1, "nothing to ask for"


# the laptop


def test_the_laptops_names_are_those_of_the_template() -> None:
    class Loader(yaml.SafeLoader):
        """Leaves !Sub and the rest as the text behind it."""

    def construct(_: yaml.SafeLoader, __: str, node: yaml.Node) -> Any:
        return node.value

    Loader.add_multi_constructor("!", construct)
    template = yaml.load((ROOT / "aws" / "stack.yaml").read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    prefix = template["Parameters"]["NamePrefix"]["Default"]
    assert template["Parameters"]["BucketName"]["Default"] == ""

    def substituted(text: str) -> str:
        values = {"NamePrefix": prefix, "AWS::AccountId": "000000000000", "AWS::Region": "ap-northeast-1"}
        return re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], text)

    condition, generated, _ = (part.value for part in template["Resources"]["Bucket"]["Properties"]["BucketName"])
    queues = {name: substituted(template["Resources"][name]["Properties"]["QueueName"]) for name in ("IngestQueue", "IngestDlq")}
    assert condition == "GenerateBucketName"
    expected = {
        "HIKYAKU_BUCKET": substituted(generated),
        "HIKYAKU_QUEUE_URL": f"http://localstack:4566/000000000000/{queues['IngestQueue']}",
        "HIKYAKU_DLQ_URL": f"http://localstack:4566/000000000000/{queues['IngestDlq']}",
    }
    assert expected == laptop.AWS


@pytest.mark.parametrize(
    ("service", "settings"),
    [("poller", PollerSettings), ("decryptor", DecryptorSettings), ("loader", LoaderSettings), ("flower", FlowerSettings)],
)
def test_every_service_knows_its_settings(service: str, settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    path.write_text(laptop.settings()[f"{service}/settings.env"])
    assert settings_file.problems(str(path), {f"HIKYAKU_{name.upper()}" for name in settings.model_fields}) == []


# where things are


def test_folders_are_found_as_compose_finds_them(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").touch()

    def secrets(option: Path | None = None, environ: str = "", env: str = "") -> str:
        (tmp_path / ".env").write_text(env)
        return str(layout.find(tmp_path, option, None, {"HIKYAKU_SECRETS": environ} if environ else {}).secrets)

    assert secrets() == str(tmp_path / "secrets")
    assert secrets(env="HIKYAKU_SECRETS=\n") == str(tmp_path / "secrets")
    assert secrets(env="HIKYAKU_SECRETS=./kept/here\n") == str(tmp_path / "kept" / "here")
    assert secrets(env="HIKYAKU_SECRETS=/etc/hikyaku/\n") == "/etc/hikyaku"
    assert secrets(environ="/host/secrets", env="HIKYAKU_SECRETS=/etc/hikyaku\n") == "/host/secrets"
    assert secrets(Path("/opt/x"), "/host/secrets", "HIKYAKU_SECRETS=/etc/hikyaku\n") == "/opt/x"
