"""Every command that help texts, README and docs name exists, and takes the options that they give it.

That it also does what they say is shown where it is run: tests/integration/test_documented.py, test_readme.py, tests/compose.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from hikyaku.app import app

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "README.ja.md", "aws/README.md", *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md")))]
CALLED = re.compile(r"(?:^|[|;(&] *)(?:[A-Z_]+=\S+ )*(docker compose run --rm (?:-T )?(?:cli|host|rebuild)|(?:\.venv/bin/)?hikyaku)(?= )")
"""How our command is called: itself, or in its containers, of which `rebuild` is a verb, too."""
IN_THE_CODE = re.compile(r"```bash\n(.*?)```|```console\n(.*?)```|`([^`\n]+(?:\n[^`\n]+)?)`", re.DOTALL)
ROOT_COMMAND = typer.main.get_command(app)


def code_of(text: str) -> str:
    """What a page has for code; of a transcript, what was typed."""
    return "\n".join(
        block or "\n".join(re.findall(r"(?m)^\$ (.*)", transcript)) or inline.replace("\n", " ")
        for block, transcript, inline in IN_THE_CODE.findall(text)
    )


def calls(text: str) -> Iterator[list[str]]:
    """The words behind each call in some code; a comment ends it, and so does a pipe, a list or a redirection."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.split(r"\s+#\s", line)[0]
        for called in CALLED.finditer(command):
            words = shlex.split(re.split(r"\s+(?:[|;>]|&&)", command[called.end() :])[0].replace("…", ""))
            yield ["rebuild", *words] if called[1].endswith(" rebuild") else words


def parsed(words: list[str]) -> None:
    """Have the command's own parser read them; nothing is run.

    Raises:
        TyperException: there is no such command, or it takes no such option.
    """
    command, context = ROOT_COMMAND, typer.Context(ROOT_COMMAND)
    while isinstance(command, TyperGroup) and words:
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            raise TyperException(f"no such command: {name}")
        command, context = found, typer.Context(found, parent=context)
    # In prose, an option may stand without its value.
    command.make_parser(context).parse_args([*words, "VALUE"])


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_name_commands_that_there_are(page: str) -> None:
    for words in calls(code_of((ROOT / page).read_text(encoding="utf-8"))):
        parsed(words)


def every(command: TyperCommand | TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from every(each, (*path, name))
    else:
        yield path, command


@pytest.mark.parametrize(("path", "command"), list(every(ROOT_COMMAND)), ids=str)
def test_each_help_has_an_example_that_can_be_typed(path: tuple[str, ...], command: TyperCommand | TyperGroup) -> None:
    examples = [words for line in (command.help or "").splitlines() if "Example: " in line for words in calls(line.partition(": ")[2])]
    assert examples or path[0] in {"setup", "local"}, path
    for words in examples:
        assert tuple(words[: len(path)]) == path
        parsed(words)


@pytest.mark.parametrize("words", [["sned"], ["send", "--tow", "x"], ["dlq", "raise"], ["status", "--watch", "--evry", "2"]])
def test_what_there_is_not_is_seen(words: list[str]) -> None:
    with pytest.raises(TyperException):
        parsed(words)


def test_what_is_looked_at() -> None:
    prose = "`hikyaku send a` and `docker compose run --rm rebuild x`, `psql -c hikyaku x`, `ls; A=1 hikyaku b` /usr/bin/hikyaku send"
    text = f"{prose}\n```bash\necho | hikyaku files --x # hikyaku y\n```"
    text += "\n```console\n$ hikyaku show y\nverdict (hikyaku none)\n```"
    assert list(calls(code_of(text))) == [["send", "a"], ["rebuild", "x"], ["b"], ["files", "--x"], ["show", "y"]]
