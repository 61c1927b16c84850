"""What `phia run` is asked to do, and what is refused before anything starts."""

from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import StandardOptions

from kafka_client.secrets import Secret
from pipeline.options import Run, beam_of, run_of, topics_of
from pipeline.security_file import security_options
from schemas.failures import UsageError
from tests.machine import spec_of
from tests.oracles import shop

SPEC = spec_of(shop.spec_of())
KAFKA = "kafka://127.0.0.1:9092"
FLINK = "--runner=FlinkRunner"


def asked(read: str = KAFKA, *beam: str, **changes: Any) -> Run:
    chosen: dict[str, Any] = {
        "write": ["out"], "until": "latest", "start": "earliest", "interval": None, "security": {}
    }  # fmt: skip
    chosen.update(changes)
    return run_of(SPEC, read, beam_options=beam, **chosen)


def test_bounded_kafka_runs_in_process() -> None:
    what = asked()
    assert (what.bounded, what.shards, what.start.where) == (True, 8, "earliest")
    assert what.beam.view_as(StandardOptions).runner == "FnApiRunner"
    assert what.kafka_in is not None
    assert what.kafka_in.bootstrap == "127.0.0.1:9092"


def test_a_folder_is_bounded(tmp_path: Path) -> None:
    what = asked(str(tmp_path), until=None, shards=3)
    assert (what.bounded, what.folder_in, what.shards) == (True, tmp_path, 3)


def test_unbounded_kafka_needs_a_runner_that_can() -> None:
    what = asked(KAFKA, FLINK, "--parallelism=2", until=None)
    assert (what.bounded, what.shards) == (False, 32)
    assert not asked(KAFKA, "--runner=PrismRunner", until=None).bounded


@pytest.mark.parametrize(
    "beam",
    [
        (),
        ("--runner=FnApiRunner",),
        ("--runner=DirectRunner",),
        ("--runner", "DirectRunner"),
        ("--runner=direct",),
        ("--runner=fnapirunner",),
        ("--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",),
    ],
)
def test_unbounded_input_is_refused_in_this_process(beam: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"FlinkRunner.*PrismRunner.*--until latest") as raised:
        asked(KAFKA, *beam, until=None)
    assert "\n" not in str(raised.value)


def test_outputs_may_be_a_folder_and_a_topic() -> None:
    what = asked(write=["out", KAFKA + "/sequences"])
    assert what.folder_out == Path("out")
    assert what.topic_out is not None
    assert what.topic_out.topic == "sequences"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"until": "never"}, "--until=never: must be latest"),
        ({"read": KAFKA + "/views"}, "names a topic; the topics are the spec's sources"),
        ({"read": "kafka://h"}, "'h' in 'kafka://h' is not HOST:PORT"),
        ({"read": "/no/such/folder", "until": None}, "--input=/no/such/folder: must be a folder"),
        ({"read": __file__, "until": None}, "must be a folder of files, or kafka://"),
        ({"read": "/", "until": "latest"}, "--until is for Kafka"),
        ({"read": "/", "until": None, "start": "latest"}, "--start=latest: is for Kafka"),
        ({"read": "/", "until": None, "group": "g"}, "--group=g: is for Kafka"),
        ({"read": "/", "until": None, "security": {"ssl_check_hostname": "no"}}, "--kafka is for"),
        ({"write": ["a", "b"]}, "at most one folder and one topic"),
        ({"write": [KAFKA + "/a", KAFKA + "/b"]}, "at most one folder and one topic"),
        ({"write": [KAFKA]}, "must name the topic"),
        ({"start": "yesterday"}, "--start=yesterday: must be earliest, latest, committed"),
        ({"start": "committed"}, "needs --group"),
        ({"interval": "10s"}, "--interval=10s: is for a stream; bounded input fires at its end"),
        ({"read": "/", "until": None, "interval": "10s"}, "--interval=10s: is for a stream"),
        ({"hand_back": "1s"}, "--hand-back=1s: is for a stream; bounded input is read through"),
        ({"security": {"sasl_pasword": "hunter2"}}, "'sasl_pasword' is not a Kafka security"),
        ({"start": "1969-01-01"}, "--start=1969-01-01"),
    ],
)
def test_what_cannot_be_done_is_refused(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(UsageError) as raised:
        asked(**changes)
    assert part in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("beam", "part"),
    [
        (("--no_such_option=3",), "--no_such_option"),
        (("--no-such",), "--no_such"),
        (("--runner=direct", "stray"), "stray"),
        (("--direct_num_workers=2", "stray", "--streaming"), "stray"),
        (("stray",), "stray"),
        (("--runner=NoSuchRunner",), "--runner=NoSuchRunner: must be one of FnApiRunner, Direct"),
        (("--runner=BundleBasedDirectRunner",), "BundleBasedDirectRunner: must be one of"),
        (("--runner=bundlebaseddirectrunner",), "must be one of"),
        (("--runner=TestDirectRunner",), "must be one of"),
        (("--runner=InteractiveRunner",), "must be one of"),
        (("--runner=no.such.Runner",), "must be one of"),
        (("--runner=DataflowRunner",), "Beam's options: Missing"),
        (("--direct_num_workers=-1",), "--direct_num_workers=-1: must be at least 0"),
        (("--direct_num_workers=many",), "direct_num_workers"),
    ],
)
def test_what_beam_does_not_know_is_refused(beam: tuple[str, ...], part: str) -> None:
    with pytest.raises(UsageError) as raised:
        asked(KAFKA, *beam)
    assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_topics_are_named_with_partitions() -> None:
    assert topics_of(["a", "b:4"]) == {"a": 1, "b": 4}


