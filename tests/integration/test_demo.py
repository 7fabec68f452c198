"""The acceptance test: what `make demo` does, asserted."""

from pathlib import Path

from line import Line
from rich.progress import Progress

from hikyaku.demo import scenario

DEMO = Path(__file__).parents[2] / "demo"


def test_the_demos_story(line: Line) -> None:
    scenario.prepare(line.world, DEMO)
    with Progress(disable=True) as progress:
        story = scenario.play(line.world, DEMO, progress, lambda _: None)
    assert [(fate.status, fate.error_code) for fate in story.fates] == [
        ("loaded", None),
        ("loaded", None),
        ("loaded", None),
        ("duplicate", None),
        ("rejected", "ciphertext_corrupt"),
    ]
    _, april, everything, *_ = story.fates
    assert everything.rows_loaded == story.counts["postal_codes"] == 124_822
    assert story.counts["offices"] >= (april.rows_loaded or 0) > 22_000
    assert [letter.error_code for letter in story.letters] == ["ciphertext_corrupt"]
    line.quiet()
