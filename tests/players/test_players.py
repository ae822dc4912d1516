"""Players in whole calls on virtual time: events, sound, markers, limits, ends."""

from __future__ import annotations

import gc
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from voxpy.audio.decoder import Decoder
from voxpy.audio.wav import read_wav
from voxpy.engine.settings import Limits, Settings
from voxpy.errors import EngineMissing, LimitExceeded, ScenarioError, UnknownName
from voxpy.localagent.engines import Engines
from voxpy.media.player import PlayerSource
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, WorldCall

MakeSound = Callable[..., Path]

HEAD = """
from voxpy import *
from voxpy import PlayerEvents as PE, SequencePlayerEvents as SPE
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
"""
LISTEN = "- wait: answered\n- wait: {for: hung_up, within_s: 60}"


def scenario(body: str) -> str:
    return HEAD + textwrap.indent(textwrap.dedent(body), "    ") + "\n    call.hangup()\n"


def play(voxpy: CallKit, body: str, **options: Any) -> WorldCall:
    return voxpy.call(scenario(body), LISTEN, **options)


def events(call: WorldCall, prefix: str = "Player.") -> list[str]:
    return [name for name in call.names("event") if name.startswith(prefix)]


def at(call: WorldCall, name: str) -> float:
    (entry,) = call.find(name)
    return entry.t


def heard(call: WorldCall) -> npt.NDArray[np.int16]:
    """Return what the caller heard, at 8 kHz."""
    with call.hosted.recording.open("rb") as file:
        both = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)
    return both[:, 1]


def loud(samples: npt.NDArray[np.int16], from_s: float, to_s: float) -> bool:
    part = np.abs(samples[round(from_s * 8000) : round(to_s * 8000)].astype(int))
    return bool(len(part)) and int(part.max()) > 500


def frequency(samples: npt.NDArray[np.int16], from_s: float, to_s: float) -> float:
    part = samples[round(from_s * 8000) : round(to_s * 8000)].astype(float)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), n=8000))
    return float(np.argmax(spectrum))


# -- the life of a player --------------------------------------------------------------------------


def test_a_file_is_played_to_the_call(voxpy: CallKit, make_sound: MakeSound) -> None:
    make_sound("beep.wav", 1.5, hz=1000)
    call = play(
        voxpy,
        """
        player = VoxEngine.create_url_player("beep.wav")
        player.send_media_to(call)
        event = await player.wait_event(PE.PlaybackFinished)
        Logger.write(f"{event.player is player} {event.error} {player.id()}")
        await trio.sleep(0.5)
        """,
    )
    assert events(call) == [
        "Player.Created",
        "Player.PlaybackReady",
        "Player.Started",
        "Player.PlaybackFinished",
    ]
    assert call.log == ["True None player-1"]
    (started,) = call.find("Player.Started")
    assert started.data["duration"] == 1500
    assert started.unit == "player-1"
    # The last frame goes out 20 ms before it is over, and 2 ms of silence need one more frame.
    assert at(call, "Player.PlaybackFinished") - started.t == pytest.approx(1.52, abs=0.021)
    sound = heard(call)
    begin = started.t
    assert frequency(sound, begin + 0.1, begin + 1.4) == pytest.approx(1000, abs=2)
    assert not loud(sound, begin + 1.56, begin + 2)


def test_a_player_sent_into_a_call_fires_the_events_of_the_call(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tone_script_player("425@-19;1(.2/.2/1)")
        player.send_media_to(call)
        await call.wait_event(CallEvents.PlaybackFinished)
        """,
    )
    assert [n for n in call.names("event") if "Playback" in n or "Started" in n][1:] == [
        "Player.PlaybackReady",
        "Player.Started",
        "Call.PlaybackReady",
        "Call.PlaybackStarted",
        "Call.PlaybackFinished",
        "Player.PlaybackFinished",
    ]
    assert call.find("Call.PlaybackStarted")[0].data["duration"] == 1000


def test_a_player_that_nobody_hears_plays_on_and_concerns_no_call(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tone_script_player("425@-19;1(*/0/1)")
        await player.wait_event(PE.PlaybackFinished)
        """,
    )
    assert events(call, "Call.Playback") == []
    lasted = at(call, "Player.PlaybackFinished") - at(call, "Player.Started")
    assert lasted == pytest.approx(1.02, abs=0.021)


