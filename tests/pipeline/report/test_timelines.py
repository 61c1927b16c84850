"""Timelines with the raw entries beside what was kept, held against plain loops."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.report import events
from pipeline.report.folder import ReportError, open_folder
from pipeline.report.page import page, report_of
from pipeline.report.timelines import Told
from tests.oracles import oracle, shop
from tests.oracles.compression import Entry, Group, entries_of, groups_of
from tests.oracles.history import sessions_of
from tests.oracles.observations import Engagement, Named, Observation, Place, Scalar
from tests.oracles.order import by_user, histories, without_copies
from tests.oracles.settings import settings_of
from tests.pipeline.report.test_numbers import folder_of
from tests.pipeline.running import lines_in, run_in
from tests.strategies import Case, cases

RawTokens = list[tuple[int, bool]]
"""Of each raw entry its tokens, and whether anything was kept of it."""


def expected(case: Case) -> dict[tuple[str, int], RawTokens]:
    """What came in for each session, drawn or not, since the one before it: by user and end."""
    spec, sources = case
    chosen, result, want = settings_of(spec), oracle.Result(), {}
    each = [oracle._accepted(spec, chosen, name, raws, result) for name, raws in sources.items()]
    once = without_copies([record for records in each for record in records])
    for user, ordered in by_user(once, ()).items():
        for history in histories(ordered, chosen.retention):
            groups, after = groups_of(history, chosen.attribution), None
            told = _told(history, groups, entries_of(chosen, history))
            for session in sessions_of(chosen, groups, history):
                last = session[-1].first.place
                mine = [p for p in told if (after is None or p > after) and p <= last]
                came = [one for place in sorted(mine) for one in told[place]]
                want[user, session[-1].time] = came
                after = last
    return want


def _told(
    history: list[Observation], groups: list[Group], kept: list[Entry]
) -> dict[Place, RawTokens]:
    """The raw entries of each observation, by its place."""
    found: dict[Place, RawTokens] = {}
    for one in history:
        here = [entry.token_id for entry in kept if entry.place == one.place]
        if isinstance(one.what, Engagement):
            found[one.place] = [(2, any(group.first is one for group in groups))]
        elif isinstance(one.what, Scalar):
            found[one.place] = [(1, bool(here))]
        elif isinstance(one.what, Named):
            named = [*one.what.added, *(-member for member in one.what.removed)]
            first = [number not in named[:n] for n, number in enumerate(named)]
            each = zip(named, first, strict=True)
            found[one.place] = [(1, is_first and number in here) for number, is_first in each]
    return found


@settings(max_examples=40, suppress_health_check=[*HealthCheck])
@given(cases(max_records=40))
def test_raw_entries_are_what_came_in_and_say_what_was_kept(case: Case) -> None:
    """Of the sessions that are shown; a session is known by its end and what came in of it."""
    users = sorted({row["user_id"] for row in oracle.sequences(*case).sequences})
    if not users:
        return
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "out").mkdir()
        folder = folder_of(case, Path(name) / "out")
        read = lines_in(Path(name) / "in", case[1])
        told = report_of(open_folder(folder), users, read)
    want = expected(case)
    for person in told.people:
        for session in person.sessions:
            found = [(entry.tokens, not entry.left_out) for entry in session.came]
            end = round(session.end.timestamp() * 1000)
            assert found == want[person.user, end]
            assert sum(tokens for tokens, _ in found) == session.raw


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one user, and what it read beside it."""
    folder = tmp_path_factory.mktemp("ran")
    records = [
        shop.at(0, land="de", price=7, add=["m", "n"]),
        shop.at(10, i="shoe", a="VIEW", land="de"),
        shop.at(20, i="shoe", a="LIKE", land="fr", add=["m"], rem=["n"]),
    ]
    read = lines_in(folder / "in", {"e": records, "x": []})
    run_in(shop.spec_of(attribution="500ms"), read, folder / "out")
    return folder


def told_of(ran: Path) -> Told:
    (person,) = report_of(open_folder(ran / "out"), ["u"], ran / "in").people
    return person.sessions[-1]


def test_a_reader_sees_which_rule_left_what_out(ran: Path) -> None:
    found = [(f"{entry.source}  {entry.text}", entry.left_out) for entry in told_of(ran).came]
    assert found == [
        ("e  land de", ""), ("e  price 5 to 20", ""),
        ("e  + likes m", ""), ("e  + likes n", ""),
        ("e  land de", "as before"), ("e  Φ shoe  a VIEW", ""),
    ]  # fmt: skip
    assert f"{told_of(ran).came[0].time:%Y-%m-%d %H:%M:%S}" == "2023-11-14 22:13:20"


def test_what_joined_and_what_changed_nothing_is_told_with_the_next_session(
    tmp_path: Path,
) -> None:
    records = [
        shop.at(0, i="shoe", a="VIEW", add=["m"]),
        shop.at(20, i="shoe", a="LIKE", add=["m"]),
        shop.at(5000, i="hat", a="VIEW"),
    ]
    read = lines_in(tmp_path / "in", {"e": records, "x": []})
    run_in(shop.spec_of(attribution="500ms"), read, tmp_path / "out")
    found = [(f"{entry.source}  {entry.text}", entry.left_out) for entry in told_of(tmp_path).came]
    assert found == [
        ("e  + likes m", "no change"),
        ("e  Φ shoe  a LIKE", "joins the one of 22:13:20"),
        ("e  Φ hat  a VIEW", ""),
    ]


def test_the_page_has_both_side_by_side(ran: Path) -> None:
    text = page(report_of(open_folder(ran / "out"), [], ran / "in"))
    assert '<li class="out"><bdi>22:13:20  e  land de</bdi> <em>as before</em></li>' in text
    assert 'aria-label="What was kept"' in text
    assert 'aria-label="What came in"' not in page(report_of(open_folder(ran / "out")))


def test_events_that_are_none_or_others_are_told_in_a_line(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder(ran / "out")
    others = lines_in(tmp_path / "others", {"e": [shop.at(10, i="shoe", a="VIEW")]})
    for read, wrong in [
        (tmp_path / "nowhere", "must be the folder that the run read"),
        (tmp_path, "has no file of a source of the run's spec"),
        (others, "are not what the run read: user u has another sequence"),
    ]:
        with pytest.raises(ReportError, match=f"--events={read}: {wrong}"):
            report_of(folder, [], read)
    monkeypatch.setattr(events, "MOST_ROWS", 2)
    with pytest.raises(ReportError, match=r"have more than 2 records in .*name shorter ones"):
        report_of(folder, [], ran / "in")


def test_a_sequence_that_was_written_again_is_told_once(ran: Path, tmp_path: Path) -> None:
    """As a stream does that crashed."""
    folder = open_folder(ran / "out")
    was = report_of(folder, [], ran / "in")
    (file,) = (ran / "out" / "sequences").glob("*.parquet")
    twin = file.with_name("part-twin.parquet")
    twin.write_bytes(file.read_bytes())
    again = report_of(folder, [], ran / "in")
    twin.unlink()
    assert again.people == was.people
    assert [s for s in again.sections if s.anchor == "people"] == [
        s for s in was.sections if s.anchor == "people"
    ]
