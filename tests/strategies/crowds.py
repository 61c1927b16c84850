"""Many cases' records under one spec: a crowd, so that one run tries what many cases would."""

from typing import Any

from hypothesis import strategies as st

from tests.oracles.fields import read
from tests.oracles.text import is_scalar, text_of
from tests.strategies.cases import streams
from tests.strategies.records import Record, put
from tests.strategies.specs import Spec

Sources = dict[str, list[Record]]


def crowd_parts(spec: Spec) -> st.SearchStrategy[Sources]:
    """The records of a few users of a spec."""
    return streams(spec, max_records=26)


def crowd(spec: Spec, parts: list[Sources]) -> Sources:
    """The parts as one, each with users of its own."""
    found: Sources = {name: [] for name in spec["sources"]}
    for number, part in enumerate(parts):
        for name, records in part.items():
            path = spec["sources"][name]["user"]
            found[name] += [_of(number, record, path) for record in records]
    return found


def _of(number: int, record: Record, path: str) -> Record:
    user: Any = read(record, path)
    if is_scalar(user) and not isinstance(user, bool) and user not in ("", 0.5):
        put(record, path, f"{number}:{text_of(user)}")
    return record