def test_send_media_between_goes_the_one_way_there_is(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tone_script_player("425@-19;1(*/0/1)")
        VoxEngine.send_media_between(call, player)
        await player.wait_event(PE.PlaybackFinished)
        """,
    )
    begin = at(call, "Player.Started")
    assert loud(heard(call), begin + 0.1, begin + 0.9)


def test_two_players_have_no_way_between_them(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        one = VoxEngine.create_tone_script_player("425@-19;1(*/0/1)")
        two = VoxEngine.create_tone_script_player("425@-19;1(*/0/1)")
        VoxEngine.send_media_between(one, two)
        """,
        check_errors=False,
    )
    assert "receives no media" in str(call.errors[0])


def test_on_pause_waits_for_resume(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tts_player("one two three", on_pause=True)
        player.send_media_to(call)
        await player.wait_event(PE.PlaybackReady)
        await trio.sleep(2)
        Logger.write("now")
        player.resume()
        await player.wait_event(PE.PlaybackFinished)
        """,
    )
    (now,) = [e.t for e in call.entries if e.kind == "log"]
    assert at(call, "Player.PlaybackReady") < now - 1.9
    assert at(call, "Player.Started") == pytest.approx(now + 0.02, abs=0.021)


def test_pause_silences_and_keeps_the_place(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tone_script_player("425@-19;2(*/0/1)")
        player.send_media_to(call)
        await player.wait_event(PE.Started)
        await trio.sleep(0.5)
        player.pause()
        await trio.sleep(1)
        player.resume()
        await player.wait_event(PE.PlaybackFinished)
        """,
    )
    begin = at(call, "Player.Started")
    assert at(call, "Player.PlaybackFinished") - begin == pytest.approx(3.02, abs=0.05)
    sound = heard(call)
    assert loud(sound, begin + 0.1, begin + 0.45)
    assert not loud(sound, begin + 0.55, begin + 1.45)
    assert loud(sound, begin + 1.55, begin + 2.9)


def test_stop_ends_it_within_a_frame_and_tells_nothing_else(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tone_script_player("425@-19;9(*/0/1)", loop=True)
        player.send_media_to(call)
        await player.wait_event(PE.Started)
        await trio.sleep(0.5)
        player.stop()
        player.stop(); player.pause(); player.resume(); player.add_marker(3)
        player.send_media_to(call)
        await trio.sleep(1)
        """,
    )
    assert events(call)[-1] == "Player.Stopped"
    assert events(call, "Call.Playback") == ["Call.PlaybackReady", "Call.PlaybackStarted"]
    stopped = at(call, "Player.Stopped")
    assert not loud(heard(call), stopped + 0.02, stopped + 1)
    ignored = [e for e in call.entries if e.data.get("ignored_in_state") == "stopped"]
    assert len(ignored) == 5


def test_a_player_may_be_stopped_before_it_has_begun(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        VoxEngine.create_tone_script_player("425@-19;*(1/4/1)", loop=True).stop()
        VoxEngine.create_tts_player("hello").stop()
        await trio.sleep(1)
        """,
    )
    assert events(call) == ["Player.Created", "Player.Stopped"] * 2


def test_a_loop_starts_once_and_has_no_gap(voxpy: CallKit, make_sound: MakeSound) -> None:
    make_sound("hold.wav", 0.73, hz=500)
    call = play(
        voxpy,
        """
        player = VoxEngine.create_url_player("hold.wav", loop=True)
        player.add_marker(400)
        player.send_media_to(call)
        await trio.sleep(3)
        player.stop()
        """,
    )
    assert events(call).count("Player.Started") == 1
    assert events(call).count("Player.PlaybackMarkerReached") == 4
    begin = at(call, "Player.Started")
    sound = heard(call)
    assert all(loud(sound, begin + t / 100, begin + t / 100 + 0.01) for t in range(5, 290))


