"""The line of progress: what it says, and how often."""

from io import StringIO

import pytest
from rich.console import Console

from model.reporting.progress import ProgressLine, line_of, short
from model.reporting.report import SPEED, Reported

SHOWN = {"loss/over=window": "loss", "ne": "NE [b]CLICK"}


def reported(step: int) -> Reported:
    figures = {"loss/over=window": 1 / step, "other": 9.0, SPEED: 34_060.0}
    return Reported(step, step * 1_234_000, figures)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999.96, "1.0k"),
        (1000, "1.0k"),
        (34_060, "34.1k"),
        (999_960, "1.0M"),
        (7_000_000_000, "7.0G"),
        (12_000_000_000_000, "12000.0G"),
    ],
)
def test_counts_are_short(number: float, text: str) -> None:
    assert short(number) == text


def test_the_line_has_what_is_there_and_asked_for() -> None:
    assert line_of(reported(3), SHOWN) == "step 3 · 3.7M tokens · 34.1k tokens/s · loss 0.3333"
    line = line_of(Reported(1200, 5, {"ne": 0.98765}), SHOWN)
    assert line == "step 1,200 · 5 tokens · NE [b]CLICK 0.9877"


def test_elsewhere_than_on_a_terminal_lines_come_now_and_then() -> None:
    text, now = StringIO(), [50.0]
    shown = {f"figure/{n}": f"figure {n} [x]" for n in range(30)}
    line = ProgressLine(Console(file=text, width=40), shown, every=10, clock=lambda: now[0])
    for step, time in enumerate((50, 55, 59, 60, 61, 62), start=1):
        now[0] = time
        line.write(Reported(step, step, dict.fromkeys(shown, step)))
    assert [each.split(" · ")[0] for each in text.getvalue().splitlines()] == ["step 1", "step 4"]
    line.close()
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[-1] == line_of(Reported(6, 6, dict.fromkeys(shown, 6)), shown)
    line.close()
    assert len(text.getvalue().splitlines()) == 3


@pytest.mark.parametrize("width", [20, 60])
def test_on_a_terminal_one_line_is_renewed_and_the_last_stays(width: int) -> None:
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=width, legacy_windows=False)
    line = ProgressLine(console, SHOWN)
    for step in (1, 2, 3):
        line.write(reported(step))
        assert f"step {step} ·" in text.getvalue()
    line.close()
    assert text.getvalue().count("\n") == 1  # the others were written over
