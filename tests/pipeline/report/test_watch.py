"""The page of a run under way, as a browser asks for it, while files of the folder come and go."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.oracles import shop
from tests.pipeline.running import lines_in, run_in

FOLLOWED_S = 6.0


@dataclass
class Watched:
    """A server of a folder in a process of its own."""

    port: int

    def now(self, seen: str = "") -> tuple[int, dict[str, object]]:
        """The status and what is told of what is new."""
        status, body = self._asked(f"/now?seen={seen}")
        return status, json.loads(body) if body else {}

    def whole(self) -> str:
        """The page."""
        return self._asked("/")[1]

    def _asked(self, path: str) -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as server:
            server.request("GET", path)
            answer = server.getresponse()
            return answer.status, answer.read().decode()


@contextmanager
def watched(out: Path) -> Iterator[Watched]:
    """Serves a folder, and sees that nothing was said on standard error."""
    command = [sys.executable, "-m", "pipeline.cli", "report", str(out), "--watch", "--port", "0"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        at = (found for line in lines for found in re.findall(r"http://127.0.0.1:(\d+)/", line))
        yield Watched(int(next(at)))
        assert process.poll() is None
    finally:
        process.kill()
        _, said = process.communicate()
    assert said == ""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run wrote."""
    folder = tmp_path_factory.mktemp("watched")
    records = [shop.at(n * 700, i=n % 5, a="VIEW", land="de") for n in range(30)]
    read = lines_in(folder / "in", {"e": records, "x": []})
    return run_in(shop.spec_of(), read, folder / "out").folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


def test_a_file_that_goes_while_it_is_read_is_told_and_the_next_time_all_is_well(out: Path) -> None:
    """A name that leads nowhere is listed and cannot be opened, as a file that went between."""
    with watched(out) as seen:
        _, told = seen.now()
        gone = out / "statistics" / "part-gone.parquet"
        gone.symlink_to(out / "nowhere")
        _, wrong = seen.now(str(told["version"]))
        assert str(wrong["wrong"]).startswith(f"{out}: a file went while it was read; try again")
        assert "a file went while it was read" in seen.whole()
        gone.unlink()
        assert seen.now(str(told["version"])) == (204, {})
        assert "what compression did" in seen.whole()


def test_a_folder_whose_files_go_before_it_is_opened_is_waited_for(out: Path) -> None:
    gone = out / "statistics" / "part-gone.parquet"
    gone.symlink_to(out / "nowhere")
    with watched(out) as seen:
        assert "Waiting" in seen.whole()
        gone.unlink()
        assert "what compression did" in seen.whole()


def test_a_folder_that_is_replaced_over_and_over_is_followed(out: Path) -> None:
    """Files are moved out and in as fast as can be, the spec too, and the page asked for."""
    ended, rounds = Event(), [0]
    thread = Thread(target=_replaced, args=(out, ended, rounds))
    with watched(out) as seen:
        thread.start()
        try:
            until, found = time.monotonic() + FOLLOWED_S, {"parts": 0, "wrong": 0}
            while time.monotonic() < until:
                status, told = seen.now()
                assert status == 200
                found["wrong" if "wrong" in told else "parts"] += 1
                assert "<h1>" in seen.whole()
        finally:
            ended.set()
            thread.join()
        assert rounds[0] > 20
        assert sum(found.values()) > 3
        assert "parts" in seen.now()[1]
        assert "what compression did" in seen.whole()


def _replaced(out: Path, ended: Event, rounds: list[int]) -> None:
    """Every file of the folder away and back again, one after the other."""
    files = [*out.glob("*/*.parquet"), out / "spec.yaml"]
    while not ended.is_set():
        for file in files:
            away = file.with_name(f".{file.name}")
            os.replace(file, away)
            time.sleep(0.001)
            os.replace(away, file)
        rounds[0] += 1


def test_a_browser_that_goes_before_it_is_answered_is_no_matter(out: Path) -> None:
    with watched(out) as seen:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", seen.port)) as browser:
                browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                browser.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{seen.port}\r\n\r\n".encode())
        time.sleep(1)
        assert "what compression did" in seen.whole()
