"""`python -m chaos`: scenarios one after the other, a line each, and a table in the end."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos.report import Report
from chaos.run import run_all
from chaos.scenarios import SCENARIOS, long

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    scenario: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(SCENARIOS)}; default: all.")
    ] = None,
    kills: Annotated[int, typer.Option(help="Instead: one long run with so many kills.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same stream and faults.")] = 0,
    minutes: Annotated[float, typer.Option(help="How long kills begin anew, each scenario.")] = 0.4,
    folder: Annotated[Path, typer.Option(help="For results; and where processes keep all.")] = Path(
        "out/chaos"
    ),
) -> None:
    """Disturb a live stream on real processes; status 1 if anything is lost or differs."""
    chosen = {f"kills-{kills}": long(kills)} if kills else {}
    for name in [] if kills else scenario or SCENARIOS:
        if name not in SCENARIOS:
            raise typer.BadParameter(f"{name}: must be one of {', '.join(SCENARIOS)}")
        chosen[name] = SCENARIOS[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started ends
    report = Report(folder, Console(soft_wrap=True, highlight=False))
    run_all(chosen, folder, seed, minutes, report)
    report.table()
    sys.exit(not report.good)


if __name__ == "__main__":
    app()
