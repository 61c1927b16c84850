"""What was read and what of it was trained on, of all lanes of all processes."""

from collections.abc import Mapping
from dataclasses import fields

import torch

from model.exchange import Exchange
from model.reader.state import ReaderState
from model.reporting.names import figure
from model.sampling.choosing import Choosing
from model.sampling.sampler import Rates
from model.sampling.sparsity import Sparsity

HELP = {
    "reading/rows": "Sequences that came.",
    "reading/replays": "Sequences that came again, and were left out.",
    "reading/void": "Sequences that an erasure made void.",
    "reading/left_out": "Sequences that were not drawn.",
    "reading/lost": "Messages that retention deleted before they were read.",
    "sampling/rate": "Share of the sequences of a length that were drawn.",
    "sampling/expected": "Share of them that was to be expected.",
    "length/sparsity": "One minus the mean length of the sequences trained on over the longest.",
    "length/tokens_left": "Share of the tokens of drawn sequences that Stochastic Length leaves.",
    "length/pairs_left": "Share of their attention's pairs that it leaves.",
    "sampling/budget": "c: about what a session costs, in tokens; the least of all lanes.",
}

SUMS = tuple(each.name for each in fields(Sparsity))[1:]
COUNTS = ("rows", "replays", "void", "left_out", "lost")


def reading_figures(
    reading: ReaderState, choosing: Mapping[int, Choosing], exchange: Exchange
) -> dict[str, float]:
    """The figures, the same on all processes, which call this together."""
    counted = reading.counts()
    counts = exchange.sum_(torch.tensor([counted.get(name, 0) for name in COUNTS]))
    figures = {f"reading/{name}": float(n) for name, n in zip(COUNTS, counts, strict=True)}
    own = Rates.total(each.rates for each in choosing.values())
    rates = exchange.sum_(torch.tensor(own.state(), dtype=torch.float64))
    for rate in Rates.of_state(rates.tolist()).rows():
        tokens = f"{rate.least}-{rate.most}"
        figures[figure("sampling/rate", tokens=tokens)] = rate.drawn / rate.seen
        figures[figure("sampling/expected", tokens=tokens)] = rate.expected / rate.seen
    figures |= _shortened(choosing, exchange)
    budgets = [each.sampler.effective for each in choosing.values()]
    finite = [float(budget) for budget in budgets if budget is not None]
    least = torch.cat(exchange.gather(torch.tensor(finite, dtype=torch.float64)))
    if len(least):
        figures["sampling/budget"] = float(least.min())
    return figures


def _shortened(choosing: Mapping[int, Choosing], exchange: Exchange) -> dict[str, float]:
    """What Stochastic Length has spared of the sequences that were drawn, where it is on."""
    parts = [each.sparsity.state() for each in choosing.values() if each.sparsity is not None]
    if not parts:
        return {}
    longest = parts[0]["longest"]
    sums = torch.tensor([[part[name] for name in SUMS] for part in parts]).sum(0)
    total = Sparsity(longest, *exchange.sum_(sums).tolist())
    return {
        "length/sparsity": total.sparsity,
        "length/tokens_left": total.tokens_share,
        "length/pairs_left": total.pairs_share,
    }
