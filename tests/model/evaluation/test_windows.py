"""Windows and all steps; several ranks as one; states that go on, on any number of ranks."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from model.evaluation.windows import Metric, Sum, Windows
from schemas.failures import Failure


class Mean(Metric):
    """The mean of numbers: as small as a metric can be."""

    def __init__(self) -> None:
        super().__init__((2,), "cpu")

    def update(self, numbers: Sequence[float]) -> None:
        self._sums += torch.tensor([sum(numbers), len(numbers)])

    def value(self, sums: Tensor) -> dict[str, float]:
        total, count = sums.tolist()
        return {"mean": total / count} if count else {}


def alone(_: Tensor) -> None:
    """The sum over one rank."""


def with_another(other: Mean) -> Sum:
    """The sum over this rank and another one."""

    def add(sums: Tensor) -> None:
        sums += other.sums()
        other.clear()

    return add


def test_a_window_is_what_came_between_two_reports() -> None:
    mean = Mean()
    windows = Windows({"m": mean}, alone)
    assert windows.report() == {}
    mean.update([1, 2])
    mean.update([6])
    assert windows.report() == {"mean/over=window": 3, "mean/over=all": 3}
    mean.update([7])
    assert windows.report() == {"mean/over=window": 7, "mean/over=all": 4}
    assert windows.report() == {"mean/over=all": 4}


def test_two_ranks_are_as_one() -> None:
    mine, other = Mean(), Mean()
    windows = Windows({"m": mine}, with_another(other))
    for _ in range(2):
        mine.update([1])
        other.update([4, 10])
        assert windows.report() == {"mean/over=window": 5, "mean/over=all": 5}


@pytest.mark.parametrize("stop", range(5))
def test_a_state_goes_on_wherever_it_was_taken(stop: int) -> None:
    def run(windows: Windows, mean: Mean, steps: range) -> list[dict[str, float]]:
        reports = []
        for step in steps:
            mean.update([step, step * step])
            if step % 2:
                reports.append(windows.report())
        return reports

    whole = Mean()
    expected = run(Windows({"m": whole}, alone), whole, range(5))
    first, second = Mean(), Mean()
    before = Windows({"m": first}, alone)
    reports = run(before, first, range(stop))
    state = before.state()
    first.update([7])  # after a checkpoint its own run goes on
    before.report()
    after = Windows({"m": second}, with_another(Mean()))
    second.update([99])  # is to be forgotten
    after.load(state)
    assert reports + run(after, second, range(stop, 5)) == expected


def test_a_state_holds_what_all_ranks_have_added() -> None:
    mine, other = Mean(), Mean()
    windows = Windows({"m": mine}, with_another(other))
    mine.update([1])
    other.update([3])
    state = windows.state()
    assert {name: sums.tolist() for name, sums in state.items()} == {
        "m.window": [4, 2],
        "m.all": [4, 2],
    }
    assert windows.report()["mean/over=all"] == 2


@pytest.mark.parametrize(
    ("state", "found"), [({}, "none"), ({"m.window": torch.zeros(3)}, r"\[3\]")]
)
def test_a_state_of_other_metrics_is_refused(state: dict[str, Tensor], found: str) -> None:
    with pytest.raises(Failure, match=rf"sums m\.window: need \[2\], found {found}"):
        Windows({"m": Mean()}, alone).load(state)
