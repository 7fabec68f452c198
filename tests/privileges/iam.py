"""Would AWS allow this request? IAM's evaluation within one account, for what aws/stack.yaml uses and nothing else.

AWS IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators". What the template does not use yet
(NotAction, another operator, a policy variable) is an error here, not a guess: it must be added with its test.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]
_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


@dataclass(frozen=True, slots=True)
class Request:
    """One call: of a user (by ARN) or a service (by name), with the condition keys that AWS would know."""

    principal: str
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allows(request: Request, identity: Sequence[Statement], resource: Sequence[Statement], *, delegated: bool = False) -> bool:
    """Whether the request is allowed.

    Args:
        request: the call.
        identity: statements of the policies attached to the principal.
        resource: statements of the policy attached to the resource.
        delegated: for KMS, where a user's own policy counts only as far as the key's policy lets the account decide.

    Raises:
        NotImplementedError: a statement uses what is not known here.
    """
    own = [statement for statement in identity if _concerns(statement, request)]
    attached = [statement for statement in resource if _concerns(statement, request)]
    if any(statement["Effect"] == "Deny" and _names(statement, request.principal) for statement in [*own, *attached]):
        return False
    if any(_names(statement, request.principal) for statement in attached):
        return True
    return bool(own) and (not delegated or any(_is_account(statement, request.principal) for statement in attached))


def _concerns(statement: Statement, request: Request) -> bool:
    if unknown := statement.keys() - _ELEMENTS:
        raise NotImplementedError(f"policy elements {sorted(unknown)}")
    return (
        any(_matches(pattern, request.action, re.IGNORECASE) for pattern in as_list(statement["Action"]))
        and any(_matches(pattern, request.resource) for pattern in as_list(statement["Resource"]))
        and all(_holds(operator, keys, request.context) for operator, keys in statement.get("Condition", {}).items())
    )


def _matches(pattern: str, value: str, flags: re.RegexFlag = re.NOFLAG) -> bool:
    if "${" in pattern:
        raise NotImplementedError(f"policy variable in {pattern}")
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, flags | re.DOTALL) is not None


def _names(statement: Statement, principal: str) -> bool:
    """An identity's own policy names nobody; a resource's names the principal, its service, or everybody."""
    named = statement.get("Principal", "*")
    if named == "*":
        return True
    if unknown := named.keys() - {"AWS", "Service"}:
        raise NotImplementedError(f"principals {sorted(unknown)}")
    return principal in {*as_list(named.get("AWS", [])), *as_list(named.get("Service", []))} or "*" in as_list(named.get("AWS", []))


def _is_account(statement: Statement, principal: str) -> bool:
    """The account's root stands for all of the account, as far as their own policies go."""
    account = ":".join(principal.split(":")[:5])
    return statement["Effect"] == "Allow" and f"{account}:root" in as_list(dict(statement["Principal"]).get("AWS", []))


def _holds(operator: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    if operator not in _OPERATORS:
        raise NotImplementedError(f"condition operator {operator}")
    return all(_OPERATORS[operator](context.get(key), [str(value) for value in as_list(wanted)]) for key, wanted in keys.items())


# A key that the request lacks fails each of them but Null and the negated one (User Guide, as above).
_OPERATORS: Mapping[str, Callable[[str | None, list[str]], bool]] = {
    "StringEquals": lambda found, wanted: found in wanted,
    "StringNotEquals": lambda found, wanted: found not in wanted,
    "Bool": lambda found, wanted: found is not None and found.lower() in [each.lower() for each in wanted],
    "ArnEquals": lambda found, wanted: found is not None and any(_matches(each, found) for each in wanted),
    "NumericLessThan": lambda found, wanted: found is not None and any(float(found) < float(each) for each in wanted),
    "Null": lambda found, wanted: str(found is None).lower() in wanted,
}


def as_list(value: Any) -> list[Any]:
    """Policies write one of something without a list."""
    return value if isinstance(value, list) else [value]