@pytest.mark.parametrize("offset", [0, 400, 999, -300, -1000])
def test_a_marker_is_reached_within_a_frame_of_its_place(voxpy: CallKit, offset: int) -> None:
    call = play(
        voxpy,
        f"""
        player = VoxEngine.create_tone_script_player("425@-19;1(*/0/1)")
        player.add_marker({offset})
        player.send_media_to(call)
        event = await player.wait_event(PE.PlaybackMarkerReached)
        Logger.write(event.offset)
        await player.wait_event(PE.PlaybackFinished)
        """,
    )
    place = offset / 1000 if offset >= 0 else 1 + offset / 1000
    reached = at(call, "Player.PlaybackMarkerReached") - at(call, "Player.Started")
    assert reached == pytest.approx(place, abs=0.0201)
    assert float(call.log[0]) == offset


def test_speech_is_heard_as_it_is_written(voxpy: CallKit) -> None:
    call = voxpy.call(
        scenario(
            """
            player = VoxEngine.create_tts_player("we are open from nine to five")
            player.send_media_to(call)
            await player.wait_event(PE.PlaybackFinished)
            await trio.sleep(1)
            """
        ),
        "- wait: answered\n- expect: {heard: 'open from nine to five', within_s: 9}",
    )
    assert call.result.failure == ""
    assert call.find("Player.Started")[0].data["duration"] == pytest.approx(2100)


def test_a_sequence_has_no_gaps_and_markers_in_its_segments(
    voxpy: CallKit, make_sound: MakeSound
) -> None:
    make_sound("low.wav", 0.51, hz=500)
    make_sound("high.flac", 0.47, hz=2000, rate_hz=44100)
    call = play(
        voxpy,
        """
        low = URLPlayerSegment(url="low.wav")
        text = {"text": "two words", "parameters": {"voice": "Olivia"}}
        high = {"url": "high.flac"}
        player = VoxEngine.create_sequence_player([low, text, high])
        player.add_marker(100, high)
        player.add_marker(-100, low)
        player.send_media_to(call)
        event = await player.wait_event(SPE.PlaybackFinished)
        Logger.write(event.sequence_player is player)
        """,
    )
    assert events(call, "SequencePlayer.") == [
        "SequencePlayer.Created",
        "SequencePlayer.PlaybackReady",
        "SequencePlayer.Started",
        "SequencePlayer.PlaybackMarkerReached",
        "SequencePlayer.PlaybackMarkerReached",
        "SequencePlayer.PlaybackFinished",
    ]
    assert call.log == ["true"]
    (started,) = call.find("SequencePlayer.Started")
    said_s = 0.6
    assert started.data["duration"] == pytest.approx(510 + said_s * 1000 + 470, abs=1)
    first, second = call.find("SequencePlayer.PlaybackMarkerReached")
    assert (first.data["offset"], second.data["offset"]) == (-100, 100)
    assert first.t - started.t == pytest.approx(0.41, abs=0.0201)
    assert second.t - started.t == pytest.approx(0.51 + said_s + 0.1, abs=0.0201)
    sound, begin = heard(call), started.t
    assert frequency(sound, begin + 0.05, begin + 0.48) == pytest.approx(500, abs=3)
    last = begin + 0.51 + said_s
    assert frequency(sound, last + 0.05, last + 0.42) == pytest.approx(2000, abs=3)
    assert all(loud(sound, begin + t / 100, begin + t / 100 + 0.015) for t in range(5, 150))


