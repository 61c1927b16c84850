"""What a trainer takes of the sequences it reads: some of them (S14), the long ones shortened.

This is a reader's hook: rows in, rows out. A reader runs ahead of the trainer, and after a stop it
gives again what was not trained on. So a `Choosing` remembers what it decided of the last rows: one
that comes again is decided the same, also where c has been steered elsewhere meanwhile, and is not
counted twice. `state` may so be taken at any moment, with the model.

Legend (numpy arrays): R rows, one sequence each.
"""

from collections.abc import Mapping
from itertools import islice
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from model.sampling.sampler import Rates, Sampler
from model.sampling.sparsity import Sparsity
from model.sampling.steering import Steering
from model.sampling.stochastic_length import StochasticLength
from model.sampling.token_rows import Bools, Floats, Ints, ints, tokens_of

MOST_AHEAD = 1 << 16
"""Rows remembered; more than a reader is ahead, those not drawn included."""


class Choosing:
    """Samples, then shortens what was drawn; `rates` and `sparsity` say what came of it.

    `steering`, where given, sets the sampler's budget anew for each record batch, by what arrived
    before it; then each lane needs a `Choosing` of its own.
    """

    def __init__(
        self,
        sampler: Sampler,
        stochastic_length: StochasticLength | None = None,
        steering: Steering | None = None,
    ) -> None:
        self._sampler, self._length, self.steering = sampler, stochastic_length, steering
        self._decided: dict[str, bool] = {}
        self._untold = 0  # how many of the last ones `news` has not told
        self._lock = Lock()  # a reader calls in its own thread
        self.rates = Rates()
        self.sparsity = None if stochastic_length is None else Sparsity(stochastic_length.longest)

    @property
    def sampler(self) -> Sampler:
        """The sampler with the budget that holds for the next record batch."""
        if self.steering is None:
            return self._sampler
        return self._sampler.with_budget(self.steering.budget)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows to train on, in their order, long ones shortened."""
        with self._lock:
            names, tokens_R = batch["sequence_id"].to_pylist(), tokens_of(batch)
            fresh_R = np.fromiter((name not in self._decided for name in names), bool, len(names))
            kept_R = self.sampler.kept(names, tokens_R)
            kept_R[~fresh_R] = [self._decided[name] for name in names if name in self._decided]
            self._count(ints(batch["session_end"])[fresh_R], tokens_R[fresh_R], kept_R[fresh_R])
            self._remember(dict(zip(names, kept_R.tolist(), strict=True)))
            return self._shortened(batch.filter(pa.array(kept_R)), fresh_R[kept_R])

    def _count(self, end_R: Ints, tokens_R: Ints, kept_R: Bools) -> None:
        sampler = self.sampler
        self.rates.add(tokens_R, kept_R, sampler.probability(tokens_R))
        if self.steering is not None:
            number_R = sampler.standing_for(tokens_R)
            self.steering.arrived(end_R, tokens_R, self._costs(tokens_R), number_R)

    def _costs(self, tokens_R: Ints) -> Floats:
        """Tokens trained on, in the mean, of a sequence that is drawn."""
        if self._length is None:
            return tokens_R.astype(np.float64)
        return self._length.expected(tokens_R)

    def _remember(self, decided: Mapping[str, bool]) -> None:
        before = len(self._decided)
        self._decided.update(decided)
        self._untold += len(self._decided) - before
        for name in list(islice(self._decided, max(0, len(self._decided) - MOST_AHEAD))):
            del self._decided[name]

    def _shortened(self, batch: pa.RecordBatch, fresh_R: Bools) -> pa.RecordBatch:
        if self._length is None or self.sparsity is None:
            return batch
        short = self._length.shortened(batch)
        self.sparsity += short.sparsity(fresh_R)
        return short.batch

    def state(self) -> dict[str, Any]:
        """Plain values for `load`."""
        with self._lock:
            return {"decided": dict(self._decided), **self._sums()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` was taken of. What was not there then begins anew."""
        self._decided = {}
        self.follow(state)

    def news(self) -> dict[str, Any]:
        """Plain values for `follow`: what was decided since the last of them, and all sums."""
        with self._lock:
            last = list(islice(reversed(self._decided.items()), self._untold))
            self._untold = 0
            return {"decided": dict(reversed(last)), **self._sums()}

    def follow(self, news: Mapping[str, Any]) -> None:
        """Takes over what another decided, which began as this one stands and goes on alone."""
        with self._lock:
            self._remember(news["decided"])
            self.rates = Rates.of_state(news["rates"])
            if self.sparsity is not None and news["sparsity"] is not None:
                self.sparsity = Sparsity(**news["sparsity"])
            if self.steering is not None and news["steering"] is not None:
                self.steering.load(news["steering"])

    def _sums(self) -> dict[str, Any]:
        return {
            "rates": self.rates.state(),
            "sparsity": None if self.sparsity is None else self.sparsity.state(),
            "steering": None if self.steering is None else self.steering.state(),
        }

    def __getstate__(self) -> dict[str, Any]:
        """For a process that reads apart: all but the lock, which is each process's own."""
        return {name: x for name, x in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": Lock()}
