"""Net: real requests over loopback to a server in a thread, whose port the system chooses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from voxpy import Net
from voxpy.engine.clock import MediaClock
from voxpy.engine.context import running
from voxpy.engine.ending import EndReason
from voxpy.engine.http import RESPONSE_BYTES, HttpRequest, fetch
from voxpy.engine.masking import Masker
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import LimitExceeded, NoSession, NotSupported, ScenarioError, UnknownName
from voxpy.net import HttpRequestResult
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.calls import CallKit


class Site:
    """A web server that writes down what it is asked, and answers by path."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.open = threading.Event()  # lets /wait answer
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        yield
        with self._lock:
            self.at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                seen = {
                    "method": self.command,
                    "path": self.path,
                    "headers": {k.lower(): v for k, v in self.headers.items()},
                    "body": self.rfile.read(length),
                }
                site.asked.append(seen)
                with site.counted():
                    getattr(self, "at_" + self.path.split("?")[0].strip("/"), self.at_hello)()

            do_POST = do_GET  # noqa: N815  the name http.server looks for

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def at_hello(self) -> None:
                self.answer(200, "Grüße".encode(), content_type="text/plain; charset=utf-8")

            def at_latin(self) -> None:
                self.answer(200, b"Gr\xfc\xdfe", content_type="text/plain; charset=latin-1")

            def at_broken(self) -> None:
                self.answer(503, b"later", set_cookie="id=hidden-cookie")

            def at_moved(self) -> None:
                self.answer(302, b"", location="/hello")

            def at_loop(self) -> None:
                self.answer(302, b"", location="/loop")

            def at_astray(self) -> None:
                self.answer(302, b"", location="ftp://example.invalid/")

            def at_huge(self) -> None:
                self.answer(200, b"x" * (RESPONSE_BYTES + 1))

            def at_full(self) -> None:
                self.answer(200, b"x" * RESPONSE_BYTES)

            def at_short(self) -> None:
                self.send_response(200)
                self.send_header("content-length", "100")
                self.end_headers()
                self.wfile.write(b"x")

            def at_wait(self) -> None:
                site.open.wait(5)
                self.answer(200, b"at last")

        return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Site() as site:
        yield site


@pytest.fixture
def entries() -> list[Entry]:
    return []


@pytest.fixture
async def session(entries: list[Entry]) -> Session:
    unused: Any = None  # nothing here dials, reads secrets or writes files
    trace = Trace(now=trio.current_time, masking=Masker(["the-known-secret"]))
    trace.add_sink(entries.append)
    return Session(
        SessionContext(
            session_id="s-1",
            settings=Settings(),
            secrets=unused,
            trace=trace,
            media_clock=MediaClock(),
            open_stream=unused,
            realtime=RealtimeEndpoint(url="ws://localhost"),
            files=unused,
        ),
    )


async def get(session: Session, url: str, **options: Any) -> HttpRequestResult:
    with running(session):
        return await Net.http_request_async(url, **options)


# -- what is sent and what comes back -------------------------------------------------------------


async def test_get(session: Session, site: Site) -> None:
    result = await get(session, site.url + "/hello?a=1", params={"b": "x y"})
    assert (result.code, result.text, result.data, result.error) == (200, "Grüße", None, None)
    assert ("content-type", "text/plain; charset=utf-8") in [
        (h.key, h.value) for h in result.headers
    ]
    assert "content-type: text/plain; charset=utf-8\r\n" in (result.raw_headers or "")
    (seen,) = site.asked
    assert (seen["method"], seen["path"]) == ("GET", "/hello?a=1&b=x+y")
    assert seen["headers"]["user-agent"].startswith("voxpy/")


async def test_post(session: Session, site: Site) -> None:
    await get(
        session,
        site.url,
        method="post",
        post_data="Grüße",
        headers={"Content-Type": "text/plain", "User-Agent": "mine", "X-Name": "Jürgen"},
    )
    (seen,) = site.asked
    assert (seen["method"], seen["body"]) == ("POST", "Grüße".encode())
    assert seen["headers"]["content-type"] == "text/plain"
    assert seen["headers"]["user-agent"] == "mine"
    assert seen["headers"]["x-name"].encode("latin-1").decode() == "Jürgen"


