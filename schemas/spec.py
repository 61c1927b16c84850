"""The feature spec: how raw records become observations, and observations sequences.

`schemas.load` reads one from YAML. All durations are whole milliseconds here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, model_validator

from schemas.durations import written
from schemas.parts import Count, Duration, Name, Part, Text, or_short, unique
from schemas.problems import Place, Problem, raise_any, suggest
from schemas.sources import (
    ActionAlways,
    ActionField,
    ActionFlags,
    Match,
    ScalarField,
    SetDelta,
    SetSnapshot,
    Source,
    Time,
)

__all__ = [
    "ActionAlways",
    "ActionField",
    "ActionFlags",
    "Feature",
    "History",
    "Limits",
    "Match",
    "Sampling",
    "ScalarField",
    "Session",
    "SetDelta",
    "SetSnapshot",
    "Source",
    "Spec",
    "Time",
    "Watermark",
]

MOST_ACTIONS = 62
"""An a token's id is a bit mask in an int64."""


def _duration(default: str, description: str) -> Any:
    """A field whose default is written, and shown in the JSON Schema, as a spec writes it."""
    return Field(default=default, validate_default=True, description=description)


class Feature(Part):
    """A declared feature. `max_members` is the most that a set holds."""

    elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("bins", "nulls"), "belongs to a scalar's field, under features of a source"
    )

    kind: Literal["scalar", "set"] = Field(description="scalar or set")
    max_members: Count = 4096

    @model_validator(mode="after")
    def _members_are_of_sets(self) -> Self:
        if self.kind == "scalar" and "max_members" in self.model_fields_set:
            raise_any([Problem(("max_members",), "is for sets; a scalar has no members")])
        return self


class Session(Part):
    """When a session ends: after a gap, ms, or at a number of contents (S8)."""

    gap: Duration = _duration("30m", "G: the longest pause within a session")
    max_contents: Count | None = None


class History(Part):
    """The longest history of a sequence, in contents and in tokens (S9)."""

    contents: Count = Field(default=4096, description="N: the most contents of a sequence")
    tokens: Annotated[StrictInt, Field(ge=2, le=2**31 - 1)] = Field(
        default_factory=lambda history: min(4 * history["contents"], 2**31 - 1),
        description="M: the most tokens of a sequence, head included; default 4 N",
    )


class Sampling(Part):
    """Thinning (S14): a sequence of n tokens is emitted with probability min(1, tokens / n)."""

    tokens: Count = Field(description="c: about what a session costs, in tokens")
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] = 0


class Watermark(Part):
    """The clock skew that is believed, and after how long a partition is idle (S3), in ms."""

    skew: Duration = _duration("1h", "how far ahead of Kafka's timestamp an event may be")
    idle: Duration = _duration("1m", "after how long a silent partition holds nothing back")


class Limits(Part):
    """What protects a run from its input."""

    record_bytes: Count = Field(default=1_000_000, description="a larger raw record is rejected")


def _long_feature(written: Any) -> Any:
    return {"kind": written} if isinstance(written, str) else written


def _not_bool(written: Any) -> Any:
    if isinstance(written, bool):  # to Python, true is a 1
        raise ValueError("must be 1")
    return written


def _few_enough(actions: tuple[str, ...]) -> tuple[str, ...]:
    if len(actions) > MOST_ACTIONS:
        raise ValueError(f"lists {len(actions)} actions; at most {MOST_ACTIONS} fit an a token")
    return actions


