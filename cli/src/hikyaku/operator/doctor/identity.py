"""Who we are to AWS."""

from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, ProfileNotFound

from hikyaku.operator.doctor.finding import Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope, code

ROLES = ("operator", "sender", "poller", "decryptor")
OLD_DAYS = 90
REFUSED = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "ExpiredToken",
    "ExpiredTokenException",
    "AuthFailure",
    "InvalidToken",
    "IncompleteSignature",
}
NO_KEYS = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)
KEYS = "put the access key of this role into secrets/operator/aws_credentials (aws/README.md, One access key for each role)"


def caller(scope: Scope) -> Iterator[Finding]:
    """sts:GetCallerIdentity, which needs no permission."""
    try:
        arn = arn_of(scope)
    except NO_KEYS as error:
        yield fail(f"there are no AWS credentials: {error}", "every request is refused", KEYS)
    except ClientError as error:
        if code(error) not in REFUSED:
            raise
        yield fail(f"AWS refuses these credentials: {code(error)}", "every request is refused", KEYS)
    except BotoCoreError as error:
        yield fail(
            f"AWS can't be reached: {error}", "nothing is received while it is so", "check the network, the proxy (HTTPS_PROXY) and DNS"
        )
    else:
        yield _known(arn)


def _known(arn: str) -> Finding:
    if arn.endswith(":root"):
        why = "whoever takes this key over owns the whole account, and no permission parts the roles"
        return fail("these are the credentials of the account's root", why, KEYS)
    if role_of(arn):
        return ok(f"AWS takes this for {arn}")
    return warn(f"AWS takes this for {arn}, which is no role of aws/stack.yaml", "it may do more, or less, than its role needs", KEYS)


def arn_of(scope: Scope) -> str:
    """Who AWS takes us for."""
    return str(scope.aws("sts").get_caller_identity()["Arn"])


def name_of(arn: str) -> str:
    """User or role: `user/hikyaku-operator`, `assumed-role/hikyaku-operator/session`."""
    kind, *names = arn.rpartition(":")[2].split("/")
    if kind == "assumed-role":
        return names[0]
    return names[-1] if names else ""


def role_of(arn: str) -> str:
    """Which of our roles that is, by its name's end; "" when none."""
    last = name_of(arn).rpartition("-")[2]
    return last if last in ROLES else ""


def access_keys(scope: Scope) -> Iterator[Finding]:
    """How old they are, where IAM lets us see."""
    arn = arn_of(scope)
    if ":user/" not in arn:
        yield ok("no long-lived access key is used")
        return
    user = name_of(arn)
    try:
        keys = scope.aws("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
    except ClientError as error:
        look = f"aws iam list-access-keys --user-name {user}"
        yield unknown("the age of the access keys is not known", f"IAM does not let {user} see it: {code(error)}", look)
        return
    for key in keys:
        yield _aged(user, str(key["AccessKeyId"]), (scope.now() - key["CreateDate"]).days)


def _aged(user: str, key: str, days: int) -> Finding:
    shown = f"access key …{key[-4:]} of {user} is {days} days old"
    if days <= OLD_DAYS:
        return ok(shown)
    why = f"a key that is copied once works until it is exchanged; {OLD_DAYS} days is the usual bound"
    return warn(shown, why, "docs/runbook.md#keys, or no long-lived key at all: docs/install.md#without-long-lived-aws-keys")
