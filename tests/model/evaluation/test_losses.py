"""Mean losses of tasks, over the targets of several steps."""

import torch
from torch import Tensor

from model.evaluation.losses import HELP, Losses
from model.reporting.names import parts


def of_step(loss: float, targets: int) -> tuple[Tensor, Tensor]:
    return torch.tensor(loss, requires_grad=True), torch.tensor(targets)


def test_the_mean_is_over_targets_not_over_steps() -> None:
    losses = Losses(("ranking", "retrieval"))
    losses.add({"ranking": of_step(6.0, 1), "retrieval": of_step(0.0, 0)})
    losses.add({"ranking": of_step(2.0, 3), "retrieval": of_step(0.0, 0)})
    found = losses.value(losses.sums())
    assert found == {
        "loss/mean/task=ranking": 2.0,
        "loss/targets/task=ranking": 4,
        "loss/targets/task=retrieval": 0,
    }
    assert {parts(name)[0] for name in found} <= HELP.keys()
    assert not losses.sums().requires_grad
