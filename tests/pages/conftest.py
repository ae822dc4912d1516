"""A host in a process of its own, and the system's Chromium with a WAV file for a microphone."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from voxpy.audio.resample import Resampler

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), "")
PATIENCE_S = 60
QUESTION = (*("What can you do?", 15.0) * 3, 60.0)
"""For a microphone: on a machine that others use a part may be lost, so it is asked again."""
RATE_HZ = 24000
ROUTING = """
rules:
  - {name: answer, pattern: '\\+?[1-9]\\d{6,14}', scenarios: [answer.py]}
  - {name: echo, pattern: 'echo', scenarios: [echo.py]}
  - {name: ring, pattern: 'ring', scenarios: [ring.py]}
channels:
  browser:
  sip: {port: 0}
users:
  anna: ANNA_PASSWORD
"""
RING = '''
"""Call a user and say something to her."""
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.Started)
async def started(event):
    call = VoxEngine.call_user(username="anna", callerid="desk", display_name="The desk")
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.add_event_listener(CallEvents.Failed, lambda e: VoxEngine.terminate())
    await call.wait_event(CallEvents.Connected)
    call.say("Your table is ready at seven o'clock. Thank you for calling. Goodbye.")
    await call.wait_event(CallEvents.PlaybackFinished)
    call.hangup()
'''
RECORD = """
({context, node}) => {
  window.recorded = [];
  const taken = context.createScriptProcessor(4096, 1, 1);
  taken.onaudioprocess = ({inputBuffer}) => recorded.push(inputBuffer.getChannelData(0).slice());
  node.connect(taken);
  taken.connect(context.destination);
  window.recordedRate = context.sampleRate;
}
"""
RECORDED = """
() => {
  const count = recorded.reduce((sum, part) => sum + part.length, 0);
  const samples = new Int16Array(count);
  let at = 0;
  for (const part of recorded) {
    for (const value of part) samples[at++] = 32767 * Math.max(-1, Math.min(1, value));
  }
  let text = "";
  const bytes = new Uint8Array(samples.buffer);
  for (let n = 0; n < bytes.length; n += 32768) {
    text += String.fromCharCode(...bytes.subarray(n, n + 32768));
  }
  return [recordedRate, btoa(text)];
}
"""


@pytest.fixture(scope="session")
def speech() -> Any:
    """The local agent's voice and ears: what a page says, and what was understood of it."""
    pytest.importorskip("moonshine_voice", reason="voxpy[local] speaks and listens")
    from voxpy.localagent.engines import local_engines
    from voxpy.simulation.service import ScriptedResponder

    return local_engines(ScriptedResponder(()))


@pytest.fixture
def microphone(speech: Any, tmp_path: Path) -> Callable[..., Path]:
    """Return what makes a WAV file: seconds are silence, texts are spoken."""

    def make(*parts: str | float) -> Path:
        samples = [
            np.concatenate(list(speech.voice.speak(part, speaker="Mark", speed=1.0)))
            if isinstance(part, str)
            else np.zeros(round(part * RATE_HZ), np.int16)
            for part in parts
        ]
        path = tmp_path / "microphone.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(np.concatenate(samples).astype("<i2").tobytes())
        return path

    return make


@pytest.fixture
def understood(speech: Any) -> Callable[[Page], str]:
    """Return what the recogniser makes of what a page has heard since ``record``."""

    def listen(page: Page) -> str:
        rate_hz, data = page.evaluate(RECORDED)
        samples = np.frombuffer(base64.b64decode(data), "<i2")
        if rate_hz != 16000:
            samples = Resampler(rate_hz, 16000).process(
                samples[: len(samples) // rate_hz * rate_hz]
            )
        return str(speech.ears.transcribe(samples))

    return listen


@pytest.fixture
def browse() -> Iterator[Callable[..., BrowserContext]]:
    """Return what opens a browser; all that a page's scripts complain of fails the test."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="voxpy[browser] drives the browser"
    )
    if not CHROMIUM:
        pytest.skip("no chromium on this system")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        opened: list[Browser] = []

        def open_browser(microphone: Path | None = None, **options: Any) -> BrowserContext:
            given = [
                "--no-sandbox",
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--allow-loopback-in-peer-connection",
            ]
            if microphone is not None:
                given.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=given)
            opened.append(browser)
            context = browser.new_context(permissions=["microphone"], **options)
            context.set_default_timeout(PATIENCE_S * 1000)
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            context.on("console", lambda told: complaints.extend(_errors(told)))
            opened_context: BrowserContext = context
            return opened_context

        yield open_browser
        for browser in opened:
            browser.close()
    assert complaints == []


def _errors(told: ConsoleMessage) -> list[str]:
    # The host is stopped before the browser.
    gone = any(why in told.text for why in ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET"))
    said = f"{told.text} ({told.location['url']})"
    return [said] if told.type == "error" and not gone else []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a routing file and its scenarios."""
    (tmp_path / "routing.yaml").write_text(ROUTING)
    (tmp_path / "ring.py").write_text(RING)
    for name in ("answer.py", "echo.py"):
        shutil.copy(ROOT / "scenarios" / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def host(project: Path, speech: object) -> Iterator[str]:
    """Run ``voxpy serve`` and return its address."""
    # A slow machine takes the call all the same.
    patient = ["--drain-s", "0", "--max-late-ms", "60000"]
    arguments = ["serve", "routing.yaml", "--port", "0", "--agent", "local", *patient]
    with running(arguments, project) as address:
        yield address


@contextmanager
def running(
    arguments: Sequence[str], folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a command of voxpy until the end of the block; gives the address that it names."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environ |= {"INWORLD_API_KEY": "key", "ANNA_PASSWORD": "sesame", **(more or {})}
    process = subprocess.Popen(
        [sys.executable, "-m", "voxpy", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                break
        else:
            raise AssertionError("".join(said))
        rest = threading.Thread(target=process.stdout.read)
        rest.start()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    rest.join()
    process.stdout.close()


def until(page: Page, expression: str) -> None:
    """Wait for an expression to be true; a page's policy lets nobody watch it from within."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def hears(page: Page, words: str, understood: Callable[[Page], str]) -> None:
    """Wait until a page has heard these words."""
    end = time.monotonic() + PATIENCE_S
    while words not in (heard := understood(page)):
        assert time.monotonic() < end, heard
        page.wait_for_timeout(2000)
