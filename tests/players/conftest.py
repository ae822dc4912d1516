"""What the tests of players share: sound files, a web server, and calls around a scenario."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile


def sound_file(
    path: Path, seconds: float, *, hz: float = 1000.0, rate_hz: int = 8000, **options: Any
) -> Path:
    """Write a sine; the ending of the name says what kind of file."""
    path.write_bytes(sound_bytes(seconds, path.suffix[1:], hz=hz, rate_hz=rate_hz, **options))
    return path


def sound_bytes(
    seconds: float, kind: str, *, hz: float = 1000.0, rate_hz: int = 8000, **options: Any
) -> bytes:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.4 * np.sin(2 * np.pi * hz * t), rate_hz, format=kind, **options)
    return buffer.getvalue()


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[..., Path]:
    """Write a sine into the folder where the kit puts its scenarios."""
    return lambda name, seconds, **options: sound_file(tmp_path / name, seconds, **options)


class Site:
    """A web server in a thread: answers with what ``pages`` has, and notes what it is asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[dict[str, Any]] = []
        self.go_on = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread.start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> None:
        """Answer ``path`` with this; with 304 to who has the ``etag`` given here."""

        def answer(to: BaseHTTPRequestHandler) -> None:
            known = to.headers.get("if-none-match") == headers.get("etag", "none")
            to.send_response(304 if known else status)
            for name, value in headers.items():
                to.send_header(name.replace("_", "-"), value)
            to.send_header("content-length", str(0 if known else len(body)))
            to.end_headers()
            to.wfile.write(b"" if known else body)

        self.pages[path] = answer

    def put_slowly(self, path: str, first: bytes, rest: bytes, *, announced: bool = True) -> None:
        """Answer with ``first``, and with ``rest`` when ``go_on`` is set."""

        def answer(to: BaseHTTPRequestHandler) -> None:
            to.send_response(200)
            if announced:
                to.send_header("content-length", str(len(first) + len(rest)))
            to.end_headers()
            to.wfile.write(first)
            to.wfile.flush()
            self.go_on.wait(20)
            to.wfile.write(rest)

        self.pages[path] = answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                site.asked.append(
                    {
                        "method": self.command,
                        "path": self.path,
                        "headers": {k.lower(): v for k, v in self.headers.items()},
                        "body": self.rfile.read(length),
                    }
                )
                page = site.pages.get(self.path.split("?")[0])
                if page is None:
                    self.send_error(404)
                else:
                    page(self)

            do_POST = do_GET  # noqa: N815  the name http.server looks for

        return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    site = Site()
    yield site
    site.close()
