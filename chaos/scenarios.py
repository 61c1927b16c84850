"""What may happen to a live stream: a scenario each, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos import acts, data
from chaos.faults import PROGRAMS
from chaos.stream import Spoil

NO_ONE_LATE = {"late": 0.0}
IDLE = ("views", 1)


@dataclass(frozen=True)
class Scenario:
    """A scenario: what is done while the stream runs, and how the stream itself is special.

    `spoil` is made of each chunk; `numbers` are the platform's, `spec` are changes of the feature
    spec, `options` go to the stream. Nothing goes to the partition `idle`. The output folder is on
    a disk of `disk_mb`, where that is not 0. `gone`: records are deleted before they were read,
    and what is expected is a run without them.
    """

    about: str
    act: acts.Act
    spoil: Callable[[], Spoil] = data.sound
    numbers: Mapping[str, float] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    idle: tuple[str, int] | None = None
    disk_mb: int = 0
    gone: bool = False


SCENARIOS: Mapping[str, Scenario] = {
    **{name: Scenario(f"kill -9 of the {name}", acts.strikes(name)) for name in PROGRAMS},
    "together": Scenario("kill -9 of two to four of these at once", acts.together),
    "away": Scenario("the broker is away for a minute", acts.away(60.0)),
    "disk": Scenario(
        "the disk of the output folder is full for 10 s", acts.fill_disk(10.0), disk_mb=64
    ),
    "idle": Scenario(
        "nothing comes to one partition",
        acts.quiet,
        numbers=NO_ONE_LATE,
        spec={"watermark": {"idle": "5m"}},
        idle=IDLE,
    ),
    "partitions": Scenario(
        "a topic gets a partition more", acts.add_partitions, numbers=NO_ONE_LATE
    ),
    "offsets": Scenario(
        "the offsets of the consumer group are deleted",
        acts.delete_offsets,
        options=(f"--group={acts.GROUP}",),
    ),
    "retention": Scenario(
        "records are deleted before they were read", acts.pass_retention, gone=True
    ),
    "skew": Scenario("records are ahead of the clock", acts.quiet, data.ahead),
    "poison": Scenario("records that nothing can be made of", acts.quiet, data.poisoned),
    "twice": Scenario("everything comes twice", acts.quiet, data.doubled),
    "erasures": Scenario("users ask to be forgotten", acts.quiet, numbers={"erasures": 1.0}),
}


def long(kills: int) -> Scenario:
    """One long run with so many kills."""
    return Scenario(f"{kills} kills of random programs", acts.long_run(kills))
