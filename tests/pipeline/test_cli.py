"""The command `phia` as a shell sees it: statuses, one line for what goes wrong, no traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.machine import Raw
from tests.model import shop as small
from tests.oracles import shop
from tests.pipeline.running import Ran, files_of, lines_in

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that it said of what went wrong."""
        (line,) = self.err.strip().splitlines()
        return line


def phia(*words: object) -> Said:
    """Runs the command in a process of its own."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "Traceback" not in ran.stderr + ran.stdout
    return Said(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(shop.spec_of(), indent=1))
    return file


@pytest.fixture
def read(tmp_path: Path) -> Path:
    records: list[Raw] = [
        shop.at(0, i=1, a="VIEW"),
        shop.at(5000, i=2, a="LIKE"),
        b"{",
        shop.at(0, i=3, a="?"),
    ]
    return lines_in(tmp_path / "in", {"e": records, "x": []})


def test_a_run_ends_with_0_a_summary_and_metrics(spec: Path, read: Path, tmp_path: Path) -> None:
    out, metrics = tmp_path / "out", tmp_path / "metrics" / "phia.prom"
    said = phia("run", spec, "--input", read, "--output", out, "--metrics-file", metrics)
    assert (said.status, said.err) == (0, "")
    assert said.out == (
        "records 2, rejected 2, late 0, copies 0, sessions 2, sequences 2, raw tokens 6, tokens 6\n"
    )
    assert len(Ran(out).sequences()) == 2
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.read_text())
        for sample in family.samples
    }
    assert found["phia_records_total", "e"] == 2
    assert found["phia_rejected_total", "e", "malformed"] == 1
    assert found["phia_rejected_total", "e", "unknown_action"] == 1
    assert found["phia_sequences_total",] == 2
    assert not [name for name in found if name[0] == "phia_late_total"]
    again = phia("run", spec, "--input", read, "--output", out)
    assert again.status == 2
    assert "holds a run's output already" in again.line
    assert phia("run", spec, "--input", read, "--output", out, "--replace").status == 0


def wrong(status: int, *words: object) -> str:
    said = phia(*words)
    assert said.status == status, said
    assert said.out == ""
    return said.line


def test_usage_errors_end_with_2_and_one_line(spec: Path, read: Path, tmp_path: Path) -> None:
    run = ("run", spec, "--input", read, "--output", tmp_path / "out")
    assert "--no_such: neither phia nor Beam" in wrong(2, *run, "--no_such=1")
    assert "Beam's options: argument --direct_num_workers" in wrong(
        2, *run, "--direct_num_workers=many"
    )
    assert "--input" in wrong(2, "run", spec, "--output", tmp_path / "out")
    assert "must be a folder" in wrong(2, "run", spec, "--input", spec, "--output", "out")
    assert "is a file" in wrong(2, "run", spec, "--input", read, "--output", spec)
    assert "--input: given 2 times; name one" in wrong(2, *run, "--input", read)
    assert "over the spec that is given" in wrong(2, *run[:-1], spec.parent)
    assert r"--output=\udcff: is not UTF-8" in wrong(2, *run[:-1], os.fsdecode(b"\xff"))
    simulate = ("simulate", ROOT / "examples" / "shop" / "spec.yaml", "--output", "s3://b/x")
    assert "must be a folder of this machine" in wrong(2, *simulate, "--events", "9")
    assert "readers" in wrong(2, *run, "--readers", "0")
    assert "unplugged" in wrong(2, "unplugged")
    assert "Is a directory" in wrong(2, *run, "--metrics-file", tmp_path)
    kafka = ("run", spec, "--input", "kafka://127.0.0.1:1", "--output", tmp_path / "out")
    assert "can't run unbounded input" in wrong(2, *kafka)
    assert not (tmp_path / "out").exists()


def test_what_a_user_wrote_is_printed_as_it_is(spec: Path, tmp_path: Path) -> None:
    for name in ("a:b:c", "[bold]d"):
        (tmp_path / name).mkdir()
        run = ("run", spec, "--input", tmp_path / name, "--output", tmp_path / "out")
        assert f"--input={tmp_path / name}: has no file" in wrong(2, *run)
        lines_in(tmp_path / name, {"e": []})
        assert f"no file in {tmp_path / name}; expected" in phia(*run, "--replace").line


def test_a_run_that_is_interrupted_ends_with_130_and_one_line(spec: Path, tmp_path: Path) -> None:
    read = lines_in(tmp_path / "in", {"e": [shop.at(n, i=1, a="VIEW") for n in range(50_000)]})
    for n in range(60):
        (read / "x").mkdir(exist_ok=True)
        (read / "x" / f"{n}.jsonl").symlink_to(read / "e.jsonl")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.cli", "run", spec, "--input", read, "--output", out]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as ran:
        deadline = time.monotonic() + 60
        while not [*out.glob("**/*.parquet")]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ran.send_signal(signal.SIGINT)
        _, err = ran.communicate(timeout=60)
    assert (ran.returncode, err) == (130, "stopped\n")
    assert files_of(out, "sequences") == []


def test_a_broker_that_is_not_there_ends_with_1(spec: Path, tmp_path: Path) -> None:
    kafka = ("run", spec, "--input", "kafka://127.0.0.1:1", "--output", tmp_path / "out")
    line = wrong(1, *kafka, "--until", "latest")
    assert line.startswith("cannot connect to Kafka at 127.0.0.1:1: ")


def test_a_file_that_fails_while_it_is_read_ends_with_1_and_its_name(
    spec: Path, tmp_path: Path
) -> None:
    read = lines_in(tmp_path / "in", {"x": []})
    (read / "e.jsonl").symlink_to("/proc/self/mem")  # opens, but can't be read at 0
    line = wrong(1, "run", spec, "--input", read, "--output", tmp_path / "out")
    assert line == f"cannot read {read}/e.jsonl: Input/output error"
    assert files_of(tmp_path / "out", "sequences") == []


def test_a_wrong_spec_ends_with_2_and_says_where(spec: Path, read: Path, tmp_path: Path) -> None:
    wrong_spec = tmp_path / "wrong.yaml"
    wrong_spec.write_text(json.dumps({**shop.spec_of(), "colour": "red"}, indent=1))
    lines = wrong_spec.read_text().count("\n")
    for words in (("check",), ("run", "--input", read, "--output", tmp_path / "out")):
        line = wrong(2, words[0], wrong_spec, *words[1:])
        assert f"({wrong_spec}, line {lines})" in line
        assert "colour" in line
    assert str(tmp_path / "none.yaml") in wrong(2, "check", tmp_path / "none.yaml")


def test_check_says_what_a_spec_does_and_prints_the_schema(spec: Path) -> None:
    import jsonschema

    said = phia("check", spec)
    assert said.status == 0
    assert said.out.startswith("shop: good; fingerprint ")
    assert "e (json): engagements with i, land, held, price, likes, ends of sessions" in said.out
    schema = json.loads(phia("check", spec, "--schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(spec.read_text()), schema)


def test_check_says_whether_state_can_be_kept(spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps({**json.loads(spec.read_text()), "attribution": "1s"}))
    assert "state can be kept" in phia("check", spec, "--against", spec).out
    refused = phia("check", other, "--against", spec)
    assert (refused.status, refused.out) == (2, "")
    assert "attribution: 0s → 1s; start a new job" in refused.line


def test_erase_ends_with_0_and_with_2_where_nothing_is(
    spec: Path, read: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert phia("run", spec, "--input", read, "--output", out).status == 0
    assert phia("erase", out).out == "0 sequences removed, 0 files rewritten\n"
    assert "holds no run's output" in wrong(2, "erase", tmp_path / "none")
    assert files_of(out, "sequences")


def test_help_names_the_commands_and_ends_with_0() -> None:
    said = phia("--help")
    assert said.status == 0
    for command in ("run", "check", "erase", "simulate", "broker", "demo"):
        assert command in said.out
    assert phia("run", "--help").status == 0


TRAIN: list[tuple[list[str], int, str]] = [
    (["--input", "nowhere"], 2, "--input=nowhere: must be a folder of phia run, with sequences/"),
    (["--input", "kafka://127.0.0.1:1"], 2, "must name the topic, as in kafka://HOST:9092/seq"),
    (["--input", "kafka://127.0.0.1:1/s", "--until", "now"], 2, "--until=now: must be latest"),
    (["--input", "kafka://127.0.0.1:1/s", "--until", "latest"], 1, "cannot connect to Kafka"),
    (["--input", ".", "--skip-lost"], 2, "--until and --skip-lost are for Kafka"),
    (["--input", ".", "--config", "absent.yaml"], 2, "cannot read the settings file"),
    (["--input", ".", "--steps", "0"], 2, "--steps"),
]


@pytest.mark.parametrize(("words", "status", "line"), TRAIN)
def test_training_says_in_one_line_what_is_wrong(
    tmp_path: Path, spec: Path, words: list[str], status: int, line: str
) -> None:
    said = phia("train", spec, "--checkpoint", tmp_path / "model", *words)
    assert said.status == status
    assert line in said.line


def test_training_on_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = small.folder(tmp_path / "made")
    file = tmp_path / "small.yaml"
    file.write_text(json.dumps(small.WRITTEN))
    command = ["train", file, "--input", folder, "--checkpoint", tmp_path / "model"]
    first = phia(*command, "--steps", 1, "--metrics-file", tmp_path / "metrics.prom")
    assert (first.status, first.err) == (0, "")
    assert first.out.splitlines()[-1] == f"1 steps; checkpoint in {tmp_path / 'model'}"
    text = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"phia_train_steps", "phia_train_ranking_ne", "phia_train_loss_mean"} <= names
    second = phia(*command)
    assert second.status == 0
    assert "goes on from step 1 of" in second.out


def test_a_report_with_the_events_of_the_run_and_without(
    spec: Path, read: Path, tmp_path: Path
) -> None:
    out, html = tmp_path / "out", tmp_path / "page.html"
    assert phia("run", spec, "--input", read, "--output", out).status == 0
    said = phia("report", out, "--html", html, "--events", read)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"{html}: 0.")
    assert "What came in" in html.read_text(encoding="utf-8")
    assert "goes with --html FILE" in wrong(2, "report", out, "--watch", "--events", read)
    line = wrong(2, "report", out, "--html", html, "--events", tmp_path / "none")
    assert line == f"--events={tmp_path}/none: must be the folder that the run read"


LACKING = [
    ("vl_convert", "report", ["report", ".", "--html", "page.html"]),
    ("jinja2", "report", ["report", ".", "--watch"]),
    ("datasketches", "report", ["report", ".", "--html", "page.html"]),
    ("apache_beam", "pipeline", ["run", "spec.yaml", "--input", ".", "--output", "out"]),
    ("polars", "pipeline", ["erase", "."]),
    ("kafka", "pipeline", ["simulate", "spec.yaml", "--output", "out"]),
    ("kafka", "pipeline,broker", ["broker"]),
    ("torch", "trainer", ["train", "spec.yaml", "--input", ".", "--checkpoint", "model"]),
]


@pytest.mark.parametrize(("package", "extra", "words"), LACKING)
def test_a_package_that_is_not_installed_is_told_with_the_extra_that_brings_it(
    package: str, extra: str, words: list[str], tmp_path: Path
) -> None:
    """To Python a module that is None in `sys.modules` is one that can't be found."""
    code = f"import sys; sys.modules[{package!r}] = None; from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, *words]
    ran = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"this needs the package {package}: pip install 'phia[{extra}]'\n"
    assert [*tmp_path.iterdir()] == []
