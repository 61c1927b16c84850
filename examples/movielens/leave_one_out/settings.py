"""What a run is: a line of the table. The defaults are those of the paper's larger model."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """How a model is shaped and trained.

    `query_width` and `value_width` are of a head. `time`: bias by time; `traits`, `genres` and
    `stars`: what is shown beside the items. `negatives` of each position, or 0: all items. `newest`
    is the share of users whose newest window is learned in an epoch, others have one from anywhere.
    `cosine`: the rate falls to zero along one. `precision` is of HSTU's blocks.
    """

    encoder: Literal["hstu", "sasrec"] = "hstu"
    blocks: int = 8
    heads: int = 2
    width: int = 50
    query_width: int = 25
    value_width: int = 25
    length: int = 200
    time: bool = True
    traits: bool = False
    genres: bool = False
    stars: bool = False
    dropout: float = 0.2
    temperature: float = 0.05
    negatives: int = 128
    newest: float = 1.0
    epochs: int = 101
    batch: int = 128
    rate: float = 1e-3
    cosine: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"


SASREC = Settings(encoder="sasrec", blocks=2, heads=1, time=False)
HSTU = Settings(time=False, precision="bfloat16")
TIMED = replace(HSTU, time=True)
COSINE = replace(TIMED, cosine=True)
WIDE = replace(COSINE, width=128, heads=4, query_width=32, value_width=32, dropout=0.3, newest=0.5)
OURS = replace(WIDE, negatives=0)
BOOKS = replace(
    TIMED,
    blocks=16,
    heads=8,
    width=64,
    query_width=8,
    value_width=8,
    length=50,
    dropout=0.5,
    negatives=512,
    epochs=201,
)

SIZES = {8: (1, 8), 16: (1, 16), 32: (2, 32), 64: (4, 32), 128: (8, 32), 256: (8, 32), 384: (8, 32)}
"""Of the scaling law: blocks, and the width of a head, by the width of the model."""


def sized(width: int, blocks: int, head: int) -> Settings:
    """A size: a softmax over all movies, so that the losses of all sizes are log-perplexities."""
    heads = width // head
    shape = replace(COSINE, width=width, blocks=blocks, heads=heads, negatives=0, newest=0.5)
    return replace(shape, query_width=head, value_width=head)


VARIANTS: dict[str, Settings] = {
    "sasrec": SASREC,
    "hstu": HSTU,
    "hstu-time": TIMED,
    "hstu-time-float32": Settings(),
    "ours-narrow": COSINE,
    "ours-wide": WIDE,
    "ours-wide-softmax": OURS,
    "ours-wide-dropout": replace(WIDE, dropout=0.2),
    "ours-wide-everything": replace(WIDE, genres=True, traits=True, stars=True),
    "ours": OURS,
    "ours-no-time": replace(OURS, time=False),
    "ours-genres": replace(OURS, genres=True),
    "ours-traits": replace(OURS, traits=True),
    "ours-stars": replace(OURS, stars=True),
    "ours-everything": replace(OURS, genres=True, traits=True, stars=True),
    "ml-20m": replace(
        TIMED, blocks=16, heads=8, width=256, query_width=32, value_width=32, precision="float32"
    ),
    "amazon-books": BOOKS,
    **{f"size-{width}": sized(width, *shape) for width, shape in SIZES.items()},
}
