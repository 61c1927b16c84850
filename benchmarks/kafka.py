"""`phia run --until latest` beside the Kafka client's bare poll loop over the same topics.

    python -m benchmarks.kafka [--scale 1]

Run it as a module: as a file it would hide the package `kafka`. A broker of its own is started for
single JSON messages and for Arrow ones, 8 contents a session. What the start of each process takes
is measured on the empty topics; the ratio is given with it and without.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Run, machine, measured, module, phia, table

EVENTS = {"json": 300_000, "arrow": 1_000_000}
TOPICS = ("views", "likes")


def main() -> int:
    """Measures both forms and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times the default of events")
    parser.add_argument("--form", choices=tuple(EVENTS), help="this one alone")
    given = parser.parse_args()
    print(machine(), "\n")
    forms = [given.form] if given.form else list(EVENTS)
    print(table(_HEADS, [_measured(form, round(EVENTS[form] * given.scale)) for form in forms]))
    return 0


_HEADS = [
    "messages",
    "events",
    "poll loop s",
    "phia s",
    "poll loop / phia",
    "starts s: poll, phia",
    "poll k events/s",
    "phia k events/s",
    "phia / poll, without starts",
    "peak MB poll",
    "peak MB phia",
]


def _measured(form: str, events: int) -> list[str]:
    from pipeline.broker import Broker

    with tempfile.TemporaryDirectory() as scratch, Broker(Path(scratch) / "kafka") as broker:
        contest = _Contest(Path(scratch), broker.bootstrap)
        contest.publish(form, 0)
        starts = [run.seconds for run in (contest.poll(), contest.phia())]
        sent = contest.publish(form, events)
        poll, ours = contest.poll(), contest.phia()
    net = [max(run.seconds - start, 1e-3) for run, start in zip((poll, ours), starts, strict=True)]
    return [
        form,
        f"{sent:,}",
        f"{poll.seconds:.1f}",
        f"{ours.seconds:.1f}",
        f"**{poll.seconds / ours.seconds:.0%}**",
        f"{starts[0]:.1f}, {starts[1]:.1f}",
        f"{sent / net[0] / 1e3:.0f}",
        f"{sent / net[1] / 1e3:.0f}",
        f"**{net[0] / net[1]:.0%}**",
        f"{poll.peak_mb:.0f}",
        f"{ours.peak_mb:.0f}",
    ]


class _Contest:
    """The commands over one broker."""

    def __init__(self, scratch: Path, bootstrap: str) -> None:
        self._scratch = scratch
        self._bootstrap = bootstrap
        self._log = scratch / "log"
        self._spec = scratch / "spec.yaml"

    def publish(self, form: str, events: int) -> int:
        run = measured(
            module("benchmarks.publish", self._bootstrap, self._spec, events, "--form", form),
            self._log,
        )
        return int(json.loads(run.printed)["events"])

    def poll(self) -> Run:
        return measured(module("benchmarks.rivals.kafka_poll", self._bootstrap, *TOPICS), self._log)

    def phia(self) -> Run:
        out = self._scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        source = ("--input", f"kafka://{self._bootstrap}", "--until", "latest")
        return measured(phia("run", self._spec, *source, "--output", out), self._log)


if __name__ == "__main__":
    sys.exit(main())
