"""Redis: each user's URL holds the password, the ACL only its hash. So the ACL is written last and rendered from the URLs."""

from collections.abc import Mapping

from hikyaku import redis_acl
from hikyaku.errors import UserError
from hikyaku.setup import urls
from hikyaku.setup.urls import Decision

HOST = "redis"
ACL = "redis/users.acl"
URLS = {user: f"{user}/redis_url" for user in redis_acl.USERS}


def decide(found: Mapping[str, str], template: str) -> Decision:
    """What is missing of Redis's secrets.

    Args:
        found: content of the files that are there, by path.
        template: text of redis/users.acl.template.

    Raises:
        UserError: what is there contradicts itself, or is not enough to derive the rest from.
    """
    present = {path: found[path] for path in URLS.values() if path in found}
    missing = [path for path in URLS.values() if path not in found]
    if foreign := urls.foreign(present, HOST):
        return _of_ones_own(present, foreign, missing)
    if ACL in found:
        _check(found, missing)
        return Decision()
    made = {user: urls.new_password() for user, path in URLS.items() if path in missing}
    passwords = {user: made.get(user) or urls.password(path, found[path], user) for user, path in URLS.items()}
    texts = {URLS[user]: f"redis://{user}:{password}@{HOST}:6379/0\n" for user, password in made.items()}
    return Decision({**texts, ACL: redis_acl.render(template, passwords)})


def _of_ones_own(present: Mapping[str, str], foreign: Mapping[str, str], missing: list[str]) -> Decision:
    """All of them must name one's own Redis: services that use two brokers never meet."""
    if ours := sorted(present.keys() - foreign.keys()):
        message = f"secrets/{min(foreign)} names a Redis of your own, secrets/{ours[0]} the project's."
        raise UserError(message, hint="Let all four redis_url name the same, or remove them all and run this again.")
    return Decision(ask=dict.fromkeys(missing, "the URL of your own Redis, as in the others"), unneeded=frozenset({ACL}))


def _check(found: Mapping[str, str], missing: list[str]) -> None:
    hint = f"Put it back from a backup. Or remove secrets/{ACL}, run this again for new ones, and restart redis and the services."
    if missing:
        raise UserError(f"secrets/{missing[0]} is missing, and secrets/{ACL} holds only the password's hash.", hint=hint)
    for user, path in URLS.items():
        if not redis_acl.opens(found[ACL], user, urls.password(path, found[path], user)):
            raise UserError(f"secrets/{path} holds another password than secrets/{ACL}, so that {user} could not log in.", hint=hint)
