"""Flower, the courier's window: which file is where. Read only, with a login, on loopback unless told otherwise."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared import celery_app, logging
from shared.contract import QueueName
from shared.settings import CommonSettings, load


def _login(login: SecretStr) -> SecretStr:
    if not all(login.get_secret_value().partition(":")):
        raise ValueError("is not user:password")
    return login


class FlowerSettings(CommonSettings):
    """Settings of the dashboard."""

    flower_address: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65535)
    flower_auth: Annotated[SecretStr, AfterValidator(_login)]
    """`user:password` of the one login."""


def main() -> None:
    """Run Flower in this process."""
    settings = load(FlowerSettings)
    logging.configure("flower", settings.instance, settings.log_format, settings.log_level)
    app = celery_app.build(QueueName.SETTLE, settings)
    app.start(
        [
            "flower",
            f"--address={settings.flower_address}",
            f"--port={settings.flower_port}",
            f"--basic-auth={settings.flower_auth.get_secret_value()}",
            "--read_only=True",
            "--max_tasks=10000",
            "--tasks_columns=name,args,state,received,runtime,worker,uuid",
            "--logging=warning",
        ]
    )


if __name__ == "__main__":
    main()
