"""JsSIP, as its authors publish it, in a page of others: it registers, calls and is called."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from tests.channels.sip.peers.processes import free_ports, needs
from tests.fleet.conftest import RedisServer, shared_redis
from tests.pages.conftest import QUESTION, RECORD, ROOT, hears, running, until
from voxpy.cli import main

__all__ = ["shared_redis"]  # a fixture

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "javascript"
MODULES = Path(os.environ.get("NODE_PATH") or HERE / "node_modules")
SERVE = ["serve", "--port", "0", "--agent", "local", "--drain-s", "0", "--max-late-ms", "60000"]
PHONE = """
(port) => new Promise((done) => {
  setTimeout(() => done('nothing happens'), 30000);
  const socket = new JsSIP.WebSocketInterface(`ws://127.0.0.1:${port}/sip`);
  window.heard = (session) => session.connection.addEventListener('track', ({track}) => {
    const stream = new MediaStream([track]);
    const player = new Audio();
    player.srcObject = stream;
    player.play();
    const context = new AudioContext();
    (RECORD)({context, node: context.createMediaStreamSource(stream)});
  });
  const account = {uri: 'sip:anna@127.0.0.1', password: 'sesame', session_timers: false};
  window.phone = new JsSIP.UA({sockets: [socket], ...account});
  window.incoming = [];
  window.ended = [];
  phone.on('newRTCSession', ({session, originator}) => {
    session.on('ended', ({cause}) => ended.push(cause));
    session.on('failed', ({cause}) => ended.push(cause));
    if (originator !== 'remote') return;
    incoming.push([session.remote_identity.uri.user, session.remote_identity.display_name]);
    session.on('peerconnection', () => heard(session));
    session.answer({mediaConstraints: {audio: true, video: false}});
  });
  phone.on('registered', () => done('registered'));
  phone.on('registrationFailed', ({cause}) => done(cause));
  phone.start();
})
""".replace("RECORD", RECORD)
INDEX = "<link rel=icon href=data:,><script src=jssip.js></script>"
CALL = """
(to) => new Promise((done) => {
  setTimeout(() => done('nothing happens'), 30000);
  const session = phone.call(to, {mediaConstraints: {audio: true, video: false}});
  window.session = session;
  heard(session);
  session.on('confirmed', () => done('confirmed'));
  session.on('failed', ({cause}) => done(cause));
})
"""


def is_rung(heard: str) -> bool:
    """Whether somebody has heard the call of ring.py; a busy machine may lose a word of it."""
    return any(words in heard for words in ("table is ready", "seven o'clock", "Thank you for"))


def calls_and_is_called(page: Any, port: int, host: str, understood: Callable[[Any], str]) -> None:
    """Register at a port, call, be understood and answered, and be called by ring.py."""
    assert page.evaluate(PHONE, port) == "registered"
    assert page.evaluate(CALL, "sip:+15550199@127.0.0.1") == "confirmed"
    hears(page, "hours and prices", understood)
    page.evaluate("session.terminate()")
    with urlopen(f"{host}/platform_api/StartScenarios?rule_name=ring", data=b"") as answer:
        assert answer.status == 200
    until(page, "ended.length === 2")
    assert page.evaluate("incoming") == [["desk", "The desk"]]
    assert is_rung(understood(page))
    assert page.evaluate("ended") == ["Terminated", "Terminated"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[str]:
    """The address of a page with JsSIP as one script; it is published as modules for Node."""
    esbuild = MODULES / ".bin" / "esbuild"
    if not esbuild.exists() or not (MODULES / "jssip").exists():
        pytest.skip(f"npm install in {HERE}, or name node_modules in NODE_PATH")
    path = tmp_path / "app" / "jssip.js"
    subprocess.run(
        [esbuild, "jssip", "--bundle", "--global-name=JsSIP", f"--outfile={path}"],
        check=True,
        capture_output=True,
        cwd=MODULES.parent,
    )
    (path.parent / "index.html").write_text(INDEX)
    handler = partial(_Quiet, directory=str(path.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_jssip_registers_calls_and_is_called(
    browse: Callable[..., Any], host: str, app: str, microphone: Any, understood: Any
) -> None:
    pytest.importorskip("aiortc", reason="voxpy[webrtc] carries the audio")
    page = browse(microphone(8.5, *QUESTION)).new_page()
    page.goto(app)
    calls_and_is_called(page, int(host.rpartition(":")[2]), host, understood)


def test_a_page_at_one_host_is_called_by_another(
    browse: Callable[..., Any],
    app: str,
    project: Path,
    microphone: Any,
    understood: Any,
    shared_redis: RedisServer,
) -> None:
    pytest.importorskip("aiortc", reason="voxpy[webrtc] carries the audio")
    pytest.importorskip("coredis", reason="voxpy[fleet] speaks to Redis")
    routing = (project / "routing.yaml").read_text() + "fleet: {redis: REDIS_URL, name: pages}\n"
    (project / "routing.yaml").write_text(routing)
    secret = {"REDIS_URL": shared_redis.url}
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(running([*SERVE, "--fleet-name", name], project, secret))
            for name in ("one", "two")
        )
        page = browse(microphone(60.0)).new_page()
        page.goto(app)
        assert page.evaluate(PHONE, int(two.rpartition(":")[2])) == "registered"
        with urlopen(f"{one}/platform_api/StartScenarios?rule_name=ring", data=b"") as answer:
            assert answer.status == 200
        until(page, "ended.length === 1")
        assert is_rung(understood(page))
        assert page.evaluate("ended") == ["Terminated"]


@contextmanager
def program(command: list[str], folder: Path, said: str) -> Iterator[None]:
    """Run a program, from the moment it has said something to the end of the block."""
    printed = folder / f"{Path(command[0]).name}.txt"
    with printed.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, "TMPDIR": str(folder)}
        )
    try:
        while said not in printed.read_text():
            assert process.poll() is None, printed.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


@needs("kamailio", "kamailio kamailio-websocket-modules")
@needs("rtpengine", "rtpengine-daemon")
def test_behind_kamailio_rtpengine_makes_plain_sound_of_it(
    browse: Callable[..., Any],
    app: str,
    project: Path,
    microphone: Any,
    understood: Any,
    tmp_path: Path,
) -> None:
    proxy = free_ports(4)
    pages, port, control = proxy + 1, proxy + 2, proxy + 3
    routing = (project / "routing.yaml").read_text().replace("port: 0", f"port: {port}")
    fleet = f"fleet: {{proxy: '127.0.0.1:{proxy}', hosts: ['127.0.0.1:{port}']}}\n"
    (project / "routing.yaml").write_text(routing + fleet)
    engine = ["rtpengine", "--table=-1", "--interface=127.0.0.1", "--foreground"]
    engine += [f"--listen-ng=127.0.0.1:{control}", "--log-stderr", "--log-level=7"]
    made = ["fleet", "kamailio", str(project / "routing.yaml"), "--out", str(tmp_path)]
    made += ["--websocket", str(pages), "--rtpengine", f"udp:127.0.0.1:{control}"]
    assert CliRunner().invoke(main, made).exit_code == 0
    with ExitStack() as stack:
        host = stack.enter_context(running(SERVE, project))
        stack.enter_context(program(engine, tmp_path, "tartup complete"))
        follow = [str(ROOT / "deploy" / "kamailio-follow"), str(tmp_path)]
        stack.enter_context(program(follow, tmp_path, "Aliases"))
        page = browse(microphone(8.5, *QUESTION)).new_page()
        page.goto(app)
        calls_and_is_called(page, pages, host, understood)