class Spec(Part):
    """A whole feature spec, checked. Raises ValidationError for anything that does not hold."""

    version: Annotated[Literal[1], BeforeValidator(_not_bool)] = Field(
        description="the version of the format: 1"
    )
    name: Name = Field(description="a name for what the spec describes")
    sources: dict[Name, Source] = Field(
        min_length=1, description="the topics or files to read, by name"
    )
    actions: Annotated[tuple[Text, ...], AfterValidator(unique), AfterValidator(_few_enough)] = ()
    positive: Annotated[tuple[Text, ...], AfterValidator(unique)] = ()
    features: dict[
        Name, Annotated[Feature, or_short(_long_feature, Feature | Literal["scalar", "set"])]
    ] = Field(default_factory=dict)
    categories: Annotated[tuple[Name, ...], AfterValidator(unique)] = ()
    session: Session = Field(default_factory=Session)
    horizon: Duration = _duration("10m", "L: how far behind the watermark an event may come")
    attribution: Duration = _duration("0s", "A: how long actions may join a first engagement")
    history: History = Field(default_factory=History)
    retention: Duration | None = Field(
        default=None, description="R: the longest pause that a history outlives; absent: any"
    )
    sampling: Sampling | None = None
    watermark: Watermark = Field(default_factory=Watermark)
    limits: Limits = Field(default_factory=Limits)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        raise_any(
            [*_of_durations(self), *_of_actions(self), *_of_features(self), *_of_categories(self)]
        )
        return self


def _of_durations(spec: Spec) -> Iterator[Problem]:
    gap, window, retention = spec.session.gap, spec.attribution, spec.retention
    if window > gap:
        yield Problem(("attribution",), f"must be at most session.gap, which is {written(gap)}")
    if retention is not None and retention <= gap + window:
        least = f"must be more than {written(gap + window)}, session.gap and attribution together"
        yield Problem(("retention",), least)


def _of_actions(spec: Spec) -> Iterator[Problem]:
    items = [name for name, source in spec.sources.items() if source.item is not None]
    if items and "actions" not in spec.model_fields_set:
        missing = "needs the top-level key actions, the list of all actions, as in [VIEW, LIKE]"
        yield Problem(("sources", items[0], "item"), missing)
        return
    yield from _undeclared(("positive",), enumerate(spec.positive), spec.actions, "actions")
    for name, source in spec.sources.items():
        place: Place = ("sources", name, "actions")
        if isinstance(source.actions, ActionFlags):
            used = _keyed(source.actions.flags)
            yield from _undeclared((*place, "flags"), used, spec.actions, "actions")
        elif isinstance(source.actions, ActionAlways):
            listed = enumerate(source.actions.always)
            yield from _undeclared((*place, "always"), listed, spec.actions, "actions")


def _of_features(spec: Spec) -> Iterator[Problem]:
    for source_name, source in spec.sources.items():
        place: Place = ("sources", source_name, "features")
        yield from _undeclared(place, _keyed(source.features), spec.features, "features")
        for name, field in source.features.items():
            kind = spec.features[name].kind if name in spec.features else None
            if kind == "set" and isinstance(field, ScalarField):
                yield from _scalar_for_set((*place, name), field)
            elif kind == "scalar" and not isinstance(field, ScalarField):
                wrong = "is declared a scalar; write {field: …}, or declare it a set"
                yield Problem((*place, name), wrong)


def _scalar_for_set(place: Place, field: ScalarField) -> Iterator[Problem]:
    right = "write {add: …, remove: …} or {snapshot: …}"
    misplaced = [key for key in ("bins", "nulls") if key in field.model_fields_set]
    for key in misplaced:
        yield Problem((*place, key), f"is for scalars, and {place[-1]} is declared a set; {right}")
    if not misplaced:
        yield Problem(place, f"is declared a set; {right}, or declare it a scalar")


def _of_categories(spec: Spec) -> Iterator[Problem]:
    for name, source in spec.sources.items():
        place = ("sources", name, "categories")
        yield from _undeclared(place, _keyed(source.categories), spec.categories, "categories")


def _keyed(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((name, name) for name in names)


def _undeclared(
    place: Place, used: Iterable[tuple[str | int, str]], declared: Collection[str], under: str
) -> Iterator[Problem]:
    """A problem for each used name, with its key or position, that is not declared."""
    for key, name in used:
        if name not in declared:
            wrong = f"{name} is not declared under the top-level {under}"
            yield Problem((*place, key), f"{wrong}; {suggest(name, declared)}")
