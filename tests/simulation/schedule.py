"""What can happen, as Hypothesis chooses it: uploads, steps of the services, what comes between a step's own steps, and troubles."""

from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st

from simulation.files import CONTENTS, GROUPS, KEYS, Kind


class Effect(StrEnum):
    """What comes between."""

    KILL = "killed"
    KILL_AFTER = "done, and then killed"
    KILL_CHILD = "its child process is killed"
    RAISE = "a bug"
    FAIL = "refused"
    LOSE_ANSWER = "done, but the answer is lost"
    MEANWHILE = "meanwhile"


class Trouble(StrEnum):
    """What happens from outside, between two steps."""

    FLUSH = "Redis restarts empty"
    LOSE_TASK = "Redis loses a task"
    REPEAT_TASK = "a task is delivered twice"
    REDIS_TOGGLE = "Redis goes or comes"
    POSTGRES_TOGGLE = "PostgreSQL goes or comes"
    S3_TOGGLE = "S3 goes or comes"
    WORKERS_TOGGLE = "all workers go or come"
    REDELIVER = "SQS hands out a message that is held"
    STALL = "everything stands still for longer than the visibility timeout"
    STARVE = "no worker does anything for longer than the deadline"
    STOP_POLLER = "a poller is stopped and started"
    POSTGRES_OUTAGE = "PostgreSQL is away for long"
    S3_OUTAGE = "S3 is away for long"
    REDIS_OUTAGE = "Redis is away for long"
    SQS_OUTAGE = "SQS is away for long"


@dataclass(frozen=True, slots=True)
class Put:
    """A sender uploads a file; its event may come later."""

    key: int
    content: int
    kind: Kind
    late: bool


@dataclass(frozen=True, slots=True)
class PutGroup:
    """A sender uploads a file in parts; the events of some come later."""

    dataset: int
    kinds: tuple[Kind, ...]
    late: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """An event arrives: one that is late, or one again."""

    which: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Happen:
    """Trouble."""

    trouble: Trouble
    which: int


@dataclass(frozen=True, slots=True)
class Step:
    """One of those who can do something does it; in this or a later step, at a place where it can, something comes between."""

    which: int
    effect: Effect | None = None
    at: str = ""
    passes: int = 0
    meanwhile: "tuple[Action, ...]" = ()


Action = Put | PutGroup | Announce | Wait | Happen | Step
Schedule = list[Action]

# How Hypothesis chooses

_KINDS = (Kind.GOOD,) * 9 + tuple(Kind)
_LONG = frozenset(trouble for trouble in Trouble if "for long" in trouble)
_THEMES: tuple[tuple[set[Trouble], set[Effect]], ...] = (
    (set(Trouble), set(Effect)),
    (set(), {Effect.KILL, Effect.KILL_AFTER, Effect.KILL_CHILD}),
    ({Trouble.FLUSH, Trouble.REPEAT_TASK, Trouble.REDIS_TOGGLE}, set()),
    ({Trouble.POSTGRES_TOGGLE, Trouble.S3_TOGGLE, *_LONG}, {Effect.FAIL, Effect.LOSE_ANSWER}),
    ({Trouble.WORKERS_TOGGLE, Trouble.REDELIVER, Trouble.STALL, Trouble.STARVE, Trouble.STOP_POLLER}, {Effect.RAISE}),
)
"""All faults together; and a few alone: where others have cost a message its receives, nobody sees that a bug costs it more."""


def _weighted(*weighted: tuple[int, st.SearchStrategy[Action]]) -> st.SearchStrategy[Action]:
    """One of these, each so often: `one_of` takes no weights."""
    each = [strategy for weight, strategy in weighted for _ in range(weight)]
    return st.integers(0, len(each) - 1).flatmap(each.__getitem__)


puts = st.builds(Put, st.integers(0, len(KEYS) - 1), st.integers(0, len(CONTENTS) - 1), st.sampled_from(_KINDS), st.booleans())
_PART_KINDS = (Kind.GOOD,) * 12 + (Kind.CORRUPT, Kind.MALFORMED, Kind.MISSING)
groups = st.integers(2, 3).flatmap(
    lambda parts: st.builds(
        PutGroup,
        st.integers(0, len(GROUPS) - 1),
        st.tuples(*[st.sampled_from(_PART_KINDS)] * parts),
        st.tuples(*[st.booleans()] * parts),
    )
)
_which = st.integers(0, 9)
_plain = st.builds(Step, _which)
_announce = st.builds(Announce, _which)
_wait = st.builds(Wait, st.sampled_from((1, 5, 30)))
_meanwhile = st.lists(_weighted((5, _plain), (1, _announce), (1, puts), (1, _wait)), min_size=1, max_size=3).map(tuple)
_at = st.sampled_from(("", "", "SQS, send", "SQS, delete", "Redis, publish", "PostgreSQL, commit", "PostgreSQL, committed", "at poller"))
_passes = st.one_of(st.just(0), st.integers(0, 4), st.integers(0, 20))


def _stretch(troubles: set[Trouble], effects: set[Effect]) -> st.SearchStrategy[Schedule]:
    interrupted = st.builds(Step, _which, st.sampled_from(sorted(effects | {Effect.MEANWHILE})), _at, _passes, _meanwhile)
    happen = st.builds(Happen, st.sampled_from(sorted(troubles - _LONG) * 3 + sorted(troubles & _LONG)), _which) if troubles else _wait
    return st.lists(_weighted((5, _plain), (5, interrupted), (2, happen), (1, _announce), (1, _wait), (1, puts)), max_size=12)


def _schedules(stretch: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    first = st.lists(_weighted((5, puts), (1, groups)), min_size=1, max_size=4)
    parts = st.tuples(first, stretch, stretch, stretch, stretch)
    return parts.map(lambda each: [action for part in each for action in part])


schedules = st.one_of(*(_schedules(_stretch(*theme)) for theme in _THEMES))
