"""Leave-one-out: what is shown and held back, ranks and losses by plain loops, runs that resume."""

import json
import math
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

from examples.movielens.leave_one_out.batches import Batch, Shown, batch_of, ends_of, epoch_of
from examples.movielens.leave_one_out.histories import Histories, histories_of, load, save
from examples.movielens.leave_one_out.judging import judged
from examples.movielens.leave_one_out.larger import FILES, prepare
from examples.movielens.leave_one_out.losses import drawn_items, next_item_loss
from examples.movielens.leave_one_out.model import NextItem
from examples.movielens.leave_one_out.prepare import filled
from examples.movielens.leave_one_out.ranks import figures, ranks
from examples.movielens.leave_one_out.settings import SASREC, VARIANTS, Settings
from examples.movielens.leave_one_out.table import rows_of, table_of
from examples.movielens.leave_one_out.train import Run, together
from examples.movielens.leave_one_out.training import Training
from pipeline.options import run_of
from pipeline.run import run
from schemas.load import load_spec

FOLDER = Path(__file__).parents[2] / "examples" / "movielens" / "leave_one_out"
SPEC = load_spec(FOLDER / "larger.yaml")
CPU = torch.device("cpu")
ZERO = torch.tensor(0)
SMALL = Settings(
    blocks=2, heads=2, width=8, query_width=4, value_width=4, length=4, batch=3, epochs=3
)
KINDS = {
    "hstu": replace(SMALL, cosine=True, negatives=3, stars=True, genres=True),
    "full": replace(SMALL, negatives=0, traits=True, newest=0.5),
    "sasrec": replace(SASREC, width=8, length=4, batch=3, epochs=3, negatives=3),
}


def hand() -> Histories:
    """Two users: items 1 to 6, and 4, 2, 5; times in ms are the place in all, times 10."""
    item_N = torch.tensor([1, 2, 3, 4, 5, 6, 4, 2, 5])
    return Histories(
        torch.tensor([0, 6, 9]),
        item_N,
        torch.arange(9) * 10,
        torch.tensor([5, 0, 3, 1, 2, 4, 1, 1, 0]),
        torch.tensor([[7, 9], [8, 9]]),
        torch.eye(7)[:, 1:4],
    )


def drawn(users: int = 7, items: int = 9) -> Histories:
    """Users with 4 to 10 contents, or more."""
    chance = torch.Generator().manual_seed(3)
    lengths = torch.arange(users) + 4
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    count = int(offsets[-1])
    return Histories(
        offsets,
        torch.randint(1, items, (count,), generator=chance),
        torch.arange(count) * 3_600_000,
        torch.randint(0, 6, (count,), generator=chance),
        torch.randint(items, items + 3, (users, 2), generator=chance),
        torch.rand(items, 4, generator=chance),
    )


def shown_to(histories: Histories, shown: Shown, room: int, *users: int) -> Batch:
    user_B = torch.tensor(users)
    return batch_of(histories, shown, user_B, shown.ends(histories)[user_B], room, ZERO)


def test_the_last_is_for_the_test_and_the_one_before_for_validation() -> None:
    for held, inputs, targets in [
        (1, [1, 2, 3, 4, 4], [2, 3, 4, 5, 2]),
        (2, [1, 2, 3], [2, 3, 4]),
    ]:
        shown = Shown(200, traits=False, held=held)
        batch = shown_to(hand(), shown, 7, 0, 1)
        here = batch.sequence_F < 2
        assert batch.id_F[here].tolist() == inputs
        assert batch.target_F[here].tolist() == targets
        assert shown.counts(hand()).tolist() == batch.offsets_B1.diff().tolist()
        judged_ends = shown.ends(hand()) + 1
        assert hand().item_N[judged_ends - 1].tolist() == ([6, 5] if held == 1 else [5, 2])


