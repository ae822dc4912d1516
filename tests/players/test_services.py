"""Speech services over HTTP, at whose place stand answers as their documentation has them."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.testing import CallKit, Reply
from voxpy.wire.speech import SERVICES, Sentence, Utterance, service_of

TONE = (np.sin(np.arange(24_000) / 24_000 * 440 * 2 * np.pi) * 8000).astype("<i2").tobytes()
ANSWERS: dict[str, tuple[str, Any]] = {
    "openai": ("https://api.openai.com/v1/audio/transcriptions", {"text": "Guten Tag."}),
    "deepgram": (
        "https://api.deepgram.com/v1/listen",
        {"results": {"channels": [{"alternatives": [
            {"transcript": "Guten Tag.", "confidence": 0.75}]}]}},
    ),
    "elevenlabs": ("https://api.elevenlabs.io/v1/speech-to-text", {"text": "Guten Tag."}),
    "inworld": (
        "https://api.inworld.ai/stt/v1/transcribe",
        {"transcription": {"transcript": "Guten Tag.", "isFinal": True}, "usage": None},
    ),
}  # fmt: skip
SOUNDS: dict[str, tuple[str, str, Any]] = {
    "openai": ("openai/alloy", "https://api.openai.com/v1/audio/speech", TONE),
    "deepgram": ("deepgram/aura-2-thalia-en", "https://api.deepgram.com/v1/speak", TONE),
    "elevenlabs": ("ElevenLabs:abc", "https://api.elevenlabs.io/v1/text-to-speech/abc", TONE),
    "inworld": (
        "inworld/Ashley",
        "https://api.inworld.ai/tts/v1/voice",
        {"audioContent": base64.b64encode(TONE).decode()},
    ),
}

LISTENER = """
from voxpy import *

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    asr = VoxEngine.create_asr("PROFILE", model="best", phrase_hints=["Tag"])
    asr.add_event_listener(ASREvents.Result, lambda e: Logger.write(f"{e.text} {e.confidence}"))
    asr.add_event_listener(ASREvents.ASRError, lambda e: Logger.write(e.error))
    event.call.send_media_to(asr)
    event.call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
"""
SPEAKER = """
from voxpy import *

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    event.call.say("Guten Tag.", "VOICE")

    def over(event):
        Logger.write(f"over {event.error}")
        VoxEngine.terminate()

    event.call.add_event_listener(CallEvents.PlaybackStarted, lambda e: Logger.write(e.duration))
    event.call.add_event_listener(CallEvents.PlaybackFinished, over)
"""
CALLER = "- silence: 0.5\n- say: Hello there.\n- silence: 2\n"
STAYS = "- wait: {for: hung_up, within_s: 30}\n"


def key(name: str) -> dict[str, str]:
    return {SERVICES[name].secret: "the-key-of-this-test"}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_service_recognises_another_language(voxpy: CallKit, name: str) -> None:
    url, answer = ANSWERS[name]
    source = LISTENER.replace("PROFILE", f"{name}/de-DE")
    call = voxpy.call(source, CALLER, http={f"POST {url}": answer}, secrets=key(name))
    assert call.log == [f"Guten Tag. {0.75 if name == 'deepgram' else 1.0}"]


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_a_services_voice_speaks(voxpy: CallKit, name: str) -> None:
    voice, url, answer = SOUNDS[name]
    source = SPEAKER.replace("VOICE", voice)
    call = voxpy.call(source, STAYS, http={f"POST {url}": answer}, secrets=key(name))
    assert call.log == ["1000.0", "over None"]


def test_the_key_stays_out_of_trace_and_log(voxpy: CallKit) -> None:
    url, _ = ANSWERS["openai"]
    source = LISTENER.replace("PROFILE", "openai/de-DE")
    http = {f"POST {url}": Reply(status=401, body="bad key the-key-of-this-test")}
    call = voxpy.call(source, CALLER, http=http, secrets=key("openai"))
    assert call.log == ["openai: api.openai.com/v1/audio/transcriptions answered 401: bad key ***"]


def test_another_address(voxpy: CallKit) -> None:
    source = LISTENER.replace("PROFILE", "openai/en-US")
    http = {"POST http://localhost:8000/v1/audio/transcriptions": {"text": "Hello."}}
    secrets = key("openai") | {"OPENAI_BASE_URL": "http://localhost:8000/v1/"}
    assert voxpy.call(source, CALLER, http=http, secrets=secrets).log == ["Hello. 1.0"]


def test_without_a_key_the_error_says_where_it_belongs(voxpy: CallKit) -> None:
    call = voxpy.call(LISTENER.replace("PROFILE", "deepgram/de-DE"), CALLER)
    assert "DEEPGRAM_API_KEY" in call.log[0]
    call = voxpy.call(SPEAKER.replace("VOICE", "openai/alloy"), STAYS)
    assert "OPENAI_API_KEY" in call.log[0]


def test_without_a_key_voxengines_names_mean_the_hosts_own(voxpy: CallKit) -> None:
    call = voxpy.call(SPEAKER.replace("VOICE", "ElevenLabs:en_US_Rachel"), STAYS)
    assert call.log[-1] == "over None"


@pytest.mark.parametrize(
    "answer", ["", "[]", {"text": None}, {"results": {"channels": []}}, b"\xff"]
)
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_odd_answer_is_an_error_and_the_call_goes_on(
    voxpy: CallKit, name: str, answer: Any
) -> None:
    url, _ = ANSWERS[name]
    source = LISTENER.replace("PROFILE", f"{name}/de-DE")
    call = voxpy.call(source, CALLER, http={f"POST {url}": answer}, secrets=key(name))
    assert not call.errors
    assert "something else than it documents" in call.log[0]


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.text(max_size=3), lambda x: st.dictionaries(st.sampled_from(
        ["results", "channels", "text", "transcription", "transcript", "audioContent"]), x)
    | st.lists(x)).map(orjson.dumps))  # fmt: skip
def test_readers_raise_only_what_they_say(body: bytes) -> None:
    for service in SERVICES.values():
        for read in (service.sound, lambda b, s=service: s.words(orjson.loads(b))):
            with suppress(ValueError, KeyError, TypeError, IndexError):
                read(body)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_requests_are_what_the_services_document(name: str) -> None:
    service = SERVICES[name]
    said = Utterance(b"\0\0" * 160, "de-DE", None, ("Anna",))
    heard = service.hear("https://x.test", "KEY", said)
    spoken = service.say("https://x.test", "KEY", Sentence("Hallo", "a b/c"))
    for asked in (heard, spoken):
        assert asked.url.startswith("https://x.test/")
        assert " " not in asked.url
        assert any("KEY" in value for value in asked.headers.values())
        assert "content-type" in asked.headers
    if "multipart" in heard.headers["content-type"]:
        mark = heard.headers["content-type"].rpartition("=")[2].encode()
        assert heard.body.endswith(b"--" + mark + b"--\r\n")
        assert b"RIFF" in heard.body
    assert service_of(f"{name}/x") == (service, "x")
    assert service_of(f"{name.title()}:x:y") == (service, "x:y")
    assert service_of(name) is None
