"""State outlives a version: names by which a runner finds it, and cells as a version wrote them."""

import base64
import json
from typing import Any

import pytest

from pipeline.kafka.reading import ReadingCoder, Reported
from schemas.load import load_spec
from tests.machine import spec_of
from tests.oracles import oracle, shop
from tests.oracles.shop import T
from tests.outcome import by_id, different_rows
from tests.transforms.stage import rows_of, tagged
from tests.transforms.state import cells
from tests.transforms.state.names import names_of
from tests.transforms.state.write import CELLS, NAMES, SHOP
from tests.transforms.streaming import arriving
from transforms.coders import RecordBatchCoder
from transforms.sessions import CutSessions


@pytest.fixture(scope="module")
def stored() -> dict[str, list[str]]:
    """The cells as they lie in the repository."""
    found: dict[str, list[str]] = json.loads(CELLS.read_text())
    return found


@pytest.mark.parametrize("options", [{}, {"group": "g"}, {"readers": 4, "shards": 16}])
def test_names_states_timers_and_coders_are_as_they_were(options: dict[str, Any]) -> None:
    assert names_of(load_spec(SHOP), **options) == json.loads(NAMES.read_text())


def test_a_grown_spec_changes_none_of_them() -> None:
    grown = shop.spec_of(categories=["topic", "maker"], actions=["VIEW", "LIKE", "BUY", "SHARE"])
    grown["sources"]["more"] = {"user": "u", "time": "t"}
    assert names_of(spec_of(grown)) == names_of(spec_of(shop.spec_of()))


def test_every_state_of_the_stage_is_among_the_stored_cells(stored: dict[str, list[str]]) -> None:
    names = json.loads(NAMES.read_text())["Sequences/CutSessions/ParDo(CutSessions)"]
    assert {*names["states"]} == stored.keys() - {"restriction"} == cells.SPECS.keys()
    filled = {name for name, texts in stored.items() if texts}
    assert {"waiting", "held", "recent", "final", "due", "archive_0", "archive_1"} <= filled


def test_stored_cells_go_on_to_the_right_sequences(stored: dict[str, list[str]]) -> None:
    stage = cells.read({name: stored[name] for name in cells.SPECS})
    given = stage.take(arriving(stage.spec, cells.after())) + stage.fire(T + 100_000)
    assert tagged(given, "late") == []
    sources = {name: cells.before()[name] + cells.after()[name] for name in ("e", "x")}
    written = shop.spec_of(horizon="500ms", attribution="300ms", retention="10d")
    every = oracle.sequences(written, sources).sequences
    want = [row for row in every if row["session_end"] > T + 12_000]
    assert len(want) == 3
    assert max(row["contents"] for row in want) == 11
    assert different_rows(by_id(rows_of(given)), by_id(want)) == []


def test_a_stored_restriction_is_read(stored: dict[str, list[str]]) -> None:
    reading, reported = map(base64.b64decode, stored["restriction"])
    assert ReadingCoder().decode(reading) == cells.reading()
    assert Reported().estimator_state_coder().decode(reported).micros == T * 1000


def test_cells_are_written_as_they_were(stored: dict[str, list[str]]) -> None:
    """The same columns, types and metadata: a change of form raises `schemas.layout.STATE`."""
    now = {**cells.written(cells.stored()), "restriction": cells.restriction()}
    for name, texts in stored.items():
        assert len(now[name]) == len(texts)
        for one, other in zip(now[name], texts, strict=True):
            assert _same(name, one, other), name


def _same(name: str, one: str, other: str) -> bool:
    """Whether two cells hold the same; Arrow may pad its bytes in another way one day."""
    coder = cells.SPECS[name].coder if name in cells.SPECS else None
    if not isinstance(coder, RecordBatchCoder):
        return one == other
    batches = [coder.decode(base64.b64decode(text)) for text in (one, other)]
    return bool(batches[0].equals(batches[1], check_metadata=True))


def test_the_stage_is_known_by_its_name() -> None:
    assert CutSessions.__name__ == "CutSessions"  # Beam makes it part of the step's name
