"""What `phia run` is asked to do, checked before anything starts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import PipelineRunner, create_runner

from kafka_client.clients import Connection
from kafka_client.secrets import Secret
from kafka_client.security import SECRETS
from pipeline.engines import usual_options
from pipeline.kafka.source import HAND_BACK_S
from pipeline.kafka.starting import Start
from pipeline.places import check_apart, folder_named
from schemas.durations import parse_duration
from schemas.failures import UsageError
from schemas.spec import Spec

IN_PROCESS = ("FnApiRunner", "DirectRunner", "SwitchingDirectRunner")
RUNNERS = (
    "FnApiRunner",
    "DirectRunner",
    "PrismRunner",
    "FlinkRunner",
    "PortableRunner",
    "DataflowRunner",
    "SparkRunner",
)
"""Beam has more: its BundleBasedDirectRunner ends without error, and without what timers give."""

DEFAULT_RUNNER = "--runner=FnApiRunner"
BOUNDED_SHARDS, STREAM_SHARDS = 8, 32


@dataclass(frozen=True)
class Run:
    """A run: a spec, where its records are, where its outputs go, and how Beam is to run it.

    Of a stream, `folder_in` has files of what happened before it, which are read as well.
    """

    spec: Spec
    folder_in: Path | None
    kafka_in: Connection | None
    folder_out: Path | None
    topic_out: Connection | None
    bounded: bool
    beam: PipelineOptions
    start: Start = field(default_factory=Start)
    group: str | None = None
    readers: int = 1
    shards: int = BOUNDED_SHARDS
    interval: int | None = None
    hand_back: float = HAND_BACK_S
    replace: bool = False
    metrics_file: Path | None = None
    metrics_port: int | None = None


def run_of(
    spec: Spec,
    read: str,
    write: Sequence[str],
    until: str | None,
    start: str,
    interval: str | None,
    security: Mapping[str, str | Secret],
    beam_options: Sequence[str],
    backfill: Path | None = None,
    hand_back: str | None = None,
    spec_file: Path | None = None,
    **more: Any,
) -> Run:
    """A run from what the command line says. Raises UsageError."""
    if until not in (None, "latest"):
        raise UsageError(f"--until={until}: must be latest")
    kafka_in = _connection(read, security) if read.startswith("kafka:") else None
    if kafka_in is not None and kafka_in.topic:
        raise UsageError(f"--input={read}: names a topic; the topics are the spec's sources")
    folder, topic = _outputs(write, security)
    bounded = kafka_in is None or until == "latest"
    if kafka_in is None:
        _check_for_files(until, start, more.get("group"))
    if security and kafka_in is None and topic is None:
        raise UsageError("--kafka is for Kafka; neither the input nor an output is")
    if bounded:
        _check_bounded(backfill, interval, hand_back)
    folder_in = _folder("--input", read) if kafka_in is None else _folder("--backfill", backfill)
    check_apart(spec, spec_file, folder_in, folder)
    more["shards"] = more.get("shards") or (BOUNDED_SHARDS if bounded else STREAM_SHARDS)
    return Run(
        spec,
        folder_in,
        kafka_in,
        folder,
        topic,
        bounded,
        beam_of(beam_options, bounded),
        start=_start(start, more.get("group")),
        interval=None if interval is None else _duration("--interval", interval),
        hand_back=HAND_BACK_S if hand_back is None else _duration("--hand-back", hand_back) / 1000,
        **more,
    )


def _check_for_files(until: str | None, start: str, group: str | None) -> None:
    if until is not None:
        raise UsageError("--until is for Kafka; files are read to their ends as they are")
    if start != "earliest":
        raise UsageError(f"--start={start}: is for Kafka; files are read from their beginnings")
    if group is not None:
        raise UsageError(f"--group={group}: is for Kafka; files have no offsets to commit")


def _check_bounded(backfill: Path | None, interval: str | None, hand_back: str | None) -> None:
    if backfill is not None:
        raise UsageError(f"--backfill={backfill}: is for a stream, to read before what comes")
    if interval is not None:
        raise UsageError(f"--interval={interval}: is for a stream; bounded input fires at its end")
    if hand_back is not None:
        raise UsageError(f"--hand-back={hand_back}: is for a stream; bounded input is read through")


def beam_of(given: Sequence[str], bounded: bool) -> PipelineOptions:
    """Beam's options. Raises UsageError for what Beam does not know, and for unbounded input on
    a runner that fires event-time timers wrongly while an unbounded source runs."""
    _check_secrets(given)
    named = any(option.split("=")[0] == "--runner" for option in given)
    asked = [*([] if named or not bounded else [DEFAULT_RUNNER]), *given]
    runner = PipelineOptions(asked).view_as(StandardOptions).runner or ""
    options = PipelineOptions([*usual_options(runner, bounded), *asked])
    unknown = _unknown(options)
    in_process = _runs_in_process(options) if named or bounded else True
    if not bounded and in_process:
        raise UsageError(
            f"{runner or 'no runner'} can't run unbounded input: name --runner=FlinkRunner or "
            "--runner=PrismRunner, or stop at the present end with --until latest"
        )
    # Portable runners have more options than Beam's own.
    odd = [*_strays(given), *(sorted(unknown) if in_process else [])]
    if odd:
        name = odd[0].partition("=")[0]  # the rest may be a secret
        raise UsageError(f"{name}: neither phia nor Beam has this option; see phia run --help")
    return options


def _check_secrets(given: Sequence[str]) -> None:
    """Beam shows its options, and keeps them in the job graph."""
    for secret in SECRETS:
        if any(f"{secret}=" in option for option in given):
            raise UsageError(
                f"{secret} is no option of Beam's: give it as --kafka {secret}=env:NAME"
            )


def _unknown(options: PipelineOptions) -> set[str]:
    """The options that Beam does not know. Raises UsageError for a value that can't be read."""
    said = StringIO()
    try:
        with redirect_stderr(said):
            found = options.get_all_options(retain_unknown_options=True)
            known = options.get_all_options()
    except SystemExit:  # of argparse, which says what is wrong in the last line of its usage
        line = said.getvalue().strip().rpartition("error: ")[2]
        raise UsageError(f"Beam's options: {line}") from None
    return {"--" + name for name in found.keys() - known.keys()}


