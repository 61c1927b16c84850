"""The simulated platform: the same each time, and as its numbers say."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from pipeline.simulate.fates import (
    AMENDED,
    ARRIVAL,
    COPY,
    FATE,
    LATE,
    META,
    NUMBER,
    SOUND,
    SOURCES,
    TEXT_DAMAGES,
    TIME,
    USER,
    has_fate,
)
from pipeline.simulate.faults import LATE_BY_MS, MOST_DELAY_MS
from pipeline.simulate.files import Form, write_files
from pipeline.simulate.platform import DAY, START, Platform
from pipeline.simulate.stream import Frames, arrivals

FAULTY = Platform(
    users=200, items=300, days=2.5, late=0.05, duplicates=0.1, malformed=0.1, odd=0.02, erasures=0.1
)


def everything(platform: Platform) -> Frames:
    slices = list(arrivals(platform))
    return {name: pl.concat([part.frames[name] for part in slices]) for name in SOURCES}


@pytest.fixture(scope="module")
def made() -> Frames:
    return everything(FAULTY)


def fate(frame: pl.DataFrame, *fates: str) -> pl.DataFrame:
    return frame.filter(has_fate(*fates))


def table(folder: Path, source: str) -> pl.DataFrame:
    with pa.ipc.open_file(str(folder / f"{source}.arrow")) as reader:
        frame = pl.from_arrow(reader.read_all())
    assert isinstance(frame, pl.DataFrame)
    return frame


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_same_seed_gives_the_same_bytes(tmp_path: Path, form: Form) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_files(Platform(seed=seed, users=100), tmp_path / name, form)
    assert contents_of(tmp_path / "a") == contents_of(tmp_path / "b")
    first, other = contents_of(tmp_path / "a"), contents_of(tmp_path / "c")
    assert all(first[name] != other[name] for name in first if "erasures" not in name)


def test_files_add_up_to_the_truth(tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    truth = write_files(FAULTY, tmp_path, progress=lambda count, done: told.append((count, done)))
    document = json.loads((tmp_path / "simulated.json").read_text())
    assert document == truth.document()
    lines = {name: (tmp_path / f"{name}.jsonl").read_bytes().splitlines() for name in SOURCES}
    assert document["records"] == {name: len(lines[name]) for name in SOURCES}
    assert document["malformed"] == dict.fromkeys(document["malformed"]) | {
        damage: sum(counts.get(damage, 0) for counts in document["fates"].values())
        for damage in document["malformed"]
    }
    assert told[-1] == (truth.records(), 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["simulated.json", *(f"{name}.jsonl" for name in SOURCES)]
    )


def test_each_damage_is_in_the_text_as_counted(tmp_path: Path) -> None:
    found = dict.fromkeys(("broken", "NaN", "no user", "wrong type", "large"), 0)
    document = write_files(FAULTY, tmp_path).document()
    for name, shape in SOURCES.items():
        for line in (tmp_path / f"{name}.jsonl").read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                found["broken"] += 1
                continue
            found["large"] += len(line) > FAULTY.record_bytes
            found["NaN"] += record[shape.time] != record[shape.time]
            found["no user"] += record.get(shape.user) is None
            found["wrong type"] += isinstance(record.get(shape.user), dict)
    kinds = document["malformed"]
    assert found == {
        "broken": kinds["cut_short"] + kinds["invalid_utf8"],
        "NaN": kinds["nan_time"],
        "no user": kinds["missing_user"] + kinds["null_user"],
        "wrong type": kinds["wrong_type"],
        "large": kinds["too_large"],
    }


def test_json_and_arrow_hold_the_same_records(tmp_path: Path) -> None:
    sound = Platform(users=200, days=1.5, erasures=0.1, malformed=0.0)
    write_files(sound, tmp_path, "json")
    write_files(sound, tmp_path / "arrow", "arrow")
    for name in SOURCES:
        typed = table(tmp_path / "arrow", name)
        text = pl.read_ndjson(tmp_path / f"{name}.jsonl", schema=typed.schema)
        assert text.equals(typed), name


def test_arrow_leaves_out_what_only_a_text_can_hold(tmp_path: Path) -> None:
    truth = write_files(FAULTY, tmp_path, "arrow")
    document = truth.document()
    assert set(document["left_out"]) == set(TEXT_DAMAGES)
    assert not set(document["malformed"]) & set(TEXT_DAMAGES)
    rows = sum(table(tmp_path, name).height for name in SOURCES)
    assert rows == truth.records() - sum(document["left_out"].values())


def test_a_folder_is_not_overwritten_unasked(tmp_path: Path) -> None:
    small = Platform(users=5)
    write_files(small, tmp_path, "json")
    with pytest.raises(FileExistsError, match="is there already"):
        write_files(small, tmp_path, "arrow")
    write_files(small, tmp_path, "arrow", replace=True)
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_number_of_events_is_met_exactly() -> None:
    whole = everything(FAULTY)
    some = everything(Platform(**{**FAULTY.settings(), "events": 5_000}))  # type: ignore[arg-type]
    assert sum(frame.height for frame in some.values()) == 5_000
    for name, frame in some.items():
        assert frame.equals(whole[name].head(frame.height))
    latest = max(frame[ARRIVAL].max() for frame in some.values() if frame.height)  # type: ignore[type-var]
    for name, frame in some.items():
        after = whole[name][frame.height :]
        assert after.is_empty() or after[ARRIVAL].min() >= latest  # type: ignore[operator]


def test_slices_arrive_one_after_the_other() -> None:
    busy = Platform(users=20_000, sessions_a_day=1.0, days=1.0)
    slices = list(arrivals(busy))
    assert len(slices) > 3
    last = 0
    for part in slices:
        times = [frame[ARRIVAL].to_numpy() for frame in part.frames.values()]
        pairs = zip(*part.order(), strict=True)
        merged = np.array([times[source][row] for source, row in pairs])
        assert merged.size == part.height()
        assert (np.diff(merged) >= 0).all()
        assert merged[0] >= last
        last = merged[-1]


def test_times_lie_within_the_days(made: Frames) -> None:
    for frame in made.values():
        assert frame[TIME].is_between(START, START + int(3.5 * DAY)).all()
        assert (frame[ARRIVAL] >= frame[TIME]).all()
        assert frame[ARRIVAL].is_sorted()


def test_shares_are_as_asked(made: Frames) -> None:
    for name in ("views", "sessions"):
        frame = made[name].filter(~has_fate("filtered"))
        first = frame.filter(~has_fate(COPY, AMENDED))
        assert fate(frame, LATE).height / first.height == pytest.approx(0.05, rel=0.35)
        sound = fate(frame, SOUND).height
        assert (frame.height - first.height) / sound == pytest.approx(0.1, rel=0.35)
    assert set(made["erasures"][FATE]) == {NUMBER[SOUND]}


def test_nothing_goes_wrong_where_nothing_should() -> None:
    frames = everything(Platform(users=100, late=0, duplicates=0, malformed=0, odd=0))
    assert all(
        frame.select(has_fate(SOUND, "filtered")).to_series().all() for _, frame in frames.items()
    )


def test_late_records_are_late_and_others_are_not(made: Frames) -> None:
    for frame in made.values():
        delay = frame.with_columns(delay=pl.col(ARRIVAL) - pl.col(TIME))
        assert (fate(delay, LATE)["delay"] >= LATE_BY_MS).all()
        assert (delay.filter(~has_fate(LATE))["delay"] < 2 * MOST_DELAY_MS).all()


def test_copies_have_their_first_and_amended_ones_another_price(made: Frames) -> None:
    views = made["views"]
    first = fate(views, SOUND).unique("event_id", keep="none", maintain_order=True)
    assert first.height == fate(views, SOUND).height
    for kind, same in ((COPY, True), (AMENDED, False)):
        pairs = fate(views, kind).join(first, on=["event_id", USER, TIME], suffix="_first")
        assert pairs.height == fate(views, kind).height > 0
        assert (pairs["price"].eq_missing(pairs["price_first"]) == same).all()
        assert (pairs[ARRIVAL] >= pairs[f"{ARRIVAL}_first"]).all()


def test_without_a_copy_each_record_has_an_id_of_its_own(made: Frames) -> None:
    for name, key in (("views", ["event_id"]), ("reactions", ["view_id", "kind"])):
        firsts = made[name].filter(~has_fate(COPY, AMENDED, "unknown_action"))
        assert firsts.select(key).is_unique().all()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"users": 0}, "users must be from 1"),
        ({"late": 1.5}, "late must be from 0 to 1, not 1.5"),
        ({"late": float("nan")}, "late must be"),
        ({"seed": -1}, "seed must be"),
        ({"events": 0}, "events must be"),
        ({"start": 0}, "start must be"),
    ],
)
def test_a_number_out_of_range_is_named(numbers: dict[str, int | float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Platform(**numbers)  # type: ignore[arg-type]


def test_columns_are_typed_alike_in_every_slice() -> None:
    nobody = everything(Platform(users=1, sessions_a_day=0.001, erasures=0))
    somebody = everything(FAULTY)
    for name in SOURCES:
        assert nobody[name].schema == somebody[name].schema
        assert set(META) <= set(nobody[name].columns)
