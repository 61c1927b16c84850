"""One source of a spec: where each thing is in its raw records."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Strict,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.parts import FieldPath, Name, Part, Scalar, Text, by_key, or_short, tag, unique
from schemas.problems import Problem, raise_any

OF_ERASE = ("user", "time", "event_id", "where", "format", "erase")
"""The keys that an erase source may have."""


class Match(Part):
    """Holds of a record where the text of `field` is the text of one of `values`."""

    field: FieldPath = Field(description="the field to look at")
    values: tuple[Scalar, ...] = Field(
        alias="in", min_length=1, description="the values that it may have"
    )


class Time(Part):
    """Where the event time is, and how it is written."""

    field: FieldPath = Field(description="the field that holds the event time")
    unit: Literal["s", "ms", "us", "iso8601"] = "ms"


class ActionField(Part):
    """The actions of a record are the string, or list of strings, in `field`."""

    elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("flags", "always"), "cannot stand beside field; keep one of them"
    )

    field: FieldPath


class ActionFlags(Part):
    """The actions of a record are those whose field is true or not 0."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "always": "cannot stand beside flags; keep one of them"
    }

    flags: dict[Text, FieldPath] = Field(min_length=1)


def _form_of_edge(written: Any) -> str:
    whole = isinstance(written, int) and not isinstance(written, bool)
    return tag("int") if whole else tag("float")


class ActionAlways(Part):
    """Every record with an item has these actions."""

    always: Annotated[tuple[Text, ...], AfterValidator(unique)]


Edge = Annotated[
    Annotated[int, Strict(), Tag(tag("int"))] | Annotated[float, Strict(), Tag(tag("float"))],
    Discriminator(_form_of_edge),
    WithJsonSchema({"type": "number"}),
]
"""An edge of bins; integers stay exact, also where no float holds them."""


class ScalarField(Part):
    """A scalar feature: the value of a field, or the bin that it lies in."""

    elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("add", "remove", "snapshot"), "is for sets, and cannot stand beside field"
    )

    field: FieldPath
    nulls: Literal["skip", "value"] = "skip"
    bins: Annotated[tuple[Edge, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _bins_ascend(self) -> Self:
        edges = self.bins or ()
        raise_any(
            Problem(("bins", place), _of_edge(edge))
            for place, edge in enumerate(edges)
            if not _is_finite(edge) or (place and edge <= edges[place - 1])
        )
        return self


def _is_finite(edge: float) -> bool:
    try:
        return math.isfinite(edge)
    except OverflowError:  # an integer beyond all floats
        return False


def _of_edge(edge: float) -> str:
    if not _is_finite(edge):
        return "must be a finite number"
    return "must be larger than the edge before it; write the edges in ascending order"


class _OfSet(Part):
    elsewhere: ClassVar[Mapping[str, str]] = {
        "field": "is for scalar features; a set is {add: …, remove: …} or {snapshot: …}",
        "bins": "is for scalar features; a set has no bins",
        "nulls": "is for scalar features; a null in a set is no observation",
    }


class SetDelta(_OfSet):
    """A set feature: the fields with the ids that join it and that leave it."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **_OfSet.elsewhere,
        "snapshot": "cannot stand beside add or remove",
    }

    add: FieldPath | None = None
    remove: FieldPath | None = None

    @model_validator(mode="after")
    def _names_a_field(self) -> Self:
        if self.add is None and self.remove is None:
            raise ValueError("must name a field under add, under remove, or both")
        return self


class SetSnapshot(_OfSet):
    """A set feature: the field with all ids that are in it."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **_OfSet.elsewhere,
        "add": "cannot stand beside snapshot",
        "remove": "cannot stand beside snapshot",
    }

    snapshot: FieldPath


Actions = Annotated[
    Annotated[ActionField, Tag(tag("field"))]
    | Annotated[ActionFlags, Tag(tag("flags"))]
    | Annotated[ActionAlways, Tag(tag("always"))],
    by_key(
        "field",
        "flags",
        "always",
        otherwise="must be {field: kind}, {flags: {LIKE: is_like}} or {always: [VIEW]}",
    ),
]

FeatureField = Annotated[
    Annotated[ScalarField, Tag(tag("field"))]
    | Annotated[SetSnapshot, Tag(tag("snapshot"))]
    | Annotated[SetDelta, Tag(tag("add"))]
    | Annotated[SetDelta, Tag(tag("remove"))],
    by_key(
        "field",
        "snapshot",
        "add",
        "remove",
        otherwise="must be {field: …} for a scalar, {add: …, remove: …} or {snapshot: …} for a set",
    ),
]


def _form_of_event_id(written: Any) -> str:
    return tag("fields") if isinstance(written, list | tuple) else tag("field")


# One field and a list of one field are two things: the list's id is a JSON array (S2).
EventId = Annotated[
    Annotated[FieldPath, Tag(tag("field"))]
    | Annotated[tuple[FieldPath, ...], Field(min_length=1), Tag(tag("fields"))],
    Discriminator(_form_of_event_id),
]


def _long_time(written: Any) -> Any:
    return {"field": written} if isinstance(written, str | int | float) else written


class Source(Part):
    """A Kafka topic, or the files of that name, and what its records say."""

    format: Literal["json", "arrow", "parquet", "csv", "avro"] = "json"
    user: FieldPath = Field(description="the field that holds the user")
    time: Annotated[Time, or_short(_long_time, Time | FieldPath)] = Field(
        description="where the event time is: a field, or {field: …, unit: ms}"
    )
    event_id: EventId | None = None
    item: FieldPath | None = None
    actions: Actions | None = None
    categories: dict[Name, FieldPath] = Field(default_factory=dict)
    end: Match | None = None
    where: Match | None = None
    dropped: Annotated[tuple[FieldPath, ...], AfterValidator(unique)] = ()
    features: dict[Name, FeatureField] = Field(default_factory=dict)
    erase: StrictBool = False

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        raise_any(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        given = sorted(self.model_fields_set)
        if self.erase:
            allowed = ", ".join(OF_ERASE)
            for key in given:
                if key not in OF_ERASE:
                    yield Problem(
                        (key,), f"cannot stand in an erase source, which has only {allowed}"
                    )
