"""Conferences of real calls in one session: who is heard by whom, by the tone of each voice."""

# ruff: noqa: E501  scenario sources read better in whole lines

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from voxpy.errors import NotSupported, ScenarioError
from voxpy.testing import CallKit, WorldCall

SCENARIO = """
from voxpy import AppEvents, CallEvents, ConferenceEvents, Logger, Modules, RecorderEvents, VoxEngine, require
import trio

require(Modules.Conference)

async def join(conference, *calls):
    for call in calls:
        if call.state() != "CONNECTED":
            await call.wait_event(CallEvents.Connected)
        call.record(stereo=True, record_name_prefix=call.number())
        VoxEngine.send_media_between(call, conference)

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    BODY
"""
THREE = """
may_be_refused: true
to: "100"
callees:
  "200":
    steps:
      - wait: 2
      - say: four five six seven
      - wait: 20
  "300":
    steps:
      - wait: 4
      - say: eight nine
      - wait: THEN
steps:
  - wait: answered
  - wait: 2
  - say: one two three
  - wait: 20
"""
CALL_TWO = """
    conference = VoxEngine.create_conference(hd_audio=HD)
    conference.add_event_listener(ConferenceEvents.Started, lambda e: Logger.write("started"))
    conference.add_event_listener(ConferenceEvents.Stopped, lambda e: Logger.write("stopped"))
    two = VoxEngine.call_user(username="200", callerid="me")
    three = VoxEngine.call_user(username="300", callerid="me")
    recorder = VoxEngine.create_recorder(name="all")
    conference.send_media_to(recorder)
    await join(conference, call, two, three)
"""
TONES_HZ = (2440, 2530, 2620)  # the loudest of each text's chord
"""The voices of the test kit: the first texts it speaks, in whatever order."""


def run(
    voxpy: CallKit, body: str, *, hd: bool = False, then: str = "20", **given: Any
) -> WorldCall:
    whole = CALL_TWO.replace("HD", str(hd)) + "    " + body.strip()
    source = SCENARIO.replace("BODY", whole.strip())
    return voxpy.call(source, THREE.replace("THEN", then), **given)