def test_who_waits_for_one_end_after_the_other_gets_the_right_one(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        player = VoxEngine.create_tone_script_player("425@-19;.3(*/0/1)")
        player.send_media_to(call)
        await player.wait_event(PE.PlaybackFinished)
        call.say("one two three")
        await call.wait_event(CallEvents.PlaybackFinished)
        """,
    )
    _, second = call.find("Call.PlaybackStarted")
    assert call.find("Call.PlaybackFinished")[1].t - second.t > 0.8


# -- what cannot be played -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "told"),
    [
        ('create_url_player("nothere.wav")', "nothere.wav: there is no such file; looked in"),
        ('create_url_player("notes.txt")', "notes.txt: not mp3, ogg, flac or wav"),
        ('create_url_player("empty.wav")', "there is no sound in it"),
        ('create_url_player("ftp://a/b.mp3")', "ftp://a/b.mp3: expected http://"),
        ('create_tts_player("x" * 1501)', "the text has 1501 characters; at most 1500 are said"),
        ('create_tts_player("  ")', "there is no text to say"),
        ('create_tts_player("hi", voice="joe/x")', "no package brings the voice 'joe'"),
    ],
)
def test_what_cannot_be_played_is_an_event(
    voxpy: CallKit, make_sound: MakeSound, tmp_path: Path, make: str, told: str
) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    make_sound("empty.wav", 0.0)
    call = play(
        voxpy,
        f"""
        player = VoxEngine.{make}
        player.send_media_to(call)
        error = await player.wait_event(PE.Error)
        Logger.write(error.error)
        await trio.sleep(1)
        """,
    )
    assert told in call.log[0]
    names = [n for n in events(call) if n != "Player.PlaybackReady"]
    assert names == ["Player.Created", "Player.Error", "Player.PlaybackFinished"]
    assert told in call.find("Player.PlaybackFinished")[0].data["error"]
    assert told in call.find("Call.PlaybackFinished")[0].data["error"]


def test_a_host_without_a_voice_is_an_event_that_names_the_extra(voxpy: CallKit) -> None:
    class NoVoice:
        def __getattr__(self, name: str) -> Any:
            raise EngineMissing("no voice: pip install 'voxpy[local]'")

    class Broken:
        def warm_up(self) -> None: ...

        def speak(self, text: str, *, speaker: str, speed: float) -> Any:
            yield np.zeros(480, np.int16)
            raise RuntimeError("out of breath")

    def engines(voice: Any) -> Engines:
        known = scripted_engines(ScriptedResponder(()))
        return Engines(gate=known.gate, ears=known.ears, voice=voice, responder=known.responder)

    body = """
    player = VoxEngine.create_tts_player("hello")
    Logger.write((await player.wait_event(PE.Error)).error)
    """
    call = play(voxpy, body, engines=engines(NoVoice()))
    assert call.log == ["no voice: pip install 'voxpy[local]'"]
    call = play(voxpy, body, engines=engines(Broken()))
    assert call.log == ["the voice None failed: RuntimeError: out of breath"]


# -- limits and arguments --------------------------------------------------------------------------


def test_ten_players_and_no_more(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        tone = "425@-19;1(*/0/1)"
        players = [VoxEngine.create_tone_script_player(tone) for _ in range(10)]
        players[0].stop()
        players[0] = VoxEngine.create_tone_script_player(tone)
        await players[0].wait_event(PE.PlaybackFinished)
        more = [VoxEngine.create_tone_script_player(tone) for _ in range(10)]
        VoxEngine.create_tts_player("one too many")
        """,
        check_errors=False,
    )
    (error,) = call.errors
    assert isinstance(error, LimitExceeded)
    assert "at most 10 players" in str(error)
    assert len(call.find("Player.Created")) == 21


