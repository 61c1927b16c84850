"""What a spec becomes when it is read: values, units, defaults, short forms."""

import pickle

import pytest
from pydantic import ValidationError

from schemas.durations import UNITS, parse_duration, written
from schemas.load import parse_spec, spec_text
from schemas.problems import SpecError
from schemas.spec import (
    ActionAlways,
    ActionField,
    ActionFlags,
    Feature,
    History,
    Match,
    Sampling,
    ScalarField,
    Session,
    SetDelta,
    SetSnapshot,
    Spec,
    Time,
    Watermark,
)
from tests.schemas.shop import LEAST, SHOP, varied


def test_every_key_is_read() -> None:
    spec = parse_spec(SHOP)
    views = spec.sources["views"]
    assert (views.user, views.event_id, views.item) == ("user_id", "event_id", "item_id")
    assert views.time == Time(field="ts", unit="ms")
    assert views.actions == ActionField(field="kind")
    assert views.categories == {"creator": "creator_id", "topics": "topic_ids"}
    assert views.end is not None
    assert (views.end.field, views.end.values) == ("kind", ("LOGOUT",))
    assert views.dropped == ("ctr", "dwell_ms")
    assert views.features == {
        "country": ScalarField(field="geo.country"),
        "device": ScalarField(field="agent", nulls="value"),
        "price": ScalarField(field="price", bins=(5.0, 20.0, 100.0)),
    }
    follows = spec.sources["follows"].features["followed"]
    assert follows == SetDelta(add="followed_id", remove="unfollowed_id")
    assert spec.sources["erasures"].erase
    assert (spec.actions, spec.positive) == (("VIEW", "LIKE", "BUY"), ("LIKE", "BUY"))
    assert list(spec.features) == ["country", "device", "price", "followed"]
    assert spec.categories == ("creator", "topics")
    assert spec.session == Session.model_validate({"gap": "30m", "max_contents": 1000})
    assert spec.retention == 400 * UNITS["d"]
    assert spec.sampling == Sampling(tokens=2048, seed=0)


def test_defaults_are_those_of_the_docs() -> None:
    spec = parse_spec(LEAST)
    source = spec.sources["views"]
    assert (source.format, source.time.unit, source.erase) == ("json", "ms", False)
    assert (source.event_id, source.item, source.actions) == (None, None, None)
    assert (spec.actions, spec.positive, spec.features, spec.categories) == ((), (), {}, ())
    assert (spec.session.gap, spec.session.max_contents) == (1_800_000, None)
    assert (spec.horizon, spec.attribution, spec.retention) == (600_000, 0, None)
    assert (spec.history.contents, spec.history.tokens) == (4096, 16384)
    assert spec.sampling is None
    assert (spec.watermark.skew, spec.watermark.idle) == (3_600_000, 60_000)
    assert spec.limits.record_bytes == 1_000_000


def test_tokens_default_to_four_a_content() -> None:
    assert parse_spec(LEAST + "history: {contents: 10}").history.tokens == 40
    assert History().tokens == 16384


def test_sampling_seed_defaults_to_zero() -> None:
    spec = parse_spec(LEAST + "sampling: {tokens: 5}")
    assert spec.sampling == Sampling(tokens=5, seed=0)


def test_short_and_long_forms_are_one() -> None:
    short = parse_spec(LEAST + "features: {followed: set, country: scalar}")
    long = varied("time: t", "time: {field: t, unit: ms}", LEAST)
    long += "features: {followed: {kind: set, max_members: 4096}, country: {kind: scalar}}"
    assert parse_spec(long) == short
    assert short.features["followed"] == Feature(kind="set")


@pytest.mark.parametrize(
    ("written_as", "found"),
    [
        (
            "{flags: {LIKE: is_like, BUY: bought}}",
            ActionFlags(flags={"LIKE": "is_like", "BUY": "bought"}),
        ),
        ("{always: [VIEW]}", ActionAlways(always=("VIEW",))),
        ("{field: a.b}", ActionField(field="a.b")),
        ("null", None),
    ],
)
def test_forms_of_actions(written_as: str, found: object) -> None:
    spec = parse_spec(varied("actions: {field: kind}", f"actions: {written_as}"))
    assert spec.sources["views"].actions == found


