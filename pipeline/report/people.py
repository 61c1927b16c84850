"""Who the long users are: the newest sequence of each user, and how lengths are spread."""

import numpy as np
import polars as pl

from pipeline.report.folder import Folder
from pipeline.report.tables import Column, Figure, Section, Table, shown
from transforms.core.buckets import SIZES

MOST_USERS = 20
SHARES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


def newest(folder: Folder) -> pl.DataFrame:
    """The newest sequence of each user, the longest first: user_id, sessions (sequences of the
    user in the folder), session_end, contents, tokens, raw_tokens. Erased users are not in it."""
    order = pl.struct("session_end", "sequence_id")
    last = (
        living(folder)
        .select(
            "user_id",
            "session_end",
            "contents",
            pl.col("token_type").list.len().cast(pl.Int64).alias("tokens"),
            "raw_tokens",
            order.alias("order"),
        )
        .group_by("user_id")
        .agg(pl.len().alias("sessions"), pl.exclude("order").sort_by("order").last())
    )
    return last.sort("tokens", "user_id", descending=[True, False]).collect()


def living(folder: Folder) -> pl.LazyFrame:
    """The sequences that no erasure makes void, each once: a stream may have written some again."""
    gone = folder.scan("tombstones").group_by("user_id").agg(pl.col("time").max().alias("erased"))
    once = folder.scan("sequences").unique("sequence_id", keep="any")
    joined = once.join(gone, on="user_id", how="left")
    there = pl.col("erased").is_null() | (pl.col("session_end") > pl.col("erased"))
    return joined.filter(there).drop("erased")


def people(users: pl.DataFrame) -> Section:
    """The section on users, whose newest sequences these are."""
    answer = "No user has a sequence yet."
    if users.height:
        top, most = users["tokens"].to_list(), users.row(0, named=True)
        tenth = top[: max(1, round(len(top) / 10))]
        answer = (
            f"The longest sequence is {shown(most['user_id'], 24)}'s, of {most['tokens']:,} "
            f"tokens; the median is {top[len(top) // 2]:,}. A tenth of the users has "
            f"{sum(tenth) / sum(top):.0%} of all tokens."
        )
    figures = [
        Figure("Users by length", "Users by how many tokens their newest sequence has, at most.",
               by_length(users), "columns"),
        Figure("What the longest users have", "The share of all tokens, and of the cost Σ n², in "
               "the newest sequences of the longest users.", concentration(users), "lines",
               ("Their tokens", "Their cost")),
        Figure("The longest users", "By their newest sequence.", longest(users)),
    ]  # fmt: skip
    return Section("people", "Who are the long users?", answer, figures)


def by_length(users: pl.DataFrame) -> Table:
    """Users by the bucket of the tokens of their newest sequence."""
    numbers = np.bincount(SIZES.of(users["tokens"].to_numpy()), minlength=1)
    ends = SIZES.keys.to_pylist()
    rows = [(float(ends[n]), int(numbers[n])) for n in np.flatnonzero(numbers)]
    return Table([Column("Tokens"), Column("Users")], rows)


def concentration(users: pl.DataFrame) -> Table:
    """What the longest users have of all tokens and of the cost, by their share of users."""
    tokens = users["tokens"].to_numpy().astype(float)
    rows = []
    for share in SHARES if len(tokens) else ():
        many = max(1, round(share * len(tokens)))
        top = tokens[:many]
        cost = float((top**2).sum() / (tokens**2).sum())
        rows.append((share, many, float(top.sum() / tokens.sum()), cost))
    heads = [Column("Longest users", "share"), Column("Users")]
    heads += [Column("Their tokens", "share"), Column("Their cost", "share")]
    return Table(heads, rows)


def longest(users: pl.DataFrame) -> Table:
    """The users with the longest newest sequences."""
    rows = [
        (u["user_id"], u["sessions"], u["contents"], u["tokens"], u["raw_tokens"],
         u["raw_tokens"] / u["tokens"], u["session_end"])
        for u in users.head(MOST_USERS).iter_rows(named=True)
    ]  # fmt: skip
    heads = [Column("User", "text"), Column("Sequences"), Column("Contents"), Column("Tokens")]
    heads += [Column("Raw tokens"), Column("Raw to kept", "times"), Column("Last seen", "moment")]
    return Table(heads, rows)
