"""What AWS lets us do: asked of IAM where it answers us, else tried by reading what changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from hikyaku.operator.doctor import needs
from hikyaku.operator.doctor.finding import Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.identity import arn_of, name_of, role_of
from hikyaku.operator.doctor.scope import Scope, code

DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "403",
    "Forbidden",
    "UnauthorizedOperation",
    "AuthorizationError",
    "KMS.AccessDeniedException",
}
LACKS = "what needs it fails, and its files are not carried or not mended"
TOO_MANY = "whoever takes these keys over may do it too"
MEND = "aws cloudformation deploy --stack-name hikyaku --template-file aws/stack.yaml --capabilities CAPABILITY_NAMED_IAM"
NOWHERE = "incoming/hikyaku-doctor/there-is-none.csv.gz.age"


def look(scope: Scope) -> Iterator[Finding]:
    """Everything that the role at hand needs, and what it should not be able to do."""
    arn = arn_of(scope)
    role = role_of(arn)
    if not role:
        yield unknown("the permissions are not checked", f"{arn} is no role of aws/stack.yaml, so nothing tells what it should be allowed")
        return
    try:
        yield from _simulated(scope, arn, role)
    except ClientError as error:
        if code(error) not in DENIED:
            raise
        yield from _tried(scope, role)


def _simulated(scope: Scope, arn: str, role: str) -> Iterator[Finding]:
    """By iam:SimulatePrincipalPolicy."""
    resources = _resources(scope)
    lacking = _decided(scope, arn, needs.NEEDS[role].items(), resources, "denied")
    unwanted = _decided(scope, arn, needs.unwanted(role), resources, "allowed")
    for action, about in lacking:
        yield fail(f"{name_of(arn)} may not {action} ({about})", LACKS, MEND)
    for action, about in unwanted:
        yield warn(
            f"{name_of(arn)} may {action} ({about}), which its role ({role}) does not need",
            TOO_MANY,
            f"{MEND}    # and detach other policies",
        )
    if not lacking:
        yield ok(f"{name_of(arn)} may do all that its role needs")
    if not unwanted:
        yield ok(f"{name_of(arn)} may do nothing of what its role should not")


def _decided(scope: Scope, arn: str, asked: Any, resources: dict[str, str], decision: str) -> list[tuple[str, str]]:
    """What IAM allows, or denies, of what is asked."""
    found = []
    for about, actions in asked:
        if about not in resources:
            continue
        answer = scope.aws("iam").simulate_principal_policy(
            PolicySourceArn=_source(arn),
            ActionNames=list(actions),
            ResourceArns=[resources[about]],
            ContextEntries=_context(scope, about),
        )
        results = answer["EvaluationResults"]
        found += [(r["EvalActionName"], about) for r in results if (r["EvalDecision"] == "allowed") == (decision == "allowed")]
    return found


def _source(arn: str) -> str:
    """The role itself, for a session of it."""
    if ":assumed-role/" not in arn:
        return arn
    return f"{arn.partition(':assumed-role/')[0].replace(':sts:', ':iam:')}:role/{name_of(arn)}"


def _context(scope: Scope, about: str) -> list[dict[str, Any]]:
    entries: list[tuple[str, str, str]] = [("aws:SecureTransport", "boolean", "true"), ("s3:TlsVersion", "numeric", "1.3")]
    if about == "key":
        region = scope.aws("sqs").meta.region_name
        via = "sqs" if role_of(arn_of(scope)) == "poller" else "s3"
        entries.append(("kms:ViaService", "string", f"{via}.{region}.amazonaws.com"))
    return [{"ContextKeyName": name, "ContextKeyType": kind, "ContextKeyValues": [value]} for name, kind, value in entries]


def _resources(scope: Scope) -> dict[str, str]:
    """ARNs, as far as they can be found out."""
    arn = arn_of(scope)
    partition, account = arn.split(":")[1], arn.split(":")[4]
    region = scope.aws("sqs").meta.region_name
    bucket = f"arn:{partition}:s3:::{scope.need('bucket')}"
    named = {which: scope.need(f"{which}_url").rpartition("/")[2] for which in ("queue", "dlq")}
    found = {which: f"arn:{partition}:sqs:{region}:{account}:{name}" for which, name in named.items()}
    try:
        key = scope.queue().get("KmsMasterKeyId", "")
    except ClientError:
        # Who may not look at the queue is told so; of the key nothing is known then.
        key = ""
    keys = {"key": key} if key.startswith("arn:") else {}
    objects = {"files": f"{bucket}/*", **{each: f"{bucket}/{each}/*" for each in ("incoming", "receipts", "rejects")}}
    return {"bucket": bucket, **objects, "everything": "*", **found, **keys}


def _tried(scope: Scope, role: str) -> Iterator[Finding]:
    """By calls that change nothing."""
    needed = {each for actions in needs.NEEDS[role].values() for each in actions}
    probes = _probes(scope)
    lacking = [action for action, call in probes.items() if action in needed and not _is_let(call)]
    for action in lacking:
        yield fail(f"the role {role} needs {action}, and AWS denies it", LACKS, MEND)
    for action, call in _too_many(scope).items():
        if _is_let(call):
            yield warn(f"AWS lets this {role} {action}, which it does not need", TOO_MANY, f"{MEND}    # and detach other policies")
    untried = sorted(needed - probes.keys())
    why = "IAM does not let us simulate (iam:SimulatePrincipalPolicy), and to try them would change something"
    yield unknown(f"not tried: {', '.join(untried)}", why, "aws iam simulate-principal-policy, as an administrator (aws/README.md)")
    if not lacking:
        yield ok(f"AWS lets this {role} do the {len(needed & probes.keys())} of {len(needed)} actions that can be tried")


def _probes(scope: Scope) -> dict[str, Callable[[], Any]]:
    s3, sqs, bucket = scope.aws("s3"), scope.aws("sqs"), scope.need("bucket")
    queue = scope.need("queue_url")
    return {
        "s3:ListBucket": lambda: s3.list_objects_v2(Bucket=bucket, MaxKeys=1),
        "s3:ListBucketVersions": lambda: s3.list_object_versions(Bucket=bucket, MaxKeys=1),
        "s3:GetObject": lambda: s3.head_object(Bucket=bucket, Key=NOWHERE),
        "sqs:GetQueueAttributes": lambda: sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"]),
        "sqs:ListDeadLetterSourceQueues": lambda: sqs.list_dead_letter_source_queues(QueueUrl=queue),
    }


def _too_many(scope: Scope) -> dict[str, Callable[[], Any]]:
    return {
        "s3:ListAllMyBuckets": scope.aws("s3").list_buckets,
        "sqs:ListQueues": scope.aws("sqs").list_queues,
        "iam:ListUsers": scope.aws("iam").list_users,
        "kms:ListKeys": scope.aws("kms").list_keys,
    }


def _is_let(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        # Anything else than a denial (no such object, say) comes after the permission was looked at.
        return code(error) not in DENIED
    return True
