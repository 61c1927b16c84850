"""The command `phia`."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline import arguments
from pipeline.extras import needs
from pipeline.failures import told
from pipeline.flink.commands import app as flink
from schemas.failures import UsageError
from schemas.load import json_schema, load_spec

app = typer.Typer(
    name="phia",
    help="Raw events to the sequences that generative recommenders learn from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(flink, name="flink")
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
# What is printed has names and values from outside: [bold] and :b: in them are no commands.
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


def main() -> None:
    """Runs the command of `sys.argv`: status 2 for a usage or spec error, 1 for another failure,
    each with one line that says what and where."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    for library in ("kafka", "apache_beam"):
        logging.getLogger(library).propagate = False  # what they say is in our own line
        logging.getLogger(library).addHandler(logging.NullHandler())
    sys.exit(told(lambda: app(standalone_mode=False), errors))


@app.command(context_settings=_PASS_ON)
def run(
    context: typer.Context,
    spec: arguments.SpecFile,
    input: arguments.Inputs,
    output: arguments.Outputs,
    until: arguments.Until = None,
    replace: arguments.Replace = False,
    start: arguments.Start = "earliest",
    group: arguments.Group = None,
    backfill: arguments.Backfill = None,
    readers: arguments.Readers = 1,
    shards: arguments.Shards = None,
    interval: arguments.Interval = None,
    hand_back: arguments.HandBack = None,
    kafka: arguments.Security = None,
    kafka_file: arguments.SecurityFile = None,
    metrics_file: arguments.MetricsFile = None,
    metrics_port: arguments.MetricsPort = None,
) -> None:
    """Make sequences of events. Other options go to Beam, as --runner=FlinkRunner."""
    with needs("pipeline"):
        from pipeline.options import run_of
        from pipeline.places import the_one
        from pipeline.progress import shown_while
        from pipeline.run import run as run_pipeline
        from pipeline.security_file import security_options

    what = run_of(
        load_spec(spec),
        the_one("--input", input),
        output,
        until,
        start,
        interval,
        security_options(kafka or [], kafka_file),
        context.args,
        backfill=backfill,
        hand_back=hand_back,
        spec_file=spec,
        group=group,
        readers=readers,
        shards=shards,
        replace=replace,
        metrics_file=metrics_file,
        metrics_port=metrics_port,
    )
    with shown_while("reading", errors):
        counts = run_pipeline(what, lambda line: errors.print(f"warning: {line}"))
    _summarise(counts)


def _summarise(counts: dict[str, int]) -> None:
    names = ("records", "rejected", "late", "copies", "sessions", "sequences")
    shown = {name.replace("_", " "): counts[name] for name in (*names, "raw_tokens", "tokens")}
    line = ", ".join(f"{name} {count:,}" for name, count in shown.items())
    typer.echo(line)


@app.command()
def train(
    spec: arguments.SpecFile,
    input: arguments.Sequences,
    checkpoint: arguments.Checkpoint,
    config: arguments.Config = None,
    until: arguments.Until = None,
    steps: arguments.Steps = None,
    device: arguments.Device = None,
    skip_lost: arguments.SkipLost = False,
    kafka: arguments.Security = None,
    kafka_file: arguments.SecurityFile = None,
    metrics_file: arguments.TrainMetricsFile = None,
    metrics_port: arguments.MetricsPort = None,
) -> None:
    """Train HSTU on sequences as they come, in one pass that goes on where it was stopped."""
    with needs("trainer"):
        from model.config import load_config
        from pipeline.security_file import security_options
        from pipeline.train.command import train as run_training
        from pipeline.train.options import Training, input_of

    what = Training(
        load_spec(spec),
        load_config(config),
        input_of(input, until, skip_lost, security_options(kafka or [], kafka_file)),
        checkpoint,
        device,
        steps,
        metrics_file,
        metrics_port,
    )
    done = run_training(what, Console(emoji=False))
    typer.echo(f"{done:,} steps; checkpoint in {checkpoint}")


@app.command()
def score(
    spec: arguments.SpecFile,
    input: arguments.Histories,
    checkpoint: arguments.Trained,
    candidates: arguments.Candidates,
    output: arguments.Scores = None,
    replace: arguments.ReplaceFile = False,
    device: arguments.Device = None,
    microbatch: arguments.Microbatch = 4_096,
    cache_mb: arguments.CacheMegabytes = 1_024,
    bfloat16: arguments.BFloat16 = False,
) -> None:
    """Score candidates for users: which actions they would take, by a model of phia train."""
    with needs("trainer"):
        from model.scoring.scorer import Serving
        from pipeline.device import device_of
        from pipeline.score.command import Scoring, summary
        from pipeline.score.command import score as run_scoring

    serving = Serving(microbatch=microbatch, cache_bytes=cache_mb << 20, bfloat16=bfloat16)
    on = device_of(device)
    what = Scoring(load_spec(spec), checkpoint, input, candidates, on, output, replace, serving)
    errors.print(summary(run_scoring(what, sys.stdout.buffer)))


