"""What a call plays by itself: start_playback, say, progress tones, and what they replace."""

from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from voxpy.audio.wav import read_wav
from voxpy.errors import EngineMissing
from voxpy.testing import CallKit, WorldCall

HEAD = """
from voxpy import *
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
"""
LISTEN = "- wait: answered\n- wait: {for: hung_up, within_s: 60}"
ANSWER = "call.answer()\nawait call.wait_event(CallEvents.Connected)\n"


def play(voxpy: CallKit, body: str, caller: str = LISTEN, **options: Any) -> WorldCall:
    source = HEAD + textwrap.indent(textwrap.dedent(body), "    ") + "\n    call.hangup()\n"
    return voxpy.call(source, caller, **options)


def playback(call: WorldCall) -> list[str]:
    return [n.removeprefix("Call.") for n in call.names("event") if "Call.Playback" in n]


def heard(call: WorldCall) -> npt.NDArray[np.int16]:
    with call.hosted.recording.open("rb") as file:
        both = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)
    return both[:, 1]


def frequency(samples: npt.NDArray[np.int16], from_s: float, to_s: float) -> float:
    """Return the strongest frequency, or 0 for silence."""
    part = samples[round(from_s * 8000) : round(to_s * 8000)].astype(float)
    if np.abs(part).max() < 200:
        return 0.0
    return float(np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part)), n=8000))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, hz, seconds in (("low.wav", 500, 1.0), ("high.wav", 2000, 1.0)):
        buffer = io.BytesIO()
        t = np.arange(round(8000 * seconds)) / 8000
        soundfile.write(buffer, 0.4 * np.sin(2 * np.pi * hz * t), 8000, format="WAV")
        (tmp_path / name).write_bytes(buffer.getvalue())
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_file(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        f"""
        {textwrap.indent(ANSWER, "        ").strip()}
        call.start_playback("low.wav")
        event = await call.wait_event(CallEvents.PlaybackFinished)
        Logger.write(event.error)
        """,
    )
    assert playback(call) == ["PlaybackReady", "PlaybackStarted", "PlaybackFinished"]
    assert call.log == ["null"]
    (started,) = call.find("Call.PlaybackStarted")
    assert started.data["duration"] == 1000
    assert frequency(heard(call), started.t + 0.1, started.t + 0.9) == pytest.approx(500, abs=2)
    assert "Player.Created" not in call.names("event")  # it is no Player, and counts as none


def test_say_is_understood_by_the_caller(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        ANSWER + 'call.say("we are open from nine to five", voice="Olivia")\nawait trio.sleep(5)',
        "- wait: answered\n- expect: {heard: 'open from nine to five', within_s: 9}",
    )
    assert call.result.failure == ""
    assert playback(call) == ["PlaybackReady", "PlaybackStarted", "PlaybackFinished"]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ('say("x" * 1501)', "the text has 1501 characters; at most 1500 are said"),
        ('start_playback("gone.wav")', "gone.wav: there is no such file"),
    ],
)
def test_what_cannot_be_played_finishes_with_the_error(
    voxpy: CallKit, what: str, told: str
) -> None:
    call = play(voxpy, ANSWER + f"call.{what}\nawait trio.sleep(1)")
    assert playback(call) == ["PlaybackFinished"]
    assert told in call.find("Call.PlaybackFinished")[0].data["error"]


@pytest.mark.usefixtures("folder")
def test_the_next_replaces_what_plays(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        ANSWER
        + """
call.start_playback("low.wav", loop=True)
await trio.sleep(2.5)
call.start_playback("high.wav")
await call.wait_event(CallEvents.PlaybackFinished)
""",
    )
    assert playback(call) == [
        "PlaybackReady", "PlaybackStarted",
        "PlaybackReady", "PlaybackStarted", "PlaybackFinished",
    ]  # fmt: skip
    first, second = (e.t for e in call.find("Call.PlaybackStarted"))
    sound = heard(call)
    assert frequency(sound, first + 0.1, second - 0.05) == pytest.approx(500, abs=2)
    assert frequency(sound, second + 0.03, second + 0.9) == pytest.approx(2000, abs=2)


@pytest.mark.usefixtures("folder")
def test_stop_playback_tells_nothing(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        ANSWER
        + """
call.start_playback("low.wav")
await trio.sleep(0.5)
call.stop_playback()
Logger.write("stopped")
call.stop_playback()
await trio.sleep(1)
""",
    )
    assert playback(call) == ["PlaybackReady", "PlaybackStarted"]
    (stopped,) = [e.t for e in call.entries if e.kind == "log"]
    assert frequency(heard(call), stopped + 0.02, stopped + 0.9) == 0


@pytest.mark.usefixtures("folder")
def test_what_the_call_heard_before_is_not_restored(voxpy: CallKit) -> None:
    """VoxEngine documents nothing that would; a scenario sends it again."""
    call = play(
        voxpy,
        ANSWER
        + """
tone = VoxEngine.create_tone_script_player("1000@-10;60(*/0/1)")
tone.send_media_to(call)
await trio.sleep(1)
call.start_playback("low.wav")
finished = await call.wait_event(CallEvents.PlaybackFinished)
await trio.sleep(1)
tone.send_media_to(call)
await trio.sleep(1)
""",
    )
    (over,) = [e.t for e in call.find("Call.PlaybackFinished")]
    sound = heard(call)
    assert frequency(sound, over - 1.9, over - 1.2) == pytest.approx(1000, abs=2)
    assert frequency(sound, over - 0.8, over - 0.1) == pytest.approx(500, abs=2)
    assert frequency(sound, over + 0.02, over + 0.95) == 0
    assert frequency(sound, over + 1.05, over + 1.9) == pytest.approx(1000, abs=2)


