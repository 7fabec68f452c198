"""Who may do what, as designed. A call that is not named here is nobody's: whoever grants something new says so here."""

from collections.abc import Collection, Iterator, Mapping

Design = Mapping[str, Collection[str]]

OWNER, MIGRATOR, LOADER, OPERATOR = "hikyaku_owner", "hikyaku_migrator", "hikyaku_loader", "hikyaku_operator"
MAINTAIN_SINCE = 170000
DIRECTIONS_SINCE = 7
EVERYONE = {OWNER, MIGRATOR, LOADER, OPERATOR}
READERS = {OWNER, OPERATOR}

# Beside their maker: by table, who else may do what.
_LEDGER: Mapping[str, Mapping[str, Collection[str]]] = {
    "hikyaku.files": {"SELECT": {*READERS, LOADER}, "INSERT": {LOADER}, "UPDATE": {LOADER}},
    "hikyaku.watermarks": {"SELECT": {*READERS, LOADER}, "INSERT": {LOADER}, "UPDATE": {LOADER}},
    "hikyaku.rejected_rows": {"INSERT": {LOADER}},
    "hikyaku.file_history": {"SELECT": READERS},
    "hikyaku.sender_sequence": {"SELECT": READERS},
    "hikyaku.groups": {"SELECT": {*READERS, LOADER}, "INSERT": {LOADER}, "UPDATE": {LOADER}},
    "hikyaku.group_parts": {"SELECT": {*READERS, LOADER}, "INSERT": {LOADER}},
    "hikyaku.group_progress": {"SELECT": READERS},
    "hikyaku.operator_actions": {"SELECT": READERS},
    "hikyaku.forgotten": {"SELECT": READERS},
    # Row data on its way: the loader's alone.
    "hikyaku.part_chunks": {"SELECT": {LOADER}, "INSERT": {LOADER}, "DELETE": {LOADER}},
    "hikyaku._yoyo_log": {},
    "hikyaku._yoyo_migrations": {},
    "hikyaku._yoyo_version": {},
    "hikyaku.yoyo_lock": {},
}
_BY_COLUMN = {("hikyaku.rejected_rows", "SELECT"), ("hikyaku.operator_actions", "INSERT"), ("hikyaku.operator_actions", "UPDATE")}
_PUT_ASIDE = ["bucket", "key", "version_id", "line_number", "column_name", "error_code", "error", "raw_text", "rejected_at"]
# An operator's action is written before it and finished after it, and never changed otherwise.
_ACTIONS = {
    **dict.fromkeys(("action_id", "began_at", "db_role"), ()),
    **dict.fromkeys(("action", "reason", "target", "who", "host"), ("INSERT",)),
    **dict.fromkeys(("ended_at", "outcome"), ("UPDATE",)),
}
_LOADS = {"SELECT": {LOADER}, "INSERT": {LOADER}, "UPDATE": {LOADER}, "DELETE": {LOADER}}
_DATASETS: Mapping[str, Mapping[str, Collection[str]]] = {"public.orders": _LOADS, "public.orders_seen": _LOADS}


def postgres(version: int) -> Design:
    """The roles of services/loader/src/loader/sql/roles.sql, for a server of this version (180004 is 18.4)."""
    privileges = ["SELECT", "INSERT", "UPDATE", "REFERENCES", "DELETE", "TRUNCATE", "TRIGGER", "GRANT"]
    return dict(_postgres(privileges if version < MAINTAIN_SINCE else [*privileges, "MAINTAIN"]))


