"""Makes the input of leave-one-out on MovieLens-20M or Amazon's Books, whose files are not here.

    python -m examples.movielens.leave_one_out.larger ml-20m|amazon-books [--output FOLDER]

Reads $PHIA_DATA/ml-20m/ratings.csv or $PHIA_DATA/amazon-books/ratings_Books.csv.
"""

import argparse
import os
import sys
from pathlib import Path

import polars as pl

FILES = {"ml-20m": "ml-20m/ratings.csv", "amazon-books": "amazon-books/ratings_Books.csv"}
HAS_NAMES = {"ml-20m": True, "amazon-books": False}
COLUMNS = ["user", "item", "rating", "timestamp"]
LEAST = 5


def ratings_of(file: Path, *, has_names: bool) -> pl.DataFrame:
    """The four columns of a file; users and items as text. Half stars are rounded up."""
    read = pl.read_csv(file, has_header=has_names, new_columns=COLUMNS)
    return read.select(
        pl.col("user", "item").cast(pl.String),
        rating=pl.col("rating").cast(pl.Float64).ceil().cast(pl.Int64).cast(pl.String),
        timestamp=pl.col("timestamp").cast(pl.Int64),
    ).with_row_index("row")


def frequent(ratings: pl.DataFrame) -> pl.DataFrame:
    """Ratings of items and users that both have LEAST in all, then of users that still have."""
    enough = [pl.len().over(column) >= LEAST for column in ("item", "user")]
    return ratings.filter(*enough).filter(pl.len().over("user") >= LEAST)


def prepare(data: Path, what: str, output: Path) -> int:
    """Writes interactions.parquet; how many there are. FileNotFoundError: no data."""
    file = data / FILES[what]
    if not file.exists():
        raise FileNotFoundError(2, "not there", str(file))
    kept = frequent(ratings_of(file, has_names=HAS_NAMES[what]))
    output.mkdir(parents=True, exist_ok=True)
    row = pl.col("row").cast(pl.String).str.zfill(9)  # sorts as text
    kept.with_columns(row).write_parquet(output / "interactions.parquet")
    return kept.height


def main() -> None:
    """The command: reads from $PHIA_DATA, writes to --output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=sorted(FILES))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    output = asked.output or Path("out/movielens") / asked.what / "input"
    try:
        count = prepare(Path(os.environ.get("PHIA_DATA", "../shared/data")), asked.what, output)
    except FileNotFoundError as absent:
        folder = Path(FILES[asked.what]).parent
        sys.exit(f"{absent.filename}: not there; set PHIA_DATA to the folder that has {folder}/")
    sys.stdout.write(f"{count:,} interactions in {output}\n")


if __name__ == "__main__":
    main()
