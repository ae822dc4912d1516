"""A recogniser in a call: what it hears, in which order it tells, and when it is silent."""

from __future__ import annotations

import re
import textwrap
from itertools import pairwise

import attrs
import pytest

from voxpy.engine.speech import SpeechGate
from voxpy.errors import EngineMissing, ScenarioError
from voxpy.localagent.engines import Engines, local_engines
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, WorldCall


def scenario(body: str = "", **asr: object) -> str:
    arguments = ", ".join(f"{n}={v!r}" for n, v in ({"profile": "en-US"} | asr).items())
    return f"""
from voxpy import AppEvents, ASREvents, ASRProfileList, CallEvents, Logger, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
    asr = VoxEngine.create_asr({arguments})
    for kind in (ASREvents.Started, ASREvents.CaptureStarted, ASREvents.SpeechCaptured):
        asr.add_event_listener(kind, lambda e: Logger.write(type(e).__name__))
    asr.add_event_listener(ASREvents.Result, lambda e: Logger.write(f"Result {{e.text}}"))
    asr.add_event_listener(ASREvents.InterimResult, lambda e: Logger.write(f"Interim {{e.text}}"))
    asr.add_event_listener(ASREvents.Stopped, lambda e: Logger.write(f"Stopped {{e.duration:.1f}}"))
    asr.add_event_listener(ASREvents.ASRError, lambda e: Logger.write(f"Error {{e.error}}"))
    call.send_media_to(asr)
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""


ONE = "- wait: answered\n- wait: 0.5\n- say: when are you open today\n- wait: 2\n- hang_up"
TWO = ONE.replace("- hang_up", "- say: and when on sunday\n- wait: 2\n- hang_up")


def events(call: WorldCall, name: str) -> list[float]:
    return [e.t for e in call.find(f"ASR.{name}")]


def real(call: WorldCall) -> str:
    return " ".join(line.removeprefix("Result ") for line in call.log if line.startswith("Result"))


def test_an_utterance_and_its_result(voxpy: CallKit) -> None:
    call = voxpy.call(scenario(), TWO)
    assert call.log == [
        "Started",
        "CaptureStarted", "SpeechCaptured", "Result when are you open today",
        "CaptureStarted", "SpeechCaptured", "Result and when on sunday",
    ]  # fmt: skip
    first = call.find("ASR.Result")[0]
    assert first.unit == "asr-1"
    assert first.personal["text"] == "when are you open today"  # what was said is marked as such
    spoke = call.find("caller speaks")[0].t
    began, captured = events(call, "CaptureStarted")[0], events(call, "SpeechCaptured")[0]
    assert began - spoke == pytest.approx(0.1, abs=0.06)
    assert captured - spoke == pytest.approx(1.5 + 0.65, abs=0.1)
    assert events(call, "Result")[0] == pytest.approx(captured, abs=0.02)


def test_what_a_result_says(voxpy: CallKit) -> None:
    body = """
    result = await asr.wait_event(ASREvents.Result)
    Logger.write(f"{result.confidence} {result.result_end_time} {result.language_code} "
                 f"{result.channel_tag} {result.asr is asr}")
    Logger.write(f"{asr.id()} {asr.language()} {asr.dictionary()}")
    """
    call = voxpy.call(scenario(body, profile="Google:en_GB", phrase_hints=["Monday"]), ONE)
    told, face = call.log[-2:]
    confidence, end, *rest = told.split()
    assert float(confidence) == 1.0
    assert re.fullmatch(r"\d\.\d{3}s", end)
    assert float(end[:-1]) == pytest.approx(2.0, abs=0.15)  # half a second, and five words
    assert rest == ["en-GB", "None", "True"]
    assert face == "asr-1 en-GB ['Monday']"


def test_interim_results_come_if_asked_for(voxpy: CallKit) -> None:
    long = "- wait: answered\n- say: " + "one two three four " * 6 + "\n- wait: 2\n- hang_up"
    call = voxpy.call(scenario(interim_results=True), long)
    interim = [line for line in call.log if line.startswith("Interim")]
    assert 4 <= len(interim) <= 7  # 7.2 s
    assert all(("Result " + "one two three four " * 6).startswith(i[8:], 7) for i in interim[:-1])
    times = events(call, "InterimResult")
    gaps = [b - a for a, b in pairwise(times)]
    assert all(gap > 0.9 for gap in gaps[:-1])  # the last is told at the first pause
    assert call.log[-1] == "Result " + ("one two three four " * 6).strip()
    assert not [x for x in voxpy.call(scenario(), long).log if x.startswith("Interim")]


def test_single_utterance_stops_after_the_first_result(voxpy: CallKit) -> None:
    call = voxpy.call(scenario(single_utterance=True), TWO)
    assert call.log[-2:] == ["Result when are you open today", "Stopped 2.6"]
    assert len(events(call, "Result")) == 1


def test_nothing_follows_a_stop(voxpy: CallKit) -> None:
    body = "await asr.wait_event(ASREvents.CaptureStarted)\nasr.stop()\nasr.stop()"
    call = voxpy.call(scenario(body), TWO)
    assert call.log[-2:] == ["CaptureStarted", "Stopped 0.6"]
    told = [e.name for e in call.entries if e.name.startswith("ASR.")]
    assert told[1:] == ["ASR.CaptureStarted", "ASR.stop", "ASR.Stopped", "ASR.stop"]


def test_stopping_in_the_handler_of_a_result(voxpy: CallKit) -> None:
    body = "asr.add_event_listener(ASREvents.Result, lambda e: asr.stop())"
    call = voxpy.call(scenario(body), TWO)
    assert call.log[-2:] == ["Result when are you open today", "Stopped 2.6"]


def test_speech_that_is_cut_off_is_still_recognised(voxpy: CallKit) -> None:
    body = """
    await asr.wait_event(ASREvents.CaptureStarted)
    await trio.sleep(0.9)
    call.stop_media_to(asr)
    """
    call = voxpy.call(scenario(body), ONE)
    assert call.log[1:] == ["CaptureStarted", "SpeechCaptured", "Result when are you"]
    (captured,) = events(call, "SpeechCaptured")
    assert captured - events(call, "CaptureStarted")[0] == pytest.approx(0.9 + 0.2, abs=0.05)


def test_sound_without_words_has_no_result(voxpy: CallKit) -> None:
    from voxpy.simulation.tones import ToneEars

    class Deaf(ToneEars):
        def transcribe(self, samples: object) -> str:
            return ""

    plain = scripted_engines(ScriptedResponder([]))
    call = voxpy.call(
        scenario(), ONE, engines=attrs.evolve(plain, ears=Deaf(plain.ears._airwaves))  # type: ignore[attr-defined]
    )  # fmt: skip
    assert call.log == ["Started", "CaptureStarted", "SpeechCaptured"]
    assert call.find("no words in what was heard")


def test_a_language_nobody_understands_is_an_error_event(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("await trio.sleep(2)\nasr.stop()", profile="Yandex:ru_RU"), ONE)
    assert call.log == [
        "Error the profile asks for ru-RU, and the recogniser of this host understands: en; "
        "a service understands more: profile='openai/ru-RU', profile='deepgram/ru-RU', "
        "profile='elevenlabs/ru-RU', profile='inworld/ru-RU'",
        "Stopped 0.0",
    ]


def missing() -> SpeechGate:
    raise EngineMissing("no gate here; install it: pip install 'voxpy[local]'")


def test_a_missing_engine_is_an_error_event(voxpy: CallKit) -> None:
    engines = attrs.evolve(scripted_engines(ScriptedResponder([])), gate=missing)
    call = voxpy.call(scenario(), ONE, engines=engines)
    assert call.log == ["Error no gate here; install it: pip install 'voxpy[local]'"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"profile": "Google"}, "profile must end in a language .* not 'Google'"),
        ({"profile": 7}, "profile must end in a language .* not 7"),
        ({"phrase_hints": "sales"}, "phrase_hints must be a list of strings, not 'sales'"),
        ({"phrase_hints": [""]}, "phrase_hints must be a list"),
        ({"request": {"silence": 1}}, "request has no 'silence'; did you mean 'silence_ms'"),
        ({"request": {"silence_ms": 5}}, "must be from 100 to 5000, not 5"),
        ({"request": {"threshold": True}}, "must be from 0.01 to 0.99, not True"),
    ],
)
def test_wrong_arguments(voxpy: CallKit, arguments: dict[str, object], problem: str) -> None:
    call = voxpy.call(scenario("", **arguments), ONE, check_errors=False)
    (error,) = call.errors
    assert isinstance(error, ScenarioError)
    assert re.search(problem, str(error))


def test_the_request_tunes_the_engines(voxpy: CallKit) -> None:
    quick = voxpy.call(scenario(request={"silence_ms": 200}), ONE)
    slow = voxpy.call(scenario(request={"silence_ms": 1200}), ONE)
    (early,), (late,) = events(quick, "SpeechCaptured"), events(slow, "SpeechCaptured")
    assert late - early == pytest.approx(1.0, abs=0.05)


def test_what_an_asr_has_not_is_named(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("asr.send_media_to(call)"), ONE, check_errors=False)
    assert "ASR has no 'send_media_to'" in str(call.errors[0])


def test_sessions_with_many_recognisers_end(voxpy: CallKit) -> None:
    body = "for _ in range(5):\n    call.send_media_to(VoxEngine.create_asr(profile='en'))"
    call = voxpy.call(scenario(body), ONE)
    assert len(events(call, "Result")) == 6
    assert call.result.end.reason.value == "terminated"


# -- real speech ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def engines() -> Engines:
    try:
        return local_engines(ScriptedResponder([]))
    except EngineMissing as exc:
        pytest.skip(str(exc))


LONG = (
    "I am calling because the parcel that my sister sent on Monday has never arrived at our new "
    "house and nobody at your office could tell me where it is although I have called three times "
    "and every time another person promised to look into the matter and to call me back before the "
    "end of the day which never happened so I am now asking you to send the driver again tomorrow "
    "morning between nine and eleven because after that I must leave for the airport and the blue "
    "door on the left side of the building will be open for him"
)


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).split()


def test_long_speech_is_cut_without_losing_a_word(voxpy: CallKit, engines: Engines) -> None:
    said = LONG
    script = f"- wait: answered\n- say: {said}\n- wait: 3\n- hang_up"
    call = voxpy.call(scenario(), script, engines=engines)
    results = [line for line in call.log if line.startswith("Result")]
    assert len(results) >= 2
    heard, wanted = words(real(call)), words(said)
    missed = [w for w in wanted if len(w) > 3 and w not in heard]
    assert missed == []
    assert len(heard) == pytest.approx(len(wanted), abs=4)
    for confidence in re.findall(r"'confidence': ([0-9.]+)", str(call.find("ASR.Result"))):
        assert 0.7 < float(confidence) <= 1.0


def test_a_name_is_corrected_by_its_hint(voxpy: CallKit, engines: Engines) -> None:
    script = (
        "- wait: answered\n- say: Please connect me with Siobhan Quigley.\n- wait: 2\n- hang_up"
    )
    plain = voxpy.call(scenario(), script, engines=engines)
    hinted = voxpy.call(scenario(phrase_hints=["Siobhan Quigley"]), script, engines=engines)
    assert "Siobhan" not in real(plain)  # or the test proves nothing
    assert "connect me with Siobhan Quigley" in real(hinted)
