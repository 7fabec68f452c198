"""The `hikyaku` command: sub-commands are mounted here."""

from importlib.util import find_spec

import typer

from hikyaku.datasets.app import app as datasets_app
from hikyaku.demo.command import demo
from hikyaku.operator.app import mount as mount_operator
from hikyaku.sending.command import send
from hikyaku.sending.keygen import keygen
from hikyaku.sending.presign import presign
from hikyaku.setup.command import setup

app = typer.Typer(
    name="hikyaku",
    help="Carries encrypted CSV files from a sender, through S3, into PostgreSQL: each exactly once.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command()(send)
app.command()(presign)
app.command()(keygen)
app.command()(setup)
app.command()(demo)
mount_operator(app)
app.add_typer(datasets_app, name="datasets")

if find_spec("supervisor"):
    # A sender installs the command without the extra `local`, and with none of the servers.
    from hikyaku.local.app import app as local_app

    app.add_typer(local_app, name="local")


@app.callback()
def _root() -> None:
    # A callback keeps sub-commands named even while there is only one of them.
    pass