def _runs_in_process(options: PipelineOptions) -> bool:
    """Whether the runner is one of those in this process, by whichever of its names. Raises
    UsageError for one that we do not take, and for options that it can't run with."""
    name = options.view_as(StandardOptions).runner
    right = f"must be one of {', '.join(RUNNERS)}"
    try:
        runner = create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        known = name.rpartition(".")[2] in RUNNERS  # then something that it needs is not there
        raise UsageError(f"--runner={name}: {error if known else right}") from None
    kind = type(runner).__name__
    if kind not in (*RUNNERS, *IN_PROCESS):
        raise UsageError(f"--runner={name}: {right}")
    _validate(options, runner)
    return kind in IN_PROCESS


def _validate(options: PipelineOptions, runner: PipelineRunner) -> None:
    workers = options.view_as(DirectOptions).direct_num_workers
    if workers < 0:
        raise UsageError(f"--direct_num_workers={workers}: must be at least 0 (one for each core)")
    errors = PipelineOptionsValidator(options, runner).validate()
    if errors:
        raise UsageError(f"Beam's options: {'; '.join(error.rstrip('.') for error in errors)}")


def _strays(given: Sequence[str]) -> Iterator[str]:
    """What is neither an option nor the value of the one before it."""
    for before, each in pairwise(["=", *given]):
        if not each.startswith("-") and ("=" in before or not before.startswith("--")):
            yield each


def _connection(url: str, security: Mapping[str, str | Secret]) -> Connection:
    try:
        return Connection.from_url(url, security)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _folder(option: str, read: str | Path | None) -> Path | None:
    if read is None:
        return None
    folder = folder_named(option, str(read))
    if not folder.is_dir():
        right = "a folder of files" + (", or kafka://HOST:PORT" if option == "--input" else "")
        raise UsageError(f"{option}={read}: must be {right}")
    return folder


def _outputs(
    write: Sequence[str], security: Mapping[str, str | Secret]
) -> tuple[Path | None, Connection | None]:
    topics = [_connection(url, security) for url in write if url.startswith("kafka:")]
    folders = [folder_named("--output", path) for path in write if not path.startswith("kafka:")]
    if len(topics) > 1 or len(folders) > 1:
        raise UsageError("--output: at most one folder and one topic")
    if topics and not topics[0].topic:
        raise UsageError("--output: must name the topic, as in kafka://HOST:PORT/sequences")
    return (folders[0] if folders else None), (topics[0] if topics else None)


def _start(written: str, group: str | None) -> Start:
    try:
        start = Start.parse(written)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    if start.where == "committed" and group is None:
        raise UsageError("--start=committed: needs --group, whose offsets they are")
    return start


def _duration(option: str, written: str) -> int:
    try:
        return max(parse_duration(written), 1)
    except ValueError as error:
        raise UsageError(f"{option}={written}: {error}") from None


def topics_of(written: Sequence[str]) -> dict[str, int]:
    """NAME[:PARTITIONS] of topics to make, as partitions by name. Raises UsageError."""
    topics = {}
    for topic in written:
        name, colon, count = topic.partition(":")
        if not name or (colon and not (count.isdecimal() and int(count))):
            raise UsageError(f"--topic {topic}: must be NAME or NAME:PARTITIONS")
        topics[name] = int(count or 1)
    return topics
