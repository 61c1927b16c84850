"""Which ids have a row of their own, and for how long; how rows are trained."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from schemas.durations import written
from schemas.parts import Count, Duration, Part
from schemas.problems import Problem, raise_any

FEWEST_COUNTERS, MOST_COUNTERS = 2**16, 2**30
_OF_GROWING = ("admit_after", "counters", "capacity", "max_age")


class VocabularySettings(Part):
    """A table that grows by a row for each id, or a fixed one whose rows are shared by hash."""

    kind: Literal["grows", "hashed"] = "grows"
    admit_after: Count = Field(default=1, description="sightings after which an id has a row")
    counters: Annotated[Count, Field(ge=FEWEST_COUNTERS, le=MOST_COUNTERS)] = Field(
        default=2**20, description="of sightings, 4 bytes each, where admit_after is over 1"
    )
    capacity: Count | None = Field(
        default=None, description="most rows; beyond it, ids seen longest ago go; absent: no limit"
    )
    max_age: Duration | None = Field(
        default=None, description="an id not seen for as long goes; absent: never"
    )
    buckets: Count = Field(default=2**20, description="rows of a hashed table")

    @model_validator(mode="after")
    def _settings_are_of_its_kind(self) -> Self:
        advice = f"means nothing for kind: {self.kind}; leave it out"
        raise_any(Problem((key,), advice) for key in self._foreign & self.model_fields_set)
        return self

    @model_serializer(mode="wrap")
    def _as_it_may_be_written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a settings file may say, so that a checkpoint's settings can be read again."""
        said = {key: x for key, x in serialized(self).items() if key not in self._foreign}
        return said if self.max_age is None else {**said, "max_age": written(self.max_age)}

    @property
    def _foreign(self) -> set[str]:
        """Settings that are of the other kind."""
        return {*_OF_GROWING} if self.kind == "hashed" else {"buckets"}


@dataclass(frozen=True)
class RowwiseAdamW:
    """How rows are trained (kernels/rowwise_adamw.py); the rate comes with each step."""

    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.0
