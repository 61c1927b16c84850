"""`phia flink`: a real Flink on this machine, for development and tests."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="A real Flink on this machine, for development.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Where the cluster keeps everything.")]
Job = Annotated[str, typer.Argument(help="The job's id, as phia flink jobs shows it.")]
FOLDER = Path("out/flink")


@app.command()
def up(
    folder: Folder = FOLDER,
    port: Annotated[int, typer.Option(help="Of Flink's page and interface; 0: a free one.")] = 8081,
    slots: Annotated[int, typer.Option(min=1, help="Tasks side by side.")] = 2,
) -> None:
    """Start a cluster that stays up: fetched once, then without any network."""
    from pipeline.flink.local import rest_of
    from pipeline.flink.local import up as start

    options = start(folder, port, slots, typer.echo)
    typer.echo(f"Flink is at http://127.0.0.1:{rest_of(folder).port}; submit with")
    typer.echo(f"  phia run SPEC --input kafka://… --output … {shlex.join(options)}")


@app.command()
def down(folder: Folder = FOLDER) -> None:
    """Stop the cluster; its jobs go on when it is up again."""
    from pipeline.flink.local import down as stop

    stop(folder)


@app.command()
def options(folder: Folder = FOLDER) -> None:
    """Print Beam's options that submit to the cluster, as in phia run … $(phia flink options)."""
    from pipeline.flink.local import options as options_of

    typer.echo(" ".join(options_of(folder)))


@app.command()
def jobs(folder: Folder = FOLDER) -> None:
    """List the jobs and their states."""
    from pipeline.flink.local import rest_of

    for job, state in rest_of(folder).jobs().items():
        typer.echo(f"{job} {state}")


@app.command()
def stop(job: Job, folder: Folder = FOLDER) -> None:
    """End a job with a savepoint, and print the option that goes on from it."""
    from pipeline.flink.local import rest_of

    typer.echo(f"--savepoint_path={rest_of(folder).stop(job)}")


@app.command()
def cancel(job: Job, folder: Folder = FOLDER) -> None:
    """End a job without a savepoint."""
    from pipeline.flink.local import rest_of

    rest_of(folder).cancel(job)
