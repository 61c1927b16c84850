"""The demo's last part: a model learns from the topic, and says what three users will want."""

import shutil
from datetime import UTC, datetime

import polars as pl
from rich.console import Console

from model.config import TrainConfig
from model.reader.rows import Checking, batch_of
from model.recommending import Recommended, recommended
from model.saving import trained
from model.trainer import Trainer
from pipeline.demo.names import Names, texts_of
from pipeline.demo.pick import picked
from pipeline.demo.steps import Demo, DemoFailed
from pipeline.demo.timeline import Row
from pipeline.train.command import train
from pipeline.train.options import Input, Training
from schemas.outputs import SEQUENCES

FOLDER = "model"
SHOWN_CONTENTS = 6
BEST, NEXT = 3, 3
"""How many sequences of next contents are shown, and of how many contents."""

CONFIG = TrainConfig.model_validate(
    {
        "batch_tokens": 4_096,
        "sampling": {"tokens": 64},
        "model": {
            "width": 32,
            "blocks": 1,
            "heads": 2,
            "query_width": 16,
            "value_width": 16,
            "positions": 128,
        },
        "retrieval": {"negatives": 256, "temperature": 0.5},
        "optimizer": {"rate": 3e-3, "table_rate": 1e-2},
        "evaluation": {"window_steps": 20},
        "checkpoint": {"every_steps": 100},
    }
)
"""Small, so that it is quick on a CPU; of a sequence of n tokens it takes 64 / n."""


def train_on_topic(demo: Demo) -> str:
    """Trains on the sequence topic up to its end."""
    folder = demo.out / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    read = Input(demo.topic, until_latest=True)
    steps = train(Training(demo.spec, CONFIG, read, folder, "cpu"), demo.console)
    if not steps:
        raise DemoFailed("no sequence of the topic was drawn to train on")
    return f"{steps:,} steps; the figures are in {folder}/metrics.jsonl"


def print_recommendations(demo: Demo) -> None:
    """Prints what the model would show three users next, below the end of their histories."""
    trainer = trained(demo.out / FOLDER, demo.spec)
    names = Names(demo.spec, texts_of(demo.table("dictionary").collect()))
    demo.console.print(f"\nWhat the model would show next, {NEXT} contents at a time:")
    for _, row in picked(demo.table(SEQUENCES)):
        demo.console.print(
            f"\nuser {row['user_id']}, who ended with", style="bold", highlight=False
        )
        _print_lines(demo.console, _ending(row, names))
        for best in _best(demo, trainer, row):
            contents = " → ".join(f"Φ {names.item(number)}" for number in best.contents)
            _print_lines(demo.console, [f"{best.log_probability:8.2f}  {contents}"])


def _best(demo: Demo, trainer: Trainer, row: Row) -> list[Recommended]:
    """The best sequences of contents for the history of a row, a minute after its end."""
    mine = demo.table(SEQUENCES).filter(pl.col("sequence_id") == row["sequence_id"]).collect()
    checking = Checking(demo.spec)
    (rows,) = mine.to_arrow().cast(checking.schema).combine_chunks().to_batches()
    history = batch_of([checking.checked(rows, "the demo's folder")])
    now_ms = int(history.session_end_B[0]) + 60_000
    return recommended(
        demo.spec,
        trainer.model,
        trainer.tables,
        history,
        now_ms=now_ms,
        length=NEXT,
        width=BEST,
    )


def _ending(row: Row, names: Names) -> list[str]:
    """The last contents of a row, with what was done with them."""
    places = [place for place, kind in enumerate(row["token_type"]) if kind == 0]
    return [
        f"{_clock(row['token_time'][place])}  Φ {names.item(row['token_id'][place])}  "
        f"a {names.actions(row['token_id'][place + 1])}"
        for place in places[-SHOWN_CONTENTS:]
    ]


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%a %d %b %H:%M:%S}"


def _print_lines(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
