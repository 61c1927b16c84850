"""Loss against compute: what runs of several sizes have come to, and the power law through them.

    python -m examples.movielens.leave_one_out.scaling FILE FOLDER

The last loss of each run of a variant `size-…` in FOLDER is a point, beside the FLOP of all
training until then: the log-perplexity of the content that was held back, and then that of what was
learned in the last epoch. All sizes see the same data as often, each with a rate that falls to zero
at its end. Runs should be there: on the way a loss is that of the rate, not of the compute.

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
    """A size after its last epoch."""

    size: str
    epochs: int
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


def points_of(histories: Histories, folder: Path, what: str, held: int = 2) -> list[Point]:
    """Those of all runs of sizes in a folder that have such a loss in a line, by compute."""
    found = []
    for file in folder.glob(f"{PREFIX}*/lines.jsonl"):
        size, _, _ = file.parent.name.rpartition("-")
        lines = map(json.loads, file.read_text().splitlines())
        judged = [line for line in lines if what in line]
        for line in judged[-1:]:
            epochs = int(line["epochs"] if "end" in line else line["epoch"])
            flop = epochs * flop_of_epoch(VARIANTS[size], histories, held)
            found.append(Point(size, epochs, flop, line[what]))
    return sorted(found, key=lambda point: (point.flop, point.loss))


def report_of(points: list[Point]) -> str:
    """In Markdown: the sizes; the laws, also what each is without one size; what the smaller sizes
    foretell of the largest."""
    law, power = law_of(points), law_of(points, floor=False)
    lines = [
        "| size | epochs | FLOP | loss | c + a C^-b | a C^-b |",
        "|-|-:|-:|-:|-:|-:|",
    ]
    for size, epochs, flop, loss in points:
        said = f"{law.at(flop):.4f} | {power.at(flop):.4f}"
        lines.append(f"| {size} | {epochs} | {flop:.3g} | {loss:.4f} | {said} |")
    lines += ["", "| | a | b | c | error |", "|-|-:|-:|-:|-:|"]
    lines += [_row("c + a C^-b", law), _row("a C^-b", power)]
    best = min(range(len(points)), key=lambda number: points[number].loss)
    parts = {"up to the least loss": points[: best + 1]}
    for size in dict.fromkeys(point.size for point in points):
        parts[f"without {size}"] = [point for point in points if point.size != size]
    for name, part in parts.items():
        if LEAST <= len(part) < len(points):
            lines.append(_row(f"c + a C^-b, {name}", law_of(part)))
            lines.append(_row(f"a C^-b, {name}", law_of(part, floor=False)))
    return "\n".join([*lines, "", _foretold(points, points[-1].size)])


def _row(name: str, law: Law) -> str:
    numbers = f"{law.factor:.4f} | {law.exponent:.3f} | {law.floor:.4f}"
    return f"| {name} | {numbers} | {law.error:.2%} |"


def _foretold(points: list[Point], largest: str) -> str:
    """How far what the other sizes say of the largest is off."""
    others = [point for point in points if point.size != largest]
    *_, (_, _, flop, loss) = points
    said = [law_of(others, floor=floor).at(flop) for floor in (True, False)]
    return f"{largest}: {loss:.4f}; foretold {said[0]:.4f} with c, {said[1]:.4f} without"


if __name__ == "__main__":
    for kind in ("log_perplexity", "loss"):
        read = points_of(load(Path(sys.argv[1])), Path(sys.argv[2]), kind)
        sys.stdout.write(f"{kind}\n\n{report_of(read)}\n\n")
