"""The year of Deskdrop: users of every kind held against the oracle, totals against counts."""

from collections import Counter, defaultdict
from itertools import groupby
from random import Random

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.report.folder import open_folder
from pipeline.report.page import report_of
from tests.examples.example import Example, Record, csv_records, ran
from tests.examples.uncut import uncut
from tests.oracles import counting, oracle
from tests.oracles.figures import facts
from tests.oracles.happened import happened
from tests.pipeline.report import test_figures as figures
from tests.transforms.core.counting import differences

PUBLISHED = "deskdrop/users_interactions.csv.xz"
MAPPED = ["personId", "timestamp", "contentId", "eventType", "userCountry", "userRegion", "device"]
FEATURES = {"country": "userCountry", "region": "userRegion", "device": "device"}


@pytest.fixture(scope="module")
def deskdrop(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return ran("deskdrop", PUBLISHED, tmp_path_factory.mktemp("deskdrop"))


@pytest.fixture(scope="module")
def records(deskdrop: Example) -> list[Record]:
    return csv_records(deskdrop.input / "interactions.csv")


@pytest.fixture(scope="module")
def once(records: list[Record]) -> list[Record]:
    """Each record once: those that have no event id are copies if all that the spec names is."""
    return [*{tuple(record[name] for name in MAPPED): record for record in records}.values()]


def test_sequences_of_some_users_are_the_oracles(deskdrop: Example, records: list[Record]) -> None:
    busy = Counter(record["personId"] for record in records)
    few = sorted(user for user, count in busy.items() if count <= 200)
    users = Random(7).sample(few, 40)
    theirs = [record for record in records if record["personId"] in users]
    assert deskdrop.differences(users, {"interactions": theirs}) == []


def test_sequences_of_the_longest_and_most_tied_users_are_the_oracles(
    deskdrop: Example, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest history stays under N and M, so the oracle need not look for where to cut."""
    monkeypatch.setattr(oracle, "held", uncut)
    busy = Counter(record["personId"] for record in records)
    seconds = Counter((record["personId"], record["timestamp"]) for record in records)
    tied = Counter([user for (user, _), count in seconds.items() for _ in range(count - 1)])
    users = [*dict(busy.most_common(2) + tied.most_common(8))]
    theirs = [record for record in records if record["personId"] in users]
    assert deskdrop.differences(users, {"interactions": theirs}) == []


def test_no_record_is_lost(deskdrop: Example, records: list[Record], once: list[Record]) -> None:
    sums = deskdrop.totals
    assert len(records) == 72_312
    assert sums["records", "interactions", None, None] == len(records)
    assert sums["copies", "interactions", None, None] == len(records) - len(once)
    assert deskdrop.rows("rejected") == deskdrop.rows("late") == deskdrop.rows("tombstones") == []
    assert {row["user_id"] for row in deskdrop.newest()} == {one["personId"] for one in records}


def test_raw_tokens_are_a_plain_count_of_the_records(deskdrop: Example, once: list[Record]) -> None:
    sums = deskdrop.totals
    assert sums["tokens_raw", None, "contents", None] == 2 * len(once)
    for feature, column in FEATURES.items():
        told = sum(record[column] is not None for record in once)
        assert sums["tokens_raw", None, feature, None] == told


def test_kept_tokens_are_a_plain_count_of_changes(deskdrop: Example, once: list[Record]) -> None:
    """Up to the last content; a user with two values in one second is left out, for their order."""
    newest = {row["user_id"]: row for row in deskdrop.newest()}
    for kind, column in enumerate(FEATURES.values(), 2):
        told: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for record in once:
            user, time = record["personId"], int(record["timestamp"]) * 1000
            if record[column] is not None and time <= newest[user]["session_end"]:
                told[user][time].add(record[column])
        plain = {user: at for user, at in told.items() if all(len(v) == 1 for v in at.values())}
        assert len(plain) > 1_000
        for user, at in plain.items():
            changes = groupby(value for _, (value,) in sorted(at.items()))
            assert newest[user]["token_type"].count(kind) == sum(1 for _ in changes), user


@pytest.mark.timeout(400)  # the oracle takes half a minute of the CPU
def test_every_measure_is_a_plain_count_of_the_records(
    deskdrop: Example, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest history stays under N and M, so the oracle need not look for where to cut."""
    monkeypatch.setattr(counting, "held", uncut)
    statistics = pq.read_table(deskdrop.output / "statistics")
    want = counting.counted(deskdrop.spec, {"interactions": [*records]})
    for key in [key for key in want.sums if key[0] == "bytes"]:
        del want.sums[key]  # of csv, which the oracle reads as records
    told = statistics.filter(pc.not_equal(statistics["measure"], "bytes"))
    assert differences(told, want) == []
    assert deskdrop.totals["bytes", "interactions", None, None] == sum(
        len(record[name].encode()) for record in records for name in MAPPED if record[name]
    )


@pytest.mark.timeout(400)  # the oracle takes half a minute of the CPU
def test_every_figure_of_the_page_is_a_plain_count_of_the_records(
    deskdrop: Example, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest history stays under N and M, so the oracle need not look for where to cut."""
    monkeypatch.setattr(oracle, "held", uncut)
    now = happened(deskdrop.spec, {"interactions": [*records]})
    now.bytes["interactions"] = sum(  # of csv, which the oracle reads as records
        len(record[name].encode()) for record in records for name in MAPPED if record[name]
    )
    told = report_of(open_folder(deskdrop.output))
    assert figures.differences(told, now) == []
    assert {fact.name: fact.value for fact in told.facts} == pytest.approx(facts(now))


def test_a_history_has_every_session_in_it(deskdrop: Example) -> None:
    sequences = deskdrop.sequences
    new: Counter[str] = Counter()
    for user, count in zip(
        sequences["user_id"].to_pylist(), sequences["new_contents"].to_pylist(), strict=True
    ):
        new[user] += count
    assert {row["user_id"]: row["contents"] for row in deskdrop.newest()} == new
    assert deskdrop.totals["sessions", None, None, None] == len(sequences)


def test_the_command_says_what_it_did(deskdrop: Example) -> None:
    assert deskdrop.said.startswith("records 72,312, rejected 0, late 0, copies 11, sessions ")
