"""The rival offline: polars alone on the same Arrow files, the whole input in memory at once.

It gives the same rows as `phia run` for specs like those of `benchmarks.workloads`: Arrow files,
scalar features, attribution, sessions by gap, histories of N contents. Rejected and late records,
sets, end marks, session maxima, erasure, retention, thinning and the outputs beside the sequences
are left out; so is M, the limit of tokens, which N implies in the workloads.

    python -m benchmarks.rivals.polars_offline SPEC --input IN --output OUT
"""

from pathlib import Path

import polars as pl
import xxhash

from benchmarks.rivals.command import rival
from schemas.fingerprint import fingerprint
from schemas.ids import canonical_json, id_of
from schemas.observations import source_names
from schemas.sources import ActionAlways, ScalarField
from schemas.spec import Spec

MS = pl.Datetime("ms", "UTC")
TOKEN = ["token_type", "token_id", "token_time"]
CHUNK_TOKENS = 16_000_000
"""Tokens that are put into rows at once: what the widest step holds in memory."""


def offline(spec: Spec, inputs: Path, output: Path) -> int:
    """Writes the sequences of the Arrow files in a folder; returns how many there are."""
    events = _events(spec, inputs)
    groups = _attributed(events, spec.attribution)
    timeline = _timeline(groups, _entries(events, spec), spec)
    sessions = _sessions(groups, timeline, spec)
    tokens = timeline.group_by("user", maintain_order=True).agg(
        pl.col(TOKEN), pl.col("token").first().alias("opening")
    )
    contents = _categories(groups, spec)
    folder = output / "sequences"
    folder.mkdir(parents=True)
    for number, some in enumerate(_chunks(sessions)):
        rows = _rows(some, timeline, tokens, contents, spec)
        rows.write_parquet(folder / f"part-{number:05}.parquet", compression="zstd")
    return sessions.height


def _events(spec: Spec, inputs: Path) -> pl.DataFrame:
    """All records in S2 order, copies left out, with the row of each and of its moment, and the
    raw tokens of its user: engagements up to it, features up to the end of its moment."""
    parts = [_source(spec, name, place, inputs) for place, name in enumerate(source_names(spec))]
    every = pl.concat(parts, how="diagonal").collect()
    users = every.select(pl.col("user_id").unique()).with_row_index("user")
    ordered = every.join(users, "user_id").sort("user", "time", "event_id", "source")
    once = ordered.filter(_differs("user", "time", "event_id", "source")).with_row_index("row")
    features = [pl.col(name).is_not_null().cast(pl.Int64) for name in spec.features]
    counted = once.with_columns(
        moment=pl.when(_differs("user", "time")).then("row").forward_fill(),
        engaged=2 * pl.col("item").is_not_null().cast(pl.Int64).cum_sum().over("user"),
        observed=pl.sum_horizontal(features).cum_sum().over("user"),
    )
    ends = _differs("user", "time").shift(-1, fill_value=True)
    return counted.with_columns(observed=pl.when(ends).then("observed").backward_fill())


def _source(spec: Spec, name: str, place: int, inputs: Path) -> pl.LazyFrame:
    """A source's columns under common names."""
    source = spec.sources[name]
    assert isinstance(source.actions, ActionAlways)
    assert isinstance(source.item, str)
    assert isinstance(source.event_id, str)
    mask = sum(1 << spec.actions.index(action) for action in source.actions.always)
    scalars = {at: how for at, how in source.features.items() if isinstance(how, ScalarField)}
    return pl.scan_ipc(inputs / f"{name}.arrow").select(
        pl.col(source.user).alias("user_id"),
        pl.col(source.time.field).alias("time"),
        pl.col(source.event_id).alias("event_id"),
        pl.lit(place, pl.Int16).alias("source"),
        pl.col(source.item).alias("item"),
        pl.lit(mask, pl.Int64).alias("actions"),
        *(pl.col(how.field).alias(at) for at, how in scalars.items()),
        *(pl.col(path).alias(f"category_{at}") for at, path in source.categories.items()),
    )


def _differs(*names: str) -> pl.Expr:
    """True at each row where a column differs from the row before, and at the first."""
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in names)