def test_forms_of_sets() -> None:
    text = varied("{add: followed_id, remove: unfollowed_id}", "{snapshot: all}")
    assert parse_spec(text).sources["follows"].features["followed"] == SetSnapshot(snapshot="all")
    text = varied("{add: followed_id, remove: unfollowed_id}", "{remove: gone}")
    assert parse_spec(text).sources["follows"].features["followed"] == SetDelta(remove="gone")


def test_an_event_id_of_one_field_is_not_a_list_of_one() -> None:
    listed = parse_spec(varied("event_id: event_id", "event_id: [event_id]"))
    assert listed.sources["views"].event_id == ("event_id",)
    assert parse_spec(SHOP).sources["views"].event_id == "event_id"


def test_texts_are_those_of_the_numbers_written() -> None:
    text = varied("actions: [VIEW, LIKE, BUY]", "actions: [1, 2.0, true, no]")
    spec = parse_spec(varied("positive: [LIKE, BUY]", 'positive: ["1"]', text))
    assert spec.actions == ("1", "2", "true", "no")


def test_values_to_match_keep_their_types() -> None:
    spec = parse_spec(varied("in: [VIEW, LIKE]", 'in: [1, 1.5, true, "1", yes, 2020-01-01]'))
    where = spec.sources["views"].where
    assert where is not None
    assert [*map(repr, where.values)] == ["1", "1.5", "True", "'1'", "'yes'", "'2020-01-01'"]


def test_a_source_may_have_an_item_and_no_actions() -> None:
    spec = parse_spec(varied("    actions: {field: kind}\n", ""))
    assert spec.sources["views"].actions is None


def test_one_field_may_serve_several_purposes() -> None:
    spec = parse_spec(varied("country: {field: geo.country}", "country: {field: item_id}"))
    assert spec.sources["views"].features["country"] == ScalarField(field="item_id")


def test_attribution_may_be_as_long_as_the_gap_and_retention_1_ms_longer() -> None:
    text = varied("attribution: 0s", "attribution: 30m")
    assert (
        parse_spec(varied("retention: 400d", "retention: 3600001ms", text)).attribution == 1_800_000
    )


def test_62_actions_fit() -> None:
    names = [f"A{n}" for n in range(62)]
    text = varied("actions: [VIEW, LIKE, BUY]", f"actions: [{', '.join(names)}]")
    assert len(parse_spec(varied("positive: [LIKE, BUY]", "positive: [A61]", text)).actions) == 62


def test_a_spec_is_frozen_and_travels_to_workers() -> None:
    spec = parse_spec(SHOP)
    with pytest.raises(ValidationError, match="frozen"):
        spec.horizon = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - its own bytes, as Beam does


def test_aliases_of_yaml_are_written_out() -> None:
    text = LEAST.replace("{user: u, time: t}", "&v {user: u, time: t}\n  likes: *v")
    spec = parse_spec(text)
    assert spec.sources["likes"] == spec.sources["views"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0s", 0),
        ("250ms", 250),
        ("30s", 30_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
    ],
)
def test_durations(text: str, found: int) -> None:
    assert parse_duration(text) == found
    assert written(found) == text


@pytest.mark.parametrize(
    "text", ["", "5", "m", "1.5h", "-5m", "5M", " 5m", "5m ", "٥m", "5m\n", 5, None, True]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


def test_parts_can_be_made_in_python() -> None:
    match = Match.model_validate({"field": "kind", "in": ["A"]})
    assert match.values == ("A",)
    assert Watermark() == Watermark.model_validate({"skew": "1h", "idle": "1m"})
    assert isinstance(parse_spec(SHOP), Spec)


def test_edges_of_bins_stay_what_they_are() -> None:
    edges = [0.1, 5, 9007199254740992, 9007199254740993, 10**300]
    for one in ["1e400", str(10**400), "-.inf"]:
        with pytest.raises(SpecError, match="must be a finite number"):
            parse_spec(varied("bins: [5, 20, 100]", f"bins: [{one}]"))
    spec = parse_spec(varied("bins: [5, 20, 100]", f"bins: {edges}"))
    for again in (spec, parse_spec(spec_text(spec))):
        price = again.sources["views"].features["price"]
        assert isinstance(price, ScalarField)
        assert [*(price.bins or ())] == edges
