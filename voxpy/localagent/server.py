"""A realtime server on this machine: trio around ``voxpy.wire.realtime.server`` and the engines.

Speaks the protocol of Inworld's Realtime API, so any client of that protocol can use it. Audio is
sent as soon as it is made, faster than real time, as the service does.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import attrs
import numpy as np
import orjson
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)

from voxpy.audio.convert import Converter, encode
from voxpy.audio.frame import FRAME_S, PCMA, PCMU, Format, pcm16
from voxpy.engine import clock
from voxpy.errors import VoxpyError
from voxpy.localagent.engines import Engines, Samples
from voxpy.localagent.hearing import Hearing
from voxpy.localagent.responder import CallTool, Turn
from voxpy.localagent.turns import (
    Pause,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnEvent,
    looks_unfinished,
)
from voxpy.wire.realtime.effects import (
    AudioReceived,
    Effect,
    InputCleared,
    InputCommitted,
    Respond,
    SessionChanged,
    Stop,
)
from voxpy.wire.realtime.endpoint import check_request
from voxpy.wire.realtime.server import RealtimeServer
from voxpy.wire.realtime.session import audio_format

__all__ = ["AgentConnection", "serve_stream", "serve_tcp"]

VOICE_FORMAT = pcm16(24000)
CHUNK_S = 0.1
PAUSE_BETWEEN_S = 0.16
UNFINISHED_WAIT_MS = 700
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
HANDSHAKE_S = 10.0
HEARING_QUEUE = 512
MESSAGE_QUEUE = 64

Report = Callable[[str], None]


async def serve_tcp(
    engines: Engines,
    *,
    host: str,
    port: int,
    report: Report = lambda _: None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; ``task_status`` gets the port. Raises VoxpyError if it is taken."""
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise VoxpyError(
                f"cannot listen on {host}:{port}: {error.strerror or error}"
            ) from error
        raise VoxpyError(
            f"port {port} on {host} is taken; choose another with --port, or stop the program that "
            "uses it"
        ) from error

    async def handle(stream: trio.SocketStream) -> None:
        await serve_stream(stream, engines, report=report)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


async def serve_stream(
    stream: trio.abc.Stream, engines: Engines, *, report: Report = lambda _: None
) -> None:
    """Serve one connection over any stream, until it closes. An error of it is only reported."""
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(HANDSHAKE_S) as patience:
                request = await wrap_server_stream(
                    nursery,
                    stream,
                    message_queue_size=MESSAGE_QUEUE,
                    max_message_size=MAX_MESSAGE_BYTES,
                    receive_buffer_size=65536,
                )
                patience.deadline = math.inf
                await _serve(request, engines, report)
            nursery.cancel_scope.cancel()
    except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client left: the ordinary end
    except* Exception as group:
        report(f"a connection failed: {group.exceptions[0]!r}")
    finally:
        with trio.move_on_after(1, shield=True):
            await stream.aclose()


async def _serve(request: WebSocketRequest, engines: Engines, report: Report) -> None:
    refusal = check_request(request.path, request.headers)
    if refusal is not None:
        await request.reject(
            refusal.status,
            extra_headers=[(b"content-type", b"application/json")],
            body=refusal.body,
        )
        return
    offered = request.proposed_subprotocols
    socket = await request.accept(subprotocol="realtime" if "realtime" in offered else None)
    await AgentConnection(socket, engines, report=report).run()


@attrs.frozen
class _Committed:
    """A marker among appended audio: transcribe what came before it."""

    item_id: str


class _Cleared:
    """A marker among appended audio: forget what came before it."""


