"""`.env` of a production host: made from `.env.example`, filled with what can be found out."""

from dataclasses import dataclass

from hikyaku.errors import UserError
from hikyaku.setup import dotenv, files, machine, stack
from hikyaku.setup.files import Place
from hikyaku.setup.layout import Host

EXAMPLE = ".env.example"


@dataclass(frozen=True, slots=True)
class Env:
    """What `.env` shall say.

    Attributes:
        text: all of it.
        is_new: whether there is none yet.
        filled: names that were empty and have a value now.
        asked: required names that have none, and what to do.
    """

    text: str
    is_new: bool
    filled: list[str]
    asked: dict[str, str]

    def content(self) -> bytes:
        """As it is written; bytes that are no UTF-8 are what they were."""
        return self.text.encode(errors="surrogateescape")


def plan(host: Host, stack_name: str) -> Env:
    """Read `.env`, or else its example, and fill what is empty; nothing is written.

    Args:
        host: where.
        stack_name: CloudFormation's stack to ask, empty for none.
    """
    there = files.read(host.env)
    example = Place(host.folder, (EXAMPLE,))
    content = there if there is not None else files.read(example)
    if content is None:
        raise UserError(f"{example} is missing.", hint="It belongs to the project: put it back.", exit_code=2)
    before = content.decode(errors="surrogateescape")
    said = dotenv.parse(before)
    values = machine.values(said) | (_of_stack(said, stack_name) if stack_name else {})
    text = dotenv.fill(before, values)
    now = dotenv.parse(text)
    filled = [name for name in now if now[name] != said.get(name)]
    return Env(text, there is None, filled, {name: _how(name, values) for name in stack.OUTPUTS if not now.get(name)})


def _of_stack(said: dict[str, str], name: str) -> dict[str, str]:
    if all(said.get(variable) for variable in (*stack.OUTPUTS, "AWS_REGION")):
        return {}
    return stack.values(name, said.get("AWS_REGION", ""))


def _how(name: str, values: dict[str, str]) -> str:
    if name in values:
        return f"add the line {name}={values[name]}"
    return f"the stack's output {stack.OUTPUTS[name]} (aws/README.md), or run this with --stack NAME"
