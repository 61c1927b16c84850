"""Figures that are sums at heart: of all ranks together, over a window and over all steps.

A metric adds up what its rank sees. Sums of ranks, and of stretches of time, add; only in the end a
figure is made of them. So figures do not depend on the number of ranks, but for float rounding.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from schemas.failures import Failure

Sum = Callable[[Tensor], object]
"""Adds up a tensor over all ranks, in place."""

WINDOW, ALL = "window", "all"


class Metric(ABC):
    """Sums that a rank adds up, and the figures that sums are worth."""

    def __init__(self, shape: tuple[int, ...], device: torch.device | str) -> None:
        self._sums = torch.zeros(shape, dtype=torch.float64, device=device)

    def sums(self) -> Tensor:
        """What this rank has added up since `clear`, float64."""
        return self._sums

    def clear(self) -> None:
        """Begins anew, with zeros."""
        self._sums = torch.zeros_like(self._sums)

    @abstractmethod
    def value(self, sums: Tensor) -> dict[str, float]:
        """The figures by name; those that are not defined by these sums are left out."""


class Windows:
    """Figures of metrics of all ranks, over the present window and over all steps.

    Windows tumble by step: one ends, and the next begins, with each `report`. `report` and `state`
    are for all ranks to call at the same step, and give the same on all.
    """

    def __init__(self, metrics: Mapping[str, Metric], sum_over_ranks: Sum) -> None:
        self._metrics = dict(metrics)
        self._sum_over_ranks = sum_over_ranks
        self._window = {name: torch.zeros_like(m.sums()) for name, m in self._metrics.items()}
        self._all = {name: torch.zeros_like(m.sums()) for name, m in self._metrics.items()}

    def report(self) -> dict[str, float]:
        """The figures, labelled over=window and over=all. Ends the window."""
        self._share()
        figures = {}
        for over, sums in ((WINDOW, self._window), (ALL, self._all)):
            for name, metric in self._metrics.items():
                value = metric.value(sums[name])
                figures.update({f"{key}/over={over}": number for key, number in value.items()})
        for sums_of_window in self._window.values():
            sums_of_window.zero_()
        return figures

    def state(self) -> dict[str, Tensor]:
        """All that was added on all ranks, for a checkpoint; any number of ranks may load it."""
        self._share()
        return {
            f"{name}.{over}": sums[name].clone()
            for over, sums in ((WINDOW, self._window), (ALL, self._all))
            for name in self._metrics
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a state, in place of all that was added. Raises Failure if it is of other
        metrics."""
        for over, sums in ((WINDOW, self._window), (ALL, self._all)):
            for name, own in sums.items():
                saved = state.get(f"{name}.{over}")
                if saved is None or saved.shape != own.shape:
                    found = "none" if saved is None else list(saved.shape)
                    raise Failure(f"sums {name}.{over}: need {list(own.shape)}, found {found}")
                own.copy_(saved)
        for metric in self._metrics.values():
            metric.clear()

    def _share(self) -> None:
        for name, metric in self._metrics.items():
            sums = metric.sums()
            self._sum_over_ranks(sums)
            self._window[name] += sums
            self._all[name] += sums
            metric.clear()
