"""AWS as the local stack has it: LocalStack, with aws/stack.yaml deployed into it by localstack/launcher.py."""

import configparser
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from hikyaku.errors import UserError
from hikyaku.local import files, tools
from hikyaku.local.layout import Layout

REGION = "ap-northeast-1"


@dataclass(frozen=True)
class Outputs:
    """What deploying the template gave.

    Attributes:
        bucket: name.
        queue_url: of the ingest queue.
        dlq_url: of its dead-letter queue.
    """

    bucket: str
    queue_url: str
    dlq_url: str


def endpoint(port: int) -> str:
    """URL of LocalStack."""
    return f"http://127.0.0.1:{port}"


def command(layout: Layout) -> tuple[str, ...]:
    """How LocalStack starts."""
    return str(tools.localstack_python(layout)), str(layout.root / "localstack" / "launcher.py")


def server_environment(layout: Layout, port: int) -> dict[str, str]:
    """What the launcher reads, see localstack/README.md."""
    return {
        "HIKYAKU_LOCALSTACK_PORT": str(port),
        "HIKYAKU_LOCALSTACK_HOME": str(layout.localstack),
        "HIKYAKU_OUT": str(_written(layout)),
    }


def start_afresh(layout: Layout) -> None:
    """Drop the objects that a LocalStack which no longer runs left lying: it never looks at them again. Its caches stay."""
    temporary = layout.localstack / "tmp"
    if temporary.exists():
        shutil.rmtree(temporary)
    files.private_directory(layout.localstack)
    files.private_directory(temporary)


def _written(layout: Layout) -> Path:
    """Folder that the launcher writes stack.json and a folder for each role into."""
    return layout.localstack / "aws"


def credentials(layout: Layout, role: str) -> Path:
    """Shared credentials file of one role's own IAM user."""
    return _written(layout) / role / "aws_credentials"


def client_environment(layout: Layout, port: int, role: str) -> dict[str, str]:
    """AWS settings of a service: its own user's keys, and nothing else to find."""
    return {
        # The config file has it too; a port that changes shall be seen as a change of settings.
        "AWS_ENDPOINT_URL": endpoint(port),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials(layout, role)),
        # The launcher's own, so that none of the caller's is found.
        "AWS_CONFIG_FILE": str(_written(layout) / role / "aws_config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def read_outputs(layout: Layout) -> Outputs | None:
    """What the launcher wrote after it deployed the template; None before that."""
    try:
        written = json.loads((_written(layout) / "stack.json").read_text(encoding="utf-8"))
        return Outputs(bucket=written["bucket"], queue_url=written["queue_url"], dlq_url=written["dlq_url"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError) as error:
        raise UserError(f"{_written(layout) / 'stack.json'} is damaged: {error}", log=layout.log("localstack")) from error


def outputs(layout: Layout) -> Outputs:
    """The same, when it must be there.

    Raises:
        UserError: it is not.
    """
    found = read_outputs(layout)
    if found is None:
        raise UserError("LocalStack runs, but aws/stack.yaml is not deployed.", log=layout.log("localstack"))
    return found


def is_deployed(layout: Layout, started: float) -> bool:
    """Whether the template was deployed by the LocalStack that was started at that Unix time."""
    try:
        return (_written(layout) / "stack.json").stat().st_mtime >= started
    except FileNotFoundError:
        return False


def public(layout: Layout, port: int) -> dict[str, str]:
    """AWS settings for tests and people: the operator's."""
    key, secret = _keys(credentials(layout, "operator"))
    return {
        "AWS_ENDPOINT_URL": endpoint(port),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }


def _keys(path: Path) -> tuple[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path, encoding="utf-8")
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]
