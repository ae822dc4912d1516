"""Media inside a WebSocket, as VoxEngine sends and takes it: JSON messages, base64 audio.

::

    {"event": "start", "sequenceNumber": 0, "start": {"tag": "", "mediaFormat":
        {"encoding": "PCM16", "sampleRate": 16000, "channels": 1}, "customParameters": "{}"}}
    {"event": "media", "sequenceNumber": 1,
        "media": {"chunk": 0, "timestamp": 0, "payload": "..."}}
    {"event": "stop", "sequenceNumber": 9,
        "stop": {"mediaInfo": {"bytesSent": 2560, "duration": 0}}}

Both sides speak it alike. Where ``tag`` stands is not told: it is sent inside and read in both
places. Source: docs.voximplant.ai/platform/voxengine/media-over-websockets.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.errors import RemoteProtocolError
from voxpy.text import json

KINDS = ("start", "media", "stop")
FORMATS: Mapping[str, Format] = {
    "PCM8": pcm16(8000),
    "PCM16": pcm16(16000),
    "ULAW": PCMU,
    "ALAW": PCMA,
}
"""VoxEngine's WebSocketAudioEncoding, but Opus; the first two are linear at 8 and 16 kHz."""
OTHER_NAMES = {
    "PCM16_8KHZ": "PCM8",
    "PCM16_16KHZ": "PCM16",
    "AUDIO/X-MULAW": "ULAW",
    "AUDIO/PCMU": "ULAW",
    "AUDIO/PCMA": "ALAW",
}


@attrs.frozen(kw_only=True)
class MediaStart:
    """A stream begins."""

    tag: str
    format: Format
    encoding: str
    custom_parameters: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class MediaChunk:
    """Audio of a stream, of any length."""

    tag: str
    payload: bytes


@attrs.frozen(kw_only=True)
class MediaStop:
    """A stream is over."""

    tag: str


def read_media(text: str) -> MediaStart | MediaChunk | MediaStop | None:
    """Return what a text message says of media; None for one that is the peers' own business.

    Raises RemoteProtocolError for one that is meant to be of media and cannot be used.
    """
    if '"event"' not in text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    kind = value.get("event") if isinstance(value, dict) else None
    if kind not in KINDS:
        return None
    told = value.get(kind)
    if not isinstance(told, dict):
        raise RemoteProtocolError(f"{kind!r} without its object")
    tag = told.get("tag") or value.get("tag") or ""
    if not isinstance(tag, str):
        raise RemoteProtocolError("a tag that is no text")
    if kind == "media":
        return MediaChunk(tag=tag, payload=_payload(told.get("payload")))
    if kind == "stop":
        return MediaStop(tag=tag)
    return _start(tag, told)


def _payload(given: Any) -> bytes:
    try:
        return base64.b64decode(given, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise RemoteProtocolError("a payload that is no base64") from None


def _start(tag: str, told: Mapping[str, Any]) -> MediaStart:
    described = told.get("mediaFormat")
    if not isinstance(described, dict):
        raise RemoteProtocolError("a start without mediaFormat")
    encoding = str(described.get("encoding", "")).upper()
    encoding = OTHER_NAMES.get(encoding, encoding)
    if encoding not in FORMATS:
        known = ", ".join(FORMATS)
        raise RemoteProtocolError(f"the encoding {encoding[:20]!r}; known are {known}")
    fmt = FORMATS[encoding]
    rate = described.get("sampleRate") or fmt.rate_hz
    try:
        fmt = Format(fmt.encoding, rate)
    except ValueError as error:
        raise RemoteProtocolError(str(error)) from None
    if described.get("channels", 1) not in (1, None):
        raise RemoteProtocolError("more than one channel")
    return MediaStart(tag=tag, format=fmt, encoding=encoding, custom_parameters=_custom(told))


def _custom(told: Mapping[str, Any]) -> Mapping[str, Any]:
    given = told.get("customParameters") or {}
    if isinstance(given, str):  # an object of a scenario comes as its JSON
        try:
            given = json.loads(given)
        except ValueError:
            return {}
    return given if isinstance(given, dict) else {}


class MediaWriter:
    """Makes the messages of one stream; a new one may follow when it was stopped."""

    def __init__(self, tag: str = "") -> None:
        self.tag = tag
        self.begun = False
        self._sequence = self._chunk = self._samples = self._bytes = 0
        self._format = FORMATS["PCM8"]

    def start(self, encoding: str, custom_parameters: Mapping[str, Any]) -> str:
        """Begin a stream of one of FORMATS."""
        self.begun = True
        self._sequence = self._chunk = self._samples = self._bytes = 0
        self._format = fmt = FORMATS[encoding]
        form = {"encoding": encoding, "sampleRate": fmt.rate_hz, "channels": 1}
        custom = orjson.dumps(custom_parameters, default=str).decode()
        return self._message("start", mediaFormat=form, customParameters=custom)

    def media(self, data: bytes) -> str:
        """Send audio; ``timestamp`` counts samples, ``chunk`` messages."""
        payload = base64.b64encode(data).decode("ascii")
        self._sequence += 1
        tag = f'"tag":{orjson.dumps(self.tag).decode()},' if self.tag else ""
        text = (
            f'{{"event":"media","sequenceNumber":{self._sequence - 1},"media":{{{tag}'
            f'"chunk":{self._chunk},"timestamp":{self._samples},"payload":"{payload}"}}}}'
        )
        self._chunk += 1
        self._samples += len(data) // self._format.sample_bytes
        self._bytes += len(data)
        return text

    def stop(self) -> str:
        """End the stream."""
        self.begun = False
        seconds = round(self._format.duration_s(self._bytes))
        return self._message("stop", mediaInfo={"bytesSent": self._bytes, "duration": seconds})

    def _message(self, kind: str, **told: Any) -> str:
        body = {"tag": self.tag, **told} if self.tag else told
        number, self._sequence = self._sequence, self._sequence + 1
        return orjson.dumps({"event": kind, "sequenceNumber": number, kind: body}).decode()
