"""The arguments and options of `phia run`, `phia train` and `phia score`, with their help."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

SpecFile = Annotated[Path, Argument(metavar="SPEC", help="The feature spec, a YAML file.")]
Inputs = Annotated[list[str], Option(help="A folder of files, or kafka://HOST:PORT[,…]; once.")]
Outputs = Annotated[list[str], Option(help="A folder, or kafka://HOST:PORT/TOPIC; or one of each.")]
Until = Annotated[str | None, Option(help="latest: stop at the topics' present ends.")]
Replace = Annotated[bool, Option(help="Replace what a run wrote before.")]
Start = Annotated[str, Option(help="Kafka: earliest, latest, committed, or a time (ISO 8601).")]
Group = Annotated[str | None, Option(help="Kafka: the group to commit offsets for, to see lag.")]
Backfill = Annotated[Path | None, Option(help="Kafka streams: files of what was before, too.")]
Readers = Annotated[int, Option(min=1, help="Kafka streams: readers side by side.")]
Shards = Annotated[int | None, Option(min=1, help="Shards of users; fixed while a job lives.")]
Interval = Annotated[str | None, Option(help="Event time between firings of a stream, as in 10s.")]
HandBack = Annotated[
    str | None, Option(help="Kafka streams: how often a reader hands back to the engine; 1s.")
]
Security = Annotated[
    list[str] | None, Option(help="KEY=VALUE: a security option; a secret as env:NAME, file:PATH.")
]
SecurityFile = Annotated[Path | None, Option(help="A file of such KEY=VALUE lines, for secrets.")]
MetricsFile = Annotated[Path | None, Option(help="Keep metrics there as Prometheus text.")]
MetricsPort = Annotated[int | None, Option(help="Serve metrics at this port while it lasts.")]
Against = Annotated[
    Path | None,
    Option(metavar="SPEC", help="Say whether a job of the spec can go on with this one's state."),
]

Sequences = Annotated[
    str, Option("--input", help="A folder that phia run wrote, or kafka://HOST:PORT[,…]/TOPIC.")
]
Checkpoint = Annotated[
    Path, Option(help="The folder of its checkpoints; it goes on from the newest one there.")
]
Config = Annotated[Path | None, Option(help="Settings of model and training, a YAML file.")]
Steps = Annotated[int | None, Option(min=1, help="Stop after so many steps in all.")]
Device = Annotated[str | None, Option(help="cpu or cuda; default: cuda where there is one.")]
SkipLost = Annotated[
    bool, Option("--skip-lost", help="Go on where retention deleted what was not read yet.")
]
TrainMetricsFile = Annotated[Path | None, Option(help="Keep the figures there as Prometheus text.")]

Histories = Annotated[str, Option("--input", help="A folder that phia run wrote.")]
Trained = Annotated[
    Path, Option(help="The folder of checkpoints of phia train; the newest is taken.")
]
Candidates = Annotated[
    Path, Option(help="JSON lines or Parquet: user_id, time, candidates, category_NAME.")
]
Scores = Annotated[
    Path | None, Option("--output", help="A file, .jsonl or .parquet; default: standard output.")
]
ReplaceFile = Annotated[bool, Option("--replace", help="Replace the file, if it is there.")]
Microbatch = Annotated[int, Option(min=1, help="Candidates that go through the model at a time.")]
CacheMegabytes = Annotated[
    int, Option("--cache-mb", min=1, help="Memory for keys and values of histories, MiB.")
]
BFloat16 = Annotated[bool, Option("--bfloat16", help="Faster on a GPU, to three digits or so.")]
