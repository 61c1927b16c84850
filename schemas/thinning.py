"""S14: a sequence of n tokens is drawn with probability min(1, c / n)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def draws(seed: int, sequence_ids: Sequence[str]) -> Floats:
    """A number in [0, 1) for each sequence, from its id alone, so that a replay draws the same."""
    hashes = (xxhash.xxh3_64_intdigest(f"{seed}:{name}".encode()) for name in sequence_ids)
    return np.fromiter((number / 2**64 for number in hashes), float, len(sequence_ids))


def drawn(draw: Floats, tokens: Ints, budget: int) -> Bools:
    """True where a sequence of so many tokens is emitted at a budget of c tokens a session."""
    return (tokens <= budget) | (draw < budget / np.maximum(tokens, 1))
