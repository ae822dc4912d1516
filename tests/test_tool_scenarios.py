"""The scenarios with tools and with back-channels, unchanged, as whole calls on virtual time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import numpy as np
import pytest

from voxpy.audio.wav import read_wav
from voxpy.engine.ending import EndReason
from voxpy.engine.http import fetch
from voxpy.localagent.engines import Engines
from voxpy.localagent.rules import RuleResponder
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, WorldCall

SCENARIOS = Path(__file__).parents[1] / "scenarios"
TOOLS, BACKCHANNEL = SCENARIOS / "tools.py", SCENARIOS / "backchannel.py"


def engines() -> Engines:
    """Return the local agent's rules behind a voice and ears of tones."""
    return attrs.evolve(scripted_engines(ScriptedResponder([])), responder=RuleResponder())


def caller(scenario: Path) -> str:
    return (SCENARIOS / "callers" / f"{scenario.stem}.yaml").read_text(encoding="utf-8")


class Weather:
    """The weather service, as far as the scenario uses it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.status = 200
        weather = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                weather.paths.append(self.path)
                now = {"temp_C": "21", "weatherDesc": [{"value": "Partly Cloudy "}]}
                body = json.dumps({"current_condition": [now]}).encode()
                self.send_response(weather.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Iterator[Weather]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    weather = Weather()
    thread = threading.Thread(target=weather.server.serve_forever, args=(0.01,))
    thread.start()
    yield weather
    weather.server.shutdown()
    thread.join()
    weather.server.server_close()


def agent_said(call: WorldCall) -> list[str]:
    lead = "===ResponseOutputAudioTranscriptDone==> "
    return [line.removeprefix(lead) for line in call.log if line.startswith(lead)]


def test_the_weather_and_a_goodbye(voxpy: CallKit, weather: Weather) -> None:
    call = voxpy.call(
        TOOLS, caller(TOOLS), engines=engines(), secrets={"WEATHER_URL": weather.url}, fetch=fetch
    )
    assert call.result.failure == ""
    assert call.result.end.reason is EndReason.TERMINATED
    assert weather.paths == ["/London?format=j1"]
    assert agent_said(call)[1:] == ["It is 21 degrees in London, partly cloudy.", "Goodbye!"]
    called = [(entry.name, entry.data["tool"]) for entry in call.find("tool called")]
    assert called == [("tool called", "get_weather"), ("tool called", "hang_up")]


def test_one_response_for_each_result(voxpy: CallKit, weather: Weather) -> None:
    call = voxpy.call(
        TOOLS, caller(TOOLS), engines=engines(), secrets={"WEATHER_URL": weather.url}, fetch=fetch
    )
    # The greeting, two answers that call a function, and what is said to each result.
    assert len(call.find("Inworld.RealtimeAPI.ResponseCreated")) == 5
    assert call.find("Inworld.RealtimeAPI.Error") == []


def test_the_goodbye_is_heard_to_its_end(voxpy: CallKit, weather: Weather) -> None:
    call = voxpy.call(
        TOOLS, caller(TOOLS), engines=engines(), secrets={"WEATHER_URL": weather.url}, fetch=fetch
    )
    (*_, goodbye) = call.find("agent heard as")
    assert goodbye.data["played_ms"] == goodbye.data["of_ms"]
    hung_up = next(e for e in call.entries if e.name == "Call.hangup")
    assert goodbye.t < hung_up.t < goodbye.t + 1
    (*_, heard) = call.find("caller heard")
    assert heard.personal["text"] == "Goodbye!"


def test_a_weather_service_that_fails_is_told_to_the_caller(
    voxpy: CallKit, weather: Weather
) -> None:
    weather.status = 500
    call = voxpy.call(
        TOOLS, caller(TOOLS), engines=engines(), secrets={"WEATHER_URL": weather.url}, fetch=fetch
    )
    assert call.result.failure == ""
    assert "does not answer" in agent_said(call)[1]
    assert "===WEATHER=== 500 " in call.log


def test_the_agent_murmurs_while_the_caller_speaks(voxpy: CallKit) -> None:
    call = voxpy.call(BACKCHANNEL, caller(BACKCHANNEL), engines=engines())
    assert call.result.failure == ""
    murmurs = [line for line in call.log if line.startswith("===MURMUR==> ")]
    assert len(murmurs) >= 2
    (story, _) = call.find("caller speaks")
    quiet = story.t + 1.0, story.t + 10.0  # all of it is the caller's turn
    left, right = _channels(call)
    between = slice(*(round(t * 8000) for t in quiet))
    assert np.abs(left[between]).max() > 2000  # the caller speaks
    assert np.abs(right[between]).max() > 1000  # and hears the agent all the same
    assert np.mean(np.abs(right[between]) > 500) < 0.3  # now and then


def _channels(call: WorldCall) -> tuple[np.ndarray, np.ndarray]:
    with call.hosted.recording.open("rb") as file:
        both = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)
    return both[:, 0], both[:, 1]
