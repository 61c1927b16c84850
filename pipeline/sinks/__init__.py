"""Where a run's outputs go: folders of Parquet, and the sequence topic."""

from pipeline.sinks.write import WriteSequences

__all__ = ["WriteSequences"]
