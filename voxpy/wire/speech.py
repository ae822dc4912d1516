"""Speech services over HTTP: what is asked of each, and how its answer is read. Pure.

- OpenAI, and whatever speaks like it (``OPENAI_BASE_URL``): ``/audio/transcriptions`` and
  ``/audio/speech``, platform.openai.com/docs/api-reference/audio
- Deepgram: ``/v1/listen`` and ``/v1/speak``, developers.deepgram.com/reference
- ElevenLabs: ``/v1/speech-to-text`` and ``/v1/text-to-speech/VOICE``, elevenlabs.io/docs
- Inworld: ``/stt/v1/transcribe`` and ``/tts/v1/voice``, docs.inworld.ai

Audio goes out as WAV of 16 kHz and comes back as 16-bit PCM of 24 kHz.
"""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import attrs
import orjson

from voxpy.text import json

HEARD_HZ = 16_000
SAID_HZ = 24_000

Answer = Mapping[str, Any]


@attrs.frozen
class Asked:
    """A POST. ``headers`` hold the key."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen
class Utterance:
    """Speech to be written down. ``pcm``: 16 bit at HEARD_HZ; ``language``: a BCP 47 tag."""

    pcm: bytes
    language: str
    model: str | None = None
    hints: Sequence[str] = ()


@attrs.frozen
class Sentence:
    """A text to be spoken by ``voice``; ``speed`` is a factor."""

    text: str
    voice: str
    speed: float = 1.0


@attrs.frozen(kw_only=True)
class SpeechService:
    """One service: the secret with its key, its address, and both directions.

    ``words`` reads (text, confidence) out of an answer; 1.0 where the service tells none.
    ``sound`` reads PCM of SAID_HZ out of a body. Both raise ValueError, KeyError, TypeError or
    IndexError for what is no such answer.
    """

    name: str
    secret: str
    base: str
    hear: Callable[[str, str, Utterance], Asked]
    words: Callable[[Answer], tuple[str, float]]
    say: Callable[[str, str, Sentence], Asked]
    sound: Callable[[bytes], bytes]

    @property
    def base_secret(self) -> str:
        """The secret that may name another address."""
        return f"{self.secret.removesuffix('_API_KEY')}_BASE_URL"


def service_of(name: str) -> tuple[SpeechService, str] | None:
    """Return the service that a voice or profile names, and what it calls it there.

    ``"openai/alloy"`` and ``"ElevenLabs:Rachel"`` name one; others None.
    """
    for mark in ("/", ":"):
        first, found, rest = name.partition(mark)
        service = SERVICES.get(first.lower())
        if found and service is not None:
            return service, rest
    return None


def _wav(pcm: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(HEARD_HZ)
        file.writeframes(pcm)
    return out.getvalue()


def _form(fields: Mapping[str, str], audio: bytes) -> tuple[str, bytes]:
    """Return the content type and the body of a form with a file in it (RFC 7578)."""
    mark = hashlib.sha256(audio).hexdigest()[:32]
    parts = [
        f'--{mark}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'content-disposition: form-data; name="file"; filename="speech.wav"'
    parts.append(f"--{mark}\r\n{head}\r\ncontent-type: audio/wav\r\n\r\n".encode())
    return f"multipart/form-data; boundary={mark}", b"".join(
        [*parts, audio, f"\r\n--{mark}--\r\n".encode()]
    )


def _json(url: str, headers: Mapping[str, str], value: Any) -> Asked:
    return Asked(url, {**headers, "content-type": "application/json"}, orjson.dumps(value))


# -- OpenAI ----------------------------------------------------------------------------------------


def _openai_hear(base: str, key: str, said: Utterance) -> Asked:
    fields = {
        "model": said.model or "gpt-4o-mini-transcribe",
        "language": said.language.split("-")[0],
        "response_format": "json",
    }
    if said.hints:
        fields["prompt"] = ", ".join(said.hints)
    kind, body = _form(fields, _wav(said.pcm))
    headers = {"authorization": f"Bearer {key}", "content-type": kind}
    return Asked(f"{base}/audio/transcriptions", headers, body)


def _openai_say(base: str, key: str, sentence: Sentence) -> Asked:
    asked = {
        "model": "gpt-4o-mini-tts",
        "input": sentence.text,
        "voice": sentence.voice,
        "response_format": "pcm",
        "speed": sentence.speed,
    }
    return _json(f"{base}/audio/speech", {"authorization": f"Bearer {key}"}, asked)


# -- Deepgram --------------------------------------------------------------------------------------


def _deepgram_hear(base: str, key: str, said: Utterance) -> Asked:
    query = [("model", said.model or "nova-3"), ("language", said.language)]
    query += [("smart_format", "true"), *(("keyterm", hint) for hint in said.hints)]
    headers = {"authorization": f"Token {key}", "content-type": "audio/wav"}
    return Asked(f"{base}/v1/listen?{urlencode(query)}", headers, _wav(said.pcm))


def _deepgram_words(answer: Answer) -> tuple[str, float]:
    best = answer["results"]["channels"][0]["alternatives"][0]
    return _words(best["transcript"]), float(best.get("confidence", 1.0))


def _deepgram_say(base: str, key: str, sentence: Sentence) -> Asked:
    query = urlencode(
        {
            "model": sentence.voice,
            "encoding": "linear16",
            "sample_rate": SAID_HZ,
            "container": "none",
        }
    )
    headers = {"authorization": f"Token {key}"}
    return _json(f"{base}/v1/speak?{query}", headers, {"text": sentence.text})


# -- ElevenLabs ------------------------------------------------------------------------------------


def _elevenlabs_hear(base: str, key: str, said: Utterance) -> Asked:
    fields = {
        "model_id": said.model or "scribe_v2",
        "language_code": said.language.split("-")[0],
        "tag_audio_events": "false",
    }
    kind, body = _form(fields, _wav(said.pcm))
    return Asked(f"{base}/v1/speech-to-text", {"xi-api-key": key, "content-type": kind}, body)


def _elevenlabs_say(base: str, key: str, sentence: Sentence) -> Asked:
    asked = {
        "text": sentence.text,
        "model_id": "eleven_flash_v2_5",
        "voice_settings": {"speed": min(max(sentence.speed, 0.7), 1.2)},
    }
    url = f"{base}/v1/text-to-speech/{quote(sentence.voice, safe='')}?output_format=pcm_24000"
    return _json(url, {"xi-api-key": key}, asked)


# -- Inworld ---------------------------------------------------------------------------------------


def _inworld_hear(base: str, key: str, said: Utterance) -> Asked:
    asked = {
        "transcribeConfig": {
            "modelId": said.model or "inworld/inworld-stt-1",
            "audioEncoding": "LINEAR16",
            "sampleRateHertz": HEARD_HZ,
            "numberOfChannels": 1,
            "language": said.language,
        },
        "audioData": {"content": base64.b64encode(said.pcm).decode()},
    }
    return _json(f"{base}/stt/v1/transcribe", {"authorization": f"Basic {key}"}, asked)


def _inworld_say(base: str, key: str, sentence: Sentence) -> Asked:
    asked = {
        "text": sentence.text,
        "voiceId": sentence.voice,
        "modelId": "inworld-tts-2",
        "audioConfig": {
            "audioEncoding": "LINEAR16",
            "sampleRateHertz": SAID_HZ,
            "speakingRate": sentence.speed,
        },
    }
    return _json(f"{base}/tts/v1/voice", {"authorization": f"Basic {key}"}, asked)


def _inworld_sound(body: bytes) -> bytes:
    audio: bytes = base64.b64decode(json.loads(body)["audioContent"])
    if not audio.startswith(b"RIFF"):
        return audio
    try:
        with wave.open(io.BytesIO(audio)) as file:
            pcm: bytes = file.readframes(file.getnframes())
            return pcm
    except (wave.Error, EOFError) as error:
        raise ValueError(f"audioContent is no WAV: {error}") from None


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the words are {value!r}")
    return value


def _even(body: bytes) -> bytes:
    return body[: len(body) & ~1]


SERVICES: Mapping[str, SpeechService] = {
    service.name: service
    for service in (
        SpeechService(
            name="openai",
            secret="OPENAI_API_KEY",  # noqa: S106  the name of one
            base="https://api.openai.com/v1",
            hear=_openai_hear,
            words=lambda answer: (_words(answer["text"]), 1.0),
            say=_openai_say,
            sound=_even,
        ),
        SpeechService(
            name="deepgram",
            secret="DEEPGRAM_API_KEY",  # noqa: S106
            base="https://api.deepgram.com",
            hear=_deepgram_hear,
            words=_deepgram_words,
            say=_deepgram_say,
            sound=_even,
        ),
        SpeechService(
            name="elevenlabs",
            secret="ELEVENLABS_API_KEY",  # noqa: S106
            base="https://api.elevenlabs.io",
            hear=_elevenlabs_hear,
            words=lambda answer: (_words(answer["text"]), 1.0),
            say=_elevenlabs_say,
            sound=_even,
        ),
        SpeechService(
            name="inworld",
            secret="INWORLD_API_KEY",  # noqa: S106
            base="https://api.inworld.ai",
            hear=_inworld_hear,
            words=lambda answer: (_words(answer["transcription"]["transcript"]), 1.0),
            say=_inworld_say,
            sound=_inworld_sound,
        ),
    )
}
"""By the name that stands before the slash of a voice or profile."""
