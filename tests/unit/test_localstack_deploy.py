"""The parts of localstack/deploy.py and launcher.py that need no LocalStack."""

import importlib.util
import json
import os
import stat
import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

CHECKOUT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """Import a script by its path: its folder must not be on sys.path, where it would hide nothing but could."""
    spec = importlib.util.spec_from_file_location(f"hikyaku_localstack_{name}", CHECKOUT / "localstack" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


deploy = load("deploy")
launcher = load("launcher")


def refused(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "Operation")


class FakeCloudFormation:
    """Holds at most one stack, and answers as CloudFormation does."""

    def __init__(self, body: str | None = None, status: str = "CREATE_COMPLETE") -> None:
        self.body = body
        self.status = status
        self.calls: list[str] = []
        self.outputs = {name: name.lower() for name in deploy.EXPECTED_OUTPUTS}

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if self.body is None:
            raise refused("Stack with id hikyaku does not exist")
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in {**self.outputs, "Body": self.body}.items()]
        return {"Stacks": [{"StackStatus": self.status, "Outputs": outputs}]}

    def create_stack(self, *, TemplateBody: str, **_: Any) -> None:  # noqa: N803 - CloudFormation's name
        assert self.body is None
        self.calls.append("create")
        self.body, self.status = TemplateBody, "CREATE_COMPLETE"

    def update_stack(self, *, TemplateBody: str, **_: Any) -> None:  # noqa: N803
        self.calls.append("update")
        if TemplateBody.strip() == (self.body or "").strip():
            raise refused("No updates are to be performed.")
        self.body, self.status = TemplateBody, "UPDATE_COMPLETE"

    def delete_stack(self, **_: Any) -> None:
        self.calls.append("delete")
        self.body = None

    def get_waiter(self, name: str) -> "FakeCloudFormation":
        self.calls.append(name)
        return self

    def wait(self, **_: Any) -> None:
        """Everything is done at once."""


