"""README.md's day of a sender and an operator is what the commands print; `make day` writes it anew."""

from pathlib import Path

import day
import redis_fixture
from line import Start


def test_the_day_in_the_readme_is_true(start_stack: Start, tmp_path: Path) -> None:
    port = redis_fixture.free_port()
    desk = day.Desk(start_stack(HIKYAKU_METRICS_PORT=str(port)), tmp_path, f"http://127.0.0.1:{port}/metrics")
    assert day.shape(day.live(desk)) == day.shape(day.printed())
    assert day.shape(day.words(day.picture(desk))) == day.shape(day.words(day.PICTURE.read_text(encoding="utf-8")))
