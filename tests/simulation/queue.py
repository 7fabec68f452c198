"""SQS, with places where something can come between, and a story."""

from typing import TYPE_CHECKING, Any

from fakes.sqs import FakeSQS, StoredMessage

if TYPE_CHECKING:
    from simulation.world import World

QUEUE, DLQ = "sqs:ingest", "sqs:dlq"
VISIBILITY_S = 120
MAX_RECEIVE_COUNT = 5
"""As in aws/stack.yaml."""


class SimulatedSQS(FakeSQS):
    """With places between, and a story."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.clock)
        self._world = world

    def deliver(self, body: str) -> None:
        """An event arrives."""
        with self._world.between.nothing():
            super().send_message(QueueUrl=QUEUE, MessageBody=body)

    def send_message(self, **request: Any) -> dict[str, Any]:
        answer = super().send_message(**request)
        self._world.tell(f"dead letter: {self._world.name(request['MessageBody'])}")
        return self._answer("send_message", answer)

    def receive_message(self, **request: Any) -> dict[str, Any]:
        return self._answer("receive_message", super().receive_message(**request))

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        return self._answer("change_message_visibility_batch", super().change_message_visibility_batch(**request))

    def delete_message_batch(self, **request: Any) -> dict[str, Any]:
        before = dict(self.queues[QUEUE].messages)
        answer = super().delete_message_batch(**request)
        for message_id in before.keys() - self.queues[QUEUE].messages.keys():
            self._world.tell(f"deleted: {self._world.name(before[message_id].body)}")
        return self._answer("delete_message_batch", answer)

    def _called(self, name: str) -> None:
        self._world.between.sqs(name)

    def _answer(self, name: str, answer: dict[str, Any]) -> dict[str, Any]:
        self._world.between.sqs(f"{name}, done", done=True)
        return answer

    def _hand_out(self, message: StoredMessage, *rest: Any) -> dict[str, Any]:
        answer = super()._hand_out(message, *rest)
        self._world.received(message)
        return answer
