"""`hikyaku dlq`: the dead-letter queue, where messages wait for a person. Here: list and show."""

from typing import Annotated

import typer

from hikyaku.errors import UserError
from hikyaku.operator import access, advice, letters, output
from hikyaku.operator.drop import drop
from hikyaku.operator.files import Json, Most
from hikyaku.operator.letters import BY_HAND, NO_CODE, Letter
from hikyaku.operator.redrive import redrive
from hikyaku.operator.settings import OperatorSettings
from hikyaku.printable import printable

app = typer.Typer(help="Look at the dead-letter queue, and work it off.", no_args_is_help=True)
CAME = {
    NO_CODE: advice.Advice(
        "It was received too often: its file failed again and again.", "hikyaku show KEY, then: hikyaku dlq redrive KEY"
    ),
    BY_HAND: advice.Advice("Somebody sent it there, not the poller.", "hikyaku dlq show: who was it?"),
}
COLUMNS = ("error code", "key", "since", "receives", "message id")


@app.command("list")
def list_(*, limit: Most = 1000, as_json: Json = False) -> None:
    """List the messages of the dead-letter queue, by error code. They stay there; for a moment nobody else sees them.

    Example: hikyaku dlq list --json
    """
    found = _look(limit)[:limit]
    if as_json:
        for letter in found:
            output.json_line(letter.as_json())
    elif found:
        rows = [
            [letter.error_code, letter.key or "no event of S3's", letter.sent_at, letter.receives, letter.message_id] for letter in found
        ]
        output.console().print(output.table(COLUMNS, rows))
    else:
        output.note("The dead-letter queue is empty.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="KEY|MESSAGE_ID", help="Key, pattern of keys, or the message's id.")],
    *,
    as_json: Json = False,
) -> None:
    """Show messages whole: why they are there, what to do, and the event itself.

    Example: hikyaku dlq show orders/2026-11.csv.gz.age
    """
    found = [letter for letter in _look() if letter.is_called(name)]
    if not found:
        raise UserError(f"the dead-letter queue holds nothing of {printable(name)}", hint="`hikyaku dlq list` shows what it holds.")
    for letter in found:
        if as_json:
            output.json_line({**letter.as_json(), "body": letter.body})
        else:
            _print(letter)


app.command()(redrive)
app.command()(drop)


def _look(most: int = letters.MOST) -> list[Letter]:
    settings = OperatorSettings.read("dlq_url")
    with access.told("the dead-letter queue can't be read"):
        return letters.look(access.sqs(), settings.dlq_url, most)


def _print(letter: Letter) -> None:
    told = CAME.get(letter.error_code) or advice.of(letter.error_code)
    values = {
        "key": letter.key or "it is no event of S3's",
        "version": letter.version_id,
        "error": letter.error_code + (f": {letter.error}" if letter.error else ""),
        "means": told.means,
        "do": told.do,
        "since": letter.sent_at,
        "receives": letter.receives,
        "message id": letter.message_id,
        "body": letter.body,
    }
    output.console().print(output.pairs({name: value for name, value in values.items() if value not in {None, ""}}))
    output.console().print("")
