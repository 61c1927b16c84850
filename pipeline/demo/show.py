"""`phia demo`: the steps of the demo one after the other, each with its time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from pipeline.broker import Broker
from pipeline.demo.accounts import print_accounts
from pipeline.demo.pick import print_sequences
from pipeline.demo.steps import Demo, claim, fill_topics, make_sequences, read_back
from pipeline.demo.training import print_recommendations, train_on_topic
from pipeline.report.page import write_page
from schemas.failures import UsageError
from schemas.load import load_spec

SPEC = Path(__file__).parents[2] / "examples" / "shop" / "spec.yaml"

WIDTH = 100
"""Columns at least, where there is no terminal that has a width of its own."""

PAGE = "report.html"
"""The page on the run, in the demo's folder."""

Step = Callable[[Demo], str]
Display = Callable[[Demo], None]

STEPS: tuple[tuple[str, Step], ...] = (
    ("topics filled", fill_topics),
    ("sequences made", make_sequences),
    ("read back", read_back),
    ("trained", train_on_topic),
)
"""What is done while the broker runs; each gives a line that says what came of it."""


def _print_places(demo: Demo) -> None:
    out = demo.out
    demo.console.print(f"\nEverything is in {out}/: sequences/, rejected/, late/, dictionary/,")
    demo.console.print("statistics/, tombstones/ as Parquet; simulated.json, what was sent;")
    demo.console.print("model/, the trained model and its figures.")
    demo.console.print(f"A page of it all, for a browser: {out / PAGE}")
    demo.console.print(f"The topics are kept: phia broker --folder {out / 'broker'}")


DISPLAYS: tuple[Display, ...] = (
    print_accounts,
    print_sequences,
    print_recommendations,
    _print_places,
)
"""What is shown in the end."""


def show(out: Path, events: int, console: Console) -> None:
    """Fills a broker's topics with `events` simulated records, makes sequences of them into a
    topic and into the folder `out`, and shows what went in and what came out.

    A second run replaces the first. Raises UsageError where the demo's spec is not there, and
    what its steps raise; the broker ends in any case.
    """
    if not SPEC.is_file():
        raise UsageError(f"{SPEC} is not there: the demo needs a checkout of the project")
    began = time.monotonic()
    if not console.is_terminal:
        console = Console(file=console.file, width=max(WIDTH, console.width))
    spec = load_spec(SPEC)
    claim(out, spec)
    with _broker(out / "broker", console) as broker:
        demo = Demo(spec, out, events, console, broker.bootstrap)
        for name, step in STEPS:
            with _timed(name, console) as tell:
                tell(step(demo))
    write_page(out, out / PAGE)
    for display in DISPLAYS:
        display(demo)
    console.print(f"Done in {time.monotonic() - began:.0f} s.")


@contextmanager
def _broker(folder: Path, console: Console) -> Iterator[Broker]:
    broker = Broker(folder)
    try:
        with _timed("broker up", console) as tell:
            broker.start()
            tell(f"Kafka at {broker.bootstrap}")
        yield broker
    finally:
        broker.stop()


@contextmanager
def _timed(name: str, console: Console) -> Iterator[Callable[[str], None]]:
    """Prints a step's name, time and line when it is done."""
    began, lines = time.monotonic(), list[str]()
    yield lines.append
    took = f"{time.monotonic() - began:5.1f} s"
    console.print(f"{name:<15}{took}  {' '.join(lines)}", markup=False, soft_wrap=True)
