"""What analysts import: statistics and sequences as tables, without Beam or Kafka."""

from pipeline.analysis.counted import counted
from pipeline.analysis.sequences import as_sequences, as_table, names_of
from pipeline.analysis.sketches import changes, united

__all__ = ["as_sequences", "as_table", "changes", "counted", "names_of", "united"]
