"""A trainer that is killed anywhere goes on: the same model in the end, each sequence once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import torch

from kafka_client.clients import Connection, producer
from model.checkpoint import Checkpoint, Checkpoints
from model.exchange import Exchange
from model.reader.state import ReaderState
from pipeline.sinks.messages import messages
from tests.conftest import NewTopic
from tests.model import shop

KILLS = int(os.environ.get("PHIA_KILLS", "4"))
"""How often a trainer is killed; more than in the usual tests where one likes."""

PARTITIONS, A_MESSAGE = 2, 3
LIMIT_S = 300.0
SETTINGS = """
batch_tokens: 96
lanes: 2
model: {width: 8, blocks: 1, heads: 2, query_width: 4, value_width: 4}
retrieval: {negatives: 8}
rehearsal: {users: 8, updates: 1}
checkpoint: {every_steps: 2}
evaluation: {window_steps: 1}
"""

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def topic(kafka: Connection, new_topic: NewTopic) -> Connection:
    """A topic of sequences, some of which come twice."""
    where = Connection(kafka.bootstrap, topic=new_topic(PARTITIONS))
    made = shop.rows(users=10, sessions=30)
    with closing(producer(where)) as client:
        for start in range(0, made.num_rows, A_MESSAGE):
            for each in messages(made.slice(start, A_MESSAGE), PARTITIONS):
                for _ in range(2 if start % 5 == 0 else 1):
                    client.send(
                        where.topic,
                        value=each.value,
                        headers=each.headers,
                        partition=each.partition,
                    )
        client.flush(timeout=30)
    return where


def command(where: Connection, folder: Path, checkpoint: str) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "pipeline.cli", "train", str(folder / "spec.yaml")),
        *("--input", f"kafka://{where.bootstrap}/{where.topic}", "--until", "latest"),
        *("--config", str(folder / "train.yaml"), "--checkpoint", str(folder / checkpoint)),
    ]


def newest(folder: Path) -> Checkpoint:
    found = Checkpoints(folder, 1, Exchange.alone()).newest()
    assert found is not None
    return found


def killed(where: Connection, folder: Path, wait: float) -> bool:
    """Starts a trainer, and kills it so long after its first new checkpoint. Says if it lived."""
    before = steps_in(folder)
    process = subprocess.Popen(
        command(where, folder, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + LIMIT_S
    while process.poll() is None and steps_in(folder) == before and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(wait)
    lived = process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    return lived


def steps_in(folder: Path) -> int:
    return max((int(path.name[5:]) for path in (folder / "killed").glob("step-*")), default=0)


def test_it_goes_on_as_if_it_was_never_killed(topic: Connection, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(json.dumps(shop.WRITTEN))
    (tmp_path / "train.yaml").write_text(SETTINGS)
    chance = random.Random(KILLS)
    hits = sum(killed(topic, tmp_path, chance.uniform(0, 0.25)) for _ in range(KILLS))
    for checkpoint in ("killed", "undisturbed"):
        subprocess.run(
            command(topic, tmp_path, checkpoint), check=True, timeout=LIMIT_S, capture_output=True
        )
    assert hits
    found, expected = newest(tmp_path / "killed"), newest(tmp_path / "undisturbed")
    assert found.step == expected.step
    assert found.facts == expected.facts
    assert found.facts["sequences"] == 300
    for name in expected.names():
        tensors = expected.part(name).tensors
        for key, tensor in found.part(name).tensors.items():
            assert torch.equal(tensors[key], tensor), (name, key)
    part = found.part("reading-0000")
    counts = ReaderState.of(part.facts["reader"], part.tensors).counts()
    assert counts["rows"] - counts["replays"] == 300
    assert counts["replays"] > 0
    losses = [losses_of(tmp_path / name) for name in ("killed", "undisturbed")]
    assert losses[0] == losses[1]


def losses_of(checkpoint: Path) -> dict[int, float]:
    """The mean loss of each step, as the file of figures has it in the end."""
    text = (checkpoint / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    name = "loss/mean/task=ranking/over=window"
    found = {line["step"]: line[name] for line in lines}
    assert len(found) == len(lines)
    return found


def test_a_stream_that_is_told_to_stop_ends_with_a_checkpoint(
    topic: Connection, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(json.dumps(shop.WRITTEN))
    (tmp_path / "train.yaml").write_text(SETTINGS.replace("every_steps: 2", "every_steps: 10000"))
    endless = [word for word in command(topic, tmp_path, "killed") if word != "--until"]
    endless.remove("latest")
    process = subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    figures, until = tmp_path / "killed" / "metrics.jsonl", time.monotonic() + LIMIT_S
    while time.monotonic() < until and not (figures.exists() and figures.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (0, "")
    step = newest(tmp_path / "killed").step
    assert 0 < step == max(losses_of(tmp_path / "killed"))
    assert out.splitlines()[-1].startswith(f"{step:,} steps; checkpoint in")
