"""The runs that are compared: what each changes of train.yaml beside this file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from model.config import TrainConfig, load_config

HERE = Path(__file__).parent

Changes = Mapping[str, Any]


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
        written = load_config(HERE / "train.yaml").model_dump(mode="json")
        for name, value in self.changes.items():
            written[name] = written[name] | value if isinstance(written[name], dict) else value
        return TrainConfig.model_validate(written)


def budget(tokens: int) -> Variant:
    """One pass over a sample: c of 1/n."""
    return Variant({"sampling": {"tokens": tokens}})


def shortened(alpha: float) -> Variant:
    """One pass over all sequences, the long ones shortened."""
    return Variant({"length": {"alpha": alpha}})


VARIANTS: dict[str, Variant] = {
    "all": Variant(),
    **{f"c{tokens}": budget(tokens) for tokens in (64, 256, 1024)},
    **{f"alpha{alpha}": shortened(alpha) for alpha in (1.6, 1.7, 1.8, 1.9)},
    "toy-on": Variant(kind="online after", epochs=3, judged=(1, 3)),
    "toy-again": Variant(kind="refitted", epochs=2, judged=(2,), again=1),
    "popular": Variant(kind="popular"),
}
