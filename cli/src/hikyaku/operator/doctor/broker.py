"""Redis, as an administrator sees it: the line itself has no user who may look."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hikyaku.operator.doctor import acl
from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope
from hikyaku.setup import files
from hikyaku.setup.broker import ACL

if TYPE_CHECKING:
    from redis import Redis

TIMEOUT_S = 5
TEMPLATE = Path("redis") / "users.acl.template"
MEND_ACL = "rm secrets/redis/users.acl; docker compose run --rm setup; docker compose restart redis"
COMPOSE = "the command of redis in docker-compose.yml has it; now: redis-cli CONFIG SET"


def server(scope: Scope) -> Iterator[Finding]:
    """Whether it answers, keeps what it took, and forgets nothing."""
    client = _client(scope)
    from redis.exceptions import ConnectionError as RedisConnectionError  # noqa: PLC0415 - comes with the extra `local`

    try:
        client.ping()
    except RedisConnectionError as error:
        yield fail(
            f"Redis does not answer: {error}",
            "no task is handed over; files wait in SQS",
            "docker compose up -d --wait redis; docker compose logs redis",
        )
        return
    said = _asked(lambda: {**client.config_get("append*"), **client.config_get("maxmemory*")})
    yield from _kept(said)
    yield _memory(said, int(_asked(lambda: client.info("memory"))["used_memory"]))


def _kept(said: dict[str, str]) -> Iterator[Finding]:
    if said["appendonly"] != "yes":
        why = "a restart of Redis forgets every task under way: their files wait until their messages come again"
        yield fail("Redis keeps no append-only file", why, f"{COMPOSE} appendonly yes")
    elif said["appendfsync"] == "no":
        yield warn(
            "Redis leaves it to the kernel when the append-only file is written",
            "a power cut forgets up to 30 s of tasks",
            f"{COMPOSE} appendfsync everysec",
        )
    else:
        yield ok(f"the append-only file is on ({said['appendfsync']})")
    if said["maxmemory-policy"] != "noeviction":
        why = "with its memory full it throws tasks away instead of refusing new ones"
        yield fail(f"maxmemory-policy is {said['maxmemory-policy']}", why, f"{COMPOSE} maxmemory-policy noeviction")
    else:
        yield ok("Redis refuses rather than forgets (noeviction)")


def _memory(said: dict[str, str], used: int) -> Finding:
    most = int(said["maxmemory"])
    if most and used > most * 0.8:
        why = "when it is full it refuses tasks, and receiving pauses"
        return warn(
            f"Redis has used {used / most:.0%} of its memory", why, "docs/runbook.md: `away` … `redis`; look for queues that nobody empties"
        )
    return ok(f"Redis uses {used // 2**20} MiB")


def users(scope: Scope) -> Iterator[Finding]:
    """Each user beside redis/users.acl.template."""
    template = _template()
    client = _client(scope)
    version = int(str(_asked(lambda: client.info("server"))["redis_version"]).partition(".")[0])
    found = acl.parse(_asked(client.acl_list))
    expected = acl.parse(acl.of_template(template, version))
    commands = acl.Commands(lambda category: _asked(lambda: client.acl_cat(category)), lambda: _asked(lambda: list(client.command())))
    for name, user in expected.items():
        yield from acl.compared(name, user, found.get(name), commands, MEND_ACL)
    for name in sorted(found.keys() - expected.keys()):
        if found[name].is_on:
            why = "whoever knows its password does what the services' users may not"
            yield warn(f"Redis has a user {name} of nobody's", why, f"redis-cli ACL DELUSER {name}; and in secrets/redis/users.acl")


def acl_file(scope: Scope) -> Iterator[Finding]:
    """The file that Redis starts with beside the template: what can be seen without an administrator."""
    host = scope.places.host
    text = files.read(host.secrets / ACL) if host else None
    if text is None:
        raise CantLookError(f"secrets/{ACL} is not here: run it on the host, in the project's folder, as root")
    found, expected = acl.rules_of(text.decode(errors="replace")), acl.rules_of(_template())
    names = [name for name, rules in expected.items() if found.get(name) != rules]
    if names:
        why = "with the next start these users may do too much, or their services fail"
        yield fail(f"secrets/{ACL} is not what redis/users.acl.template says of {', '.join(names)}", why, MEND_ACL)
    if others := sorted(found.keys() - expected.keys()):
        yield warn(f"secrets/{ACL} has users of nobody's: {', '.join(others)}", "they do what the services' users may not", MEND_ACL)
    if not names and not others:
        yield ok(f"secrets/{ACL} is as designed")


def _template() -> str:
    for folder in (Path.cwd(), *Path(__file__).parents):
        if (folder / TEMPLATE).is_file():
            return (folder / TEMPLATE).read_text(encoding="utf-8")
    raise CantLookError(f"{TEMPLATE} is not here: run it in the project's folder")


def _client(scope: Scope) -> "Redis":
    if not find_spec("redis"):
        raise CantLookError("the client for Redis is not installed here: hikyaku[local] has it")
    from redis import Redis  # noqa: PLC0415 - comes with the extra `local`

    url = scope.need("redis_url")
    try:
        return Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True)
    except ValueError:
        # Its own words may quote the password.
        raise CantLookError("HIKYAKU_REDIS_URL is no redis:// or rediss:// URL") from None


def _asked(call: Any) -> Any:
    from redis.exceptions import NoPermissionError, RedisError  # noqa: PLC0415 - comes with the extra `local`

    try:
        return call()
    except NoPermissionError:
        raise CantLookError("this user of Redis may not look; give an administrator's HIKYAKU_REDIS_URL") from None
    except RedisError as error:
        raise CantLookError(f"Redis: {error}") from None
