"""What people do on the simulated platform looks like what people do."""

import polars as pl
import pytest

from pipeline.simulate.fates import SOURCES, TIME, USER
from pipeline.simulate.platform import Platform
from pipeline.simulate.stream import Frames, arrivals

SOUND = Platform(
    users=500, days=4, late=0, duplicates=0, malformed=0, odd=0, erasures=0, snapshots=0.2
)


@pytest.fixture(scope="module")
def made() -> Frames:
    slices = list(arrivals(SOUND))
    return {name: pl.concat([part.frames[name] for part in slices]) for name in SOURCES}


def runs(frame: pl.DataFrame, value: pl.Expr) -> float:
    """Runs of equal values a record of a user."""
    ordered = frame.sort(USER, TIME).with_columns(value=value)
    return float((ordered["value"].ne_missing(ordered["value"].shift(1))).mean())  # type: ignore[arg-type]


def test_a_few_items_are_seen_by_most(made: Frames) -> None:
    counts = made["views"]["item_id"].value_counts(sort=True)["count"]
    assert int(counts.head(len(counts) // 100).sum()) > 0.15 * int(counts.sum())


def test_new_items_are_seen_from_their_day_on(made: Frames) -> None:
    views = made["views"].with_columns(item=pl.col("item_id").cast(pl.Int64))
    new = views.filter(pl.col("item") > SOUND.items)
    assert new.height > 0
    day = (pl.col("item") - SOUND.items - 1) // SOUND.new_items_a_day + 1
    assert new.select(pl.col(TIME) >= SOUND.start + day * 86_400_000).to_series().all()


def test_slow_features_have_long_runs_and_prices_do_not(made: Frames) -> None:
    country = runs(made["views"], pl.col("geo").struct.field("country"))
    device = runs(made["views"], pl.col("agent").struct.field("device"))
    assert country < 0.03
    assert country < device < 0.1
    assert runs(made["views"], pl.col("price")) > 0.8


def test_reactions_follow_what_was_just_viewed(made: Frames) -> None:
    views = made["views"].select(USER, "item_id", event_id="event_id", viewed=TIME)
    reactions = made["reactions"]
    pairs = reactions.join(views, left_on=["view_id", USER], right_on=["event_id", USER])
    assert pairs.height == reactions.height > 0
    assert (pairs["item"] == pairs["item_id"]).all()
    delay = pairs[TIME] - pairs["viewed"]
    assert (delay > 0).all()
    assert 0.8 < float((delay <= 120_000).mean()) < 1  # type: ignore[arg-type]


def test_a_snapshot_tells_the_changes_so_far(made: Frames) -> None:
    """But for visits that overlap another of the same user."""
    changes = made["profile"].filter(pl.col("kind") != "LANGUAGE").sort(TIME)
    told = made["sessions"].filter(pl.col("following").is_not_null())
    agreed = 0
    for user, time, following in told.select(USER, TIME, "following").iter_rows():
        before = changes.filter((pl.col(USER) == user) & (pl.col(TIME) <= time))
        circle: list[str] = []
        for added, removed in before.select("followed_id", "unfollowed_id").iter_rows():
            circle = [*circle, added] if added else [name for name in circle if name != removed]
        agreed += circle == following
    assert agreed > 0.95 * told.height > 0
    assert told["following"].list.len().max() > 0  # type: ignore[operator]


def test_bots_like_nothing_and_hurry() -> None:
    crowd = Platform(users=20, bots=1.0, bot_rate=3.0)
    parts = list(arrivals(crowd))
    views = pl.concat([part.frames["views"] for part in parts])
    assert set(views["dwell_ms"]) == {1_000}
    assert not sum(part.frames["reactions"].height for part in parts)


def test_users_have_as_many_visits_and_contents_as_asked(made: Frames) -> None:
    starts = made["sessions"].filter(pl.col("kind") == "START").height
    logouts = made["sessions"].height - starts
    crowd = 1 + SOUND.bots * (SOUND.bot_rate - 1)
    assert starts / (500 * 4) == pytest.approx(2.0 * crowd, rel=0.25)
    assert made["views"].height / starts == pytest.approx(8.0, rel=0.1)
    assert logouts / starts == pytest.approx(0.3, rel=0.15)
