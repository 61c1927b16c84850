"""`phia flink`: a real cluster that goes up, mends itself, and says what is wrong."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.flink import distribution, local
from pipeline.flink.rest import FlinkError, Rest
from pipeline.flink.settings import Ports, write_settings
from pipeline.java.packages import JavaError
from pipeline.java.ports import free_port

UP_S = 90.0


@pytest.mark.flink
@pytest.mark.timeout(900)
def test_a_cluster_goes_up_mends_itself_and_goes_down(tmp_path: Path) -> None:
    folder = tmp_path / "flink"
    said = _phia("flink", "up", "--folder", str(folder), "--port", "0")
    assert "--runner=FlinkRunner" in said
    before = local.described(folder)
    try:
        assert local.rest_of(folder).slots == 2
        assert _phia("flink", "options", "--folder", str(folder)).split() == local.options(folder)
        with pytest.raises(JavaError, match="in use by another cluster"):
            local.up(folder, 0, 1, lambda step: None)
        killed = before["pids"]["taskmanager"]
        os.kill(killed, signal.SIGKILL)
        _await(lambda: local.described(folder)["pids"]["taskmanager"] != killed)
        _await(lambda: local.rest_of(folder).slots == 2)
    finally:
        local.down(folder)
    assert not any(map(_runs, before["pids"].values()))
    with pytest.raises(JavaError, match=f"no cluster is up in {folder}"):
        local.options(folder)


def test_only_the_jars_of_a_cluster_are_taken(tmp_path: Path) -> None:
    package = tmp_path / "package"
    taken = ["lib/flink-dist-1.jar", "lib/log4j-core.jar"]
    plugin = "plugins/metrics-prometheus/flink-metrics-prometheus-1.jar"
    for name in (*taken, plugin, "lib/flink-cep-1.jar", "opt/flink-dist-old.jar", "bin/x.sh"):
        place = package / "deps" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    archive = tmp_path / "flink.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(package, "apache-flink-libraries")
    home = tmp_path / "home"
    distribution._unpack(archive, home)
    files = sorted(str(f.relative_to(home)) for f in home.rglob("*.jar"))
    assert files == sorted([*taken, plugin])
    assert not archive.exists()


def test_what_can_not_be_fetched_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(distribution, "FLINK_VERSION", "0.0.0")
    with pytest.raises(JavaError, match=r"apache-flink-libraries==0\.0\.0 cannot be fetched") as e:
        distribution._flink()
    assert "\n" not in str(e.value)


def test_flink_that_does_not_answer() -> None:
    rest = Rest(free_port())
    assert rest.slots == 0
    with pytest.raises(FlinkError, match="does not answer"):
        rest.jobs()


def test_only_this_machine_is_listened_to(tmp_path: Path) -> None:
    write_settings(tmp_path, Ports.free(), slots=3)
    lines = (tmp_path / "conf" / "flink-conf.yaml").read_text().splitlines()
    settings = dict(line.split(": ", 1) for line in lines)
    hosts = [value for key, value in settings.items() if key.endswith(("host", "address"))]
    assert set(hosts) == {"127.0.0.1"}
    assert settings["taskmanager.numberOfTaskSlots"] == "3"
    assert "clientPortAddress=127.0.0.1" in (tmp_path / "conf" / "zoo.cfg").read_text()


def test_a_folder_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _run("flink", "up", "--folder", str(tmp_path / "file"), "--port", "0")
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1


def _phia(*arguments: str) -> str:
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)


def _await(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline:
        if happened():
            return
        time.sleep(0.5)
    raise AssertionError("it did not happen in time")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
