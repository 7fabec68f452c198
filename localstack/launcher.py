"""Runs LocalStack in the foreground, without Docker, on loopback only, with aws/stack.yaml deployed in it.

Start it with the Python of a virtual environment that holds requirements.txt::

    HIKYAKU_LOCALSTACK_PORT=4566 HIKYAKU_OUT=DIR python localstack/launcher.py

Settings, all from the environment:

* ``HIKYAKU_LOCALSTACK_PORT``: port on 127.0.0.1 (default 4566); ``GATEWAY_LISTEN=127.0.0.1:4566`` is understood too
* ``HIKYAKU_LOCALSTACK_HOME``: folder for LocalStack's own files (default: .local/localstack of this checkout)
* ``HIKYAKU_OUT``: folder for stack.json and a folder for each role (default: aws in the folder above)
* ``HIKYAKU_TEMPLATE``: the template (default: aws/stack.yaml of this checkout)
* ``AWS_REGION``: default ap-northeast-1

Other settings of LocalStack's own (DEBUG=1, ...) are passed on, the caller's AWS_* are not. It is ready when stack.json
exists in HIKYAKU_OUT: that file is removed at the start and written last. SIGTERM and SIGINT end it within seconds, with
exit code 0; when the port is taken or the deployment fails it ends with 1, when a setting is wrong with 2. LocalStack
keeps nothing across a stop, so each start deploys again; names and URLs stay the same, access keys do not.
"""

import importlib
import os
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import deploy

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
STOP_GRACE_S = 2.0


@dataclass(frozen=True)
class Settings:
    """Where to listen, and where files go."""

    port: int
    home: Path
    out: Path
    template: Path
    region: str

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        return f"http://{HOST}:{self.port}"


def read_port(environment: Mapping[str, str]) -> int:
    """Return the port to listen on.

    Raises:
        ValueError: it is not a port, or GATEWAY_LISTEN asks for more than loopback.
    """
    host, _, port = environment.get("GATEWAY_LISTEN", f"{HOST}:4566").rpartition(":")
    if host not in {HOST, "localhost"}:
        raise ValueError(f"GATEWAY_LISTEN must be {HOST}:<port>: this launcher serves loopback only")
    port = environment.get("HIKYAKU_LOCALSTACK_PORT") or port
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"HIKYAKU_LOCALSTACK_PORT is not a port: {port!r}")
    return int(port)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from the environment.

    Raises:
        ValueError: one is wrong.
    """
    home = Path(environment.get("HIKYAKU_LOCALSTACK_HOME") or HERE.parent / ".local" / "localstack").absolute()
    return Settings(
        port=read_port(environment),
        home=home,
        out=Path(environment.get("HIKYAKU_OUT") or home / "aws").absolute(),
        template=Path(environment.get("HIKYAKU_TEMPLATE") or HERE.parent / "aws" / "stack.yaml").absolute(),
        region=environment.get("AWS_REGION") or "ap-northeast-1",
    )


def localstack_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make LocalStack run without root, without Docker, without the internet."""
    return {
        "GATEWAY_LISTEN": f"{HOST}:{settings.port}",
        "LOCALSTACK_HOST": f"{HOST}:{settings.port}",  # what it puts into the URLs that it hands out
        "FILESYSTEM_ROOT": str(settings.home),  # else it writes to /var/lib/localstack
        "HOME": str(settings.home),  # else to ~/.cache
        # Else, on a host that it takes for a container, it empties /tmp/localstack, which all stacks of the machine would share.
        "OVERRIDE_IN_DOCKER": "0",
        "TMPDIR": str(settings.home / "tmp"),
        "DISABLE_EVENTS": "1",  # no telemetry
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",  # no DNS server: it wants port 53
        "SQS_ENDPOINT_STRATEGY": "path",  # queue URLs with this host and port, not sqs.<region>.localhost...
        "S3_SKIP_SIGNATURE_VALIDATION": "0",  # a tampered or expired presigned URL must fail, as on AWS
        "S3_SKIP_KMS_KEY_VALIDATION": "0",  # so must an unknown KMS key
    }


