"""Visits as the records of each source: one frame a source, with META but for the arrival."""

import numpy as np
import polars as pl

from pipeline.simulate.catalogue import Catalogue
from pipeline.simulate.circles import Changes
from pipeline.simulate.fates import FATE, FILTERED, NUMBER, SOUND, TIME, USER
from pipeline.simulate.people import COUNTRIES, DEVICES, LANGUAGES, People
from pipeline.simulate.platform import Ints
from pipeline.simulate.visits import Sessions, Views

LIKES = (0.02, 0.12)  # of contents that do not, and do, meet an interest
BUYS = (0.002, 0.015)
_LIKE_AFTER_MS = (8.5, 0.8)  # log-normal: median 5 s
_BUY_AFTER_MS = (10.3, 1.0)  # median 30 s; now and then past an attribution window of 2 min
_APPS = pl.Series("app", ["4.1", "4.2", "5.0"])


def view_records(
    people: People, catalogue: Catalogue, sessions: Sessions, views: Views
) -> pl.DataFrame:
    """One record a content seen, or scrolled past."""
    at = views.session
    frame = pl.DataFrame(
        {
            "event_id": views.number,
            "user_id": people.names.gather(sessions.user[at]),
            "ts": views.time,
            "kind": np.where(views.scroll, "SCROLL", "VIEW"),
            "item_id": _item_ids(views.item),
            "creator_id": catalogue.creators.gather(catalogue.creator[views.item]),
            "topic_ids": catalogue.topics.gather(views.item),
            "price": pl.Series(catalogue.price[views.item]).fill_nan(None),
            "country": COUNTRIES.gather(sessions.country[at]),
            "device": _or_null(DEVICES, sessions.device[at]),
            "app": _APPS.gather(sessions.number[at] % _APPS.len()),
            "dwell_ms": views.dwell,
            "ctr": catalogue.ctr[views.item],
        }
    )
    fate = np.where(views.scroll, NUMBER[FILTERED], NUMBER[SOUND])
    nested = frame.with_columns(geo=pl.struct("country"), agent=_agent())
    return _with_meta(nested.drop("country", "device", "app"), "user_id", views.time, fate)


def reaction_records(
    people: People,
    catalogue: Catalogue,
    sessions: Sessions,
    views: Views,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Likes and buys, some seconds after the view they belong to; bots like nothing."""
    open_ = ~views.scroll & ~people.bot[sessions.user[views.session]]
    parts = []
    for chances, after in ((LIKES, _LIKE_AFTER_MS), (BUYS, _BUY_AFTER_MS)):
        chance = np.where(views.liked, chances[1], chances[0])
        chosen = np.flatnonzero(open_ & (rng.random(open_.size) < chance))
        delay = rng.lognormal(*after, chosen.size).astype(np.int64) + 1
        parts.append((chosen, views.time[chosen] + delay))
    view = np.concatenate([chosen for chosen, _ in parts])
    time = np.concatenate([moment for _, moment in parts])
    kind = np.repeat(["LIKE", "BUY"], [parts[0][0].size, parts[1][0].size])
    item = views.item[view]
    frame = pl.DataFrame(
        {
            "view_id": views.number[view],
            "kind": kind,
            "uid": people.names.gather(sessions.user[views.session[view]]),
            "at": iso(time),
            "item": _item_ids(item),
            "creator": catalogue.creators.gather(catalogue.creator[item]),
        }
    )
    return _with_meta(frame, "uid", time)


def profile_records(
    people: People, catalogue: Catalogue, sessions: Sessions, changes: Changes
) -> pl.DataFrame:
    """Languages and follows; times are whole seconds, rounded up."""
    greeted = np.flatnonzero(sessions.greeted)
    told, followed = greeted.size, len(changes.session)
    place = np.concatenate([greeted, np.array(changes.session, np.int64)])
    time = np.concatenate([sessions.start[greeted], np.array(changes.time, np.int64)])
    seconds = -(-time // 1000)
    creator = pl.Series([None] * told + changes.creator, dtype=pl.Int64)
    added = pl.Series([None] * told + changes.added, dtype=pl.Boolean)
    kind = np.where(np.array(changes.added, np.bool_), "FOLLOW", "UNFOLLOW")
    frame = pl.DataFrame(
        {
            "user_id": people.names.gather(sessions.user[place]),
            "ts": seconds,
            "kind": np.concatenate([np.full(told, "LANGUAGE"), kind]),
            "language": _or_null(
                LANGUAGES,
                np.concatenate([sessions.language[greeted], np.full(followed, -1)]),
            ),
            "creator": catalogue.creators.gather(creator),
            "added": added,
        }
    ).with_columns(
        followed_id=pl.when("added").then("creator"),
        unfollowed_id=pl.when(~pl.col("added")).then("creator"),
    )
    return _with_meta(frame.drop("creator", "added"), "user_id", seconds * 1000)


def session_records(
    people: People, catalogue: Catalogue, sessions: Sessions, changes: Changes, ends: Ints
) -> pl.DataFrame:
    """A START each, with the whole circle now and then, and a LOGOUT where `ends` says so."""
    starts = sessions.number.size
    place = np.concatenate([np.arange(starts), ends])
    time = np.concatenate([sessions.start, sessions.end[ends]])
    names = catalogue.creators.to_list()
    following: list[list[str] | None] = [None] * place.size
    for session, circle in changes.snapshots.items():
        following[session] = [names[creator] for creator in circle]
    frame = pl.DataFrame(
        {
            "session_id": sessions.number[place],
            "kind": np.repeat(["START", "LOGOUT"], [starts, ends.size]),
            "user_id": people.names.gather(sessions.user[place]),
            "ts": time,
            "device": _or_null(DEVICES, sessions.device[place]),
            "app": _APPS.gather(sessions.number[place] % _APPS.len()),
            "following": pl.Series(following, dtype=pl.List(pl.String)),
        }
    ).with_columns(agent=_agent())
    return _with_meta(frame.drop("device", "app"), "user_id", time)


def erasure_records(people: People, user: Ints, time: Ints) -> pl.DataFrame:
    """Users who ask to be forgotten."""
    frame = pl.DataFrame({"user_id": people.names.gather(user), "ts": time})
    return _with_meta(frame, "user_id", time)


def iso(time: Ints) -> pl.Series:
    """Times in ms as ISO 8601 text in UTC, to the ms."""
    moment = pl.Series("at", time).cast(pl.Datetime("ms"))
    return moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _item_ids(item: Ints) -> pl.Series:
    return pl.Series("item_id", item + 1).cast(pl.String)


def _or_null(names: pl.Series, number: Ints) -> pl.Series:
    """The names of the numbers; null where it is -1."""
    place = pl.Series(number)
    return names.gather(place.replace({-1: None}))


def _agent() -> pl.Expr:
    """The device and its program as one nested record; null where the device is not known."""
    return pl.when(pl.col("device").is_not_null()).then(pl.struct("device", "app"))


def _with_meta(
    frame: pl.DataFrame, user: str, time: Ints, fate: Ints | None = None
) -> pl.DataFrame:
    fates = np.full(time.size, NUMBER[SOUND]) if fate is None else fate
    return frame.with_columns(
        pl.col(user).alias(USER),
        pl.Series(TIME, time, dtype=pl.Int64),
        pl.Series(FATE, fates, dtype=pl.Int8),
    )
