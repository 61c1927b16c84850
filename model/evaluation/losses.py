"""What is minimised: the mean loss of each task over its targets."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from model.evaluation.windows import Metric
from model.reporting.names import figure

HELP = {
    "loss/mean": "Mean loss of a task over the targets that were trained on.",
    "loss/targets": "Targets that were trained on.",
}


class Losses(Metric):
    """Of each task the sum of its losses and the number of its targets."""

    def __init__(self, tasks: Sequence[str], device: torch.device | str = "cpu") -> None:
        super().__init__((len(tasks), 2), device)
        self._tasks = tuple(tasks)

    def add(self, sums: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Adds the losses of a step: of each task the sum over targets, and their number."""
        for place, task in enumerate(self._tasks):
            loss, count = sums[task]
            self._sums[place] += torch.stack([loss.detach(), count.detach()]).double()

    def value(self, sums: Tensor) -> dict[str, float]:
        """The means of the tasks that had targets."""
        figures = {}
        for task, (loss, count) in zip(self._tasks, sums.tolist(), strict=True):
            figures[figure("loss/targets", task=task)] = count
            if count:
                figures[figure("loss/mean", task=task)] = loss / count
        return figures
