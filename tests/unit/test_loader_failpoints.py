import os
import subprocess
import sys
from pathlib import Path


def test_a_wrong_failpoint_is_named_at_start(tmp_path: Path) -> None:
    settings = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "SPOOL_DIR": str(tmp_path),
        "DATASETS": str(tmp_path / "datasets.toml"),
        "FAILPOINTS": "loader.merged=explode",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HIKYAKU_")}
    environment = clean | {f"HIKYAKU_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "loader"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 2
    assert "HIKYAKU_FAILPOINTS: 'loader.merged=explode' is not POINT" in process.stderr
    assert "Traceback" not in process.stderr