def _attributed(events: pl.DataFrame, window: int) -> pl.DataFrame:
    """S4: one row a group of engagements: the first one's, with the union of the actions.

    A user's engagements with an item are chained where each is at most A after the one before; a
    chain is cut at what is more than A after its first, until none is. Few chains are ever cut.
    """
    engaged = events.filter(pl.col("item").is_not_null()).sort("user", "item", "row")
    far = _differs("user", "item") | (pl.col("time") - pl.col("time").shift() > window)
    engaged = engaged.with_columns(leader=pl.when(far.fill_null(True)).then("row").forward_fill())
    while True:
        beyond = pl.col("time") - pl.col("time").first().over("leader") > window
        later = engaged.filter(beyond).select("row", again=pl.col("row").first().over("leader"))
        if not later.height:
            break
        engaged = engaged.join(later, "row", "left", maintain_order="left")
        engaged = engaged.with_columns(leader=pl.coalesce("again", "leader")).drop("again")
    joined = engaged.filter(pl.col("leader") != pl.col("row"))
    united = joined.group_by("leader").agg(more=pl.col("actions").bitwise_or())
    first = engaged.filter(pl.col("leader") == pl.col("row")).sort("row")
    first = first.join(united, "leader", "left", maintain_order="left")
    return first.with_columns(actions=pl.col("actions") | pl.col("more").fill_null(0))


