"""Progress on a terminal: what is going on, how far it is, and for how long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Report = Callable[[int, float], None]
"""Told the records so far, and what share of the whole that is."""


@contextmanager
def shown_while(doing: str, console: Console) -> Iterator[Report]:
    """Shows a line while something lasts: a spinner, and a bar once a share is reported."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[records]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(doing, total=None, records="")

        def report(records: int, share: float) -> None:
            progress.update(task, completed=share, total=1.0, records=f"{records:,} records")

        yield report
