"""What `phia run` wrote, as tensors: each user's history, from his newest sequence.

    python -m examples.movielens.leave_one_out.histories FOLDER FILE

Legend: U users, U1 = U + 1, N contents of all users, I items with none before them, G genres,
K traits of a user, one a feature of the spec.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

if TYPE_CHECKING:
    import polars as pl  # which a machine that only trains need not have


class Histories(NamedTuple):
    """User u's contents are `offsets_U1[u]:offsets_U1[u + 1]`, oldest first.

    `item_N` is 1 to I - 1; 0 is no item. `time_N` in ms. `stars_N` is 1 to 5, or 0 where the rating
    is not known. `trait_UK` numbers the values of features on from I, no two features alike.
    `genre_IG` has a row of an item's genres, which adds up to one, or is zero. Whole numbers are
    int64.
    """

    offsets_U1: Tensor
    item_N: Tensor
    time_N: Tensor
    stars_N: Tensor
    trait_UK: Tensor
    genre_IG: Tensor

    @property
    def users(self) -> int:
        """U."""
        return len(self.offsets_U1) - 1

    @property
    def items(self) -> int:
        """I: how many items there are, and one for none."""
        return len(self.genre_IG)

    @property
    def ids(self) -> int:
        """Items, none, and traits: what can stand at a position."""
        return max(self.items, int(self.trait_UK.max()) + 1 if self.trait_UK.numel() else 0)

    def to(self, device: torch.device) -> "Histories":
        """The same on a device."""
        return Histories(*(tensor.to(device) for tensor in self))


def histories_of(folder: Path) -> Histories:
    """The histories in a folder of `phia run`, by user. Raises ValueError where there are none."""
    import polars as pl

    rows = pl.read_parquet(folder / "sequences" / "*.parquet")
    if rows.is_empty():
        raise ValueError(f"{folder}: no sequences")
    rows = rows.sort("session_end", "contents").group_by("user_id").last()
    rows = rows.sort(pl.col("user_id").cast(pl.Int64, strict=False), "user_id")
    tokens = rows.select(
        user=pl.int_range(pl.len()), kind="token_type", id="token_id", time="token_time"
    ).explode("kind", "id", "time")
    contents = tokens.filter(pl.col("kind") == 0)
    stars = tokens.filter(pl.col("kind") == 1)["id"]
    lists: pl.Series | pl.Expr = pl.lit(None, pl.List(pl.Int64))  # the spec may have no genres
    if "category_genres" in rows.columns:
        lists = rows["category_genres"].explode()
    genres = contents.select("id", genres=lists)
    items = contents["id"].unique().sort()
    traits = _traits(tokens.filter(pl.col("kind") > 1), rows.height, len(items) + 1)
    lengths = _tensor(rows["contents"].cast(pl.Int64))
    item_N = 1 + _tensor(items.search_sorted(contents["id"]).cast(pl.Int64))
    return Histories(
        torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        item_N,
        _tensor(contents["time"].dt.epoch("ms")),
        _places_of_bits(_tensor(stars)),
        traits,
        _genres(genres.unique("id", keep="last"), items),
    )


def _tensor(column: "pl.Series") -> Tensor:
    return torch.from_numpy(column.to_numpy().copy())


def _places_of_bits(mask_N: Tensor) -> Tensor:
    """The place of the only bit of each mask, from 1; 0 for none."""
    return (mask_N.double().log2().floor().nan_to_num(neginf=-1) + 1).long()


def _traits(entries: "pl.DataFrame", users: int, first: int) -> Tensor:
    """The value of each feature for each user, numbered on from `first`: [U, K]."""
    values = (
        entries.select("kind", "id").unique().sort("kind", "id").with_row_index("number", first)
    )
    numbered = entries.join(values, on=["kind", "id"]).select("user", "kind", "number")
    kinds = sorted(set(numbered["kind"]))
    trait_UK = torch.zeros(users, len(kinds), dtype=torch.int64)
    for user, kind, number in numbered.iter_rows():
        trait_UK[user, kinds.index(kind)] = number
    return trait_UK


def _genres(genres: "pl.DataFrame", items: "pl.Series") -> Tensor:
    """The share of each genre of an item: [I, G], float32. `genres` has lists by id of `items`."""
    names = genres["genres"].explode().drop_nulls().unique().sort().to_list()
    genre_IG = torch.zeros(len(items) + 1, len(names))
    for name, mine in genres.sort("id").iter_rows():
        place = int(items.search_sorted(name)) + 1
        genre_IG[place, [names.index(genre) for genre in mine or []]] = 1 / max(len(mine or []), 1)
    return genre_IG


def save(histories: Histories, file: Path) -> None:
    """Writes them where a trainer without Parquet can read them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in histories._asdict().items()}, file)


def load(file: Path) -> Histories:
    """What `save` wrote."""
    return Histories(**load_file(file))


if __name__ == "__main__":
    read = histories_of(Path(sys.argv[1]))
    save(read, Path(sys.argv[2]))
    counts = f"{read.users:,} users, {len(read.item_N):,} contents, {read.items - 1:,} items"
    sys.stdout.write(f"{counts}\n")