async def test_headers_as_old_scenarios_write_them(session: Session, site: Site) -> None:
    await get(session, site.url, post_data=b"\0\1", method="POST", headers=["X-One: 1", "X-Two:2"])
    (seen,) = site.asked
    assert (seen["headers"]["x-one"], seen["headers"]["x-two"]) == ("1", "2")
    assert seen["body"] == b"\0\1"


async def test_raw_output(session: Session, site: Site) -> None:
    result = await get(session, site.url + "/latin", raw_output=True)
    assert (result.data, result.text) == (b"Gr\xfc\xdfe", None)


async def test_text_is_decoded_as_it_says(session: Session, site: Site) -> None:
    assert (await get(session, site.url + "/latin")).text == "Grüße"


async def test_redirects_are_followed(session: Session, site: Site) -> None:
    assert (await get(session, site.url + "/moved")).text == "Grüße"


async def test_an_error_of_the_server_is_a_result(session: Session, site: Site) -> None:
    result = await get(session, site.url + "/broken")
    assert (result.code, result.text) == (503, "later")


async def test_as_much_as_fits(session: Session, site: Site) -> None:
    assert len((await get(session, site.url + "/full")).text or "") == RESPONSE_BYTES


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "no url", "ftp://host/", "http://", "http://[::1", "/path"])
async def test_malformed_urls(session: Session, url: str) -> None:
    result = await get(session, url)
    assert result.code == -2
    assert result.error


@pytest.mark.parametrize(
    ("path", "code"),
    [("/loop", -5), ("/astray", -2), ("/short", -6), ("/huge", -9)],
)
async def test_codes(session: Session, site: Site, path: str, code: int) -> None:
    result = await get(session, site.url + path)
    assert result.code == code
    assert result.error
    assert result.text is None


