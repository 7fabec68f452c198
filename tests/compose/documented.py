"""The commands of the docs, as the tests run them: the code block after `<!-- test: NAME -->`."""

import re

from host import ROOT, Host, run


def block(document: str, name: str) -> str:
    """Commands of one marked block."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- test: {re.escape(name)} -->\n+```bash\n(.*?)```", text, re.DOTALL)
    return str(found)


def follow(host: Host, document: str, name: str) -> str:
    """Type a block's commands on the host, in the project's folder; returns what they print."""
    # The docs speak to a terminal.
    script = block(document, name).replace("docker compose run --rm", "docker compose run --rm -T")
    return run("bash", "-euo", "pipefail", "-c", script, folder=host.folder, environment=host.environment).stdout