class FakeIam:
    """Access keys of one user."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)

    def list_access_keys(self, **_: Any) -> dict[str, Any]:
        return {"AccessKeyMetadata": [{"AccessKeyId": key} for key in self.keys]}

    def delete_access_key(self, *, AccessKeyId: str, **_: Any) -> None:  # noqa: N803
        self.keys.remove(AccessKeyId)

    def create_access_key(self, **_: Any) -> dict[str, Any]:
        assert len(self.keys) < 2, "LimitExceeded"
        self.keys.append("made")
        return {"AccessKey": {"AccessKeyId": "made", "SecretAccessKey": "s+/="}}


@pytest.mark.parametrize(
    ("stack", "calls"),
    [
        (FakeCloudFormation(), ["create", "stack_create_complete"]),
        (FakeCloudFormation("new"), ["update"]),
        (FakeCloudFormation("new "), ["update"]),
        (FakeCloudFormation("old"), ["update", "stack_update_complete"]),
        (FakeCloudFormation("old", "ROLLBACK_COMPLETE"), ["delete", "stack_delete_complete", "create", "stack_create_complete"]),
    ],
    ids=["absent", "same", "same but for blanks", "different", "failed"],
)
def test_a_stack_is_created_updated_or_left(stack: FakeCloudFormation, calls: list[str]) -> None:
    outputs = deploy.deploy_stack(stack, "hikyaku", "new")
    assert stack.calls == calls
    assert outputs["Body"].strip() == "new"


def test_other_errors_of_cloudformation_surface() -> None:
    class Broken(FakeCloudFormation):
        def describe_stacks(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeStacks")

    with pytest.raises(ClientError, match="AccessDenied"):
        deploy.deploy_stack(Broken(), "hikyaku", "new")


def test_missing_outputs_are_all_named() -> None:
    stack = FakeCloudFormation()
    del stack.outputs["QueueUrl"], stack.outputs["PollerUserName"]
    with pytest.raises(deploy.DeployError, match="PollerUserName, QueueUrl"):
        deploy.deploy_stack(stack, "hikyaku", "new")


def test_a_new_access_key_replaces_those_whose_secret_is_lost(tmp_path: Path) -> None:
    iam = FakeIam("lost-1", "lost-2")
    path = tmp_path / "aws_credentials"
    path.write_text(deploy.credentials_text("of-an-earlier-life", "x"))
    deploy.give_access_key(iam, "hikyaku-poller", path, None)
    assert iam.keys == ["made"]
    assert path.read_text() == f"{deploy.MARK}\n[default]\naws_access_key_id = made\naws_secret_access_key = s+/=\n"


def test_an_access_key_that_still_works_is_kept(tmp_path: Path) -> None:
    iam = FakeIam("known")
    path = tmp_path / "aws_credentials"
    path.write_text(deploy.credentials_text("known", "secret"))
    deploy.give_access_key(iam, "hikyaku-poller", path, None)
    assert iam.keys == ["known"]
    assert deploy.key_id_in(path) == "known"


def test_a_private_file_is_replaced_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        deploy.write_private(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "stack.json").mkdir()
    (tmp_path / "stack.json" / "in-the-way").touch()
    with pytest.raises(OSError, match=r"stack\.json"):
        deploy.write_private(tmp_path / "stack.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_options_come_from_the_command_line_then_the_environment(tmp_path: Path) -> None:
    environment = {"HIKYAKU_ENDPOINT": "http://a:1", "HIKYAKU_OUT": "/from/environment", "AWS_REGION": "eu-west-1"}
    options = deploy.parse_options(["--out", str(tmp_path)], environment)
    assert (options.endpoint, options.public_endpoint, options.out, options.region) == ("http://a:1", "http://a:1", tmp_path, "eu-west-1")
    assert options.template == CHECKOUT / "aws" / "stack.yaml"


def test_others_may_reach_it_under_another_name() -> None:
    options = deploy.parse_options([], {"HIKYAKU_PUBLIC_ENDPOINT": "http://localstack:4566"})
    facts = deploy.stack_facts(dict.fromkeys(deploy.FACTS, "x"), options)
    assert options.endpoint == "http://127.0.0.1:4566"
    assert facts["endpoint"] == "http://localstack:4566"
    assert set(facts) == {"bucket", "queue_url", "queue_arn", "dlq_url", "dlq_arn", "kms_key_arn", "region", "endpoint"}


def test_outside_a_checkout_the_template_is_the_containers(tmp_path: Path) -> None:
    assert deploy.default_template(None) == Path("/etc/hikyaku/stack.yaml")
    assert deploy.default_template(str(tmp_path / "ready.d" / "deploy.py")) == Path("/etc/hikyaku/stack.yaml")


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A LocalStack that has just started."""

    class FakeS3:
        def __getattr__(self, _: str) -> Any:
            return lambda **_: None

    made: dict[str, Any] = {"cloudformation": FakeCloudFormation(), "s3": FakeS3()}
    users: dict[str, FakeIam] = {}

    class FakeIams:
        def __getattr__(self, call: str) -> Any:
            return lambda **told: getattr(users.setdefault(told["UserName"], FakeIam()), call)(**told)

    made["iam"] = FakeIams()
    monkeypatch.setattr(deploy, "connect", lambda service, _: made[service])
    return made


def options_for(out: Path, **changes: str) -> Any:
    return deploy.parse_options(["--out", str(out)], {"HIKYAKU_PUBLIC_ENDPOINT": "http://localstack:4566", **changes})


