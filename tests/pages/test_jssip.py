"""JsSIP, as its authors publish it, in a page of others: it registers, calls and is called."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.pages.conftest import QUESTION, RECORD, hears, until

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "javascript"
MODULES = Path(os.environ.get("NODE_PATH") or HERE / "node_modules")
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
    (path.parent / "index.html").write_text(
        "<link rel=icon href=data:,><script src=jssip.js></script>"
    )
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
    context = browse(microphone(8.5, *QUESTION))
    page = context.new_page()
    page.goto(app)
    assert page.evaluate(PHONE, host.rpartition(":")[2]) == "registered"

    assert page.evaluate(CALL, "sip:+15550199@127.0.0.1") == "confirmed"
    hears(page, "hours and prices", understood)
    page.evaluate("session.terminate()")

    with urlopen(f"{host}/platform_api/StartScenarios?rule_name=ring", data=b"") as answer:
        assert answer.status == 200
    until(page, "ended.length === 2")
    assert page.evaluate("incoming") == [["desk", "The desk"]]
    assert "Your table is ready" in understood(page)
    assert page.evaluate("ended") == ["Terminated", "Terminated"]
