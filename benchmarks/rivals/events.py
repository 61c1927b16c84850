"""Raw records of Arrow or JSON-lines files to events, one by one, for the per-event rival."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.rivals.rules import Event
from schemas.ids import HASHED, id_of, text_of
from schemas.observations import source_names
from schemas.sources import ActionAlways, ScalarField
from schemas.spec import Spec

_id_of = lru_cache(maxsize=100_000)(id_of)


class Mapper:
    """Maps the records of one source of a spec to events, keyed by user."""

    def __init__(self, spec: Spec, name: str) -> None:
        source = spec.sources[name]
        assert isinstance(source.actions, ActionAlways)
        assert isinstance(source.event_id, str)
        self._user, self._time, self._event_id = source.user, source.time.field, source.event_id
        self._item = source.item
        self._place = source_names(spec).index(name)
        self._actions = sum(1 << spec.actions.index(action) for action in source.actions.always)
        self._scalars = [_path(source.features.get(feature)) for feature in spec.features]
        self._categories = [source.categories.get(category) for category in spec.categories]

    def __call__(self, record: Mapping[str, Any]) -> tuple[str, Event]:
        """The user and the event of a record."""
        item = None if self._item is None else identity(record[self._item])
        scalars = tuple(None if path is None else identity(record[path]) for path in self._scalars)
        categories = tuple(_ids(record, path) for path in self._categories)
        event = record[self._event_id]
        return record[self._user], (
            record[self._time],
            event,
            self._place,
            item,
            self._actions,
            scalars,
            categories,
        )


def identity(value: Any) -> int | None:
    """The id of a value, None of null."""
    if value is None:
        return None
    if type(value) is int and 0 < value < HASHED:
        return value
    return _id_of(text_of(value))


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, Arrow or JSON lines by its name."""
    if path.suffix == ".arrow":
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield from reader.get_batch(number).to_pylist()
    else:
        with path.open("rb") as lines:
            yield from map(json.loads, lines)


def _path(feature: object) -> str | None:
    return feature.field if isinstance(feature, ScalarField) else None


def _ids(record: Mapping[str, Any], path: str | None) -> list[int]:
    found = None if path is None else identity(record[path])
    return [] if found is None else [found]
