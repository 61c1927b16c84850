"""What came out of a disturbed stream, in the topic, in the folder and in the trainer, held
against what a bounded run wrote."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from chaos.compare import Rows, Verdict, before, judge, rows_of, without_void
from chaos.outputs import of_folder, of_topic
from chaos.training import Trained, known_as
from kafka_client.clients import Connection
from schemas.outputs import output_schemas
from schemas.spec import Spec
from transforms.core.decode.reject import Reason

WAIT_S, LOOK_S = 180.0, 1.0
KEYS = {
    "rejected": ["source", "partition", "offset"],
    "late": ["source", "partition", "offset"],
    "dictionary": ["kind", "id"],
    "tombstones": ["user_id", "time"],
}


@dataclass(frozen=True)
class Checking:
    """A stream's outputs, and the folder of the bounded run; only sessions that began before the
    event time `close` (ms) are complete in both. `moved`: offsets differ between the two."""

    spec: Spec
    topic: Connection
    folder: Path
    expected: Path
    close: int
    moved: bool = False

    def awaited(self) -> dict[str, Verdict]:
        """The verdict on each output, when all is there or WAIT_S have passed."""
        until = time.monotonic() + WAIT_S
        found = self.verdicts()
        while not all(verdict.good for verdict in found.values()) and time.monotonic() < until:
            time.sleep(LOOK_S)
            found = self.verdicts()
        return found

    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each output as it stands now."""
        wanted = self._sequences(*self._written(self.expected))
        found = {
            "topic": self._sequences(*of_topic(self.topic, self.spec)),
            "folder": self._sequences(*self._written(self.folder)),
        }
        verdicts = {name: judge(wanted, rows) for name, rows in found.items()}
        for name in KEYS:
            expected, came = self._beside(self.expected, name), self._beside(self.folder, name)
            once = list(dict(expected).items()) if name == "dictionary" or self.moved else expected
            verdicts[name] = judge(once, came)
        return verdicts

    def trained(self, trained: Trained) -> Verdict:
        """Whether a trainer has learned each sequence of the topic once. Of erased users it may
        have learned what was void only later."""
        sequences, tombstones = of_topic(self.topic, self.spec)
        ids = known_as(sequences["sequence_id"].to_pylist())
        valid = known_as(without_void(sequences, tombstones)["sequence_id"].to_pylist())
        more = max(trained.rows - len(ids), 0) + max(len(valid) - trained.rows, 0)
        return Verdict(len(valid), len(valid - trained.ids), 0, len(trained.ids - ids) + more)

    def _sequences(self, sequences: pa.Table, tombstones: pa.Table) -> Rows:
        complete = before(without_void(sequences, tombstones), self.close, "session_start")
        return rows_of(complete, ["sequence_id"])

    def _written(self, folder: Path) -> tuple[pa.Table, pa.Table]:
        schemas = self._schemas
        return (
            of_folder(folder, "sequences", schemas["sequences"]),
            of_folder(folder, "tombstones", schemas["tombstones"]),
        )

    def _beside(self, folder: Path, name: str) -> Rows:
        rows, key = of_folder(folder, name, self._schemas[name]), KEYS[name]
        if name == "tombstones":
            rows = before(rows, self.close, "time")
        if "reason" in rows.column_names:
            rows = rows.filter(pc.not_equal(rows["reason"], Reason.LOST))
            if self.moved:
                rows, key = rows.drop_columns(["offset"]), ["source", "raw"]
        return rows_of(rows, key)

    @property
    def _schemas(self) -> Mapping[str, pa.Schema]:
        return output_schemas(self.spec)