def test_the_newest_are_shown_at_their_times_and_asked_for_at_the_next_ones() -> None:
    batch = shown_to(hand(), Shown(2, traits=True, held=1), 10, 0, -1, 1)
    assert batch.offsets_B1.tolist() == [0, 4, 4, 7]
    assert batch.id_F.tolist() == [7, 9, 3, 4, 8, 9, 4, 0, 0, 0]
    assert batch.target_F.tolist() == [0, 0, 4, 5, 0, 0, 2, 0, 0, 0]
    assert batch.stars_F.tolist() == [0, 0, 3, 1, 0, 0, 1, 0, 0, 0]
    assert batch.time_F.tolist() == [0, 0, 20, 30, 60, 60, 60, 0, 0, 0]
    assert batch.asked_F.tolist() == [0, 0, 30, 40, 60, 60, 70, 0, 0, 0]
    assert batch.place_F.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 0, 0]


def test_an_epoch_has_every_user_once_in_an_order_of_its_own() -> None:
    first, second = (epoch_of(10, 4, 0, epoch) for epoch in (1, 2))
    for user_SB in (first, second):
        assert sorted(user_SB.flatten().tolist()) == [-1, -1, *range(10)]
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_of(10, 4, 0, 1))


def test_windows_are_whole_and_never_show_what_is_held_back() -> None:
    histories, shown = drawn(30), Shown(4, traits=False, held=2)
    newest = shown.ends(histories)
    assert torch.equal(ends_of(histories, shown, 0, 1, newest=1.0), newest)
    found = torch.stack([ends_of(histories, shown, 0, epoch, newest=0.3) for epoch in range(50)])
    assert bool((found <= newest).all())
    has_spare = newest - histories.offsets_U1[:-1] - 1 > 4
    assert bool((found - histories.offsets_U1[:-1] >= 5)[:, has_spare].all())
    assert bool((found == newest)[:, ~has_spare].all())
    assert 0.25 < float((found[:, -1] == newest[-1]).double().mean()) < 0.5


def test_ranks_are_those_of_a_plain_loop() -> None:
    chance = torch.Generator().manual_seed(1)
    scores_UI = torch.randn(20, 30, generator=chance)
    target_U = torch.randint(1, 30, (20,), generator=chance)
    seen_UW = torch.randint(0, 30, (20, 5), generator=chance)
    seen_UW = seen_UW.where(seen_UW != target_U[:, None], 0)
    wanted = []
    for scores, target, seen in zip(scores_UI, target_U, seen_UW, strict=True):
        others = set(range(1, 30)) - {int(target)} - set(seen.tolist())
        wanted.append(1 + sum(bool(scores[other] > scores[target]) for other in others))
    assert ranks(scores_UI, target_U, seen_UW).tolist() == wanted
    assert len(set(wanted)) > 5


def test_figures_of_ranks_by_hand() -> None:
    found = figures(torch.tensor([1, 3, 11, 300]))
    assert found["hr@10"] == 0.5
    assert found["ndcg@10"] == pytest.approx((1 + 1 / math.log2(4)) / 4)
    assert found["hr@200"] == 0.75
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 11 + 1 / 300) / 4)


