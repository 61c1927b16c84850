"""What a source's records are looked at for, worked out once from the spec."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from schemas.ids import text_of
from schemas.observations import arrival_schema, source_names
from schemas.paths import split_path
from schemas.spec import (
    ActionAlways,
    ActionField,
    ActionFlags,
    Match,
    ScalarField,
    SetDelta,
    Source,
    Spec,
)

Keys = tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The mapping of one source. Fields are named by their paths, as the spec writes them."""

    spec: Spec
    name: str

    @cached_property
    def source(self) -> Source:
        """The source's part of the spec."""
        return self.spec.sources[self.name]

    @cached_property
    def number(self) -> int:
        """The source's place in the order of S2."""
        return source_names(self.spec).index(self.name)

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of what is decoded."""
        return arrival_schema(self.spec)

    @cached_property
    def bits(self) -> dict[str, int]:
        """The bit of each action."""
        return {action: 1 << bit for bit, action in enumerate(self.spec.actions)}

    @cached_property
    def no_actions(self) -> frozenset[str]:
        """Texts in the action field that are end marks and so no actions."""
        source = self.source
        if not isinstance(source.actions, ActionField) or source.end is None:
            return frozenset()
        same = source.end.field == source.actions.field
        return texts_of(source.end) if same else frozenset()

    @cached_property
    def content_fields(self) -> list[tuple[str, Keys]]:
        """The fields of the canonical content, sorted (S2): all that are named but `dropped`."""
        return [(path, split_path(path)) for path in sorted(set(self._named()))]

    @cached_property
    def fields(self) -> dict[str, Keys]:
        """Every field that is looked at, by its path."""
        dropped = {path: split_path(path) for path in self.source.dropped}
        return dropped | dict(self.content_fields)

    @cached_property
    def decimal_fields(self) -> list[Keys]:
        """The fields whose numbers count by their decimal text: times, flags, and what has bins."""
        source = self.source
        paths = [] if source.time.unit == "iso8601" else [source.time.field]
        if isinstance(source.actions, ActionFlags):
            paths += source.actions.flags.values()
        for field in source.features.values():
            if isinstance(field, ScalarField) and field.bins is not None:
                paths.append(field.field)
        return [self.fields[path] for path in paths]

    @cached_property
    def event_id_fields(self) -> tuple[str, ...]:
        """The fields of the event id, none if the source has no such id."""
        event_id = self.source.event_id
        return (event_id,) if isinstance(event_id, str) else event_id or ()

    def _named(self) -> Iterator[str]:
        source = self.source
        yield from (source.user, source.time.field, *self.event_id_fields)
        yield from (match.field for match in (source.end, source.where) if match)
        yield from source.categories.values()
        if source.item is not None:
            yield source.item
        if isinstance(source.actions, ActionField):
            yield source.actions.field
        elif isinstance(source.actions, ActionFlags):
            yield from source.actions.flags.values()
        for field in source.features.values():
            yield from feature_fields(field)

    def always(self) -> int:
        """The mask of the actions that every engagement of the source has."""
        actions = self.source.actions
        if not isinstance(actions, ActionAlways):
            return 0
        return sum(self.bits[action] for action in actions.always)


def feature_fields(field: object) -> list[str]:
    """The paths that a feature of a source is read from."""
    if isinstance(field, ScalarField):
        return [field.field]
    if isinstance(field, SetDelta):
        return [path for path in (field.add, field.remove) if path is not None]
    return [field.snapshot]  # type: ignore[attr-defined]


def texts_of(match: Match) -> frozenset[str]:
    """The texts of the values that a match names."""
    return frozenset(map(text_of, match.values))