def test_the_limit_is_a_setting(voxpy: CallKit) -> None:
    call = play(
        voxpy,
        """
        VoxEngine.create_tone_script_player("425@-19;1(*/0/1)")
        VoxEngine.create_sequence_player([{"text": "hi"}])
        """,
        settings=Settings(limits=Limits(players=1)),
        check_errors=False,
    )
    assert "at most 1 players" in str(call.errors[0])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        ("create_url_player(5)", "create_url_player takes a URL or a dict with 'url', not 5"),
        ("create_url_player({'ulr': 'x'})", "a request has no 'ulr'; did you mean 'url'?"),
        ("create_url_player('')", "the URL must be text"),
        ("create_url_player({'url': 'x', 'method': 'PUT'})", "method must be GET or POST"),
        ("create_url_player({'url': 'x', 'headers': 'a: b'})", "headers are a list"),
        ("create_url_player({'url': 'x', 'headers': {'a': 'b\\n'}})", "cannot be sent"),
        ("create_url_player({'url': 'x', 'body': {'binary': '?'}})", "body.binary is not base64"),
        ("create_url_player({'url': 'x', 'body': 7})", "body is text"),
        ("create_tts_player(None)", "the text must be a string, not NoneType"),
        ("create_tts_player('x', voice=3)", "voice must be the name of a voice, not 3"),
        ("create_tts_player('x', tts_options={'rate': 'quick'})", "not 'quick'"),
        ("create_tone_script_player('425;')", "position 4: expected '@'"),
        ("create_tone_script_player(425)", "takes a ToneScript such as"),
        ("create_sequence_player([])", "takes a list of segments, not []"),
        ("create_sequence_player(['a.wav'])", "a segment is a TTSPlayerSegment"),
        ("create_sequence_player([{'text': 'x', 'url': 'y'}])", "not 'url'"),
        (
            "create_sequence_player([{'text': 'x', 'parameters': {'voise': 'y'}}])",
            "no parameter 'voise'; did you mean 'voice'?",
        ),
        ("create_tts_player('x').add_marker('1')", "takes a number of milliseconds, not '1'"),
        (
            "create_sequence_player([{'text': 'x'}]).add_marker(1, {'text': 'y'})",
            "is no segment of player-1",
        ),
    ],
)
def test_a_wrong_argument_is_the_scenarios_error(voxpy: CallKit, make: str, told: str) -> None:
    call = play(voxpy, f"VoxEngine.{make}", check_errors=False)
    (error,) = call.errors
    assert isinstance(error, ScenarioError)
    assert told in str(error)


def test_a_misspelt_method_is_named(voxpy: CallKit) -> None:
    body = 'VoxEngine.create_tts_player("x").addMarker(3)'
    call = play(voxpy, body, check_errors=False)
    assert isinstance(call.errors[0], UnknownName)
    assert "Player has no 'addMarker'; did you mean 'add_marker'?" in str(call.errors[0])


def playing() -> int:
    gc.collect()
    return sum(isinstance(o, Decoder | PlayerSource) for o in gc.get_objects())


def test_nothing_is_left_when_the_session_ends(tmp_path: Path, make_sound: MakeSound) -> None:
    make_sound("long.ogg", 10, rate_hz=16000)
    before = playing()
    kit = CallKit(tmp_path)
    call = play(
        kit,
        """
        for _ in range(3):
            VoxEngine.create_url_player("long.ogg", loop=True).send_media_to(call)
        done = VoxEngine.create_tts_player("x")
        await done.wait_event(PE.PlaybackFinished)
        """,
    )
    assert call.result.end.reason.value == "terminated"
    assert len(call.find("sound opened")) == 3
    assert playing() > before
    del call, kit
    assert playing() == before


def test_play_sound_and_hangup(voxpy: CallKit, make_sound: MakeSound) -> None:
    make_sound("closed.mp3", 1.0, rate_hz=16000)
    call = voxpy.call(
        'from voxpy import VoxEngine\nVoxEngine.play_sound_and_hangup("closed.mp3")\n', LISTEN
    )
    names = [n for n in call.names("event") if n in ("Call.Connected", "Call.PlaybackFinished")]
    assert names == ["Call.Connected", "Call.PlaybackFinished"]
    assert call.result.end.reason.value == "terminated"
    assert call.result.end.detail == "VoxEngine.play_sound_and_hangup"
    begin = at(call, "Call.PlaybackStarted")
    assert frequency(heard(call), begin + 0.2, begin + 0.9) == pytest.approx(1000, abs=3)
    early = voxpy.call(
        'from voxpy import VoxEngine\nVoxEngine.play_sound_and_hangup("closed.mp3")\n',
        "- wait: answered\n- wait: 0.3\n- hang_up",
    )
    assert early.result.end.reason.value == "terminated"
