"""The evaluator of IAM policies, rule by rule."""

from typing import Any

import pytest

from privileges.iam import Request, allows

ME, ACCOUNT = "arn:aws:iam::1:user/me", "arn:aws:iam::1:root"
ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/in/*"}
DENY_ALL: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}


def get(resource: str = "arn:aws:s3:::b/in/x", **context: str) -> Request:
    return Request(ME, "s3:GetObject", resource, {key.replace("__", ":"): value for key, value in context.items()})


@pytest.mark.parametrize(
    ("resource", "may"),
    [
        ("arn:aws:s3:::b/in/x", True),
        ("arn:aws:s3:::b/in/a/b/c", True),
        ("arn:aws:s3:::b/in/", True),
        ("arn:aws:s3:::b/inx", False),
        ("arn:aws:s3:::b/IN/x", False),
        ("arn:aws:s3:::bb/in/x", False),
        ("arn:aws:s3:::b", False),
    ],
)
def test_a_star_crosses_slashes_and_all_else_is_exact(resource: str, may: bool) -> None:
    assert allows(get(resource), [ALLOW], []) is may


@pytest.mark.parametrize(
    ("action", "may"),
    [
        ("s3:GetObject", True),
        ("s3:getobject", True),
        ("s3:Get*", True),
        ("s3:GetObject?", False),
        ("s3:GetObjectVersion", False),
        ("*", True),
    ],
)
def test_actions_match_without_regard_to_case(action: str, may: bool) -> None:
    assert allows(get(), [ALLOW | {"Action": ["s3:PutObject", action]}], []) is may


def test_nothing_is_allowed_that_nobody_allows() -> None:
    assert not allows(get(), [], [])


def test_a_denial_wins_wherever_it_stands() -> None:
    assert not allows(get(), [ALLOW], [DENY_ALL])
    assert not allows(get(), [ALLOW, ALLOW | {"Effect": "Deny"}], [])


def test_a_resources_policy_alone_allows_whom_it_names() -> None:
    assert allows(get(), [], [ALLOW | {"Principal": {"AWS": ME}}])
    assert not allows(get(), [], [ALLOW | {"Principal": {"AWS": "arn:aws:iam::1:user/other"}}])
    assert not allows(get(), [], [ALLOW | {"Principal": {"AWS": ACCOUNT}}])
    assert not allows(get(), [ALLOW], [DENY_ALL | {"Principal": {"AWS": ME}}])
    assert allows(get(), [ALLOW], [DENY_ALL | {"Principal": {"Service": "events.amazonaws.com"}}])


def test_a_key_lets_a_user_in_only_if_its_policy_delegates_to_the_account() -> None:
    delegates = ALLOW | {"Principal": {"AWS": ACCOUNT}}
    assert allows(get(), [ALLOW], [delegates], delegated=True)
    assert not allows(get(), [ALLOW], [], delegated=True)
    assert not allows(get(), [], [delegates], delegated=True)


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "b"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringNotEquals": {"k": "a"}}, {"k": "b"}, True),
        ({"StringNotEquals": {"k": "a"}}, {"k": "a"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"Bool": {"k": "false"}}, {"k": "false"}, True),
        ({"Bool": {"k": "false"}}, {"k": "true"}, False),
        ({"Bool": {"k": "false"}}, {}, False),
        ({"ArnEquals": {"k": "arn:aws:x:*"}}, {"k": "arn:aws:x:y"}, True),
        ({"ArnEquals": {"k": "arn:aws:x:z"}}, {"k": "arn:aws:x:y"}, False),
        ({"ArnEquals": {"k": "arn:aws:x:z"}}, {}, False),
        ({"NumericLessThan": {"k": "1.2"}}, {"k": "1.1"}, True),
        ({"NumericLessThan": {"k": "1.2"}}, {"k": "1.2"}, False),
        ({"NumericLessThan": {"k": "1.2"}}, {}, False),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": "a"}, False),
        ({"Null": {"k": "false"}}, {"k": "a"}, True),
        ({"Null": {"k": "false"}}, {}, False),
        ({"StringEquals": {"k": "a"}, "Null": {"l": "true"}}, {"k": "a"}, True),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "a"}, False),
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, str], holds: bool) -> None:
    assert allows(get(**context), [ALLOW | {"Condition": condition}], []) is holds


@pytest.mark.parametrize(
    "change",
    [
        {"NotAction": "s3:PutObject"},
        {"NotResource": "*"},
        {"Condition": {"StringLike": {"k": "a*"}}},
        {"Resource": "arn:aws:s3:::b/${aws:username}/*"},
        {"Principal": {"Federated": "x"}},
    ],
)
def test_what_it_does_not_know_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        allows(get(), [], [ALLOW | {"Principal": "*"} | change])
