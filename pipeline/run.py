"""`phia run`: the pipeline put together, run, and its end accounted for."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.runners.runner import PipelineState

from kafka_client.clients import Connection
from kafka_client.groups import check_may_commit
from kafka_client.topics import partitions_of
from pipeline.files.find import SUFFIXES, passed_over
from pipeline.files.source import ReadFiles, files_of
from pipeline.kafka.source import ReadKafka, Reads
from pipeline.metrics import check_metrics, counters, metrics_kept, serve_metrics
from pipeline.options import Run
from pipeline.sinks.folder import HIDDEN, check_output, write_empty, write_spec
from pipeline.sinks.write import WriteSequences
from schemas.failures import Failure, UsageError
from schemas.load import SPEC_FILE
from schemas.outputs import output_schemas
from schemas.spec import Spec
from transforms.sequences import Sequences

Say = Callable[[str], None]

_CAUSE = re.compile(
    r"(?:KafkaUnavailable|Unreadable|OutputError|StateRefused|OSError|MemoryError)\b: (.*)"
)
_NAMED = 5  # files that a warning names
_STEP = re.compile(r" \[while running '[^']*'\]$")


class RunFailed(Failure):
    """A run that ended before it was done; the message is one line."""


def run(what: Run, warn: Say) -> dict[str, int]:
    """Runs a pipeline to its end, and gives its counters.

    Raises UsageError, OutputError, KafkaUnavailable before anything is read; RunFailed after.
    """
    _check(what, warn)
    pipeline = built(what)
    try:
        result = pipeline.run()
        if what.metrics_port is not None:
            serve_metrics(result, what.metrics_port)
        with metrics_kept(result, what.metrics_file):
            state = result.wait_until_finish()
    except (Failure, RuntimeError, OSError, MemoryError) as error:
        cause = _cause(error)
        if cause == KeyboardInterrupt.__name__:  # it came while Beam was in a step's code
            raise KeyboardInterrupt from error
        raise RunFailed(cause) from error
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        raise RunFailed(_lost(what, error)) from error
    if state != PipelineState.DONE:
        raise RunFailed(f"the pipeline ended as {state}")
    if what.folder_out is not None and what.bounded:
        _keep_spec(what.folder_out, what.spec)
    return counters(result)


def built(what: Run) -> beam.Pipeline:
    """The pipeline of a run."""
    pipeline = beam.Pipeline(options=what.beam)
    _ = (
        _read(pipeline, what)
        | Sequences(what.spec, what.bounded, what.shards, what.interval)
        | WriteSequences(
            what.spec,
            None if what.folder_out is None else str(what.folder_out),
            what.topic_out,
            what.bounded,
        )
    )
    return pipeline


def _read(pipeline: beam.Pipeline, what: Run) -> beam.PCollection:
    """What the readers give. Files that are read before a stream hold its watermark back."""
    files = None if what.folder_in is None else ReadFiles(what.spec, what.folder_in)
    if what.kafka_in is None:
        return pipeline | files
    stream = pipeline | ReadKafka(
        Reads(
            what.spec,
            what.kafka_in,
            what.start,
            what.bounded,
            _readers(what),
            what.group,
            what.hand_back,
        )
    )
    if files is None:
        return stream
    return (pipeline | files, stream) | "Backfill" >> beam.Flatten()


def _readers(what: Run) -> int:
    """Bounded input has one reader, which knows the whole job's watermark, and so what is late."""
    return 1 if what.bounded else what.readers


def _check(what: Run, warn: Say) -> None:
    """What would fail later, or fail without a word, fails or is said here."""
    check_metrics(what.metrics_file, what.metrics_port, what.beam)
    if what.topic_out is not None:
        partitions_of(what.topic_out, str(what.topic_out.topic), "Write")
    if _readers(what) < what.readers:
        warn(
            f"--readers={what.readers}: is for streams; bounded input has one, to tell what is late"
        )
    if what.kafka_in is not None:
        _check_topics(what, what.kafka_in)
    if what.folder_in is not None:
        _check_files(what, what.folder_in, warn)
    if what.folder_out is not None:
        schemas = output_schemas(what.spec)
        check_output(what.folder_out, schemas, what.replace or not what.bounded)
        if not what.bounded:
            write_empty(what.folder_out, schemas)
            _keep_spec(what.folder_out, what.spec)


def _check_topics(what: Run, kafka: Connection) -> None:
    most = max(len(partitions_of(kafka, topic, "Read")) for topic in what.spec.sources)
    if _readers(what) > most:
        raise UsageError(
            f"--readers={what.readers}: at most {most}, as many as a topic has partitions; "
            "a reader without any would hold the watermark back for ever"
        )
    if what.group is not None:
        check_may_commit(kafka, what.group)


def _keep_spec(folder: Path, spec: Spec) -> None:
    try:
        write_spec(folder, spec)
        with suppress(OSError):  # a stream may be writing there
            (folder / HIDDEN).rmdir()
    except OSError as error:
        raise RunFailed(f"cannot write {folder / SPEC_FILE}: {error.strerror}") from error


def _check_files(what: Run, folder: Path, warn: Say) -> None:
    there = {name for name, _ in files_of(what.spec, folder)}
    if not there:
        raise UsageError(f"--input={folder}: has no file of any source; {_wanted(what)}")
    for name in what.spec.sources.keys() - there:
        warn(f"source {name}: no file in {folder}; {_wanted(what, [name])}")
    for name, source in what.spec.sources.items():
        if others := passed_over(folder, name, source.format):
            ends = ", ".join(SUFFIXES[source.format])
            warn(f"source {name}: not read, for their names do not end in {ends}: {_few(others)}")


def _few(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _wanted(what: Run, names: Iterable[str] | None = None) -> str:
    suffix = {"json": "jsonl"}
    sources = {name: what.spec.sources[name].format for name in names or what.spec.sources}
    shown = [f"{name}.{suffix.get(fmt, fmt)}" for name, fmt in sources.items()]
    return f"expected {', '.join(shown)}, or such files under folders of the sources' names"


def _lost(what: Run, error: Exception) -> str:
    """The line for a job server that refuses, or is not there (any more)."""
    endpoint = what.beam.view_as(PortableOptions).job_endpoint or "of the runner"
    said = error.details() if isinstance(error, grpc.Call) else "it does not answer"
    return f"job server {endpoint}: {said or 'see its log'}; a job that runs already goes on"


def _cause(error: Exception) -> str:
    """The line that says what went wrong, of a message that may be a worker's traceback."""
    text = str(error)
    known = _CAUSE.findall(text)
    lines: list[Any] = known or [line for line in text.splitlines() if line.strip()]
    return _STEP.sub("", str(lines[-1]).strip()) if lines else repr(error)
