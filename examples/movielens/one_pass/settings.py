"""The runs that are compared: what each changes of ../train.yaml."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from model.config import TrainConfig, load_config

SETTINGS = Path(__file__).parents[1] / "train.yaml"

Changes = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """`online` is one pass. The others but `popular`, which counts, are trained for `epochs` on
    what was over by `share` of all interactions, and judged on what is over by `until` after each
    epoch of `judged`. Then they stay as they are (`frozen`), go on as one pass does (`online
    after`), or are trained `again` for some epochs on all that is over before each of ten parts of
    the rest (`refitted`). One pass has steps of `late_tokens` tokens from `share` on, where
    sessions have longer histories; by default as before."""

    changes: Changes = field(default_factory=dict)
    kind: Literal["online", "frozen", "online after", "refitted", "popular"] = "online"
    late_tokens: int | None = None
    epochs: int = 0
    judged: tuple[int, ...] = ()
    share: float = 0.8
    until: float = 1.0
    again: int = 0

    def config(self) -> TrainConfig:
        """The settings of the run."""
        written = load_config(SETTINGS).model_dump(mode="json")
        for name, value in self.changes.items():
            written[name] = written[name] | value if isinstance(written[name], dict) else value
        return TrainConfig.model_validate(written)


EVERY: Changes = {"sampling": {"tokens": None}, "batch_tokens": 2_048}
"""All sequences are learned."""
LATE = 8_192
REHEARSED: Changes = {
    "model": {"dropout": 0.4},
    "rehearsal": {"users": 10_000, "updates": 3},
    "optimizer": {"decay_steps": 1_000},
}

MANY: Changes = EVERY | {"batch_tokens": 16_384, "optimizer": {"rate": 0.002}}
"""Of rivals: steps of about as many users as published results are made with."""
EPOCHS = 30


def budget(tokens: int, late_tokens: int, more: Changes | None = None) -> Variant:
    """One pass over a sample: c of 1/n."""
    changes = EVERY | {"sampling": {"tokens": tokens}} | (more or {})
    return Variant(changes, late_tokens=late_tokens)


def shortened(alpha: float) -> Variant:
    """One pass over all sequences, the long ones shortened."""
    return Variant(EVERY | {"length": {"alpha": alpha}}, late_tokens=LATE)


def rival(changes: Changes, **how: Any) -> Variant:
    """Many epochs, with rates that fall."""
    return Variant(changes, epochs=EPOCHS, judged=(EPOCHS,), **how)


def dropped(dropout: float) -> Changes:
    """A rival's settings: dropout keeps from learning by heart what comes 30 times."""
    return MANY | {"model": {"dropout": dropout}}


VALIDATED: dict[str, Any] = {"kind": "frozen", "share": 0.75, "until": 0.8}

VARIANTS: dict[str, Variant] = {
    "all": Variant(EVERY, late_tokens=LATE),
    "all-rehearsed": Variant(EVERY | REHEARSED, late_tokens=4_096),
    "c256-rehearsed": budget(256, 2_048, REHEARSED),
    "all-warm": Variant(EVERY | {"retrieval": {"temperature": 0.2}}, late_tokens=LATE),
    "c64": budget(64, 2_048),
    "c256": budget(256, 4_096),
    "c1024": budget(1_024, LATE),
    **{f"alpha{alpha}": shortened(alpha) for alpha in (1.6, 1.7, 1.8, 1.9)},
    **{f"rival-validated-{d}": rival(dropped(d), **VALIDATED) for d in (0.0, 0.2, 0.3)},
    "rival": rival(dropped(0.3), kind="online after", late_tokens=LATE),
    "rival-refitted": rival(dropped(0.3), kind="refitted", again=1),
    "popular": Variant(kind="popular"),
}