@pytest.mark.parametrize(("sampled", "many"), [(True, 100), (True, 1), (False, 100)])
def test_the_loss_is_that_of_a_plain_loop(
    sampled: bool, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.movielens.leave_one_out.losses.MANY", many)
    chance = torch.Generator().manual_seed(2)
    query_FM, item_IM = (torch.randn(n, 5, generator=chance, dtype=torch.float64) for n in (9, 6))
    target_F = torch.tensor([1, 5, 0, 2, 3, 0, 4, 4, 1])
    drawn_FS = drawn_items(torch.arange(9), 4, 6) if sampled else None
    losses = []
    for f in target_F.nonzero().flatten().tolist():
        scores = [_cosine(query_FM[f], item) / 0.05 for item in item_IM]
        target = int(target_F[f])
        others = range(1, 6) if drawn_FS is None else drawn_FS[f].tolist()
        told_from = [scores[other] for other in others if other != target]
        losses.append(math.log1p(sum(math.exp(s - scores[target]) for s in told_from)))
    loss = next_item_loss(query_FM, item_IM, target_F, drawn_FS, 0.05)
    assert float(loss) == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_items_are_drawn_evenly() -> None:
    counts = torch.bincount(drawn_items(torch.arange(4_000), 16, 5).flatten(), minlength=5)
    assert counts[0] == 0
    assert bool(((counts[1:] / counts.sum() - 0.25).abs() < 0.01).all())


def _cosine(x: Tensor, y: Tensor) -> float:
    return float(x @ y / (x.norm() * y.norm()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_with_room_says_what_each_sequence_says_alone(kind: str) -> None:
    histories, shown, model = _ready(kind)
    users = (5, -1, 0, 3)
    together_BI = model.scores(shown_to(histories, shown, 40, 5, 0, 3))
    for row, user in zip(together_BI, (5, 0, 3), strict=True):
        count = int(shown.counts(histories)[user])
        alone = model.scores(shown_to(histories, shown, count, user))[0]
        torch.testing.assert_close(row, alone, rtol=1e-5, atol=1e-6)
    losses = [model(shown_to(histories, shown, room, *users)) for room in (30, 64)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_later_changes_nothing_before(kind: str) -> None:
    histories, shown, model = _ready(kind)
    last = int(histories.offsets_U1[-1]) - 1

    def scores(changed: int) -> Tensor:
        other_N = histories.item_N.clone()
        other_N[changed] = 1 + other_N[changed] % 8
        batch = shown_to(histories._replace(item_N=other_N), shown, 8, histories.users - 1)
        found: Tensor = model.scores(batch)
        return found

    # The last content is held back, and the one before it is the last target.
    assert torch.equal(scores(last), scores(last - 1))
    assert not torch.equal(scores(last), scores(last - 2))


def _ready(kind: str) -> tuple[Histories, Shown, NextItem]:
    """A model that judges, stirred: biases and norms are zeros and ones at first, behind which
    mistakes could hide."""
    settings, histories = KINDS[kind], drawn()
    shown = Shown(settings.length, settings.traits, 1)
    model = NextItem(histories, settings, shown.longest(histories), 0)
    chance = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=chance), alpha=0.3)
    return histories, shown, model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_resumes_is_one_that_never_stopped(kind: str, tmp_path: Path) -> None:
    def run(name: str) -> Run:
        folder = tmp_path / name
        return Run(drawn(), KINDS[kind], 1, folder, test=False, device=CPU, every=1)

    together([run("whole"), run("after")], most=1)
    for _ in range(KINDS[kind].epochs):
        together([run("parts")], until=0.0)
    whole, after, parts = (_lines(tmp_path / name) for name in ("whole", "after", "parts"))
    assert len(whole) == KINDS[kind].epochs + 1
    assert parts == whole == after
    assert not (tmp_path / "whole" / "state.safetensors").exists()


def _lines(folder: Path) -> list[dict[str, float]]:
    """What was written, but for how long it took."""
    lines = (folder / "lines.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_table_has_means_and_spreads_of_runs_at_their_end(tmp_path: Path) -> None:
    said = {"hr@10": 0.2, "ndcg@10": 0.1, "hr@50": 0.5, "hr@200": 0.7, "mrr": 0.1, "epochs": 3}
    for name, line in [
        ("our-s-0", {"end": True, **said}),
        ("our-s-1", {"end": True, **said, "hr@10": 0.4}),
        ("our-s-2", {"epoch": 2}),
        ("sasrec-0", {"end": True, **said, "ndcg@10": 0.3}),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "lines.jsonl").write_text(
            f"{json.dumps({'epoch': 1})}\n{json.dumps(line)}\n"
        )
    lines = table_of(rows_of(tmp_path)).splitlines()
    assert lines[2].startswith("| sasrec | 1 | 3 | 0.2000 | 0.3000 |")
    assert lines[3].startswith("| our-s | 2 | 3 | 0.3000 ± 0.1414 | 0.1000 ± 0.0000 |")
    assert len(lines) == 4


def test_learning_finds_what_always_follows() -> None:
    """Each item is followed by the next in a ring, so a model that learns ranks it first."""
    users, length, items = 24, 9, 12
    item_N = torch.cat([1 + (torch.arange(length) + start) % items for start in range(users)])
    histories = Histories(
        torch.arange(users + 1) * length,
        item_N,
        torch.arange(len(item_N)) * 1_000,
        torch.zeros_like(item_N),
        torch.zeros(users, 0, dtype=torch.int64),
        torch.zeros(items + 1, 1),
    )
    settings = replace(SMALL, length=6, batch=8, epochs=30, negatives=0, rate=1e-2, dropout=0.0)
    training = Training(histories, settings, 1, 0, CPU)
    before = judged(training).rank_U.double().mean()
    for _ in range(settings.epochs):
        list(training.steps())
    after = judged(training)
    assert float(after.rank_U.double().mean()) < 1.1 < float(before)
    assert after.figures()["log_perplexity"] < 0.1


def test_times_are_filled_between_before_and_after() -> None:
    given = pl.DataFrame(
        {
            "user": [1] * 6,
            "place": range(6),
            "timestamp": [None, 10, None, None, 21, None],
        }
    )
    whole = filled(given)
    assert whole["timestamp"].to_list() == [10, 10, 13, 17, 21, 21]
    assert whole["known"].to_list() == [False, True, False, False, True, False]
    with pytest.raises(ValueError, match="no time at all of some user: 2"):
        filled(given.with_columns(user=2, timestamp=pl.lit(None, pl.Int64)))
    with pytest.raises(ValueError, match="do not ascend"):
        filled(given.with_columns(timestamp=pl.Series([9, 10, None, None, 2, None])))


def test_histories_are_the_newest_sequences_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "sequences").mkdir()
    ms = pl.List(pl.Datetime("ms", "UTC"))
    pl.DataFrame(
        {
            "user_id": ["10", "9", "9"],
            "session_end": [30, 10, 20],
            "contents": [1, 1, 2],
            "token_type": [[2, 0, 1], [2, 0, 1], [2, 0, 1, 0, 1]],
            "token_id": [[77, 500, 4], [66, 900, 16], [66, 900, 16, 500, 0]],
            "token_time": [[30, 30, 30], [5, 10, 10], [5, 10, 10, 20, 20]],
            "category_genres": [[[3, 4]], [[]], [[], [3, 4]]],
        }
    ).with_columns(pl.col("token_time").cast(ms)).write_parquet(
        tmp_path / "sequences" / "x.parquet"
    )
    found = histories_of(tmp_path)
    save(found, tmp_path / "histories.safetensors")
    read = load(tmp_path / "histories.safetensors")
    assert all(torch.equal(x, y) for x, y in zip(found, read, strict=True))
    assert read.offsets_U1.tolist() == [0, 2, 3]
    assert read.item_N.tolist() == [2, 1, 1]
    assert read.time_N.tolist() == [10, 20, 30]
    assert read.stars_N.tolist() == [5, 0, 3]
    assert read.trait_UK.tolist() == [[3], [4]]
    assert read.genre_IG.tolist() == [[0, 0], [0.5, 0.5], [0, 0]]
    assert (read.items, read.ids, read.users) == (3, 5, 2)


def test_larger_files_are_read_and_items_and_users_that_are_seldom_left_out(
    tmp_path: Path,
) -> None:
    rows = [(user, item, 3.5, 10**9 - item) for user in range(5) for item in range(1, 7)]
    rows += [(7, item, 1.0, 10**9) for item in range(4)] + [(0, 9, 1.0, 10**9)]
    for what, names in [("ml-20m", "userId,movieId,rating,timestamp\n"), ("amazon-books", "")]:
        file = tmp_path / FILES[what]
        file.parent.mkdir()
        file.write_text(names + "".join(f"{','.join(map(str, row))}\n" for row in rows))
        assert prepare(tmp_path, what, tmp_path / what / "input") == 30
        read, wrote = str(tmp_path / what / "input"), tmp_path / what / "out"
        run(run_of(SPEC, read, [str(wrote)], None, "earliest", None, {}, []), print)
        found = histories_of(wrote)
        assert found.offsets_U1.tolist() == [0, 6, 12, 18, 24, 30]
        assert found.item_N[:6].tolist() == [6, 5, 4, 3, 2, 1]
        assert found.stars_N.tolist() == [4] * 30
        assert (found.items, found.ids) == (7, 7)


def test_the_spec_and_the_variants_are_right() -> None:
    assert load_spec(FOLDER / "spec.yaml").name == "movielens-leave-one-out"
    assert VARIANTS["hstu-time-float32"] == Settings()
    assert all(settings.width % settings.heads == 0 for settings in VARIANTS.values())