def sounds(folder: Path, name: str, channel: int) -> dict[int, float]:
    """Return the seconds of each tone that is heard, by blocks of 100 ms."""
    samples, rate_hz = soundfile.read(folder / name, dtype="int16", always_2d=True)
    side: npt.NDArray[np.float64] = samples[:, min(channel, samples.shape[1] - 1)].astype(float)
    size = rate_hz // 10
    blocks = side[: len(side) // size * size].reshape(-1, size)
    spectra = np.abs(np.fft.rfft(blocks * np.hanning(size), n=4 * size)) / size
    hz = np.arange(spectra.shape[1]) * rate_hz / (4 * size)
    return {
        tone: round(float((spectra[:, np.abs(hz - tone) <= 5].max(axis=1) > 500).sum()) * 0.1, 1)
        for tone in TONES_HZ
    }


@pytest.mark.parametrize("hd", [False, True])
def test_each_of_three_calls_hears_the_others_and_never_itself(voxpy: CallKit, hd: bool) -> None:
    call = run(voxpy, "await trio.sleep(9)\n    VoxEngine.terminate()", hd=hd)
    folder = call.result.folder
    said = {n: sounds(folder, f"{n}-record.wav", 0) for n in ("100", "200", "300")}
    heard = {n: sounds(folder, f"{n}-record.wav", 1) for n in ("100", "200", "300")}
    tones = {n: max(own, key=lambda hz: own[hz]) for n, own in said.items()}
    assert sorted(tones.values()) == [*TONES_HZ]
    for n, hears in heard.items():
        for other, tone in tones.items():
            if other == n:
                assert hears[tone] == 0.0, (n, hears)
            else:
                assert hears[tone] == pytest.approx(said[other][tone], abs=0.21), (n, other)
    everything = sounds(folder, "all.wav", 0)
    for n, tone in tones.items():
        assert everything[tone] == pytest.approx(said[n][tone], abs=0.21)
    assert call.log[0] == "started"


def test_who_hangs_up_is_gone_and_the_others_go_on(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        """
    Logger.write(" ".join(m.id() for m in conference.get_list()))
    await three.wait_event(CallEvents.Disconnected)
    Logger.write(" ".join(m.id() for m in conference.get_list()))
    Logger.write(f"{conference.get('call-1') is call} {conference.get('nobody')}")
    await trio.sleep(1)
    VoxEngine.destroy_conference(conference)
    conference.stop()
    Logger.write(str(conference.get_list()))
    await trio.sleep(1)
    VoxEngine.terminate()""",
        then="1",
    )
    assert call.log == [
        "started",
        "recorder-1 call-1 outgoing-1 outgoing-2",
        "recorder-1 call-1 outgoing-1",
        "True None",
        "[]",
        "stopped",
    ]


def test_after_the_end_nothing_is_left_in_the_graph(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        "await trio.sleep(3)\n    conference.stop()\n    recorder.stop()\n    await trio.sleep(0.1)\n    VoxEngine.terminate()",
    )
    graph: Any = call.hosted.session.graph
    assert graph._mixers == []
    assert [p.name for p in graph._feeds] == []


def test_a_late_join_of_a_stopped_conference_is_ignored(voxpy: CallKit) -> None:
    call = run(
        voxpy,
        "conference.stop()\n    VoxEngine.send_media_between(call, conference)\n    conference.stop_media_to(call)\n    VoxEngine.terminate()",
    )
    ignored = [e.data.get("ignored") for e in call.find("send_media_to")]
    assert ignored[-2:] == ["has stopped", "has stopped"]


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("conference.add(call=call)", NotSupported, "send_media_between(call, conference)"),
        (
            "conference.send_media_to(conference)",
            ScenarioError,
            "conference-1 cannot send media to itself",
        ),
        ("conference.send_media_to('me')", ScenarioError, "str is not a media unit"),
        ("conference.sendMediaTo(call)", ScenarioError, "did you mean 'send_media_to'"),
        ("ConferenceEvents.EndpointAdded", NotSupported, "video conference"),
        ("ConferenceEvents.Startet", ScenarioError, "did you mean 'Started'"),
        (
            "VoxEngine.destroy_conference(call)",
            ScenarioError,
            "destroy_conference takes a Conference",
        ),
    ],
)
def test_wrong_use_says_what_was_expected(
    voxpy: CallKit, code: str, kind: type[Exception], told: str
) -> None:
    body = f"conference = VoxEngine.create_conference()\n    {code}"
    call = voxpy.call(SCENARIO.replace("BODY", body), "- wait: 9", check_errors=False)
    (error,) = call.errors
    assert isinstance(error, kind)
    assert told in str(error)


def test_the_hundred_and_first_member_is_told_to_the_scenario(voxpy: CallKit) -> None:
    body = """
    conference = VoxEngine.create_conference()
    conference.add_event_listener(ConferenceEvents.ConferenceError, lambda e: Logger.write(f"{e.code} {e.error}"))
    rooms = [VoxEngine.create_conference() for _ in range(101)]
    for room in rooms:
        room.send_media_to(conference)
    await trio.sleep(0.1)
    VoxEngine.terminate()"""
    call = voxpy.call(SCENARIO.replace("BODY", body.strip()), "- wait: 9")
    assert call.log == ["403 conference-102 cannot join: a conference has 100 members at most"]


def test_the_example_of_the_docs_runs(voxpy: CallKit) -> None:
    page = (Path(__file__).parents[2] / "docs" / "conferences.md").read_text(encoding="utf-8")
    source = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    call = voxpy.call(source, "- wait: answered\n- wait: 2\n- say: one two three\n- hang_up")
    places = [e.data["target"] for e in call.find("send_media_to")]
    for member in ("call-1", "outgoing-1", "outgoing-2"):
        assert {f"conference-1/{member}", member} <= set(places)
    assert (call.result.folder / "meeting.wav").exists()
