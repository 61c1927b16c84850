"""What is done to a stream while it runs. Each gives a function of the stage."""

import time
from collections.abc import Callable
from contextlib import closing
from itertools import count

from kafka import TopicPartition

from chaos.faults import PROGRAMS, Stage
from chaos.mirror import records_before
from kafka_client.clients import admin
from kafka_client.topics import end_offsets

Act = Callable[[Stage], None]

GROUP = "phia-chaos"
DISCOVERY_S = 40.0
"""After so long a stream has found new partitions for certain; who writes waits for that."""


def strikes(*programs: str) -> Act:
    """Kills them, one at a time in turn, and then again while there is time."""

    def act(stage: Stage) -> None:
        for turn in count():
            if turn >= len(programs) and not stage.goes_on():
                return
            stage.pause(0.5, 4)
            stage.strike(programs[turn % len(programs)])

    return act


def together(stage: Stage) -> None:
    """Kills several at once, again and again."""
    while stage.goes_on():
        stage.pause(0.5, 4)
        stage.strike(*stage.random.sample(PROGRAMS, stage.random.randint(2, 4)))


def long_run(kills: int) -> Act:
    """So many kills of random programs, one in five of them together with others."""

    def act(stage: Stage) -> None:
        while (left := kills - stage.kills.total()) > 0 and stage.sending.alive:
            stage.pause(0, 4)
            several = stage.random.randint(2, 4) if stage.random.random() < 0.2 else 1
            stage.strike(*stage.random.sample(PROGRAMS, min(several, left)))

    return act


def away(seconds: float) -> Act:
    """The broker is killed, and away for a time."""

    def act(stage: Stage) -> None:
        stage.pause(3, 6)
        stage.strike("broker", away=seconds)
        stage.pause(3, 6)

    return act


def quiet(stage: Stage) -> None:
    """Nothing is killed but one worker: the stream itself is the fault."""
    stage.pause(8, 10)
    stage.strike("worker")
    while stage.goes_on():
        stage.pause(0.5, 1)


def fill_disk(seconds: float) -> Act:
    """The disk of the output folder is full for a time."""

    def act(stage: Stage) -> None:
        stage.pause(5, 8)
        begun = time.time()
        stage.disk.fill()
        time.sleep(seconds)
        stage.disk.free()
        stage.recover(f"disk full for {seconds:.0f} s", begun)
        stage.pause(3, 5)

    return act


def add_partitions(stage: Stage) -> None:
    """A topic gets a partition; those who write use it when the stream has found it."""
    stage.pause(3, 5)
    with closing(admin(stage.where)) as client:
        client.create_partitions({"views": 3})
    stage.say("views has 3 partitions")
    time.sleep(DISCOVERY_S)
    stage.sending.add("views", 2)
    stage.pause(5, 6)
    stage.strike("taskmanager")
    stage.pause(3, 5)


def delete_offsets(stage: Stage) -> None:
    """The group that the stream commits for is deleted, and then the stream begins anew."""
    for program in ("worker", "taskmanager"):
        stage.pause(8, 10)
        with closing(admin(stage.where)) as client:
            client.delete_groups([GROUP])
        stage.say(f"group {GROUP} is deleted")
        stage.strike(program)
    stage.pause(3, 5)


def pass_retention(stage: Stage) -> None:
    """The task manager is away while records that it has not read are deleted."""
    stage.pause(6, 8)
    place, begun = TopicPartition("views", 0), time.time()
    stage.kill("taskmanager")
    time.sleep(6)
    until = end_offsets(stage.where, place.topic)[place.partition]
    stage.kept[place] = records_before(stage.where, place, until)
    with closing(admin(stage.where)) as client:
        client.delete_records({place: until})
    stage.recover(f"views/0 begins at offset {until}, taskmanager", begun)
    stage.pause(3, 5)
