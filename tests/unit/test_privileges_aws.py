"""Every role of aws/stack.yaml against every action of every other role, and against what nobody may do."""

from collections.abc import Iterator, Mapping

import pytest

from privileges import aws, aws_tried, designed

PUT = "s3:PutObject"
EVENTS = "events.amazonaws.com"
BY_RULE = {"aws:SecureTransport": "true", "aws:SourceArn": aws.RULE}
SSE, SSE_KEY = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"


@pytest.fixture(scope="module", autouse=True)
def administrator() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "administrator")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "of moto")
        yield


@pytest.fixture(scope="module")
def stack(administrator: None) -> aws.Stack:
    with aws.deployed() as deployed:
        return deployed


def test_a_role_may_do_what_is_designed_and_nothing_else(stack: aws.Stack) -> None:
    matrix = stack.matrix()
    assert list(matrix.differences(designed.aws())) == []
    assert len(matrix.allowed) > len(designed.aws()) * 3, "most of the matrix is denied to all"


@pytest.mark.parametrize("after_load", ["tag", "delete", "tag-or-delete"])
def test_the_decryptor_touches_what_is_loaded_only_as_far_as_it_was_let(after_load: str) -> None:
    with aws.deployed(AfterLoad=after_load) as deployed:
        assert list(deployed.matrix().differences(designed.aws(after_load))) == []
        assert list(aws_tried.disagreements(deployed)) == []


def test_what_the_policies_say_is_what_happens_when_it_is_tried() -> None:
    with aws.deployed() as deployed:
        assert list(aws_tried.disagreements(deployed)) == []


def allowed(stack: aws.Stack, service: str) -> list[tuple[str, str, aws.Target]]:
    return [
        (role, action, target)
        for action in stack.actions()
        if action.startswith(service)
        for target in stack.targets(action)
        for role in aws.ROLES
        if stack.may(role, action, target.arn, target.context)
    ]


@pytest.mark.parametrize("service", ["s3:", "sqs:"])
def test_nothing_goes_without_tls(stack: aws.Stack, service: str) -> None:
    over_http = [(role, action) for role, action, target in allowed(stack, service) if _may(stack, role, action, target, **_HTTP)]
    assert (over_http, len(allowed(stack, service)) > 0) == ([], True)


def test_no_object_is_touched_over_an_old_tls(stack: aws.Stack) -> None:
    old = {"s3:TlsVersion": "1.1"}
    assert [(role, action) for role, action, target in allowed(stack, "s3:") if _may(stack, role, action, target, **old)] == []


_HTTP = {"aws:SecureTransport": "false"}


def _may(stack: aws.Stack, role: str, action: str, target: aws.Target, **context: str) -> bool:
    return stack.may(role, action, target.arn, {**target.context, **context})


@pytest.mark.parametrize("role", ["sender", "operator"])
@pytest.mark.parametrize(
    ("asked", "may"),
    [
        ({}, True),
        ({SSE: "aws:kms", SSE_KEY: "ours"}, True),
        ({SSE: "aws:kms"}, False),
        ({SSE: "AES256"}, False),
        ({SSE: "aws:kms:dsse", SSE_KEY: "ours"}, False),
        ({SSE: "aws:kms", SSE_KEY: "arn:aws:kms:ap-northeast-1:123456789012:key/another"}, False),
        ({SSE_KEY: "arn:aws:kms:ap-northeast-1:123456789012:key/another"}, False),
    ],
)
def test_an_upload_is_encrypted_with_our_key(stack: aws.Stack, role: str, asked: Mapping[str, str], may: bool) -> None:
    ours = {key: stack.outputs["KmsKeyArn"] if value == "ours" else value for key, value in asked.items()}
    assert _may(stack, role, PUT, stack.targets(PUT)[0], **ours) is may


def test_eventbridge_sends_by_our_rule_alone(stack: aws.Stack) -> None:
    may = {target.name: stack.may(EVENTS, "sqs:SendMessage", target.arn, BY_RULE) for target in stack.targets("sqs:SendMessage")}
    assert may == {"hikyaku-ingest": True, "hikyaku-ingest-dlq": False, "hikyaku-events-dlq": True, "another-queue": False}
    for stranger in ({"aws:SecureTransport": "true"}, BY_RULE | {"aws:SourceArn": aws.RULE + "-2"}, BY_RULE | _HTTP):
        assert not any(stack.may(EVENTS, "sqs:SendMessage", target.arn, stranger) for target in stack.targets("sqs:SendMessage"))


def test_no_other_service_and_no_stranger_may_do_anything(stack: aws.Stack) -> None:
    for principal in ("s3.amazonaws.com", "lambda.amazonaws.com", "arn:aws:iam::999999999999:user/stranger"):
        for action in stack.actions():
            assert not any(stack.may(principal, action, target.arn, target.context | BY_RULE) for target in stack.targets(action))


def test_eventbridge_uses_the_key_to_send_and_for_nothing_else(stack: aws.Stack) -> None:
    key = stack.outputs["KmsKeyArn"]
    assert {a for a in stack.actions() if a.startswith("kms:") and stack.may(EVENTS, a, key, {})} == {"kms:Decrypt", "kms:GenerateDataKey"}


_READ = "            Action: [s3:GetObject, s3:GetObjectVersion, s3:GetObjectTagging, s3:GetObjectVersionTagging]\n            Resource: "
_BROKEN = {
    "decryptor may s3:GetObject the rest": (f'{_READ}!Sub "${{Bucket.Arn}}/incoming/*"', f'{_READ}!Sub "${{Bucket.Arn}}/*"'),
    "poller may sqs:SendMessage hikyaku-ingest": (
        "!GetAtt IngestDlq.Arn\n          - Sid: MessagesAreEncrypted",
        "!GetAtt IngestQueue.Arn\n          - Sid: MessagesAreEncrypted",
    ),
    "poller may kms:Decrypt the key directly": (
        '            Condition: {StringEquals: {kms:ViaService: !Sub "sqs.${AWS::Region}.amazonaws.com"}}\n',
        "",
    ),
    "sender may kms:ScheduleKeyDeletion the key directly": (
        'Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}',
        'Principal: "*"',
    ),
    "sender may sqs:ReceiveMessage hikyaku-ingest": ("Users: [!Ref PollerUser]", "Users: [!Ref PollerUser, !Ref SenderUser]"),
    "poller may not sqs:DeleteMessage hikyaku-ingest": ("[sqs:ReceiveMessage, sqs:DeleteMessage, ", "[sqs:ReceiveMessage, "),
}


@pytest.mark.parametrize("said", _BROKEN)
def test_a_policy_that_says_too_much_or_too_little_is_noticed(said: str) -> None:
    template, (was, becomes) = aws.TEMPLATE.read_text(encoding="utf-8"), _BROKEN[said]
    assert template.count(was) == 1, "the place to break is there once"
    with aws.deployed(template.replace(was, becomes)) as broken:
        assert f"AWS: {said}, against the design" in list(broken.matrix().differences(designed.aws()))
