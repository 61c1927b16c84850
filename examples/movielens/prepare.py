"""Makes the input of the MovieLens-1M example: ratings with genres, and users."""

import argparse
import lzma
import os
import sys
from pathlib import Path

import polars as pl

PUBLISHED = {
    "ml-1m/ratings_u1-2999.dat.xz": ["user", "movie", "rating", "timestamp"],
    "ml-1m/movies.dat.xz": ["movie", "title", "genres"],
    "ml-1m/users.dat.xz": ["user", "gender", "age", "occupation", "zip"],
}
"""Each file that is read, with its columns, which stand apart by `::`."""


def table(data: Path, name: str) -> pl.DataFrame:
    """A published file, every column as text."""
    with lzma.open(data / name, "rt", encoding="latin-1") as file:
        rows = [line.rstrip("\n").split("::") for line in file]
    return pl.DataFrame(rows, PUBLISHED[name], orient="row")


def ratings_of(ratings: pl.DataFrame, movies: pl.DataFrame, users: int) -> pl.DataFrame:
    """The ratings of the users up to a number, with genres; `row` sorts as the file does."""
    genres = movies.select("movie", pl.col("genres").str.split("|"))
    return (
        ratings.with_row_index("row")
        .with_columns(
            pl.col("row").cast(pl.String).str.zfill(7), pl.col("user", "timestamp").cast(pl.Int64)
        )
        .filter(pl.col("user") <= users)
        .join(genres, on="movie", how="left", maintain_order="left")
        .with_columns(pl.col("movie").cast(pl.Int64))
    )


def users_of(users: pl.DataFrame, ratings: pl.DataFrame) -> pl.DataFrame:
    """Who has rated, since when; without the zip code, which is nearly one a user."""
    since = ratings.group_by("user").agg(since=pl.col("timestamp").min())
    return (
        users.drop("zip")
        .with_columns(pl.col("user").cast(pl.Int64))
        .join(since, on="user")
        .sort("user")
    )


def prepare(data: Path, output: Path, users: int) -> tuple[int, int]:
    """Writes ratings.parquet and users.csv; the number of each. FileNotFoundError: no data."""
    ratings, movies, people = (table(data, name) for name in PUBLISHED)
    rated = ratings_of(ratings, movies, users)
    known = users_of(people, rated)
    output.mkdir(parents=True, exist_ok=True)
    rated.write_parquet(output / "ratings.parquet")
    known.write_csv(output / "users.csv")
    return rated.height, known.height


def main() -> None:
    """The command: reads from $PHIA_DATA, writes to --output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("out/movielens/input"))
    parser.add_argument("--users", type=int, default=2999, help="those up to this number")
    given = parser.parse_args()
    data = Path(os.environ.get("PHIA_DATA", "../shared/data"))
    try:
        ratings, users = prepare(data, given.output, given.users)
    except FileNotFoundError as absent:
        sys.exit(f"{absent.filename}: not there; set PHIA_DATA to the folder that has ml-1m/")
    sys.stdout.write(f"{ratings:,} ratings and {users:,} users in {given.output}\n")


if __name__ == "__main__":
    main()