class AgentConnection:
    """One client: a reader, a writer, a listener, and a task for each response."""

    def __init__(
        self, socket: WebSocketConnection, engines: Engines, *, report: Report = lambda _: None
    ) -> None:
        self._socket = socket
        self._report = report
        self._engines = engines
        self._ids: dict[str, int] = {}
        self._protocol = RealtimeServer(session_id=self._new_id("sess"), new_id=self._new_id)
        self._hearing: Hearing | None = None
        self._session: dict[str, Any] = {}
        self._to_hear, self._hear = trio.open_memory_channel[bytes | _Committed | _Cleared](
            HEARING_QUEUE
        )
        self._to_send, self._send = trio.open_memory_channel[bytes](math.inf)
        self._responding: dict[str, trio.CancelScope] = {}
        self._turn_from_ms = 0.0
        self._early: tuple[float, str] | None = None

    async def run(self) -> None:
        """Talk until the client leaves. Raises ConnectionClosed then."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._write)
            nursery.start_soon(self._listen)
            self._protocol.open()
            self._flush()
            while True:
                text = await self._socket.get_message()
                self._apply(self._protocol.receive(text, clock.now()))

    def _new_id(self, kind: str) -> str:
        self._ids[kind] = self._ids.get(kind, 0) + 1
        return f"{kind}_{self._ids[kind]:06d}"

    # -- effects of the protocol ----------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case AudioReceived(data):
                    self._queue_hearing(data)
                case SessionChanged(session):
                    self._session = dict(session)
                    if self._hearing is not None:
                        self._hearing.configure(self._turn_detection())
                case InputCommitted(item_id):
                    self._queue_hearing(_Committed(item_id))
                case InputCleared():
                    self._queue_hearing(_Cleared())
                case Respond():
                    # Known before it starts, so that a Stop in the same breath finds it.
                    scope = self._responding[effect.response_id] = trio.CancelScope()
                    self._nursery.start_soon(self._respond, effect, scope)
                case Stop(response_id):
                    if response_id in self._responding:
                        self._responding[response_id].cancel()
        self._flush()

    def _queue_hearing(self, item: bytes | _Committed | _Cleared) -> None:
        try:
            self._to_hear.send_nowait(item)
        except trio.WouldBlock:
            return  # 20 s behind: an overloaded machine loses audio rather than memory

    def _flush(self) -> None:
        for frame in self._protocol.outgoing():
            self._to_send.send_nowait(frame)

    async def _write(self) -> None:
        async for frame in self._send:
            await self._socket.send_message(frame.decode())

    # -- hearing --------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._hearing = Hearing(await self._engines.run(self._engines.gate))
        self._hearing.configure(self._turn_detection())
        async for item in self._hear:
            if isinstance(item, _Committed):
                await self._transcribe_committed(item.item_id)
            elif isinstance(item, _Cleared):
                self._hearing.detector.reset()
                self._turn_from_ms = self._hearing.position_ms
            else:
                fmt = _wire_format(*audio_format(self._protocol.session, "input"))
                for event in await self._engines.run(self._hearing.feed, *_as_pcm(item, fmt)):
                    await self._turn(event)

    def _turn_detection(self) -> dict[str, Any] | None:
        audio = self._session.get("audio") or {}
        return (audio.get("input") or {}).get("turn_detection")

    async def _turn(self, event: TurnEvent) -> None:
        assert self._hearing is not None
        if self._turn_detection() is None:
            return  # manual turns: the client commits
        match event:
            case SpeechStarted(start_ms):
                self._turn_from_ms, self._early = start_ms, None
                self._apply(self._protocol.speech_started(start_ms, clock.now()))
            case Pause(at_ms):
                text = await self._transcribe(self._turn_from_ms, at_ms)
                self._early = (at_ms, text)
                self._protocol.transcript_delta(text)
                if looks_unfinished(text):
                    self._hearing.detector.extend(UNFINISHED_WAIT_MS)
            case SpeechResumed():
                self._early = None
            case SpeechStopped(end_ms, _):
                early, self._early = self._early, None
                self._protocol.speech_stopped(end_ms)
                self._flush()
                text = early[1] if early else await self._transcribe(self._turn_from_ms, end_ms)
                self._apply(self._protocol.transcript_completed(text, clock.now()))
        self._flush()

    async def _transcribe(self, from_ms: float, to_ms: float) -> str:
        assert self._hearing is not None
        samples = self._hearing.segment(from_ms, to_ms)
        return await self._engines.run(self._engines.ears.transcribe, samples)

    async def _transcribe_committed(self, item_id: str) -> None:
        assert self._hearing is not None
        text = await self._transcribe(self._turn_from_ms, self._hearing.position_ms)
        self._turn_from_ms = self._hearing.position_ms
        self._hearing.detector.reset()
        self._apply(self._protocol.transcript_completed(text, clock.now(), item_id=item_id))

    # -- answering ------------------------------------------------------------------------------

    async def _respond(self, wanted: Respond, scope: trio.CancelScope) -> None:
        response_id = wanted.response_id
        turn = Turn(
            instructions=str(wanted.session.get("instructions") or ""),
            items=wanted.items,
            tools=wanted.overrides.get("tools") or wanted.session.get("tools") or (),
            tool_choice=wanted.overrides.get("tool_choice")
            or wanted.session.get("tool_choice")
            or "auto",
            response_instructions=wanted.overrides.get("instructions"),
        )
        with scope:
            try:
                async with aclosing(self._engines.responder.respond(turn)) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        if isinstance(piece, CallTool):
                            self._protocol.call_tool(
                                response_id, piece.name, _json_text(piece.arguments)
                            )
                        else:
                            await self._say(wanted, piece.text)
                        self._flush()
                self._protocol.finish(response_id, clock.now())
            except VoxpyError as error:
                self._protocol.fail(response_id, str(error))
            except Exception as error:
                self._report(f"a response failed: {error!r}")
                self._protocol.fail(response_id, f"{type(error).__name__}: {error}")
            finally:
                del self._responding[response_id]
                self._flush()

    async def _say(self, wanted: Respond, text: str) -> None:
        self._protocol.text(wanted.response_id, text)
        self._flush()
        output = (wanted.session.get("audio") or {}).get("output") or {}
        modalities = (
            wanted.overrides.get("output_modalities") or wanted.session["output_modalities"]
        )
        if "audio" not in modalities:
            return
        speaker = wanted.overrides.get("voice") or output.get("voice") or "Dennis"
        sentences = self._engines.voice.speak(
            text, speaker=str(speaker), speed=float(output.get("speed") or 1.0)
        )
        target = _wire_format(*audio_format(wanted.session, "output"))
        converter = Converter(VOICE_FORMAT, target or VOICE_FORMAT)
        while (samples := await self._engines.run(next, sentences, None)) is not None:
            data = converter.convert(_whole_frames(samples))
            step = (target or VOICE_FORMAT).bytes_for(CHUNK_S)
            for start in range(0, len(data), step):
                chunk = data[start : start + step]
                self._protocol.audio(
                    wanted.response_id, chunk if target else _as_float32(chunk), clock.now()
                )
            self._flush()


def _whole_frames(samples: Samples) -> bytes:
    """Return the samples as PCM, a short pause appended, filled up to whole 20 ms frames."""
    frame = VOICE_FORMAT.frame_samples
    wanted = len(samples) + round(PAUSE_BETWEEN_S / FRAME_S) * frame
    padded = np.zeros(math.ceil(wanted / frame) * frame, np.int16)
    padded[: len(samples)] = samples
    return encode(padded, VOICE_FORMAT)


def _wire_format(kind: str, rate_hz: int) -> Format | None:
    """Return the Format of audio on the wire, or None for 32-bit float."""
    if kind == "float32":
        return None
    return {"pcmu": PCMU, "pcma": PCMA}.get(kind) or pcm16(rate_hz)


def _as_pcm(data: bytes, fmt: Format | None) -> tuple[bytes, Format]:
    if fmt is not None:
        return data, fmt
    floats = np.frombuffer(data[: len(data) // 4 * 4], dtype="<f4")
    return encode((np.clip(floats, -1, 1) * 32767).astype(np.int16), VOICE_FORMAT), VOICE_FORMAT


def _as_float32(data: bytes) -> bytes:
    return (np.frombuffer(data, dtype="<i2").astype("<f4") / 32768).tobytes()


def _json_text(arguments: dict[str, Any]) -> str:
    return orjson.dumps(arguments).decode()