def _postgres(privileges: list[str]) -> Iterator[tuple[str, Collection[str]]]:
    yield "database CONNECT", EVERYONE
    yield "database TEMPORARY", {OWNER, LOADER}
    yield "database CREATE", {OWNER, MIGRATOR}
    yield "schema hikyaku USAGE", EVERYONE
    yield "schema hikyaku CREATE", {MIGRATOR}
    yield "schema public USAGE", EVERYONE
    yield "schema public CREATE", {OWNER}
    for maker, tables in ((MIGRATOR, _LEDGER), (OWNER, _DATASETS)):
        for table, others in tables.items():
            for privilege in privileges:
                if (table, privilege) in _BY_COLUMN:
                    continue
                yield f"{table} {privilege}", {maker, *others.get(privilege, ())}
    # Row data: whoever owns the tables reads it, and the loader, who returns it; the operator sees all but that.
    for column in _PUT_ASIDE:
        readers = {OWNER} if column == "raw_text" else READERS
        yield f"hikyaku.rejected_rows.{column} SELECT", {MIGRATOR, *readers, *(() if column == "rejected_at" else (LOADER,))}
    for column, granted in _ACTIONS.items():
        for privilege in ("INSERT", "UPDATE"):
            yield f"hikyaku.operator_actions.{column} {privilege}", {MIGRATOR, *(READERS if privilege in granted else ())}
    yield "public.orders_id_seq USAGE", {OWNER, LOADER}
    yield "public.orders_id_seq SELECT", {OWNER}
    yield "public.orders_id_seq UPDATE", {OWNER}
    for privilege in ("USAGE", "SELECT", "UPDATE"):
        yield f"hikyaku.groups_group_id_seq {privilege}", {MIGRATOR}
        yield f"hikyaku.operator_actions_action_id_seq {privilege}", {MIGRATOR}
    # PostgreSQL's default: what a function touches is still checked as its caller.
    yield "public.answer() EXECUTE", EVERYONE
    yield "hikyaku.lacking(of_group bigint, of_parts integer) EXECUTE", EVERYONE
    # It takes rows out of the ledger, for the operator alone, and keeps them in hikyaku.forgotten.
    yield "hikyaku.forget(of_bucket text, of_key text, of_version text, of_action bigint) EXECUTE", {MIGRATOR, *READERS}


CLUSTER: Design = {
    "alter the ledger": {MIGRATOR},
    "drop the ledger": {MIGRATOR},
    "take the ledger's checks away": {MIGRATOR},
    "drop the table of a dataset": {OWNER},
    f"SET ROLE {OPERATOR}": {OWNER},
}


def aws(after_load: str = "keep") -> Design:
    """The users of aws/stack.yaml with its parameter AfterLoad, each call by action and what it is about."""
    design = {**dict(_aws()), **dict(_doctor())}
    if after_load in {"tag", "tag-or-delete"}:
        design["s3:PutObjectVersionTagging incoming/*"] = {"decryptor"}
    if after_load in {"delete", "tag-or-delete"}:
        design["s3:DeleteObjectVersion incoming/*"] = {"decryptor"}
    return design


def _aws() -> Iterator[tuple[str, Collection[str]]]:
    sender, poller, decryptor, operator = "sender", "poller", "decryptor", "operator"
    for action in ("PutObject", "AbortMultipartUpload"):
        yield f"s3:{action} incoming/*", {sender, operator}
    for action in ("GetObject", "GetObjectVersion"):
        yield f"s3:{action} incoming/*", {decryptor, operator}
        for answers in ("receipts/*", "rejects/*"):
            yield f"s3:{action} {answers}", {operator} if action == "GetObjectVersion" else {sender, decryptor, operator}
        yield f"s3:{action} the rest", {operator}
    for answers in ("receipts/*", "rejects/*"):
        yield f"s3:PutObject {answers}", {decryptor}
    for action in ("GetObjectTagging", "GetObjectVersionTagging"):
        yield f"s3:{action} incoming/*", {decryptor}
    yield "s3:ListBucket the bucket", {decryptor, operator}
    yield "s3:ListBucketVersions the bucket", {operator}
    for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"):
        yield f"sqs:{action} hikyaku-ingest", {poller}
    yield "sqs:GetQueueAttributes hikyaku-ingest", {poller, operator}
    yield "sqs:ListDeadLetterSourceQueues hikyaku-ingest", {operator}
    yield "sqs:SendMessage hikyaku-ingest", {operator}
    yield "sqs:SendMessage hikyaku-ingest-dlq", {poller}
    moves = ["StartMessageMoveTask", "CancelMessageMoveTask", "ListMessageMoveTasks"]
    looks = ["GetQueueAttributes", "ListDeadLetterSourceQueues"]
    for queue in ("hikyaku-ingest-dlq", "hikyaku-events-dlq"):
        for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", *moves, *looks):
            yield f"sqs:{action} {queue}", {operator}
    yield "kms:Decrypt the key through s3", {sender, decryptor, operator}
    yield "kms:GenerateDataKey the key through s3", {sender, decryptor, operator}
    for action in ("Decrypt", "GenerateDataKey"):
        yield f"kms:{action} the key through sqs", {poller, operator}


