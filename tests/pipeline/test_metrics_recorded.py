"""Every metric is recorded where it should be, with the values that the run had."""

import time
from pathlib import Path
from typing import Any

import pytest

from kafka_client.clients import Connection
from tests.conftest import NewTopic
from tests.machine import ListBag, spec_of
from tests.oracles import shop
from tests.pipeline.live import live_of, view
from tests.pipeline.messages import Message, message, send
from tests.pipeline.running import run_in
from tests.pipeline.test_metrics import parsed
from tests.recorded import recorded
from tests.transforms.stage import Stage, Timer
from tests.transforms.streaming import one
from transforms.coders import whole
from transforms.ending import CutAtEnd
from transforms.measures import MEASURES
from transforms.measures import parsed as metric_of

STREAM = {"waiting_rows", "state_bytes", "latency_ms"}
"""What only a stream records."""


def shop_of(e: str, x: str) -> dict[str, Any]:
    spec = shop.spec_of()
    return {**spec, "sources": {e: spec["sources"]["e"], x: spec["sources"]["x"]}}


@pytest.mark.kafka
def test_a_run_from_kafka_to_a_topic_and_a_folder_records_all_but_what_is_of_streams(
    kafka: Connection, new_topic: NewTopic, tmp_path: Path
) -> None:
    e, x, out = new_topic(2), new_topic(), new_topic()
    sent = [message(view(n, i=n + 1), partition=n % 2) for n in range(6)]
    bad = [Message(b"{"), message(view(7, i=8, a="SELL")), message(view(0, i=1), at=0)]
    late = [message(view(10_000_000, i=1)), message(view(10_000_000, i=1), partition=1),
            message(view(8, i=9), at=10_000_001)]  # fmt: skip
    send(kafka, e, [*sent, *bad, *late])
    url = f"kafka://{kafka.bootstrap}"
    run_in(shop_of(e, x), url, tmp_path / "out", also=[f"{url}/{out}"],
           metrics_file=tmp_path / "metrics.prom")  # fmt: skip
    found = parsed((tmp_path / "metrics.prom").read_text())
    assert found["phia_records_total", e] == 9
    assert found["phia_rejected_total", "malformed", e] == 1
    assert found["phia_rejected_total", "unknown_action", e] == 1
    assert found["phia_late_total", "behind_watermark", e] == 1
    assert found["phia_copies_total", e] == 2
    assert found["phia_lost_total", e] == 0
    assert found["phia_batch_records_sum",] == 12
    assert found["phia_shard_rows_sum",] == 9
    assert found["phia_consumer_lag", "0", e] == 0
    assert found["phia_consumer_lag", "0", x] == 0
    assert found["phia_partitions_behind", "0"] == 0
    assert found["phia_message_sequences_sum",] == found["phia_sequences_total",] == 2
    assert found["phia_message_bytes_sum",] > found["phia_message_bytes_count",] > 0
    assert found["phia_watermark_ms", "0"] == shop.T + 10_000_000
    lag = time.time() * 1000 - shop.T - 10_000_000
    assert found["phia_watermark_lag_ms", "0"] == pytest.approx(lag, abs=60_000)
    stages = {labels[1] for labels in found if labels[0] == "phia_stage_us_count"}
    assert {"read", "decode", "shard", "fire", "pack", "send", "write_sequences"} <= stages
    named = {name.removeprefix("phia_").removesuffix("_total") for name, *_ in found}
    missing = {name for name in MEASURES if not any(each.startswith(name) for each in named)}
    assert missing == STREAM


@pytest.mark.kafka
def test_a_reader_tells_what_it_has_not_read_yet(kafka: Connection, new_topic: NewTopic) -> None:
    e, x = new_topic(3), new_topic()
    send(kafka, e, [message(view(n, i=n + 1), partition=n % 2) for n in range(60)])
    live = live_of(kafka, e, x)
    with recorded() as found:
        rows = live.until(60)
    assert len(rows) == 60
    assert found[f"consumer_lag:{e}:0"] == 0
    assert found["batch_records_sum"] == 60
    reader = live.worker._reader(0, live.reading)
    reader.offsets = {**reader.offsets, f"{e}/0": 10, f"{e}/1": 25}
    assert reader.behind == {f"{e}/0": 20, f"{e}/1": 5, f"{e}/2": 0, f"{x}/0": 0}
    live.worker.teardown()


def test_a_firing_of_a_stream_records_what_waits_and_how_long_after_completion_it_came() -> None:
    written = shop.spec_of(horizon="500ms")
    del written["sources"]["e"]["end"]
    spec = spec_of(written)
    stage = Stage(spec)
    now = int(time.time() * 1000) - shop.T
    gap = spec.session.gap
    complete = now - 20_000
    stage.take(one(spec, view(complete - gap - 500, i=1), view(now, i=2)))
    with recorded() as found:
        stage.fire(shop.T + complete)
    assert (found["waiting_rows_sum"], found["waiting_rows_count"]) == (1, 1)
    assert found["state_bytes_sum"] > 100
    assert (found["latency_ms_bucket:10000"], found["latency_ms_bucket:30000"]) == (0, 1)
    assert found["latency_ms_sum"] == pytest.approx(20_000, abs=9_000)
    assert (found["sessions"], found["sequences"], found["stage_us_count:fire"]) == (1, 1, 1)
    assert {metric_of(name) is not None for name in found} == {True}


def test_a_bounded_firing_tells_no_latency_and_no_state() -> None:
    spec = spec_of(shop.spec_of())
    stage, waiting = CutAtEnd(spec), ListBag()
    stage.process((0, whole(one(spec, view(0, i=1)))), waiting=waiting, end=Timer())
    with recorded() as found:
        assert [*stage.cut(waiting=waiting)]
    assert found["sessions"] == 1
    assert not [name for name in found if name.startswith(tuple(STREAM))]
