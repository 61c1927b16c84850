"""How a model is shaped and trained: a YAML document beside the spec, each value with a default.

The defaults are small: they train on a CPU. `examples/` has the settings of larger runs.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from model.vocabulary.settings import VocabularySettings
from schemas.load import load_document
from schemas.parts import Count, Part
from schemas.problems import Problem, raise_any
from schemas.spec import Spec

Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Task = Literal["ranking", "retrieval"]


class Blocks(Part):
    """The HSTU blocks that a task has for itself (Zhai et al., 2024, section 2)."""

    width: Count = Field(default=64, description="M: of embeddings and of what blocks pass on")
    blocks: Count = 2
    heads: Count = 2
    query_width: Count = Field(default=32, description="D: of a head's queries and keys")
    value_width: Count = Field(default=32, description="V: of a head's values")
    dropout: Share = 0.0
    positions: Count = Field(default=256, description="P: relative positions that differ")
    time_buckets: Count = Field(default=96, description="C: two for each doubling of a time, ms")
    position_bias: StrictBool = True
    time_bias: StrictBool = True
    attention: Literal["pointwise", "softmax"] = Field(
        default="pointwise", description="softmax: the usual attention, to compare with"
    )
    window: Count | None = Field(
        default=None, description="positions that one sees, its own included; absent: all before"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of what blocks compute; weights and sums are float32"
    )
    experts: Annotated[StrictInt, Field(ge=0)] = Field(
        default=0, description="experts of a feed-forward after each block; 0: none"
    )
    active_experts: Count = 2

    @model_validator(mode="after")
    def _experts_are_enough(self) -> Self:
        if self.experts and self.active_experts > self.experts:
            least = f"must be at most experts, which is {self.experts}"
            raise_any([Problem(("active_experts",), least)])
        return self


class Inputs(Part):
    """What the model is shown of a sequence."""

    actions: StrictBool = True
    features: StrictBool = True
    categories: StrictBool = True
    hour_of_week: StrictBool = Field(
        default=False, description="an embedding of the hour of the week, UTC, at each token"
    )


class Retrieval(Part):
    """How the next content is learned: softmax over the content and some others."""

    negatives: Count = Field(default=512, description="contents drawn for all of a step together")
    source: Literal["catalogue", "batch"] = Field(
        default="catalogue", description="catalogue: drawn evenly; batch: the batch's own contents"
    )
    temperature: Annotated[float, Field(gt=0)] = 0.05
    freshness: StrictBool = Field(
        default=True,
        description="a learned bias by when a content was first seen and last engaged with",
    )


class Sampling(Part):
    """Which sequences are trained on (S14): c itself, or what it is steered by."""

    tokens: Count | None = Field(
        default=None, description="c: about what a session costs; absent: the spec's, or all"
    )
    tokens_a_second: Count | None = Field(
        default=None, description="steers c, so that this much is trained on of what arrives"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.tokens is not None and self.tokens_a_second is not None:
            raise_any(
                [Problem(("tokens",), "is steered by tokens_a_second: leave one of them out")]
            )
        return self


class Rehearsal(Part):
    """Which sequences are learned again beside those that come (model/rehearsal.py)."""

    users: Count = Field(
        default=10_000, description="whose newest sequences are kept, of all lanes together"
    )
    updates: Count = Field(
        default=3,
        description="gradient steps after that on a batch, on as many tokens of what is kept",
    )


class Length(Part):
    """Stochastic Length (section 3.2 of the paper): long sequences are mostly shortened."""

    alpha: Annotated[float, Field(gt=1, le=2)] = 1.7
    choice: Literal["newest", "random", "recency"] = "recency"


class Optimizer(Part):
    """AdamW: dense for the blocks, by row for the tables."""

    rate: Rate = 1e-3
    table_rate: Rate = 1e-2
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: Annotated[float, Field(gt=0)] = 1e-8
    weight_decay: Share = 0.0
    warmup_steps: Annotated[StrictInt, Field(ge=0)] = 0
    decay_steps: Count | None = Field(
        default=None, description="rates fall as 1/√(1 + step/decay_steps); absent: they stay"
    )


class Evaluation(Part):
    """How what is learned is measured, before each batch is trained on."""

    full_catalogue: Count = Field(
        default=100_000, description="a larger catalogue is ranked by sample"
    )
    sample: Count = Field(default=10_000, description="contents that a sampled rank is among")
    positions: Count = Field(
        default=1_024, description="about the most targets of a step that are ranked"
    )
    window_steps: Count = 100


class Checkpoints(Part):
    """When a checkpoint is made, and how many stay."""

    every_steps: Count = 500
    keep: Count = 3


class TrainConfig(Part):
    """All of a training run but its data. Raises ValidationError for what does not hold."""

    version: Literal[1] = 1
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="default: ranking; retrieval too where the spec has positive actions",
    )
    seed: Annotated[StrictInt, Field(ge=0, lt=2**31)] = 0
    batch_tokens: Count = Field(default=8_192, description="of all lanes of a step together")
    rehearsal: Rehearsal | None = None
    lanes: Count | None = Field(
        default=None, description="parts that the input is read in; default: one a process"
    )
    targets: Literal["all", "session"] = Field(
        default="all", description="positions learned: all, or the session's just completed"
    )
    model: Blocks = Field(default_factory=Blocks)
    inputs: Inputs = Field(default_factory=Inputs)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    sampling: Sampling = Field(default_factory=Sampling)
    length: Length | None = None
    vocabulary: VocabularySettings = Field(default_factory=VocabularySettings)
    optimizer: Optimizer = Field(default_factory=Optimizer)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    checkpoint: Checkpoints = Field(default_factory=Checkpoints)

    def tasks_for(self, spec: Spec) -> tuple[Task, ...]:
        """The tasks that are asked for, or those that a spec has something to learn for."""
        if self.tasks is not None:
            return self.tasks
        return ("ranking", "retrieval") if spec.positive else ("ranking",)


def load_config(path: str | Path | None) -> TrainConfig:
    """The settings in a file, or the defaults. Raises SpecError with the line that is wrong."""
    if path is None:
        return TrainConfig()
    return load_document(path, TrainConfig, "settings file", "version: 1")
