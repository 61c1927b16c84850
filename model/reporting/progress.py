"""Reports as one line of progress: moving on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.live import Live
from rich.text import Text

from model.reporting.report import SPEED, Reported


class ProgressLine:
    """Shows steps, tokens, speed and some figures.

    On a terminal one line at the bottom, which is renewed with each report. Elsewhere, as in a log,
    a line at the first report, then at most one in `every` seconds, and the last at the end.
    """

    def __init__(
        self,
        console: Console,
        shown: Mapping[str, str],
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`shown`: what to call each figure, by its name in reports; others are not shown."""
        self._console = console
        self._shown = shown
        self._every = every
        self._clock = clock
        self._due = clock()
        self._unprinted: str | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def write(self, reported: Reported) -> None:
        """Shows a report, at once or at the end."""
        line = line_of(reported, self._shown)
        if self._live is not None:
            self._live.start()  # again does nothing
            text = Text(line, no_wrap=True, overflow="ellipsis")
            self._live.update(text, refresh=True)
            return
        self._unprinted = line
        if self._clock() >= self._due:
            self._print()
            self._due = self._clock() + self._every

    def close(self) -> None:
        """Leaves the last report to be seen."""
        if self._live is not None:
            self._live.stop()
        self._print()

    def _print(self) -> None:
        if self._unprinted is not None:
            self._console.print(self._unprinted, markup=False, highlight=False, soft_wrap=True)
            self._unprinted = None


def line_of(reported: Reported, shown: Mapping[str, str]) -> str:
    """`step 120 · 1.2M tokens · 34.1k tokens/s · loss 0.5312`; absent figures are left out."""
    speed = reported.figures.get(SPEED)
    return " · ".join(
        [
            f"step {reported.step:,}",
            f"{short(reported.tokens)} tokens",
            *([] if speed is None else [f"{short(speed)} tokens/s"]),
            *(
                f"{word} {reported.figures[name]:.4g}"
                for name, word in shown.items()
                if name in reported.figures
            ),
        ]
    )


def short(number: float) -> str:
    """A count in three or four digits: 950, 34.1k, 1.2M, 7.0G."""
    for unit in ("", "k", "M"):
        if number < 999.95:
            return f"{number:.1f}{unit}" if unit else f"{number:.0f}"
        number /= 1000
    return f"{number:.1f}G"
