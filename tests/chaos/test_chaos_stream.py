"""The records of a disturbed stream: the same each time, and as strange as they are to be."""

from itertools import islice
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from chaos.data import BEHIND, ahead, doubled, poisoned
from chaos.play import SHOP
from chaos.stream import CHUNK_MS, TOPICS, Chunk, Record, Spoil, chunks, platform_of, ticks
from schemas.fetched import Origin, Texts
from schemas.load import load_spec
from transforms.core.decode.decoded import Decoded, decoded
from transforms.core.decode.plan import Plan

SPEC = load_spec(SHOP)
PLACES = {topic: [0, 1] for topic in TOPICS}


def script(seed: int = 5, count: int = 40, **numbers: float) -> list[tuple[int, Chunk]]:
    return list(islice(chunks(platform_of(seed, **numbers)), count))


def made_of(records: Chunk) -> dict[str, Decoded]:
    """What the decoder makes of records, by topic."""
    of = {
        topic: [r for r in records if r.topic == topic and r.value is not None] for topic in TOPICS
    }
    found = {}
    for topic, mine in of.items():
        origin = Origin(
            partition=np.zeros(len(mine), np.int64),
            offset=np.arange(len(mine)),
            timestamp=np.array([record.timestamp for record in mine], np.int64),
        )
        texts = Texts(topic, [record.value or b"" for record in mine], origin)
        found[topic] = decoded(texts, Plan(SPEC, topic))
    return found


def test_a_stream_is_the_same_each_time_and_another_with_another_seed() -> None:
    assert script() == script()
    assert script() != script(6)


def test_records_come_in_order_each_in_its_chunk() -> None:
    made = script()
    assert made[0][1] == []
    assert sum(len(chunk) for _, chunk in made) > 100
    for end, chunk in made:
        times = [record.timestamp for record in chunk]
        assert times == sorted(times)
        assert all(end - CHUNK_MS <= time < end for time in times)


def test_each_partition_has_a_tick_that_moves_its_watermark() -> None:
    time = script(count=2)[1][0]
    made = ticks(PLACES, time)
    assert {(record.topic, record.partition) for record in made} == {
        (topic, number) for topic in TOPICS for number in (0, 1)
    }
    for topic, found in made_of(made).items():
        assert (found.rows.num_rows, found.rejected.num_rows) == (2, 0), topic
        times = found.rows["time"].cast(pa.int64()).to_pylist()
        assert all(time - 1000 < each <= time for each in times)


@pytest.mark.parametrize("spoil", [poisoned(), ahead()], ids=["poison", "ahead"])
def test_what_is_added_is_rejected_and_nothing_else_changes(spoil: Spoil) -> None:
    random = Random(1)
    for _, chunk in script():
        spoiled = spoil(chunk, random)
        assert spoiled[: len(chunk)] == chunk
        more = [record for record in spoiled[len(chunk) :] if record.value is not None]
        assert sum(found.rejected.num_rows for found in made_of(more).values()) == len(more)
        assert sum(found.rows.num_rows for found in made_of(more).values()) == 0


def test_everything_comes_twice_the_second_time_well_within_the_horizon() -> None:
    spoil, sent = doubled(), list[Record]()
    made = script(duplicates=0.0)
    for _, chunk in made:
        sent += spoil(chunk, Random(1))
    for end, chunk in made[: -2 * BEHIND]:
        for record in chunk:
            first, second = [r.timestamp for r in sent if r.value == record.value][:2]
            assert first < end <= second < first + SPEC.horizon