def _doctor() -> Iterator[tuple[str, Collection[str]]]:
    """What `hikyaku doctor` looks at. Its looks at the rule and at its own user have those alone as their resource."""
    settings = (
        "GetBucketVersioning",
        "GetEncryptionConfiguration",
        "GetBucketNotification",
        "GetBucketPublicAccessBlock",
        "GetBucketPolicy",
    )
    for action in settings:
        yield f"s3:{action} the bucket", {"operator"}
    for action in ("DescribeKey", "GetKeyRotationStatus"):
        for way in ("through s3", "through sqs", "through secretsmanager", "directly"):
            yield f"kms:{action} the key {way}", {"operator"}
    yield "events:ListRuleNamesByTarget anything", {"operator"}


_SERVICES = {"poller", "decryptor", "loader"}
_ALL = {*_SERVICES, "flower"}
_AND_HEALTH = {*_ALL, "health"}
# Redis lets everyone do these, whatever the ACL says.
_FREE = ["auth", "hello"]
_QUEUES = ["brpop", "del", "evalsha", "exec", "exists", "get", "llen", "multi", "pexpire", "psubscribe", "publish", "punsubscribe", "sadd"]
_QUEUES += ["script exists", "script load", "set", "srem", "time", "zadd", "zrange", "zrangebyscore", "zrem"]
_TASKS = ["hdel", "hget", "hset", "lpush", "rpush", "smembers", "unwatch", "watch"]
_CONNECTION_6 = ["command", "echo", "reset"]
_CONNECTION_7 = ["asking", "echo", "readonly", "readwrite", "select", "wait"]
_CONNECTION_7 += [f"command {each}" for each in ("count", "docs", "getkeys", "getkeysandflags", "help", "info", "list")]
_CLIENT_7 = ["caching", "getname", "getredir", "help", "id", "info", "reply", "setname", "tracking", "trackinginfo"]
_CONNECTION_7 += [f"client {each}" for each in _CLIENT_7]


def redis_commands(version: int) -> Design:
    """The users of redis/users.acl.template at every command of Redis 6 or 7."""
    seven = version >= DIRECTIONS_SINCE
    free = [*_FREE, "quit", "reset"] if seven else _FREE
    design: dict[str, Collection[str]] = dict.fromkeys([*free, "ping"], _AND_HEALTH)
    design |= dict.fromkeys([*_QUEUES, *(_CONNECTION_7 if seven else _CONNECTION_6)], _ALL)
    return design | dict.fromkeys(_TASKS, _SERVICES)


# By key: who reads it, who writes it.
_KEYS: Mapping[str, tuple[Collection[str], Collection[str]]] = {
    "decrypt": ({"poller", "decryptor", "flower"}, {"poller", "decryptor"}),
    "load": ({"decryptor", "loader", "flower"}, {"decryptor", "loader"}),
    "settle.poller": (_ALL, _SERVICES),
    "unacked.decrypt": ({"decryptor"}, {"decryptor"}),
    "unacked.decrypt_index": ({"decryptor"}, {"decryptor"}),
    "unacked.load": ({"loader"}, {"loader"}),
    "unacked.load_index": ({"loader"}, {"loader"}),
    "unacked.settle": ({"poller"}, {"poller"}),
    "unacked.flower": ({"flower"}, {"flower"}),
    "_kombu.binding.decrypt": ({"poller", "decryptor"}, {"poller", "decryptor"}),
    "_kombu.binding.load": ({"decryptor", "loader"}, {"decryptor", "loader"}),
    "_kombu.binding.settle.poller": (_SERVICES, _SERVICES),
    "_kombu.binding.celeryev": ({"flower"}, {"flower"}),
    "_kombu.binding_deadlines": (_ALL, _ALL),
    "celeryev.x": ({"flower"}, {"flower"}),
    "x.reply.celery.pidbox": (_ALL, _ALL),
}


def redis_keys(version: int) -> Design:
    """The same users at every key and channel. Redis 6 knows no direction: whoever may do one may do both."""
    return dict(_redis_keys(version))


def _redis_keys(version: int) -> Iterator[tuple[str, Collection[str]]]:
    for key, (readers, writers) in _KEYS.items():
        either = {*readers, *writers}
        yield f"read {key}", readers if version >= DIRECTIONS_SINCE else either
        yield f"write {key}", writers if version >= DIRECTIONS_SINCE else either
    yield "publish /0.celery.pidbox", _ALL
    yield "subscribe /0.celery.pidbox", _ALL
    yield "publish /0.celeryev/task.sent", _ALL
