"""The EventBridge rule between the bucket and the queue, found by its target."""

import json
from collections.abc import Iterator
from typing import Any

from hikyaku.operator.doctor.finding import Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope

WHY = "nobody learns of a new file; it lies there until somebody compares bucket and ledger"
DEPLOY = "aws cloudformation deploy … --template-file aws/stack.yaml (aws/README.md): rule and target are in it"
BEST_AGE_S = 86400


def look(scope: Scope) -> Iterator[Finding]:
    """Enabled, for our bucket, to our queue."""
    events, arn = scope.aws("events"), scope.queue()["QueueArn"]
    names = events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    if not names:
        yield fail("no EventBridge rule has the ingest queue as its target", WHY, DEPLOY)
    for name in names:
        yield from _rule(events.describe_rule(Name=name), scope.need("bucket"))
        targets = events.list_targets_by_rule(Rule=name)["Targets"]
        yield from _target(name, next(each for each in targets if each["Arn"] == arn))


def _rule(rule: dict[str, Any], bucket: str) -> Iterator[Finding]:
    name = rule["Name"]
    if rule["State"] != "ENABLED":
        yield fail(
            f"the rule {name} is {str(rule['State']).lower()}",
            WHY,
            f"aws events enable-rule --name {name}    # then replay what came meanwhile",
        )
    named = json.loads(rule.get("EventPattern", "{}")).get("detail", {}).get("bucket", {}).get("name", [])
    if bucket not in named:
        yield fail(f"the rule {name} does not name the bucket {bucket}", WHY, DEPLOY)
    elif rule["State"] == "ENABLED":
        yield ok(f"the rule {name} announces the files of {bucket}")


def _target(name: str, target: dict[str, Any]) -> Iterator[Finding]:
    if "DeadLetterConfig" not in target:
        why = "an event that can't be delivered (the key's policy, say) is dropped after its last try, without a trace"
        yield warn(f"the rule {name} has no dead-letter queue for its target", why, DEPLOY)
    if target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds", BEST_AGE_S) < BEST_AGE_S:
        yield warn(f"the rule {name} gives an event up after less than 24 h", "an outage of SQS that lasts longer loses events", DEPLOY)
