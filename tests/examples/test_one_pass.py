"""One pass beside many epochs: who is judged on what, by which weights; ranks by plain loops."""

from datetime import datetime
from pathlib import Path
from random import Random

import polars as pl
import pytest
import torch

from examples.movielens.one_pass import table
from examples.movielens.one_pass.online import OnePass, Watched
from examples.movielens.one_pass.popularity import DAY_MS, popularity
from examples.movielens.one_pass.publish import records
from examples.movielens.one_pass.ranks import COLUMNS, Ranks, asked, rank, seen
from examples.movielens.one_pass.rival import Rival
from examples.movielens.one_pass.run import Written, run
from examples.movielens.one_pass.settings import VARIANTS, Changes, Variant
from examples.movielens.one_pass.stream import Sessions
from model.config import TrainConfig
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.reader.rows import batch_of
from model.reporting.names import figure
from model.trainer import Trainer
from pipeline.options import run_of
from pipeline.run import run as run_pipeline
from pipeline.train.command import choosing_of
from schemas.load import load_spec
from schemas.sequences import CONTENT

HERE = Path(__file__).parents[2] / "examples" / "movielens" / "one_pass"
WHOLE = load_spec(HERE / "spec.yaml")
SPEC = WHOLE.model_copy(update={"history": WHOLE.history.model_copy(update={"tokens": 36})})
SHORTER: Changes = {"length": {"alpha": 1.3}}
CONFIG = TrainConfig.model_validate(
    {
        "tasks": ["retrieval"],
        "batch_tokens": 64,
        "model": {"width": 8, "blocks": 1, "query_width": 4, "value_width": 4},
        "retrieval": {"negatives": 16, "freshness": False},
        "evaluation": {"positions": 4096},
    }
)
USERS, MOVIES, START_S = 20, 20, 970_000_000


