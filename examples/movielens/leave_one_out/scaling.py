"""Loss against compute: what runs of several sizes have come to, and the power law through them.

    python -m examples.movielens.leave_one_out.scaling FILE FOLDER

A line with a validation of a run of a variant `size-…` in FOLDER is a point: the log-perplexity of
the content that was held back, and the FLOP of training until then. The law is fitted to the
frontier, the points that no other beats with less compute (Kaplan et al., "Scaling Laws for Neural
Language Models", 2020, section 3.3); what overfits is therefore not on it.

Legend: N points.
"""

import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from examples.movielens.leave_one_out.batches import Shown
from examples.movielens.leave_one_out.histories import Histories, load
from examples.movielens.leave_one_out.settings import VARIANTS, Settings

PREFIX = "size-"
UNIT = 1e15
"""FLOP; the law is in these, so that its factor is a loss."""
EXPONENTS = torch.linspace(0.001, 2, 2_000, dtype=torch.float64)
LEAST = 4
"""Points of a fit, which has three parameters."""


class Point(NamedTuple):
    """A size after some epochs."""

    size: str
    epoch: int
    flop: float
    loss: float


class Law(NamedTuple):
    """loss = floor + factor · (FLOP / UNIT) ^ -exponent; `error` is the root of the mean square of
    what it is off by, relatively."""

    factor: float
    exponent: float
    floor: float
    error: float

    def at(self, flop: float) -> float:
        """The loss that it foretells."""
        return self.floor + self.factor * math.pow(flop / UNIT, -self.exponent)


def law_of(points: list[Point], *, floor: bool = True) -> Law:
    """The law with the least squares of relative errors; ValueError for too few points.

    For each exponent of a grid the other two parameters are linear; none may be negative.
    """
    if len(points) < LEAST:
        raise ValueError(f"{len(points)} points are too few for a law: {LEAST} at least")
    flop_N = torch.tensor([point.flop for point in points], dtype=torch.float64)
    loss_N = torch.tensor([point.loss for point in points], dtype=torch.float64)
    laws = []
    for exponent in EXPONENTS.tolist():
        falls_N = (flop_N / UNIT) ** -exponent / loss_N
        factor, bottom = _least_squares(falls_N, 1 / loss_N) if floor else (0.0, -1.0)
        if bottom < 0:
            factor, bottom = float(falls_N.sum() / falls_N.square().sum()), 0.0
        off_N = factor * falls_N + bottom / loss_N - 1
        laws.append(Law(factor, exponent, bottom, float(off_N.square().mean().sqrt())))
    return min(laws, key=lambda law: law.error)


def _least_squares(one_N: Tensor, other_N: Tensor) -> tuple[float, float]:
    """The factors of both that come nearest to 1."""
    solved = torch.linalg.lstsq(
        torch.stack([one_N, other_N], 1), torch.ones_like(one_N)[:, None], driver="gelsd"
    )
    factor, other = solved.solution.flatten().tolist()
    return factor, other


def frontier(points: list[Point]) -> list[Point]:
    """The points that are better than all with less compute, by compute."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.flop, point.loss)):
        if not best or point.loss < best[-1].loss:
            best.append(point)
    return best


def flop_of_epoch(settings: Settings, histories: Histories, held: int) -> float:
    """What a model of HSTU needs for an epoch: two FLOP for each product that is added, those of
    the backward pass twice those of the forward. Only what the model is counts: no padding, nothing
    that is computed again, no norms, biases or lookups."""
    shown = Shown(settings.length, settings.traits, held)
    count_U = shown.counts(histories).double()
    pairs = float((count_U * (count_U + 1) / 2).sum())
    heads, both = settings.heads, settings.query_width + settings.value_width
    block = 2 * heads * both * settings.width + heads * settings.value_width * settings.width
    scored = settings.negatives + 1 if settings.negatives else histories.items - 1
    position = settings.blocks * block + settings.width * scored
    products = float(count_U.sum()) * position + pairs * settings.blocks * heads * both
    return 3 * 2 * products


def points_of(histories: Histories, folder: Path, held: int = 2) -> list[Point]:
    """Those of all runs of sizes in a folder."""
    found = []
    for file in sorted(folder.glob(f"{PREFIX}*/lines.jsonl")):
        size, _, _ = file.parent.name.rpartition("-")
        flop = flop_of_epoch(VARIANTS[size], histories, held)
        for line in map(json.loads, file.read_text().splitlines()):
            if "epoch" in line and "log_perplexity" in line:
                epoch = line["epoch"]
                found.append(Point(size, epoch, epoch * flop, line["log_perplexity"]))
    return found


def report_of(points: list[Point]) -> str:
    """In Markdown: each size at its best, the laws, and what they are without one size each."""
    edge = frontier(points)
    lines = ["| size | best epoch | FLOP | log-perplexity | on the frontier |", "|-|-:|-:|-:|-:|"]
    sizes = sorted({p.size for p in points}, key=lambda size: int(size.removeprefix(PREFIX)))
    for size in sizes:
        best = min((p for p in points if p.size == size), key=lambda p: p.loss)
        here = [p.epoch for p in edge if p.size == size]
        span = f"{here[0]}–{here[-1]}" if here else "none"
        lines.append(f"| {size} | {best.epoch} | {best.flop:.3g} | {best.loss:.4f} | {span} |")
    lines += ["", "| fitted to the frontier | a | b | c | error |", "|-|-:|-:|-:|-:|"]
    lines += [_row("c + a C^-b", law_of(edge)), _row("a C^-b", law_of(edge, floor=False))]
    for size in sizes:
        others = frontier([p for p in points if p.size != size])
        if len(others) >= LEAST:
            lines.append(_row(f"c + a C^-b, without {size}", law_of(others)))
    return "\n".join([*lines, "", _foretold(points, sizes[-1])])


def _row(name: str, law: Law) -> str:
    numbers = f"{law.factor:.4f} | {law.exponent:.3f} | {law.floor:.4f}"
    return f"| {name} | {numbers} | {law.error:.2%} |"


def _foretold(points: list[Point], largest: str) -> str:
    """How far what the smaller sizes say of the largest one at its best is off."""
    smaller = frontier([p for p in points if p.size != largest])
    best = min((p for p in points if p.size == largest), key=lambda p: p.loss)
    if len(smaller) < LEAST:
        return f"{largest}: too few points of others to foretell it"
    said = [law_of(smaller, floor=floor).at(best.flop) for floor in (True, False)]
    return f"{largest}: {best.loss:.4f}; foretold {said[0]:.4f} with c, {said[1]:.4f} without"


if __name__ == "__main__":
    read = points_of(load(Path(sys.argv[1])), Path(sys.argv[2]))
    sys.stdout.write(report_of(read) + "\n")