def everything_in(folder: Path) -> dict[str, int]:
    """Path by mode, below a folder."""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_each_role_gets_a_folder_of_its_own_and_the_facts_stand_beside(tmp_path: Path, clients: dict[str, Any]) -> None:
    deploy.deploy(options_for(tmp_path / "out"))
    files = {
        f"{role}/{name}": 0o600 for role in ("sender", "poller", "decryptor", "operator") for name in ("aws_credentials", "aws_config")
    }
    assert everything_in(tmp_path) == {
        "out": 0o700,
        **{f"out/{role}": 0o700 for role in ("sender", "poller", "decryptor", "operator")},
        **{f"out/{name}": mode for name, mode in files.items()},
        "out/stack.json": 0o600,
    }
    assert json.loads((tmp_path / "out" / "stack.json").read_text())["endpoint"] == "http://localstack:4566"


def test_what_others_keep_there_stays_as_it_is(tmp_path: Path, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("poller/redis_url", "decryptor/identities/hikyaku.txt", "redis/users.acl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o640)
    (tmp_path / "poller").chmod(0o750)
    tmp_path.chmod(0o755)
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    chowned: list[Path] = []
    monkeypatch.setattr(os, "chown", lambda path, *_: chowned.append(Path(path)))
    deploy.deploy(options_for(tmp_path, HIKYAKU_OUT_OWNER="10001"))
    for path, was in before.items():
        now = path.stat()
        assert (now.st_mode, now.st_uid, now.st_ino) == (was.st_mode, was.st_uid, was.st_ino)
        assert path.is_dir() or (path.read_text() == str(path.relative_to(tmp_path)) and now.st_mtime_ns == was.st_mtime_ns)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in chowned if path.is_dir()] == ["sender", "operator"]
    assert not set(chowned) & set(before)


def test_keys_that_exist_nowhere_else_are_never_replaced(tmp_path: Path, clients: dict[str, Any]) -> None:
    theirs = tmp_path / "operator" / "aws_credentials"
    theirs.parent.mkdir()
    theirs.write_text("[default]\naws_access_key_id = AKIA\naws_secret_access_key = s\n")
    with pytest.raises(deploy.DeployError, match=r"operator/aws_credentials .* stays as it is"):
        deploy.deploy(options_for(tmp_path))
    assert "AKIA" in theirs.read_text()
    assert clients["cloudformation"].calls == []
    assert not (tmp_path / "stack.json").exists()
    theirs.write_text("# The keys of the IAM user go here.\n\n")
    deploy.deploy(options_for(tmp_path))
    assert deploy.key_id_in(theirs) == "made"


def test_a_localstack_that_starts_empty_gets_new_keys_and_one_that_runs_keeps_them(tmp_path: Path, clients: dict[str, Any]) -> None:
    deploy.deploy(options_for(tmp_path))
    poller = tmp_path / "poller" / "aws_credentials"
    first = poller.stat().st_ino
    deploy.deploy(options_for(tmp_path))
    assert poller.stat().st_ino == first
    poller.write_text(deploy.credentials_text("of-an-earlier-life", "x"))
    deploy.deploy(options_for(tmp_path))
    assert deploy.key_id_in(poller) == "made"


def test_the_sdk_needs_nothing_but_the_two_files(tmp_path: Path, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    deploy.deploy(options_for(tmp_path, AWS_REGION="eu-west-1", HIKYAKU_PUBLIC_ENDPOINT="http://aws.test:4566"))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "poller" / "aws_credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "poller" / "aws_config"))
    session = boto3.Session()
    assert session.get_credentials().access_key == "made"
    sqs = session.client("sqs")
    assert (sqs.meta.endpoint_url, sqs.meta.region_name) == ("http://aws.test:4566", "eu-west-1")
    s3 = session.client("s3")
    assert s3.meta.config.s3 == {"addressing_style": "path"}
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "hikyaku-bucket", "Key": "k"})
    assert url.startswith("http://aws.test:4566/hikyaku-bucket/k?")


@pytest.mark.parametrize(("text", "owner"), [("", None), ("10001", (10001, 10001)), ("1:2", (1, 2))])
def test_an_owner_is(text: str, owner: tuple[int, int] | None) -> None:
    assert deploy.parse_owner(text) == owner