async def test_host_not_found(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", unknown)
    assert (await get(session, "http://nowhere.invalid/")).code == -3


async def test_nobody_listens(session: Session) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        result = await get(session, f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert result.code == -4


async def test_timeout(session: Session, site: Site) -> None:
    result = await get(session, site.url + "/wait", timeout=0.05)
    assert result.code == -7


async def test_what_cannot_be_sent_is_an_internal_error(session: Session, site: Site) -> None:
    assert (await get(session, site.url, headers={"bad name": "x"})).code == -8


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"method": ""}, "method"),
        ({"method": "GET /"}, "method"),
        ({"post_data": {"a": 1}}, "json.dumps"),
        ({"headers": ["no colon"]}, "Name: value"),
        ({"headers": {"x": 1}}, "must be text"),
        ({"headers": {"x": "a\r\nb: c"}}, "cannot be sent"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"connection_timeout": "6"}, "connection_timeout"),
    ],
)
async def test_wrong_arguments(session: Session, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        await get(session, "http://localhost/", **options)
    with pytest.raises(ScenarioError, match="url must be text"):
        await get(session, None)  # type: ignore[arg-type]


def test_names() -> None:
    net: Any = Net
    with pytest.raises(NotSupported, match="mail"):
        net.send_mail("server")
    with pytest.raises(UnknownName, match="'http_request_async'"):
        net.httpRequestAsync("http://localhost/")
    with pytest.raises(NoSession):
        net.http_request("http://localhost/", print)


# -- limits ---------------------------------------------------------------------------------------


async def test_three_at_once_and_thirty_five_in_all(
    session: Session, site: Site, nursery: trio.Nursery
) -> None:
    results: list[int] = []

    async def one() -> None:
        results.append((await get(session, site.url + "/wait")).code)

    for _ in range(35):
        nursery.start_soon(one)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(LimitExceeded, match="Exceeded the HTTP connection count limit!"):
        await get(session, site.url)
    with trio.fail_after(10):
        while site.at_once < 3:
            await trio.testing.wait_all_tasks_blocked(0.001)
        site.open.set()
        while len(results) < 35:
            await trio.testing.wait_all_tasks_blocked(0.001)
    assert results == [200] * 35
    assert site.most_at_once == 3
    assert (await get(session, site.url)).code == 200


async def test_one_request_after_the_end(session: Session, site: Site) -> None:
    session.end(EndReason.TERMINATED)
    assert (await get(session, site.url)).code == 200
    late = await get(session, site.url)
    assert (late.code, len(site.asked)) == (0, 1)
    assert "one request" in (late.error or "")


def test_on_virtual_time_a_request_takes_none(site: Site) -> None:
    async def main() -> tuple[HttpRequestResult, float]:
        before = trio.current_time()
        request = HttpRequest(
            method="GET", url=httpx.URL(site.url), headers=httpx.Headers(), body=None,
            raw_output=False, timeout_s=5, connect_s=5,
        )  # fmt: skip
        return await fetch(request), trio.current_time() - before

    result, took_s = run_virtual(main)
    assert (result.code, took_s) == (200, 0.0)


# -- the trace ------------------------------------------------------------------------------------


async def test_the_trace_tells_little_by_default(
    session: Session, site: Site, entries: list[Entry]
) -> None:
    url = site.url.replace("//", "//user:pass@") + "/hello?number=15550100"
    await get(session, url, headers={"Authorization": "Bearer x"})
    request, response = entries
    assert request.data == {"method": "GET", "url": site.url + "/hello"}
    assert not request.personal
    assert response.data == {"code": 200}


async def test_the_system_log_masks_secrets(
    session: Session, site: Site, entries: list[Entry]
) -> None:
    await get(
        session,
        site.url + "/broken?api_key=k-12345678&city=Oslo",
        method="POST",
        post_data="tell the-known-secret",
        headers={"Authorization": "Bearer abc", "X-Api-Key": "def", "Cookie": "ghi", "X-A": "b"},
        enable_system_log=True,
    )
    request, response = entries
    assert request.personal["headers"].items() >= {
        "authorization": "***", "x-api-key": "***", "cookie": "***", "x-a": "b",
    }.items()  # fmt: skip
    assert request.personal["payload"] == {"api_key": "***", "city": "Oslo"}
    assert request.personal["body"] == "tell ***"
    assert response.personal["body"] == "later"
    assert response.personal["headers"]["set-cookie"] == "***"


# -- in scenarios ---------------------------------------------------------------------------------


def scenario(body: str) -> str:
    return f"""
from voxpy import AppEvents, CallEvents, Logger, Net, VoxEngine
{body}
"""


def test_a_callback(voxpy: CallKit, site: Site) -> None:
    source = scenario(
        f"""
def done(result):
    Logger.write(f"got {{result.code}} {{result.text}}")
    VoxEngine.terminate()

def alerting(event):
    event.call.answer()
    Net.http_request("{site.url}/hello", done, params={{"id": "7"}})
    Logger.write("asked")

VoxEngine.add_event_listener(AppEvents.CallAlerting, alerting)
"""
    )
    call = voxpy.call(source, "- wait: answered\n- wait: 5\n", fetch=fetch)
    assert call.log == ["asked", "got 200 Grüße"]
    assert site.asked[0]["path"] == "/hello?id=7"


def test_what_a_callback_raises_is_the_sessions_error(voxpy: CallKit, site: Site) -> None:
    source = scenario(
        f"""
def alerting(event):
    event.call.answer()
    Net.http_request("{site.url}", lambda result: 1 / 0)

VoxEngine.add_event_listener(AppEvents.CallAlerting, alerting)
"""
    )
    call = voxpy.call(source, "- wait: answered\n- wait: 5\n", fetch=fetch, check_errors=False)
    assert call.result.end.reason is EndReason.HANDLER_ERROR


@pytest.mark.parametrize(
    "how", ["await Net.http_request_async(URL)", "Net.http_request(URL, print)"]
)
def test_a_report_from_terminating(voxpy: CallKit, site: Site, how: str) -> None:
    source = scenario(
        f"""
URL = "{site.url}/report"

async def terminating(event):
    {how}

VoxEngine.add_event_listener(AppEvents.Terminating, terminating)
VoxEngine.add_event_listener(AppEvents.CallAlerting, lambda event: VoxEngine.terminate())
"""
    )
    voxpy.call(source, "may_be_refused: true\nsteps:\n- wait: answered\n", fetch=fetch)
    assert [seen["path"] for seen in site.asked] == ["/report"]


def test_a_request_on_its_way_at_the_end_is_finished(voxpy: CallKit, site: Site) -> None:
    source = scenario(
        f"""
def alerting(event):
    Net.http_request("{site.url}/report", lambda result: Logger.write("too late"))
    VoxEngine.terminate()

VoxEngine.add_event_listener(AppEvents.CallAlerting, alerting)
"""
    )
    call = voxpy.call(source, "may_be_refused: true\nsteps:\n- wait: answered\n", fetch=fetch)
    assert [seen["path"] for seen in site.asked] == ["/report"]
    assert call.log == []
