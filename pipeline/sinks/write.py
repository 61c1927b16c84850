"""The end of a pipeline: a run's outputs to a folder, to the sequence topic, or to both."""

from typing import Any

import apache_beam as beam

from kafka_client.clients import Connection
from pipeline.sinks.parquet import WriteFolder
from pipeline.sinks.topic import TombstonesToTopic, WriteToTopic
from schemas.outputs import SEQUENCES, output_schemas
from schemas.spec import Spec


class WriteSequences(beam.PTransform):  # type: ignore[misc]
    """Writes what `Sequences` gives: all of it to a folder, sequences and tombstones to a topic."""

    def __init__(
        self,
        spec: Spec,
        folder: str | None = None,
        topic: Connection | None = None,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self._spec = spec
        self._folder = folder
        self._topic = topic
        self._bounded = bounded

    def expand(self, outputs: Any) -> Any:
        """Nothing that a pipeline would go on with."""
        outputs = dict(outputs)
        if self._topic is not None:
            refused = outputs[SEQUENCES] | "ToTopic" >> beam.ParDo(WriteToTopic(self._topic))
            also = outputs["tombstones"] | "TombstonesToTopic" >> beam.ParDo(
                TombstonesToTopic(self._topic)
            )
            outputs["rejected"] = (outputs["rejected"], refused, also) | "Refused" >> beam.Flatten()
        if self._folder is None:
            return outputs["rejected"]
        return outputs | "ToFolder" >> WriteFolder(
            self._folder, output_schemas(self._spec), self._bounded
        )