@app.command()
def check(
    spec: arguments.SpecFile,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of specs instead.")
    ] = False,
    against: arguments.Against = None,
) -> None:
    """Check a spec, and say what it would do, or whether it can go on with another's state."""
    import json

    from pipeline.check import compared, described

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2))
        return
    checked = load_spec(spec)
    for line in described(checked) if against is None else compared(checked, load_spec(against)):
        typer.echo(line)


@app.command()
def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that phia run writes.")],
    html: Annotated[Path | None, typer.Option(help="Write the page there.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve a page that follows the run, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(help="Of --watch, on this machine; 0: a free one.")] = 8600,
    user: Annotated[
        list[str] | None, typer.Option(help="Whose timeline to show; may be repeated.")
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(help="The folder that the run read: timelines with their raw entries."),
    ] = None,
) -> None:
    """Make one page on what a run did, or follow it while it runs."""
    with needs("report"):
        from pipeline.report.page import write_page
        from pipeline.report.watch import watch as watch_folder

    if html is None and not watch:
        raise UsageError("report: say --html FILE, or --watch")
    if html is None and events is not None:
        raise UsageError("report: --events goes with --html FILE")
    if html is not None:
        write_page(out, html, user or [], events)
        typer.echo(f"{html}: {html.stat().st_size / 1e6:,.1f} MB")
    if watch:
        watch_folder(out, port, user or [], typer.echo)


@app.command()
def erase(out: Annotated[Path, typer.Argument(help="A folder that phia run wrote.")]) -> None:
    """Remove the rows of erased users from a folder already written."""
    with needs("pipeline"):
        from pipeline.erase import erase as erase_rows

    rows, files = erase_rows(out)
    typer.echo(f"{rows:,} sequences removed, {files:,} files rewritten")


@app.command()
def simulate(
    spec: arguments.SpecFile,
    output: Annotated[str, typer.Option(help="A folder, or kafka://HOST:PORT.")],
    events: Annotated[int | None, typer.Option(min=1, help="Records in all.")] = None,
    days: Annotated[float, typer.Option(help="Days of event time, where events is absent.")] = 1.0,
    users: Annotated[int, typer.Option(min=1)] = 1_000,
    items: Annotated[int, typer.Option(min=1)] = 5_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    rate: Annotated[float, typer.Option(help="Kafka: records a second; 0: all that goes.")] = 0.0,
    timestamps: Annotated[
        str, typer.Option(help="Kafka: event (as of arrival in the simulation) or now.")
    ] = "event",
    partitions: Annotated[int, typer.Option(min=1, help="Kafka: of topics made.")] = 2,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: any number of the platform.")
    ] = None,
    replace: Annotated[bool, typer.Option(help="Replace what was simulated before.")] = False,
) -> None:
    """Simulate a platform: views, reactions, profiles, sessions and erasures, faults included."""
    with needs("pipeline"):
        from pipeline.progress import shown_while
        from pipeline.simulate.command import simulated

    numbers = {"seed": seed, "users": users, "items": items, "days": days, "events": events}
    with shown_while("simulating", errors) as progress:
        truth = simulated(
            load_spec(spec),
            output,
            numbers,
            set_ or [],
            rate=rate,
            timestamps=timestamps,
            partitions=partitions,
            replace=replace,
            progress=progress,
        )
    records = ", ".join(f"{name} {count:,}" for name, count in truth["records"].items())
    typer.echo(f"{records}; malformed {sum(truth['malformed'].values()):,}, late {truth['late']:,}")


@app.command()
def broker(
    folder: Annotated[Path, typer.Option(help="Where its data are kept.")] = Path("out/broker"),
    port: Annotated[int, typer.Option(help="0: a free one.")] = 9092,
    topic: Annotated[
        list[str] | None, typer.Option(help="NAME[:PARTITIONS] to create; may be repeated.")
    ] = None,
) -> None:
    """Run a real Kafka broker on this machine, for development, until Ctrl-C."""
    with needs("pipeline,broker"):
        from pipeline.broker import serve
        from pipeline.options import topics_of

    serve(folder, port, topics_of(topic or []), progress=typer.echo)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for what it makes.")] = Path("out/demo"),
    events: Annotated[int, typer.Option(min=1_000)] = 100_000,
) -> None:
    """Show the whole way: a broker, a simulated platform, the pipeline, and what came out."""
    with needs("pipeline,broker,report,trainer"):
        from pipeline.demo.show import show

    show(out, events, Console())


if __name__ == "__main__":
    main()
