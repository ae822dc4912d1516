"""Exotel AgentStream, Voicebot applet (bidirectional).

The rate is chosen by ``?sample-rate=16000`` in the address. Closing the stream lets the flow go on
with its next applet, and the call ends where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.frame import pcm16
from voxpy.channels.providers.events import Start, StreamEvent
from voxpy.channels.providers.http import Answer, Asked, Outcome, json_answer
from voxpy.channels.providers.jsonstream import JsonCarrier, JsonStream
from voxpy.channels.providers.provider import Message, PhoneCall, Provider

MESSAGE_FRAMES = 5
"""Messages of 100 ms are the smallest it plays well."""


class ExotelStream(JsonStream):
    """Linear PCM in base64."""

    stream_key = "stream_sid"

    def _start(self, value: Mapping[str, Any]) -> Start:
        start = self.part(value, "start")
        form = self.part(start, "media_format")
        return self.begun(
            call_id=self.text(start, "call_sid"),
            stream_id=self.text(start, "stream_sid"),
            fmt=self.format_of(form.get("encoding") or "slin", form.get("sample_rate", 8000)),
            parameters=self.optional(start, "custom_parameters"),
            caller=start.get("from"),
            callee=start.get("to"),
        )

    def _other(self, kind: str, value: Mapping[str, Any]) -> Sequence[StreamEvent]:
        return () if kind == "clear" else super()._other(kind, value)


class ExotelCarrier(JsonCarrier):
    """Fills its messages before it sends them."""

    stream_key = "stream_sid"
    number_key = "sequence_number"
    numbers_are_text = False

    def __init__(self, provider: Provider, call: PhoneCall) -> None:
        super().__init__(provider, call)
        self._frames: list[bytes] = []

    def opening(self) -> Sequence[Message]:
        """``connected`` and ``start``."""
        connected = self.connected()
        start = {
            "stream_sid": self.stream_id,
            "call_sid": self.call.call_id,
            "account_sid": "simulated",
            "from": self.call.caller,
            "to": self.call.callee,
            "custom_parameters": dict(self.call.parameters),
            "media_format": {
                "encoding": "base64",
                "sample_rate": str(self.inbound.rate_hz),
                "bit_rate": f"{self.inbound.rate_hz * 16 // 1000}kbps",
            },
        }
        return (connected, self.message("start", start=start))

    def audio(self, frame: bytes) -> Message | None:
        """``media``, every fifth time."""
        self._frames.append(frame)
        if len(self._frames) < MESSAGE_FRAMES:
            return None
        data = b"".join(self._frames)
        self._frames.clear()
        return super().audio(data)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={"duration": 100, "digit": digit})

    def stop(self) -> Message:
        """``stop``."""
        stop = {"call_sid": self.call.call_id, "account_sid": "simulated", "reason": "callended"}
        return self.message("stop", stop=stop)


def _answer_call(outcome: Outcome, url: str, call: Asked) -> Answer:
    """The address for a Voicebot applet. Source: https://docs.exotel.com/exotel-agentstream

    Anything but 200 sends the flow down the applet's branch for failures.
    """
    if outcome != "connect":
        return json_answer({}, 503 if outcome == "busy" else 404)
    return json_answer({"url": url})


PROVIDER = Provider(
    name="exotel",
    source="https://developer.exotel.com/docs/agentstream/stream-voicebot-applet",
    stream=ExotelStream,
    carrier=ExotelCarrier,
    formats=(pcm16(8000), pcm16(16000), pcm16(24000)),
    hang_up="close",
    chunk_frames=MESSAGE_FRAMES,
    answer_call=_answer_call,
)