def _entries(events: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """S5: the first observation of each run of each scalar feature."""
    parts = [
        events.lazy()
        .filter(pl.col(name).is_not_null())
        .filter(_differs("user", name))
        .select("user", "time", "moment", "row", pl.col(name).alias("text"), rank=pl.lit(place))
        for place, name in enumerate(spec.features)
    ]
    every = pl.concat(parts).collect()
    texts = every["text"].unique().to_list()
    ids = pl.DataFrame({"text": texts, "id": [id_of(text) for text in texts]})
    return every.join(ids, "text")


def _timeline(groups: pl.DataFrame, entries: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """S7: all tokens of all users; `content` counts a user's contents up to each, `held_K` is the
    token of scalar K that is in effect there."""
    features = len(spec.features)
    columns = ["user", "moment", "rank", "row", "token_type", "token_id", "token_time"]
    engaged = groups.with_columns(rank=pl.lit(features, pl.Int32))
    parts = [
        _as_tokens(engaged, pl.lit(0), "item"),
        _as_tokens(engaged, pl.lit(1), "actions"),
        _as_tokens(entries, pl.col("rank") + 2, "id"),
    ]
    every = pl.concat([part.select(columns) for part in parts])
    ordered = every.sort("moment", "rank", "row", "token_type").with_row_index("token")
    kind = pl.col("token_type")
    held = {
        f"held_{k}": pl.when(kind == 2 + k).then("token").forward_fill().over("user")
        for k in range(features)
    }
    content = (kind == 0).cast(pl.Int32).cum_sum().over("user")
    return ordered.with_columns(pl.col("token_time").cast(MS), content=content, **held)


def _as_tokens(rows: pl.DataFrame, kind: pl.Expr, identity: str) -> pl.DataFrame:
    columns = [kind.cast(pl.Int16), pl.col(identity), pl.col("time")]
    named = (column.alias(name) for column, name in zip(columns, TOKEN, strict=True))
    return rows.with_columns(*named)


def _sessions(groups: pl.DataFrame, timeline: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """S8, S9: one row a session, and from where to where its sequence goes: contents, tokens from
    the oldest content's on, and the head's tokens."""
    held = [f"held_{k}" for k in range(len(spec.features))]
    stands = timeline.filter(pl.col("token_type") == 0).select("token", "content", *held)
    every = pl.concat([groups, stands], how="horizontal").with_row_index("place")
    far = _differs("user") | (pl.col("time") - pl.col("time").shift() > spec.session.gap)
    newest = spec.history.contents
    sessions = (
        every.with_columns(session=far.fill_null(True).cum_sum())
        .group_by("session", maintain_order=True)
        .agg(
            pl.col("user", "user_id", "source", "event_id").first(),
            session_start=pl.col("time").first(),
            session_end=pl.col("time").last(),
            new_contents=pl.len().cast(pl.Int32),
            contents=pl.col("content").last().clip(upper_bound=newest),
            skipped=(pl.col("content").last() - newest).clip(lower_bound=0),
            stop=pl.col("token").last() + 2,
            oldest=pl.col("place").last() + 1 - pl.col("content").last().clip(upper_bound=newest),
            raw_tokens=pl.col("engaged").last() + pl.col("observed").last(),
        )
    )
    at_oldest = every.select("token", *held)[sessions["oldest"]].rename({"token": "start"})
    ids = pl.Series("sequence_id", _sequence_ids(sessions, spec), pl.String)
    return pl.concat([sessions, at_oldest], how="horizontal").with_columns(ids)


def _sequence_ids(sessions: pl.DataFrame, spec: Spec) -> list[str]:
    names = source_names(spec)
    firsts = sessions.select("user_id", "source", "event_id", "session_start").iter_rows()
    texts = (canonical_json([user, names[at], event, time]) for user, at, event, time in firsts)
    return [xxhash.xxh3_128_hexdigest(text.encode()) for text in texts]


def _categories(groups: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Each user's contents' categories: a list a content."""
    names = [f"category_{name}" for name in spec.categories]
    lists = [pl.concat_list(name).list.drop_nulls().alias(name) for name in names]
    return groups.select("user", *lists).group_by("user", maintain_order=True).agg(names)


def _chunks(sessions: pl.DataFrame) -> list[pl.DataFrame]:
    tokens = (2 * sessions["contents"].cast(pl.Int64)).cum_sum()
    numbered = sessions.with_columns(chunk=tokens // CHUNK_TOKENS)
    return numbered.partition_by("chunk", maintain_order=True)


def _rows(
    sessions: pl.DataFrame,
    timeline: pl.DataFrame,
    tokens: pl.DataFrame,
    contents: pl.DataFrame,
    spec: Spec,
) -> pl.DataFrame:
    """The rows of some sessions; `tokens` and `contents` hold lists, one row a user.

    A sequence that begins where its user's tokens do is a slice of the user's list. Another has a
    head to be put before it, token by token.
    """
    held = [f"held_{k}" for k in range(len(spec.features))]
    heads = pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.UInt32) for name in held)
    users = sessions.join(tokens, "user", "left", maintain_order="left")
    users = users.join(contents, "user", "left", maintain_order="left")
    begins = (pl.col("skipped") == 0) & (pl.col("start") - pl.col("opening") == heads)
    whole = users.filter(begins).with_columns(
        pl.col(name).list.slice(0, pl.col("stop") - pl.col("opening")) for name in TOKEN
    )
    cut = users.filter(~begins)
    if cut.height:
        whole = pl.concat([whole, _headed(cut.drop(TOKEN), timeline, held).select(whole.columns)])
    return whole.select(
        "user_id",
        "sequence_id",
        pl.col("session_start", "session_end").cast(MS),
        *TOKEN,
        "contents",
        "new_contents",
        "raw_tokens",
        pl.lit(fingerprint(spec)).alias("spec"),
        *(pl.col(f"category_{name}").list.slice("skipped", "contents") for name in spec.categories),
    )


def _headed(sessions: pl.DataFrame, timeline: pl.DataFrame, held: list[str]) -> pl.DataFrame:
    """The sessions with their tokens: the head's in their order, then all from the oldest on."""
    head = pl.concat_list(held).list.drop_nulls().list.sort()
    body = pl.int_ranges("start", "stop", dtype=pl.UInt32)
    which = sessions.select("session", at=pl.concat_list(head, body)).explode("at")
    tokens = timeline.select(pl.col(TOKEN).gather(which["at"]))
    rows = tokens.with_columns(which["session"].set_sorted())
    rows = rows.group_by("session", maintain_order=True).agg(TOKEN)
    return sessions.join(rows, "session", "left", maintain_order="left")


if __name__ == "__main__":
    rival(offline, __doc__ or "")