@pytest.mark.parametrize("written", ["", ":3", "a:", "a:0", "a:x", "a:-1"])
def test_a_wrong_topic_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="must be NAME or NAME:PARTITIONS"):
        topics_of([written])


def test_security_options_come_from_a_file_and_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# who we are\n\nsecurity_protocol = SASL_SSL\nsasl_plain_password=a=b\n")
    secret = Secret("line", str(file), "sasl_plain_password")
    assert security_options(["security_protocol=SSL"], file) == {
        "security_protocol": "SSL",
        "sasl_plain_password": secret,
    }
    assert secret.read() == "a=b"
    assert security_options([], None) == {}


def test_a_reference_is_followed_in_the_file_and_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("sasl_plain_password=env:NAME\nssl_password=file:/run/word\n")
    assert security_options([], file) == {
        "sasl_plain_password": Secret("env", "NAME"),
        "ssl_password": Secret("file", "/run/word"),
    }
    given = security_options(["sasl_plain_password=env:OTHER"], file)
    assert given["sasl_plain_password"] == Secret("env", "OTHER")


@pytest.mark.parametrize("name", ["sasl_plain_password", "ssl_password"])
@pytest.mark.parametrize("value", ["hunter2", "env:", "hunter2:x", "file:"])
def test_a_secret_on_the_command_line_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(UsageError) as raised:
        security_options([f"{name}={value}"], None)
    message = str(raised.value)
    assert message.startswith(f"--kafka {name}=…: a secret must not stand on a command line")
    assert f"{name}=env:NAME or {name}=file:PATH" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "beam",
    [
        ("--kafk", "sasl_plain_password=hunter2"),
        ("--kafk=ssl_password=hunter2",),
        ("ssl_password=hunter2",),
        ("hunter2=hunter2", "--x"),
    ],
)
@pytest.mark.parametrize("runner", ["FlinkRunner", "FnApiRunner"])
def test_a_secret_does_not_pass_on_to_beam(beam: tuple[str, ...], runner: str) -> None:
    with pytest.raises(UsageError) as raised:
        beam_of([f"--runner={runner}", *beam], bounded=True)
    assert "=hunter2" not in str(raised.value)


@pytest.mark.parametrize("line", ["hunter2", "=hunter2"])
def test_a_wrong_security_line_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(line)
    for given, path in (([line], None), ([], file)):
        with pytest.raises(UsageError, match="must be KEY=VALUE") as raised:
            security_options(given, path)
        assert "hunter2" not in str(raised.value)


def test_a_security_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for file in (tmp_path / "none", tmp_path, binary):
        with pytest.raises(UsageError, match=f"--kafka-file={file}: (there is no|.*be read)"):
            security_options([], file)