def test_a_playback_takes_the_agents_place(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        ANSWER
        + """
agent = await Inworld.create_realtime_api_client(session_key="x")
await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated)
agent.session_update({"session": {"type": "realtime"}})
await agent.wait_event(Inworld.RealtimeAPIEvents.SessionUpdated)
VoxEngine.send_media_between(call, agent)
agent.response_create({})
await trio.sleep(1.5)
call.say("please hold the line")
await call.wait_event(CallEvents.PlaybackFinished)
VoxEngine.send_media_between(call, agent)
await trio.sleep(2)
""",
        agent=["one two three four five six seven eight nine ten eleven twelve"],
    )
    (started,) = call.find("Call.PlaybackStarted")
    (finished,) = call.find("Call.PlaybackFinished")
    sound = heard(call)
    agent_hz = frequency(sound, started.t - 0.5, started.t - 0.05)
    say_hz = frequency(sound, started.t + 0.05, finished.t - 0.05)
    assert agent_hz != say_hz
    assert agent_hz > 0
    assert say_hz > 0


@pytest.mark.usefixtures("folder")
def test_before_it_can_be_heard_it_is_only_loaded(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        call.start_playback("low.wav")
        await trio.sleep(2)
        call.answer()
        await call.wait_event(CallEvents.PlaybackFinished)
        """,
    )
    (started,) = call.find("Call.PlaybackStarted")
    (connected,) = call.find("Call.Connected")
    assert 0 <= started.t - connected.t <= 0.021
    assert call.find("Call.PlaybackReady")[0].t < 0.1
    assert frequency(heard(call), started.t, started.t + 0.1) == pytest.approx(500, abs=20)


@pytest.mark.usefixtures("folder")
def test_early_media_is_enough_to_be_heard(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        call.start_early_media()
        call.start_playback("low.wav")
        await call.wait_event(CallEvents.PlaybackFinished)
        call.answer()
        await call.wait_event(CallEvents.Connected)
        """,
    )
    assert call.find("Call.PlaybackStarted")[0].t < 0.1


def test_a_progress_tone_rings_until_the_answer(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        call.start_early_media()
        call.play_progress_tone("gb")
        await trio.sleep(5)
        call.answer()
        await trio.sleep(3)
        """,
    )
    assert playback(call) == []
    (connected,) = call.find("Call.Connected")
    sound = heard(call)
    on = [frequency(sound, t, t + 0.15) > 0 for t in (0.1, 0.7, 1.5, 3.1, 3.7)]
    assert on == [True, True, False, True, True]
    assert frequency(sound, connected.t + 0.05, connected.t + 2.9) == 0
    assert not [e for e in call.entries if e.kind == "warning"]


def test_a_progress_tone_that_nobody_can_hear_is_warned_of(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        'call.ring()\ncall.play_progress_tone("US")\nawait trio.sleep(1)\ncall.answer()\n'
        "await call.wait_event(CallEvents.Connected)",
    )
    (warning,) = [e for e in call.entries if e.kind == "warning"]
    assert warning.name == "nobody hears a progress tone before call.start_early_media()"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("play_progress_tone('XX')", "no ringing tone for 'XX'; known are AT"),
        ("play_progress_tone(None)", "play_progress_tone: "),
        ("start_playback(None)", "call.start_playback takes a URL or a dict"),
        ("say(['x'])", "call.say: the text must be a string, not list"),
    ],
)
def test_a_wrong_argument_is_the_scenarios_error(voxpy: CallKit, what: str, told: str) -> None:
    call = play(voxpy, f"call.{what}", check_errors=False)
    assert told in str(call.errors[0])


@pytest.mark.usefixtures("folder")
def test_after_the_end_of_the_call_nothing_plays(voxpy: CallKit) -> None:
    source = """
from voxpy import *

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.start_playback("low.wav", loop=True)
    await call.wait_event(CallEvents.Disconnected)
    call.say("hello")
    call.start_playback("low.wav")
    call.play_progress_tone("US")
    call.stop_playback()
    VoxEngine.terminate()
"""
    call = voxpy.call(source, "- wait: answered\n- wait: 1.3\n- hang_up")
    assert playback(call) == ["PlaybackReady", "PlaybackStarted"]
    ignored = [e.name for e in call.entries if e.data.get("ignored_in_state") == "TERMINATED"]
    assert ignored == [
        "Call.say", "Call.start_playback", "Call.play_progress_tone", "Call.stop_playback",
    ]  # fmt: skip


def test_with_the_real_voice_and_the_real_recogniser(voxpy: CallKit) -> None:
    from voxpy.localagent.engines import local_engines
    from voxpy.localagent.rules import RuleResponder
    from voxpy.localagent.topics import load_topics

    engines = local_engines(RuleResponder(load_topics(None)))
    try:
        engines.ears.transcribe(np.zeros(8000, np.int16))
        next(engines.voice.speak("Hello.", speaker="Ashley", speed=1.0))
    except EngineMissing as missing:
        pytest.skip(str(missing))
    call = play(
        voxpy,
        ANSWER + 'call.say("Welcome. Press one for the opening hours, or two for the address.", '
        "progressive_playback=True)\nawait call.wait_event(CallEvents.PlaybackFinished)\n"
        "await trio.sleep(0.2)",
        engines=engines,
    )
    from voxpy.audio.resample import Resampler

    sound = heard(call)
    wide = Resampler(8000, 16000).process(sound[: len(sound) // 160 * 160])
    said = engines.ears.transcribe(wide).lower()
    assert re.search(r"opening hours", said), said
    assert re.search(r"address", said), said
