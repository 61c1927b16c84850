"""The scaling law: one that is made up is found again, and FLOP are those that PyTorch counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from examples.movielens.leave_one_out.batches import Shown, batch_of
from examples.movielens.leave_one_out.histories import Histories
from examples.movielens.leave_one_out.model import NextItem
from examples.movielens.leave_one_out.scaling import (
    Law,
    Point,
    flop_of_epoch,
    law_of,
    points_of,
    report_of,
)
from examples.movielens.leave_one_out.settings import VARIANTS, sized

TRUE = Law(factor=1.5, exponent=0.2, floor=5.0, error=0.0)
SIZES = ("size-8", "size-16", "size-32", "size-64", "size-128")


def made_up(noise: float = 0.0) -> list[Point]:
    """Points on a law, or beside it."""
    chance = torch.Generator().manual_seed(0)
    points = []
    for number in range(24):
        flop = 1e12 * 1.4**number
        wrong = 1 + noise * float(torch.randn((), generator=chance))
        points.append(Point("size-8", 1, flop, TRUE.at(flop) * wrong))
    return points


def flat(users: int, length: int, items: int) -> Histories:
    """Histories of one length."""
    count = users * length
    return Histories(
        torch.arange(users + 1) * length,
        1 + torch.arange(count) % (items - 1),
        torch.arange(count) * 1_000,
        torch.zeros(count, dtype=torch.int64),
        torch.zeros(users, 0, dtype=torch.int64),
        torch.zeros(items, 1),
    )


def test_a_law_that_is_made_up_is_found_again() -> None:
    assert law_of(made_up()) == pytest.approx(TRUE, rel=0.01, abs=1e-3)
    pure = [
        Point("size-8", 1, flop, 3 * (flop / 1e15) ** -0.05) for flop in (1e12, 1e13, 1e14, 1e15)
    ]
    for floor in (True, False):
        assert law_of(pure, floor=floor) == pytest.approx(Law(3, 0.05, 0, 0), rel=0.01, abs=1e-3)
    assert law_of(made_up(), floor=False).error > 0.01


def test_noise_makes_an_error_of_its_size() -> None:
    law = law_of(made_up(noise=0.01))
    assert 0.006 < law.error < 0.013
    assert law.exponent == pytest.approx(0.2, abs=0.1)


def test_too_few_points_are_no_law() -> None:
    with pytest.raises(ValueError, match="3 points are too few"):
        law_of(made_up()[:3])


def test_flop_are_those_that_pytorch_counts() -> None:
    """But for what plain attention computes of later positions, and the table of places, from
    which we look up and it multiplies."""
    users, length, items = 3, 6, 40
    # It imports Triton, which nobody may before tests/kernels has chosen its interpreter.
    from torch.utils.flop_counter import FlopCounterMode

    settings = replace(sized(32, 2, 16), length=length, batch=users, precision="float32")
    histories, held = flat(users, length + 3, items), 2
    shown = Shown(length, traits=False, held=held)
    model = NextItem(histories, settings, shown.longest(histories), 0)
    ends = shown.ends(histories)
    batch = batch_of(histories, shown, torch.arange(users), ends, users * length, torch.tensor(0))
    with FlopCounterMode(display=False) as counter:
        model(batch).backward()
    attention = counter.get_flop_counts()["Global"][torch.ops.aten.bmm]
    later = attention * (1 - (length + 1) / (2 * length))
    places = 2 * 2 * users * length * length * 32
    found = flop_of_epoch(settings, histories, held)
    assert found == pytest.approx(counter.get_total_flops() - later - places)
    sampled = flop_of_epoch(replace(settings, negatives=5), histories, held)
    assert found - sampled == pytest.approx(3 * 2 * users * length * 32 * (39 - 6))


def test_points_of_runs_and_what_is_reported_of_them(tmp_path: Path) -> None:
    histories, wanted = flat(4, 20, 30), []
    for size in SIZES:
        flop = 12 * flop_of_epoch(VARIANTS[size], histories, 2)
        wanted.append(Point(size, 12, flop, TRUE.at(flop)))
        lines = [
            {"epoch": 8, "log_perplexity": 9.0},
            {"end": True, "epochs": 12, "log_perplexity": TRUE.at(flop)},
        ]
        _wrote(tmp_path / f"{size}-0", lines)
    flop = 8 * flop_of_epoch(VARIANTS["size-256"], histories, 2)
    wanted.append(Point("size-256", 8, flop, TRUE.at(flop)))
    cut = [{"epoch": 8, "log_perplexity": TRUE.at(flop)}, {"epoch": 9, "loss": 1.0}]
    _wrote(tmp_path / "size-256-0", cut)
    _wrote(tmp_path / "size-384-0", [{"epoch": 9, "loss": 1.0}])
    _wrote(tmp_path / "ours-0", [{"end": True, "epochs": 12, "log_perplexity": 9.0}])
    found = points_of(histories, tmp_path, "log_perplexity")
    assert found == wanted
    assert points_of(histories, tmp_path, "loss")[0].epochs == 9
    report = report_of(found)
    assert f"| size-8 | 12 | {wanted[0].flop:.3g} | {wanted[0].loss:.4f} |" in report
    assert "| c + a C^-b, without size-16 |" in report
    assert "up to the least loss" not in report
    worse = [*found, Point("size-384", 8, 2 * found[-1].flop, 99.0)]
    assert "| a C^-b, up to the least loss |" in report_of(worse)
    said = f"{wanted[-1].loss:.4f}"
    assert f"size-256: {said}; foretold {said} with c, " in report


def _wrote(folder: Path, lines: list[dict[str, float]]) -> None:
    folder.mkdir()
    (folder / "lines.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_sizes_differ_in_shape_alone() -> None:
    same = {
        replace(VARIANTS[size], width=1, blocks=1, heads=1, query_width=1, value_width=1)
        for size in SIZES
    }
    assert same == {sized(1, 1, 1)}
