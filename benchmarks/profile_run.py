"""Where the time of `phia run` goes, by stage and by module, from samples of its threads' stacks.

    python -m benchmarks.profile_run [--scale 1] [--contents 8] [--form arrow] [--kafka]
    python -m benchmarks.profile_run --spec SPEC --input IN

Each sample of a thread that is not waiting counts for the innermost of our own modules on its
stack, with all that this calls; where there is none of ours, for a library. Threads that run at the
same time both count, so that shares are of their time taken together. Processes that the runner
starts are not seen.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from benchmarks.measure import ROOT, machine, measured, module, table

EVENTS, EVERY_S = 1_000_000, 0.003

STAGES = (
    ("pipeline/files", "read"),
    ("pipeline/kafka", "read"),
    ("pipeline/sinks", "write"),
    ("transforms/core/decode", "decode"),
    ("transforms/shards", "shard"),
    ("transforms/coders", "coders"),
    ("transforms/core", "cut"),
    ("transforms", "other transforms"),
    ("schemas", "schemas"),
    ("pipeline", "other pipeline"),
)
_WAITING = ("threading.py", "queue.py", "selectors.py", "socket.py", "concurrent/futures")

# A thread that a library runs shows no module of ours: Parquet is written by one.
_LIBRARIES = (
    ("pyarrow/parquet", "pipeline/sinks, a thread of its own"),
    ("apache_beam", "Beam"),
    ("site-packages/kafka", "pipeline/kafka, a thread of its own"),
)


class Sampler:
    """Looks at every thread's stack again and again, from a thread of its own."""

    def __init__(self) -> None:
        self.modules: Counter[str] = Counter()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=10)

    def _sample(self) -> None:
        own = threading.get_ident()
        while not self._done.wait(EVERY_S):
            for thread, frame in sys._current_frames().items():
                if thread != own and (name := place_of(frame)):
                    self.modules[name] += 1


def place_of(frame: FrameType | None) -> str:
    """The module that a stack is in: ours, or a library's name; nothing where it waits."""
    if frame is None or any(part in frame.f_code.co_filename for part in _WAITING):
        return ""
    library = "other"
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and ".venv" not in path.parts and stage_of(_short(path)):
            return _short(path)
        library = next((name for part, name in _LIBRARIES if part in path.as_posix()), library)
        frame = frame.f_back
    return library


def stage_of(name: str) -> str:
    """The stage that a module belongs to, nothing if to none."""
    return next((stage for start, stage in STAGES if name.startswith(start)), "")


def _short(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def main() -> int:
    """Runs phia in this process, sampled, and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times a million events")
    parser.add_argument("--contents", type=int, default=8, help="contents a session")
    parser.add_argument("--form", choices=("arrow", "json"), default="arrow")
    parser.add_argument(
        "--kafka", action="store_true", help="from messages, by a broker of its own"
    )
    parser.add_argument("--spec", type=Path, help="instead of a workload of ours")
    parser.add_argument("--input", help="the input of --spec")
    parser.add_argument("options", nargs="*", help="further options of phia run, after --")
    given = parser.parse_args()
    print(machine(), "\n")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if given.spec is not None:
            source = [given.spec, "--input", given.input]
        elif given.kafka:
            source = _topics(scratch, given.scale, given.form, stack)
        else:
            source = _files(scratch, given.contents, given.scale, given.form)
        command = ["run", *map(str, source), "--output", f"{scratch}/out"]
        seconds, modules = sampled([*command, *given.options])
    print(f"{seconds:.1f} s\n")
    stages: Counter[str] = Counter()
    for name, count in modules.items():
        stages[stage_of(name) or name] += count
    print(table(["stage", "share"], _shares(stages)), "\n")
    print(table(["module", "share"], _shares(modules)))
    return 0


def sampled(arguments: list[str]) -> tuple[float, Counter[str]]:
    """Runs phia with these arguments; its seconds, and its samples by module."""
    sys.argv = ["phia", *arguments]
    begun = time.perf_counter()
    with Sampler() as sampler:
        from pipeline.cli import main as phia

        try:
            phia()
        except SystemExit as end:
            if end.code:
                raise
    return time.perf_counter() - begun, sampler.modules


def _files(scratch: Path, contents: int, scale: float, form: str) -> list[object]:
    events = round(EVENTS * scale)
    made = measured(
        module("benchmarks.inputs", scratch / "work", contents, events, 400, "--form", form),
        scratch / "log",
    )
    print(f"{json.loads(made.printed)['events']:,} events, {contents} contents a session, {form}")
    return [scratch / "work" / "spec.yaml", "--input", scratch / "work" / "in"]


def _topics(scratch: Path, scale: float, form: str, stack: ExitStack) -> list[object]:
    from pipeline.broker import Broker

    broker = stack.enter_context(Broker(scratch / "kafka"))
    spec, events = scratch / "spec.yaml", round(EVENTS * scale)
    made = measured(
        module("benchmarks.publish", broker.bootstrap, spec, events, "--form", form),
        scratch / "log",
    )
    print(f"{json.loads(made.printed)['events']:,} events in {form} messages")
    return [spec, "--input", f"kafka://{broker.bootstrap}", "--until", "latest"]


def _shares(counts: Counter[str]) -> list[list[str]]:
    total = max(sum(counts.values()), 1)
    return [[name, f"{count / total:.1%}"] for name, count in counts.most_common(25)]


if __name__ == "__main__":
    sys.exit(main())
