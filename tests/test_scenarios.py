"""The scenarios that ship with voxpy, unchanged, as whole calls on virtual time."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from voxpy.audio.frame import pcm16
from voxpy.audio.wav import WavWriter, read_wav
from voxpy.simulation.callerfile import default_script
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

SCENARIOS = Path(__file__).parents[1] / "scenarios"
ANSWER, ECHO, REJECT = (SCENARIOS / f"{name}.py" for name in ("answer", "echo", "reject"))
Audio = npt.NDArray[np.int16]

GREETING = "Hello this is Voxi speaking"
LONG = " ".join(["We are open from nine to five on every single day of the week"] * 3)
TWO_TURNS = """
- wait: answered
- wait: agent_finished
- say: What are your opening hours today please
- expect: {heard: "nine to five", within_s: 5}
- wait: agent_finished
- hang_up
"""
BARGE_IN = """
- wait: answered
- wait: agent_finished
- say: When are you open please tell me
- interrupt: {after_s: 3, say: "Stop it now please"}
- expect: {heard: "as you wish", within_s: 8}
- wait: agent_finished
- hang_up
"""


def channels(call: WorldCall) -> tuple[Audio, Audio]:
    """Return the caller's and the agent's side of the recording."""
    with call.hosted.recording.open("rb") as file:
        both = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def test_greets_answers_and_ends(voxpy: CallKit) -> None:
    call = voxpy.call(ANSWER, TWO_TURNS, agent=[GREETING, "We are open from nine to five"])
    assert call.result.failure == ""
    assert call.result.end.reason.value == "terminated"
    told = "\n".join(call.log)
    order = [
        "===Inworld.SessionCreated===",
        "===Inworld.SessionUpdated===",
        f"===AGENT==> {GREETING}",
        "===BARGE-IN: Inworld.InputAudioBufferSpeechStarted===",
        "===USER==> What are your opening hours today please",
        "===AGENT==> We are open from nine to five",
        '{"name":"Call.Disconnected"',
    ]
    places = [told.index(line) for line in order]
    assert places == sorted(places)
    assert [t.items[0]["role"] for t in call.turns] == ["user", "user"]
    transcript = [(t["who"], t["text"]) for t in call.result.record.personal["transcript"]]
    assert transcript == [
        ("agent", GREETING),
        ("caller", "What are your opening hours today please"),
        ("agent", "We are open from nine to five"),
    ]
    assert all(0 < ms < 1500 for ms in call.result.record.reply_ms)
    assert len(call.result.record.reply_ms) == 1


def test_nothing_is_decoded_or_resampled_for_a_mu_law_caller(voxpy: CallKit) -> None:
    call = voxpy.call(ANSWER, TWO_TURNS, agent=[GREETING, "From nine to five"])
    (update,) = [e for e in call.entries if e.kind == "command" and e.name == "session.update"]
    audio = update.personal["payload"]["session"]["audio"]
    assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}
    assert audio["output"]["voice"] == "Ashley"  # and the rest is the scenario's own


def test_greets_once_although_session_updated_comes_again(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        session = await talk.open_session()
        for n in range(3):
            await talk.read_until("input_audio_buffer.append")
            await talk.send({"type": "session.updated", "event_id": f"m{n}", "session": session})
        await talk.stay()

    service = Service(play)
    call = voxpy.call(ANSWER, "- wait: answered\n- wait: 3\n- hang_up", serve=service)
    (talk,) = service.talks
    assert call.log.count("===Inworld.SessionUpdated===") == 4
    assert len(talk.sent("response.create")) == 1
    assert len(talk.sent("conversation.item.create")) == 1
    assert talk.closed == (1000, "")


def test_barge_in_silences_the_agent_within_a_frame(voxpy: CallKit) -> None:
    call = voxpy.call(ANSWER, BARGE_IN, agent=[GREETING, LONG, "As you wish"])
    assert call.result.failure == ""
    _, right = channels(call)
    started = [e.t for e in call.find("Inworld.RealtimeAPI.InputAudioBufferSpeechStarted")]
    barge_in_at = started[1]
    before = right[round((barge_in_at - 0.2) * 8000) : round(barge_in_at * 8000)]
    after = right[round((barge_in_at + 0.02) * 8000) : round((barge_in_at + 1.0) * 8000)]
    assert np.abs(before.astype(int)).max() > 5000  # it was speaking
    assert np.abs(after.astype(int)).max() < 50
    (cleared,) = [e for e in call.find("playout cleared") if e.data["items"]]
    (item,) = cleared.data["items"]
    assert item["dropped_ms"] > 5000
    assert item["played_ms"] == pytest.approx(3000, abs=700)
    (fell_silent,) = call.result.record.barge_in_ms
    assert fell_silent < 500


def test_deltas_that_come_late_after_a_barge_in_are_dropped(voxpy: CallKit) -> None:
    def delta(response: str, item: str) -> dict[str, Any]:
        return {
            "type": "response.output_audio.delta", "event_id": "e", "response_id": response,
            "item_id": item, "output_index": 0, "content_index": 0,
            "delta": base64.b64encode(bytes([0x20, 0xA0] * 4000)).decode(),
        }  # fmt: skip

    def created(response: str) -> dict[str, Any]:
        return {
            "type": "response.created",
            "event_id": "e",
            "response": {"id": response, "status": "in_progress"},
        }

    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until("response.create")
        await talk.send(created("r1"))
        for _ in range(4):
            await talk.send(delta("r1", "i1"))
        for _ in range(50):  # two seconds of the caller
            await talk.read_until("input_audio_buffer.append")
        await talk.send(
            {"type": "input_audio_buffer.speech_started", "event_id": "e", "audio_start_ms": 0,
             "item_id": "u1"}
        )  # fmt: skip
        await talk.send(delta("r1", "i1"))  # was on its way
        await talk.read_until("output_audio_buffer.clear")
        await talk.send(delta("r1", "i1"))
        await talk.send({"type": "output_audio_buffer.cleared", "event_id": "e"})
        for _ in range(50):
            await talk.read_until("input_audio_buffer.append")
        await talk.send(created("r2"))
        await talk.send(delta("r2", "i2"))
        await talk.stay()

    call = voxpy.call(ANSWER, "- wait: answered\n- wait: 7\n- hang_up", serve=Service(play))
    spoken = [e.data["seconds"] for e in call.find("agent silent")]
    assert spoken == [pytest.approx(2.0, abs=0.1), pytest.approx(1.0, abs=0.05)]
    (clear,) = [e for e in call.entries if e.name == "output_audio_buffer.clear"]
    _, right = channels(call)
    quiet = right[round((clear.t + 0.02) * 8000) : round((clear.t + 1.9) * 8000)]
    assert np.abs(quiet.astype(int)).max() < 50


def test_a_failing_connection_ends_the_call_and_says_why(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.socket.aclose(1011, "internal fault")

    call = voxpy.call(ANSWER, "- wait: answered\n- wait: 9\n- hang_up", serve=Service(play))
    assert call.result.end.reason.value == "agent failed"
    assert any("1011" in line and "internal fault" in line for line in call.log)


# -- the same call twice ----------------------------------------------------------------------------


def normalised(call: WorldCall) -> list[str]:
    """Return the trace with what may differ replaced: the folder and answer.py's session key.

    Its session key is the wall clock's; nothing else differs, ids and times included.
    """
    lines = (call.result.folder / "trace.jsonl").read_text().splitlines()
    folder = re.escape(str(call.result.folder.parents[2]))
    return [re.sub(r"inworld-realtime-demo-\d+", "KEY", re.sub(folder, "HERE", x)) for x in lines]


def test_the_same_call_twice_leaves_the_same_trace(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        kit = CallKit(tmp_path / name)
        call = kit.call(ANSWER, BARGE_IN, agent=[GREETING, LONG, "As you wish"])
        runs.append((normalised(call), call.hosted.recording.read_bytes()))
    assert runs[0][0] == runs[1][0]
    assert len(runs[0][0]) > 50
    assert runs[0][1] == runs[1][1]


# -- echo and reject --------------------------------------------------------------------------------


def correlation(left: Audio, right: Audio) -> float:
    """Return the correlation of two channels at the delay of one frame or none, where it is best."""
    a = left.astype(float)
    best = 0.0
    for delay in (0, 160):
        b = np.concatenate([np.zeros(0), right[delay:].astype(float), np.zeros(delay)])
        best = max(best, float(a @ b / np.sqrt((a @ a) * (b @ b))))
    return best


def test_echo_sends_the_caller_back(voxpy: CallKit) -> None:
    call = voxpy.call(ECHO, "- wait: answered\n- say: one two three four\n- wait: 1\n- hang_up")
    left, right = channels(call)
    assert np.abs(left.astype(int)).max() > 5000
    assert correlation(left, right) > 0.99


def test_echo_of_a_wav_file(voxpy: CallKit, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).normal(0, 3000, 16000 * 2).clip(-32768, 32767)
    smooth = np.convolve(noise, np.ones(8) / 8, "same").astype(np.int16)  # what a phone carries
    with (tmp_path / "me.wav").open("wb") as file:
        writer = WavWriter(file, pcm16(16000), channels=1)
        writer.write(smooth.tobytes())
        writer.close()
    call = voxpy.call(ECHO, "- wait: answered\n- play: me.wav\n- wait: 1\n- hang_up")
    left, right = channels(call)
    assert np.count_nonzero(np.abs(left.astype(int)) > 200) > 8000
    assert correlation(left, right) > 0.99


def test_reject_says_busy(voxpy: CallKit) -> None:
    call = voxpy.call(REJECT, "may_be_refused: true\nsteps:\n- wait: answered\n- hang_up")
    assert call.find("Call.Disconnected")[0].data["internal_code"] == 486
    assert call.result.failure == ""
    assert call.result.end.reason.value == "terminated"


# -- with real speech -------------------------------------------------------------------------------


def test_answer_with_its_own_caller_and_real_speech(tmp_path: Path) -> None:
    from voxpy.errors import EngineMissing
    from voxpy.localagent.engines import local_engines
    from voxpy.localagent.rules import RuleResponder
    from voxpy.localagent.topics import load_topics
    from voxpy.simulation.callerfile import default_script

    engines = local_engines(RuleResponder(load_topics(None)))
    try:
        engines.gate()
        engines.ears.transcribe(np.zeros(8000, np.int16))
        next(engines.voice.speak("Hello.", speaker="Ashley", speed=1.0))
    except EngineMissing as missing:
        pytest.skip(str(missing))
    assert default_script(ANSWER).source.endswith("callers/answer.yaml")
    caller = (SCENARIOS / "callers" / "answer.yaml").read_text()
    call = CallKit(tmp_path).call(ANSWER, caller, engines=engines)
    assert call.result.failure == ""
    assert call.result.end.reason.value == "terminated"
    assert len(call.result.record.barge_in_ms) == 1
    left, right = channels(call)
    for side, words in (
        (left, "does it support|question"),
        (right, "what.?s.?ap|calls? can reach"),
    ):
        heard = " ".join(_heard(engines, side)).lower()
        assert re.search(words, heard), heard


def _heard(engines: Any, side: Audio) -> list[str]:
    """Return what the recogniser makes of a channel, in pieces of ten seconds."""
    from voxpy.audio.resample import Resampler

    whole = side[: len(side) // 160 * 160]
    wide = Resampler(8000, 16000).process(whole)
    return [engines.ears.transcribe(wide[n : n + 160_000]) for n in range(0, len(wide), 160_000)]


def forwarded(voxpy: CallKit, callee: str, steps: str) -> WorldCall:
    head = f"may_be_refused: true\ncallees:\n  '+15550177': {callee}\nsteps:\n"
    return voxpy.call(SCENARIOS / "forward.py", head + steps)


def test_forward_rings_a_person_and_joins_the_two(voxpy: CallKit) -> None:
    call = forwarded(
        voxpy,
        "{rings_s: 2, steps: [{say: mary here}, {expect: it is broken}, {wait: hung_up}]}",
        "- wait: answered\n- expect: mary here\n- say: it is broken\n- wait: 1\n- hang_up",
    )
    assert call.result.failure == ""
    assert call.log == ["+15550100 talks to +15550177"]
    assert len(call.result.record.recordings) == 2


def test_forward_tells_the_caller_that_nobody_is_there(voxpy: CallKit) -> None:
    call = forwarded(voxpy, "busy", "- wait: answered")
    assert call.result.failure == ""
    assert call.log == ["+15550177 did not take the call: 486 Busy Here"]
    assert [c["end_reason"]["code"] for c in call.result.record.calls] == [486, 486]


def test_forwards_own_caller_is_valid() -> None:
    script = default_script(SCENARIOS / "forward.py")
    assert [c.is_called("+15550177") for c in script.callees] == [True]
