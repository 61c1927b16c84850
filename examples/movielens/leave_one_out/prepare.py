"""Makes the input of leave-one-out on ML-1M: every user's movies in the benchmark's own order.

    python -m examples.movielens.leave_one_out.prepare [--output FOLDER]

Reads from $PHIA_DATA. The order is that of the published ml-1m_sas.txt; times and ratings are there
for a part. A time that is missing is filled: between two known ones on a straight line by place,
before the first known one with that, after the last with that. A rating that is missing stays so.
"""

import argparse
import lzma
import os
import sys
from pathlib import Path

import polars as pl

from examples.movielens.prepare import table, users_of

ORDER = "ml-1m/ml-1m_sas.txt.xz"
MAPS = {
    "user": "ml-1m/sas_to_original_users.txt.xz",
    "movie": "ml-1m/sas_to_original_items.txt.xz",
}
KNOWN = "ml-1m/pairs_partial.csv.xz"


def numbers(data: Path, name: str, columns: list[str]) -> pl.DataFrame:
    """A published file of whole numbers with a blank between them."""
    with lzma.open(data / name) as file:
        return pl.read_csv(file.read(), separator=" ", has_header=False, new_columns=columns)


def order_of(data: Path) -> pl.DataFrame:
    """Each pair in the benchmark's order, by the original ids: user, movie, place of the user's."""
    pairs = numbers(data, ORDER, ["user", "movie"])
    for column, name in MAPS.items():
        original = numbers(data, name, [column, "original"])
        pairs = pairs.join(original, on=column, how="left", maintain_order="left")
        pairs = pairs.with_columns(pl.col("original").alias(column)).drop("original")
    return pairs.with_columns(place=pl.int_range(pl.len()).over("user"))


def filled(timed: pl.DataFrame) -> pl.DataFrame:
    """With each missing `timestamp` of a user filled, by `place`; `known` says which were not.

    Raises ValueError for times that descend, or a user without any.
    """
    time = pl.col("timestamp").interpolate().backward_fill().forward_fill()
    whole = timed.sort("user", "place").with_columns(
        known=pl.col("timestamp").is_not_null(),
        timestamp=time.over("user").floor().cast(pl.Int64),
    )
    timeless = whole.filter(pl.col("timestamp").is_null())
    if timeless.height:
        raise ValueError(f"no time at all of some user: {timeless['user'][0]}")
    if whole.filter(pl.col("timestamp").diff().over("user") < 0).height:
        raise ValueError("the times do not ascend in the order of the benchmark")
    return whole


def interactions_of(data: Path, users: int | None = None) -> pl.DataFrame:
    """All that is known of each pair; `row` sorts as the benchmark does within a user."""
    with lzma.open(data / KNOWN) as file:
        known = pl.read_csv(file.read()).select("user", "movie", "rating", timestamp="ts")
    movies = table(data, "ml-1m/movies.dat.xz").select(
        pl.col("movie").cast(pl.Int64), genres=pl.col("genres").str.split("|")
    )
    order = order_of(data)
    if users is not None:
        order = order.filter(pl.col("user") <= users)
    timed = filled(order.join(known, on=["user", "movie"], how="left"))
    return timed.join(movies, on="movie", how="left", maintain_order="left").with_columns(
        row=pl.col("place").cast(pl.String).str.zfill(5), rating=pl.col("rating").cast(pl.String)
    )


def prepare(data: Path, output: Path, users: int | None = None) -> dict[str, int]:
    """Writes interactions.parquet and users.csv; what there is. FileNotFoundError: no data."""
    rated = interactions_of(data, users)
    people = users_of(table(data, "ml-1m/users.dat.xz"), rated)
    output.mkdir(parents=True, exist_ok=True)
    rated.drop("place").write_parquet(output / "interactions.parquet")
    people.write_csv(output / "users.csv")
    return {
        "interactions": rated.height,
        "users": people.height,
        "movies": rated["movie"].n_unique(),
        "times filled": int((~rated["known"]).sum()),
        "ratings unknown": rated["rating"].null_count(),
    }


def main() -> None:
    """The command: reads from $PHIA_DATA, writes to --output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path("out/movielens/leave_one_out/input")
    parser.add_argument("--output", type=Path, default=folder)
    parser.add_argument("--users", type=int, help="those up to this number")
    given = parser.parse_args()
    try:
        counts = prepare(
            Path(os.environ.get("PHIA_DATA", "../shared/data")), given.output, given.users
        )
    except FileNotFoundError as absent:
        sys.exit(f"{absent.filename}: not there; set PHIA_DATA to the folder that has ml-1m/")
    sys.stdout.write(", ".join(f"{count:,} {what}" for what, count in counts.items()) + "\n")


if __name__ == "__main__":
    main()
