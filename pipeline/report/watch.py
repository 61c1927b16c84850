"""The page of a run under way, served on the loopback address: it follows the statistics."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, urlsplit

import xxhash

from pipeline.report.folder import NothingYet, ReportError, Vanished, open_folder, reading
from pipeline.report.page import Report, asset, page, parts, report_of, waiting
from schemas.ids import canonical_json
from schemas.problems import SpecError

HOST = "127.0.0.1"
REST = 4
"""Between two makings of the page it rests as many times as long as one takes."""

_WRONG = (ReportError, SpecError)
"""What may be wrong with a folder now, and be right when it is asked for again."""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@dataclass
class Followed:
    """A folder and what was last told of it; a new report is made when files have come and the
    last one is not too young."""

    out: Path
    users: Sequence[str]
    version: str = ""
    report: Report | None = None
    _lock: Lock = field(default_factory=Lock)
    _not_before: float = 0.0

    def now(self) -> tuple[str, Report]:
        """The newest report, with its version. Raises ReportError and SpecError; asked again, it
        reads anew."""
        with self._lock, reading(self.out):
            version = _version(self.out)
            began = time.monotonic()
            if self.report is None or (version != self.version and began >= self._not_before):
                self.report = report_of(open_folder(self.out), self.users)
                self.version = version
                ended = time.monotonic()
                self._not_before = ended + REST * (ended - began)
            return self.version, self.report


def _version(out: Path) -> str:
    """A text that changes whenever a file of the folder does."""
    files = sorted(out.glob("*/*.parquet"))
    stamps = [[str(file), file.stat().st_mtime_ns] for file in files]
    return xxhash.xxh3_64_hexdigest(canonical_json(stamps).encode())


def watch(out: Path, port: int, users: Sequence[str], say: Callable[[str], None]) -> None:
    """Serves the page on a folder at a port of the loopback address, 0 for any, until Ctrl-C.

    A folder without statistics is waited for, and one whose files are being replaced. Raises
    ReportError for one that is no run's, and where the port is taken.
    """
    try:
        open_folder(out)
    except (NothingYet, Vanished) as nothing:
        say(f"{nothing}; waiting")
    with _server(Followed(out, users), port) as server:
        say(f"The page is at http://{HOST}:{server.server_port}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


@contextmanager
def _server(followed: Followed, port: int) -> Iterator[ThreadingHTTPServer]:
    try:
        server = _Server((HOST, port), _handler(followed))
    except (OSError, OverflowError) as error:
        raise ReportError(
            f"port {port} cannot be used ({error}): name a free one, or 0 for any"
        ) from error
    with server:
        yield server


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(followed: Followed) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers a browser on this machine: `/`, `/follow.js`, and `/now`, what is new."""

        def do_GET(self) -> None:
            where = urlsplit(self.path)
            if self.headers.get("Host") not in self._names():
                # Another site's name that leads here must not read what is told.
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", "ask for the address itself")
            elif where.path == "/":
                self._answer(HTTPStatus.OK, "text/html", _whole(followed))
            elif where.path == "/follow.js":
                self._answer(HTTPStatus.OK, "text/javascript", str(asset("follow.js")))
            elif where.path == "/now":
                self._now(parse_qs(where.query).get("seen", [""])[0])
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "nothing is here")

        def _names(self) -> set[str]:
            _, port = self.connection.getsockname()
            return {f"{HOST}:{port}", f"localhost:{port}"}

        def _now(self, seen: str) -> None:
            """What is new since the version that the browser has seen: nothing, or all parts."""
            try:
                version, report = followed.now()
            except _WRONG as error:
                self._answer(HTTPStatus.OK, "application/json", json.dumps({"wrong": str(error)}))
                return
            if version == seen:
                self._answer(HTTPStatus.NO_CONTENT, "application/json", "")
                return
            told = {"version": version, "parts": parts(report)}
            self._answer(HTTPStatus.OK, "application/json", json.dumps(told))

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            with suppress(ConnectionError):  # the browser has gone
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing of requests."""

    return Handler


def _whole(followed: Followed) -> str:
    try:
        return page(followed.now()[1], watched=True)
    except _WRONG as error:
        return waiting(str(error))