def stop_because(failure: Any) -> None:
    """End the process at once because it cannot listen; LocalStack would go on without a word.

    It would then take whoever has the port for itself, and we would deploy into a stranger.
    """
    sys.stderr.write(f"launcher: {failure.getErrorMessage()}\n")
    sys.stderr.flush()
    os._exit(1)


def listen_on_loopback_only() -> None:
    """Bind to 127.0.0.1: LocalStack's server takes the port from GATEWAY_LISTEN but listens on every interface."""
    endpoints: Any = importlib.import_module("twisted.internet.endpoints")  # installed beside LocalStack only
    original = endpoints.TCP4ServerEndpoint

    def on_loopback(reactor: Any, port: int) -> Any:
        endpoint = original(reactor, port, interface=HOST)
        listen = endpoint.listen
        endpoint.listen = lambda factory: listen(factory).addErrback(stop_because)
        return endpoint

    endpoints.TCP4ServerEndpoint = on_loopback


def uuid5_of_bytes(namespace: uuid.UUID, name: str | bytes) -> uuid.UUID:
    """Return the name-based UUID of a text or of bytes, as ``uuid.uuid5`` does from Python 3.12 on (RFC 4122, 4.3)."""
    from hashlib import sha1  # noqa: PLC0415 - used nowhere else

    data = name if isinstance(name, bytes) else name.encode()
    return uuid.UUID(bytes=sha1(namespace.bytes + data, usedforsecurity=False).digest()[:16], version=5)


def mend_uuid5() -> None:
    """Let ``kms.CreateKey`` work: LocalStack gives bytes to ``uuid.uuid5``, which Python 3.11 does not take."""
    if sys.version_info < (3, 12):
        uuid.uuid5 = uuid5_of_bytes


def deploy_options(settings: Settings, environment: Mapping[str, str]) -> "deploy.Options":
    """Return what deploy.py is to do; it reads the rest of its settings from the environment."""
    import deploy  # noqa: PLC0415 - importing boto3 takes a moment, and the old stack.json has to go before it

    where = ["--endpoint", settings.endpoint, "--region", settings.region]
    return deploy.parse_options([*where, "--template", str(settings.template), "--out", str(settings.out)], environment)


def deploy_when_ready(runtime: Any, options: "deploy.Options") -> None:
    """Wait for LocalStack, deploy, and end it when that fails, so that whoever supervises us starts anew."""
    import deploy  # noqa: PLC0415 - as above

    runtime.ready.wait()
    done = False
    try:
        done = deploy.run(options) == 0
    finally:
        if not done and not runtime.stopping.is_set():
            sys.stderr.write("launcher: the stack could not be deployed, stopping\n")
            runtime.exit(1)


def end_in_time(runtime: Any) -> None:
    """End the process a few seconds after it was asked to stop.

    LocalStack waits for its open requests, and Python for their threads; a consumer's long poll takes 20 s. It has no
    state to save.
    """
    runtime.stopping.wait()
    time.sleep(STOP_GRACE_S)
    sys.stdout.flush()
    os._exit(runtime.exit_code)


def prepare_environment(settings: Settings) -> None:
    """Set LocalStack's variables, and forget the caller's AWS profile, endpoint and keys: boto3 would use them here."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(localstack_environment(settings))
    (settings.home / "tmp").mkdir(parents=True, exist_ok=True)


def run(settings: Settings) -> None:
    """Run LocalStack until a signal ends it; leaves by SystemExit with its exit code."""
    prepare_environment(settings)
    mend_uuid5()
    listen_on_loopback_only()
    from localstack.runtime import current, main  # noqa: PLC0415 - reads the environment when imported

    runtime = current.initialize_runtime()
    options = deploy_options(settings, os.environ)
    for target, arguments in ((deploy_when_ready, (runtime, options)), (end_in_time, (runtime,))):
        threading.Thread(target=target, args=arguments, daemon=True).start()
    main.main()


def main() -> int:
    """Start everything; return an exit code when the settings are wrong."""
    try:
        settings = read_settings(os.environ)
    except ValueError as error:
        sys.stderr.write(f"launcher: {error}\n")
        return 2
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.out / "stack.json").unlink(missing_ok=True)
    run(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