@pytest.mark.parametrize("text", ["hikyaku", "1:staff", ":5", "-1"])
def test_an_owner_is_not(text: str) -> None:
    with pytest.raises(deploy.DeployError, match="uid or uid:gid"):
        deploy.parse_owner(text)


def test_an_init_hook_runs_on_being_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LocalStack runs a hook as exec(code, {}); nothing listens here, so that it tried is what can be seen."""
    monkeypatch.setenv("HIKYAKU_OUT", str(tmp_path))
    monkeypatch.setenv("HIKYAKU_TEMPLATE", str(tmp_path / "absent.yaml"))
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml"):
        exec((CHECKOUT / "localstack" / "deploy.py").read_bytes(), {})  # noqa: S102 - as LocalStack does


def test_a_run_that_fails_says_so_and_leaves_no_stack_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.json").write_text("{}")
    template = tmp_path / "stack.yaml"
    template.touch()
    arguments = ["--template", str(template), "--out", str(tmp_path), "--endpoint", "http://127.0.0.1:1"]
    assert deploy.run(deploy.parse_options(arguments, {})) == 1
    assert "EndpointConnectionError" in capsys.readouterr().err
    assert not (tmp_path / "stack.json").exists()


def test_the_mended_lifecycle_is_the_templates() -> None:
    class Loader(yaml.SafeLoader):
        """Reads a !Ref as the name that it refers to."""

    def as_written(_loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
        return node.value if isinstance(node, yaml.ScalarNode) else None

    Loader.add_multi_constructor("!", as_written)
    template = yaml.load((CHECKOUT / "aws" / "stack.yaml").read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
    # Those with a condition are not there by default.
    text = json.dumps([rule for rule in template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"] if rule])
    for name in ("NoncurrentVersionDays", "IncompleteUploadDays", "ReceiptDays"):
        text = text.replace(f'"{name}"', str(template["Parameters"][name]["Default"]))
    said = json.loads(text)
    for rule in said:  # the S3 API nests what CloudFormation keeps flat
        rule["ID"], rule["Filter"] = rule.pop("Id"), {"Prefix": rule.pop("Prefix")} if "Prefix" in rule else {}
        if "ExpirationInDays" in rule:
            rule["Expiration"] = {"Days": int(rule.pop("ExpirationInDays"))}
        if "ExpiredObjectDeleteMarker" in rule:
            rule["Expiration"] = {"ExpiredObjectDeleteMarker": rule.pop("ExpiredObjectDeleteMarker")}
    assert said == deploy.LIFECYCLE_RULES


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, 4566),
        ({"GATEWAY_LISTEN": "127.0.0.1:5000"}, 5000),
        ({"GATEWAY_LISTEN": "127.0.0.1:5000", "HIKYAKU_LOCALSTACK_PORT": "6000"}, 6000),
    ],
)
def test_the_launcher_listens_on(environment: dict[str, str], port: int) -> None:
    settings = launcher.read_settings(environment)
    assert settings.endpoint == f"http://127.0.0.1:{port}"
    assert launcher.localstack_environment(settings)["GATEWAY_LISTEN"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    "environment", [{"GATEWAY_LISTEN": "0.0.0.0:4566"}, {"HIKYAKU_LOCALSTACK_PORT": "x"}, {"HIKYAKU_LOCALSTACK_PORT": "0"}]
)
def test_the_launcher_refuses_to_listen_on(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"LISTEN|PORT"):
        launcher.read_settings(environment)


def test_a_uuid_of_bytes_is_the_uuid_of_the_same_text() -> None:
    assert launcher.uuid5_of_bytes(uuid.NAMESPACE_DNS, "飛脚") == uuid.uuid5(uuid.NAMESPACE_DNS, "飛脚")
    assert launcher.uuid5_of_bytes(uuid.NAMESPACE_DNS, "飛脚".encode()) == uuid.uuid5(uuid.NAMESPACE_DNS, "飛脚")