def write_input(folder: Path) -> None:
    """Users who come back now and then, and never rate a movie twice."""
    draw = Random(4)
    ratings = []
    for user in range(1, USERS + 1):
        time = START_S + draw.randrange(200_000)
        for movie in draw.sample(range(1, MOVIES + 1), draw.randrange(5, 15)):
            ratings.append((user, movie, str(draw.randrange(1, 6)), time, ["Drama"]))
            time += draw.choice([0, 7, 60, 40_000])
    folder.mkdir(parents=True)
    columns = ["user", "movie", "rating", "timestamp", "genres"]
    given = pl.DataFrame(ratings, columns, orient="row").with_row_index("row")
    given = given.with_columns(pl.col("row").cast(pl.String).str.zfill(7))
    given.write_parquet(folder / "ratings.parquet")
    since = given.group_by("user").agg(since=pl.col("timestamp").min()).sort("user")
    traits = {"gender": pl.lit("F"), "age": pl.lit(25), "occupation": pl.lit(3)}
    since.with_columns(**traits).write_csv(folder / "users.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("one_pass")
    write_input(place / "input")
    what = run_of(SPEC, str(place / "input"), [str(place / "out")], None, "earliest", None, {}, [])
    run_pipeline(what, print)
    return place / "out"


@pytest.fixture(scope="module")
def sessions(folder: Path) -> Sessions:
    return Sessions.of(folder, SPEC)


def trainer_of(changes: Changes) -> Trainer:
    config = TrainConfig.model_validate({**CONFIG.model_dump(mode="json"), **changes})
    return Trainer(SPEC, config, Exchange.alone())


def watched_of(changes: Changes) -> Watched:
    return Watched(choosing_of(SPEC, trainer_of(changes).config, 1))


def passed(folder: Path, changes: Changes) -> OnePass:
    """One pass at its end."""
    passing, watched = OnePass(trainer_of(changes)), watched_of(changes)
    batches = SequenceFiles(folder, SPEC, tokens=64, choose=watched)
    assert len(list(passing.steps(batches, watched))) == passing.trainer.step
    return passing


def table_of(ranks: Ranks) -> pl.DataFrame:
    found = pl.from_arrow(ranks.table())
    assert isinstance(found, pl.DataFrame)
    return found


def rows_of(ranks: Ranks) -> list[tuple[int, ...]]:
    return sorted(table_of(ranks).select(COLUMNS[:-1]).rows())


def targets_of(ranks: Ranks) -> list[tuple[int, ...]]:
    return [row[:4] for row in rows_of(ranks)]


def expected_targets(sessions: Sessions, since: int = -1) -> list[tuple[int, ...]]:
    """Every content of a session but a user's first, by a plain loop over the rows."""
    found = []
    for row in sessions.rows.to_pylist():
        tokens = zip(row["token_type"], row["token_id"], row["token_time"], strict=True)
        contents = [(id_, time) for kind, id_, time in tokens if kind == CONTENT]
        end = _ms(row["session_end"])
        for place in range(len(contents) - row["new_contents"], len(contents)):
            if place and end > since:
                found += [(end, _ms(contents[place][1]), contents[place][0], place)]
    return sorted(found)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@pytest.mark.parametrize(
    "changes",
    [{}, {"sampling": {"tokens": 10}}, SHORTER, {"model": {"dropout": 0.2}}],
)
def test_each_interaction_is_judged_once_whatever_is_learned(
    folder: Path, sessions: Sessions, changes: Changes
) -> None:
    passing = passed(folder, changes)
    assert targets_of(passing.ranks) == expected_targets(sessions)
    every = len(sessions.rows["token_id"].flatten())
    assert passing.cost.tokens == passing.trainer.tokens
    whole = "sampling" not in changes and "length" not in changes
    assert (passing.cost.tokens == every) == whole
    assert (passing.cost.sequences == len(sessions.end_R)) == ("sampling" not in changes)


def test_what_is_learned_again_costs_but_is_not_judged_again(
    folder: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = passed(folder, {"rehearsal": {"users": 9, "updates": 2}})
    assert targets_of(passing.ranks) == expected_targets(sessions)
    assert passing.cost.tokens == pytest.approx(3 * passing.trainer.tokens, rel=0.2)
    monkeypatch.setattr(Variant, "config", lambda _: passing.trainer.config)
    cost = table.cost_of(sessions, SPEC, Variant(), int(sessions.end_R[-1]))
    assert cost["tokens"] == 3 * passing.trainer.tokens
    assert cost["pairs"] == pytest.approx(passing.cost.pairs, rel=0.3)


@pytest.mark.parametrize("changes", [{}, {"sampling": {"tokens": 10}}, SHORTER])
def test_what_is_scored_was_not_learned(folder: Path, changes: Changes) -> None:
    """The ranks of a step are those by weights that stopped just before it."""
    ranks = table_of(passed(folder, changes).ranks)
    watched = watched_of(changes)
    trainer = trainer_of(changes)
    batches = iter(SequenceFiles(folder, SPEC, tokens=64, choose=watched))
    compared = 0
    for step, batch in enumerate(batches):
        rows = list(watched.until(batch.sequence_ids[-1]))
        now = asked(trainer, batch_of(rows))
        then = ranks.filter(pl.col("step") == step).select(COLUMNS).rows()
        if len(trainer.tables.catalogue) == MOVIES:  # new movies have rows once a step is made
            assert sorted(map(tuple, now.T.tolist())) == sorted(then)
            compared += 1
        trainer.learn([batch])
    assert compared > 0


def test_the_figures_are_those_of_the_trainer(folder: Path) -> None:
    trainer = trainer_of({})
    for batch in SequenceFiles(folder, SPEC, tokens=64):
        trainer.learn([batch])
    told = trainer.report()
    found = table.figures(table_of(passed(folder, {}).ranks))
    labels = {"candidates": "full", "over": "all"}
    for k in (1, 10, 50):
        assert told[figure("retrieval/hit_rate", k=k, **labels)] == pytest.approx(found[f"hr@{k}"])
    assert told[figure("retrieval/ndcg", k=10, **labels)] == pytest.approx(found["ndcg@10"])
    assert told[figure("retrieval/mrr", **labels)] == pytest.approx(found["mrr"])
    assert 0.1 < found["hr@10"] < 0.9


def test_a_rival_is_judged_as_if_session_by_session(folder: Path, sessions: Sessions) -> None:
    trainer = trainer_of({})
    rival = Rival(trainer, sessions)
    since = sessions.edge(0.6)
    assert list(rival.epochs(since, 2)) == [1, 2]
    found = rival.judged(since, sessions.edge(1.0))
    rows = [sessions.rows.slice(row, 1) for row in range(len(sessions.end_R))]
    later = [row for row, end in zip(rows, sessions.end_R, strict=True) if end > since]
    plain = Ranks([asked(trainer, batch_of([row])) for row in later])
    assert rows_of(found) == rows_of(plain)
    assert targets_of(found) == expected_targets(sessions, since)


def test_refitting_and_going_on_cover_what_the_frozen_rival_is_judged_on(
    folder: Path, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Variant, "config", lambda _: CONFIG)
    for kind, mark in (("online after", "-on"), ("refitted", "-again")):
        variant = Variant(kind=kind, epochs=2, judged=(2,), share=0.6, again=1)  # type: ignore[arg-type]
        run(SPEC, folder, variant, Written(tmp_path, kind), "cpu")
        frozen, later = (
            pl.read_parquet(tmp_path / f"{kind}{each}.parquet") for each in ("-2", mark)
        )
        same = ["session_end", "content", "place"]
        assert later.select(same).sort(same).equals(frozen.select(same).sort(same))
        assert frozen.height == len(expected_targets(sessions, sessions.edge(0.6)))
        assert not later.sort(same)["rank"].equals(frozen.sort(same)["rank"])


def test_parts_of_the_time_are_whole_sessions(sessions: Sessions) -> None:
    edges = sessions.edges(4)
    assert edges == sorted(edges)
    assert edges[-1] == sessions.end_R[-1]
    counted = [int(sessions.new_R[sessions.end_R <= edge].sum()) for edge in edges]
    every = int(sessions.new_R.sum())
    most = int(sessions.new_R.max())
    for part, count in enumerate(counted, 1):
        assert part * every / 4 <= count < part * every / 4 + 2 * most


def test_a_user_of_whom_more_is_asked_has_what_came_before(sessions: Sessions) -> None:
    """By a plain loop, at each session's end: also of the user whose row is the first of all."""
    rows = [
        *zip(
            *(x.tolist() for x in (sessions.user_R, sessions.end_R, sessions.contents_R)),
            strict=True,
        )
    ]
    for since in {end for _, end, _ in rows}:
        newest = sessions.newest(since, 1 << 62)
        asked = [rows[row][0] for row in newest.row_U.tolist()]
        before = [
            max((n for user, end, n in rows if user == each and end <= since), default=0)
            for each in asked
        ]
        assert newest.before_U.tolist() == before


def test_popularity_is_that_of_a_plain_loop(sessions: Sessions) -> None:
    found, wanted = popularity(sessions), []
    heat: dict[int, float] = {}
    at = 0
    for row in sessions.rows.to_pylist():
        end = _ms(row["session_end"])
        tokens = zip(row["token_type"], row["token_id"], strict=True)
        contents = [id_ for kind, id_ in tokens if kind == CONTENT]
        first = len(contents) - row["new_contents"]
        for place in range(max(first, 1), len(contents)):
            own, before = contents[place], contents[:place]
            ahead = [i for i, h in heat.items() if i != own and h >= heat.get(own, 9e9)]
            ranks = (1 + len(ahead), 1 + len([i for i in ahead if i not in before]))
            wanted.append((end, own, place, *(ranks if own in heat else (0, 0))))
        heat = {i: h * 2 ** ((at - end) / (30 * DAY_MS)) for i, h in heat.items()}
        at = end
        for own in contents[first:]:
            heat[own] = heat.get(own, 0.0) + 1
    columns = ["session_end", "content", "place", "rank", "rank_unseen"]
    assert sorted(table_of(found).select(columns).rows()) == sorted(wanted)


def test_ties_and_what_is_unknown_count_against_a_target() -> None:
    score_QR = torch.tensor([[1.0, 3.0, 3.0, 0.0]] * 3 + [[1.0, torch.nan, 3.0, 0.0]])
    column_Q = torch.tensor([1, 0, -1, 2])
    every_QR = torch.ones_like(score_QR, dtype=torch.bool)
    assert rank(score_QR, column_Q, every_QR).tolist() == [2, 3, 0, 2]
    unseen_QR = every_QR.clone()
    unseen_QR[:, 2] = False
    assert rank(score_QR, column_Q, unseen_QR)[:2].tolist() == [1, 2]


def test_seen_is_what_stands_before_in_the_same_history(sessions: Sessions) -> None:
    batch = batch_of([sessions.rows.slice(row, 1) for row in (2, 20, 25)])
    content_E = batch.id_T[batch.type_T == CONTENT]
    counts = [int(each) for each in sessions.contents_R[[2, 20, 25]]]
    sequence_E = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    id_R = torch.unique(content_E)[1:]
    found_QR = seen(batch, sequence_E, id_R, torch.arange(len(content_E)))
    start = 0
    for count in counts:
        ids = content_E[start : start + count].tolist()
        for place in range(count):
            wanted = [id_ in ids[:place] for id_ in id_R.tolist()]
            assert found_QR[start + place].tolist() == wanted
        start += count


def test_records_go_out_in_order_of_time_and_users_before_what_they_do(tmp_path: Path) -> None:
    write_input(tmp_path / "input")
    sent = list(records(tmp_path / "input"))
    assert [time for _, time, _ in sent] == sorted(time for _, time, _ in sent)
    known: set[int] = set()
    for topic, _, record in sent:
        if topic == "users":
            known.add(record["user"])
        assert record["user"] in known
    assert sum(topic == "users" for topic, _, _ in sent) == USERS


def test_a_table_and_plots_of_all_runs(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Variant, "config", lambda _: CONFIG)
    for name in ("all", "popular"):
        run(SPEC, folder, VARIANTS[name], Written(tmp_path, name), "cpu")
    lines = list(table.tables(SPEC, folder, tmp_path, [9, 10]))
    for name in ("all", "popular"):
        assert sum(line.startswith(f"| {name} | ") for line in lines) == 1 + len(table.OVER_TIME)
    for name in ("over-time.svg", "cost.svg"):
        assert (tmp_path / name).read_text().startswith("<svg")


def test_every_variant_has_settings() -> None:
    for name, variant in VARIANTS.items():
        assert variant.config().tasks == ("retrieval",), name


@pytest.mark.parametrize("changes", [{}, {"sampling": {"tokens": 10}}, SHORTER])
def test_the_cost_is_what_a_run_trains_on(
    folder: Path, sessions: Sessions, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = passed(folder, changes)
    monkeypatch.setattr(Variant, "config", lambda _: passing.trainer.config)
    cost = table.cost_of(sessions, SPEC, Variant(), int(sessions.end_R[-1]))
    assert cost == {"tokens": passing.cost.tokens, "pairs": passing.cost.pairs}
