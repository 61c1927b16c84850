"""Three sequences that a person can take in: a beginning, a later session, a long history."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl
from rich.text import Text

from pipeline.demo.names import Names, texts_of
from pipeline.demo.steps import Demo
from pipeline.demo.timeline import FEATURE, Row, timeline, told_in_lines
from schemas.sequences import ACTION, FIRST_FEATURE


@dataclass(frozen=True)
class Kind:
    """What a sequence is to show: its title, and between how many sessions and contents."""

    title: str
    sessions: tuple[int, int]
    contents: tuple[int, int]


KINDS = (
    Kind("A first session", (1, 1), (4, 7)),
    Kind("A later session of another user", (3, 4), (10, 25)),
    Kind("A long history", (8, 1_000), (60, 200)),
)


def print_sequences(demo: Demo) -> None:
    """Prints three sequences, each with what is said of it in a line above."""
    names = Names(demo.spec, texts_of(demo.table("dictionary").collect()))
    demo.console.print("\nΦ: a content. a: what the user did with it. ▸: a feature changed.")
    for kind, row in picked(demo.table("sequences")):
        starts = _starts(demo.table("sequences"), row)
        tokens = len(row["token_type"])
        demo.console.print(
            f"\n{kind.title}: user {row['user_id']}, sequence {row['sequence_id'][:12]}…, "
            f"{tokens} tokens ({row['raw_tokens']} uncompressed)",
            style="bold",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        for line in told_in_lines(timeline(row, starts, names)):
            shown = Text(line, style="cyan" if FEATURE in line else "")
            demo.console.print(shown, soft_wrap=True)


def picked(sequences: pl.LazyFrame) -> list[tuple[Kind, Row]]:
    """A sequence of each kind, of different users, in which as much as possible happens; where
    none is of a kind, the one that comes nearest. The same at each run."""
    looks = _looks(sequences)
    rows: list[tuple[Kind, Row]] = []
    for kind in KINDS:
        others = looks.filter(~pl.col("user_id").is_in([row["user_id"] for _, row in rows]))
        if not others.height:
            break
        fits = pl.col("sessions").is_between(*kind.sessions) & pl.col("contents").is_between(
            *kind.contents
        )
        best = others.sort(~fits, -pl.col("variety"), "sequence_id")["sequence_id"][0]
        row = sequences.filter(pl.col("sequence_id") == best).collect().row(0, named=True)
        rows.append((kind, row))
    return rows


def _looks(sequences: pl.LazyFrame) -> pl.DataFrame:
    """What each sequence is like; `variety` counts kinds of features and of action sets."""
    tokens = sequences.select("sequence_id", "token_type", "token_id").explode(
        "token_type", "token_id"
    )
    feature, action = pl.col("token_type") >= FIRST_FEATURE, pl.col("token_type") == ACTION
    variety = tokens.group_by("sequence_id").agg(
        (
            pl.col("token_type").filter(feature).n_unique()
            + pl.col("token_id").filter(action).n_unique()
        )
        .cast(pl.Int64)
        .alias("variety")
    )
    nth = pl.col("session_start").rank("ordinal").over("user_id").alias("sessions")
    rows = sequences.select("sequence_id", "user_id", "contents", nth)
    return rows.join(variety, on="sequence_id").collect()


def _starts(sequences: pl.LazyFrame, row: Row) -> list[datetime]:
    of_user = sequences.filter(pl.col("user_id") == row["user_id"])
    starts = of_user.select(pl.col("session_start").sort()).collect()
    return starts["session_start"].to_list()
