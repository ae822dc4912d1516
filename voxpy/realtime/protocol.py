"""The wire of the Realtime protocol: ``RealtimeClient`` as the seam wants it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import orjson

from voxpy.audio.convert import float32_of_pcm16, pcm16_of_float32
from voxpy.audio.frame import Format, pcm16
from voxpy.errors import RemoteProtocolError
from voxpy.realtime.configuration import carried
from voxpy.realtime.service import Habits
from voxpy.realtime.wire import (
    Audio,
    AudioOver,
    CallerSpoke,
    Configured,
    Failed,
    Happening,
    Sent,
    Told,
    ToolsCalled,
    Works,
)
from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import encode_append, load
from voxpy.wire.realtime.events.formats import WholeSamples, audio_format
from voxpy.wire.realtime.events.types import ServerEvent

DEFAULT_FORMAT = pcm16(24000)
FORMAT_CODE = "unsupported_audio_format"


class RealtimeWire:
    """Implements ``voxpy.realtime.wire.Wire``. ``client`` has the rest of the protocol.

    ``queue`` holds back what is submitted until the session is ready. ``as_is`` gives audio as the
    service sends it, whatever the format, to who asked for that. ``warn`` is told of what is
    odd and does no harm.
    """

    def __init__(
        self,
        habits: Habits,
        *,
        queue: bool = False,
        as_is: bool = False,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.client = RealtimeClient(
            queue_until_ready=queue,
            mulaw_thirds=habits.mulaw_thirds,
            answers_tools=habits.answers_tools,
        )
        self.playback = self.client.playback
        self.outgoing = self.client.outgoing
        self.input_format: Format = DEFAULT_FORMAT
        self.output_format: Format = DEFAULT_FORMAT
        self._warn = warn
        self._floats_in = False
        self._floats_out: WholeSamples | None = None
        self._plays = True
        self._as_is = as_is

    @property
    def idle(self) -> bool:
        """Whether no response is under way or due, and nothing is held back."""
        return self.client.idle

    @property
    def owes(self) -> str:
        """What the service owes us, in words."""
        return self.client.owes

    def receive(self, text: str) -> list[Happening]:
        """Take a frame; the JSON object read from it is the payload of what is told."""
        raw = load(text)
        items = self.client.receive_loaded(raw)
        if len(items) == 1 and type(audio := items[0]) is Audio:  # as nearly everything is
            return self._playable(audio)
        found: list[Happening] = []
        for item in items:
            assert not isinstance(item, Audio)
            self._mean(item, found)
            found.append(Told(item.type, raw, item))
            if isinstance(item, se.ResponseDone) and self.client.responses.new_calls:
                found.append(ToolsCalled(self.client.responses.new_calls))
        if not found and self.client.repeated == 1:
            self._warn("the service sends things twice; the second ones are ignored")
        return found

    def receive_binary(self, data: bytes) -> None:
        """The protocol has no binary frames."""

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's."""
        return encode_append(float32_of_pcm16(audio) if self._floats_in else audio)

    def interrupt(self, played_ms: Callable[[str], float]) -> list[Sent]:
        """Cut every item that was not heard to its end; see ``RealtimeClient.interrupt``."""
        sent = []
        for event in self.client.interrupt(played_ms):
            frame = self.client.send(event)
            fields = {n: v for n, v in orjson.loads(frame).items() if n != "type"}
            sent.append(Sent(event.type, fields, frame))
        return sent

    def awaits_output(self, call_id: str) -> bool:
        """Return whether a completed response called this and has no output yet."""
        return self.client.responses.awaits(call_id)

    def tool_output(self, call_id: str, output: str, *, silent: bool = False) -> None:
        """Give the output of a call; with the last of its response, a create is due."""
        self.client.tool_output(call_id, output, silent=silent)

    def transcript_heard(self, item_id: str, played_ms: float) -> str:
        """Return about what a listener understood who heard ``played_ms`` of an item."""
        return self.client.transcript_heard(item_id, played_ms)

    def _mean(self, event: ServerEvent, found: list[Happening]) -> None:
        match event:
            case se.SessionCreated() | se.SessionUpdated():
                found += self._adopt_formats(self.client.session)
                found.append(Configured())
            case se.InputAudioBufferSpeechStarted():
                found.append(CallerSpoke(self.client.may_interrupt()))
            case se.ResponseOutputAudioDone():
                found.append(AudioOver())
            case se.ResponseDone():
                found.append(AudioOver())
                if self.client.trouble:
                    found.append(Failed(self.client.trouble))
                elif event.response.get("status") == "completed":
                    found.append(Works())
            case se.ErrorEvent() if self.client.refusal is not None:
                words = f"refused the session: {event.error.message or event.error.code}"
                found.append(Failed(words, self._never(), event.error.code))

    def _never(self) -> Sequence[str]:
        return (
            ("session.updated",) if self.client.session else ("session.created", "session.updated")
        )

    def _adopt_formats(self, session: Mapping[str, Any]) -> list[Happening]:
        """Take over the session's formats; of one that nobody here carries nothing is played.

        Played as another it would be noise at full scale; in silence nobody would know why.
        """
        if self._as_is:
            return []
        self._plays = False
        try:
            encoding_in, rate_in_hz = audio_format(session, "input")
            encoding_out, rate_out_hz = audio_format(session, "output")
            self.input_format = carried(encoding_in, rate_in_hz)
            self.output_format = carried(encoding_out, rate_out_hz)
        except (ValueError, RemoteProtocolError) as error:
            return [Failed(f"has audio that is not carried here: {error}", code=FORMAT_CODE)]
        self._plays = True
        self._floats_in = encoding_in == "float32"
        self._floats_out = WholeSamples() if encoding_out == "float32" else None
        return []

    def _playable(self, audio: Audio) -> list[Happening]:
        if not self._plays:
            return []
        if self._floats_out is None:
            return [audio]
        whole = self._floats_out.take(audio.data, "float32")
        return [attrs.evolve(audio, data=pcm16_of_float32(whole))] if whole else []
